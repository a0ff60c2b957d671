"""The operations on trees: each takes what the method takes that it is named after."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from typing import Unpack

import distributed
from yarl import URL

from neuro_sdk import AbstractRecursiveFileProgress, Buckets

from ._cutting import Summary
from ._operation import ClusterOptions, LocalPath, TreePlan, run

__all__ = ["copy_dir", "download_dir", "sync_down", "sync_up", "upload_dir"]

BlobPath = URL | str
Filter = Callable[[str], Awaitable[bool]]


async def upload_dir(
    cluster: distributed.Client,
    src: LocalPath,
    dst: BlobPath,
    *,
    update: bool = False,
    verify: bool = False,
    filter: Filter | None = None,
    ignore_file_names: AbstractSet[str] = frozenset(),
    progress: AbstractRecursiveFileProgress | None = None,
    **options: Unpack[ClusterOptions],
) -> Summary:
    """As :meth:`Buckets.upload_dir`, by the workers of *cluster*.

    *cluster* is a ``distributed.Client``, asynchronous or not; it stays open. *options* are
    those of :class:`ClusterOptions`. *src* must be on a file system that all machines share.
    Filter and ignore files are asked on this one, where the plan is made.

    The scheduler repeats a task that raises, and one whose worker was lost. It is begun again;
    with *update* what is there by then is not sent twice. *progress* is called back on the loop
    of the caller, in order, fractions of a second late; folders in which nothing moves are not
    told of.

    Failures come in one TransferError at the end, also those of a file that changed since it
    was planned or that a worker does not see. What makes going on pointless is raised at once,
    as are Dask's own errors, such as ``distributed.KilledWorker``. Then, and when the caller is
    cancelled, the tasks are stopped and have tidied up before this ends.
    """

    def plan(buckets: Buckets) -> Awaitable[TreePlan]:
        return buckets.plan_upload_dir(
            src,
            dst,
            update=update,
            verify=verify,
            filter=filter,
            ignore_file_names=ignore_file_names,
        )

    return await run(cluster, progress, plan, **options)


async def download_dir(
    cluster: distributed.Client,
    src: BlobPath,
    dst: LocalPath,
    *,
    update: bool = False,
    continue_: bool = False,
    verify: bool = False,
    filter: Filter | None = None,
    progress: AbstractRecursiveFileProgress | None = None,
    **options: Unpack[ClusterOptions],
) -> Summary:
    """As :meth:`Buckets.download_dir`, by the workers of *cluster*; see :func:`upload_dir`.

    *dst* must be on a file system that all machines share; from a worker that does not see it
    comes a ConfigError.
    """

    def plan(buckets: Buckets) -> Awaitable[TreePlan]:
        return buckets.plan_download_dir(
            src,
            dst,
            update=update,
            continue_=continue_,
            verify=verify,
            filter=filter,
        )

    return await run(cluster, progress, plan, **options)


async def copy_dir(
    cluster: distributed.Client,
    src: BlobPath,
    dst: BlobPath,
    *,
    update: bool = False,
    filter: Filter | None = None,
    progress: AbstractRecursiveFileProgress | None = None,
    **options: Unpack[ClusterOptions],
) -> Summary:
    """As :meth:`Buckets.copy_dir`, by the workers of *cluster*; see :func:`upload_dir`."""

    def plan(buckets: Buckets) -> Awaitable[TreePlan]:
        return buckets.plan_copy_dir(
            src,
            dst,
            update=update,
            filter=filter,
        )

    return await run(cluster, progress, plan, **options)


async def sync_up(
    cluster: distributed.Client,
    src: LocalPath,
    dst: BlobPath,
    *,
    delete: bool = False,
    max_delete: int | None = 1000,
    verify: bool = False,
    filter: Filter | None = None,
    ignore_file_names: AbstractSet[str] = frozenset(),
    progress: AbstractRecursiveFileProgress | None = None,
    **options: Unpack[ClusterOptions],
) -> Summary:
    """As :meth:`Buckets.sync_up`, by the workers of *cluster*; see :func:`upload_dir`.

    What is to be removed is found, and refused, before anything is touched. It is removed at
    the end by this machine, only if every task went well and the source still holds a file. A
    task that is begun again sends nothing twice.
    """

    def plan(buckets: Buckets) -> Awaitable[TreePlan]:
        return buckets.plan_sync_up(
            src,
            dst,
            delete=delete,
            max_delete=max_delete,
            verify=verify,
            filter=filter,
            ignore_file_names=ignore_file_names,
        )

    return await run(cluster, progress, plan, **options)


async def sync_down(
    cluster: distributed.Client,
    src: BlobPath,
    dst: LocalPath,
    *,
    delete: bool = False,
    max_delete: int | None = 1000,
    verify: bool = False,
    filter: Filter | None = None,
    ignore_file_names: AbstractSet[str] = frozenset(),
    progress: AbstractRecursiveFileProgress | None = None,
    **options: Unpack[ClusterOptions],
) -> Summary:
    """As :meth:`Buckets.sync_down`, by the workers of *cluster*; see :func:`download_dir`.

    Removals and repeated tasks are as in :func:`sync_up`.
    """

    def plan(buckets: Buckets) -> Awaitable[TreePlan]:
        return buckets.plan_sync_down(
            src,
            dst,
            delete=delete,
            max_delete=max_delete,
            verify=verify,
            filter=filter,
            ignore_file_names=ignore_file_names,
        )

    return await run(cluster, progress, plan, **options)
