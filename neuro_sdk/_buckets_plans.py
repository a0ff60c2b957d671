"""The verbs of ``Buckets`` that plan what others do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet

from ._aio import within_lifetime
from ._buckets_files import BucketsFiles
from ._core.plans import Plan
from ._core.uri import BlobPath, LocalPath
from ._transfer.planned import check_part
from .errors import IllegalArgumentError
from .progress import AbstractDeleteProgress, AbstractRecursiveFileProgress

__all__ = ["BucketsPlans"]


class BucketsPlans(BucketsFiles):
    """Each method takes what the verb takes that it plans, less the progress."""

    @within_lifetime
    async def plan_upload_dir(
        self,
        src: LocalPath,
        dst: BlobPath,
        *,
        update: bool = False,
        resume: bool = False,
        verify: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
        ignore_file_names: AbstractSet[str] = frozenset(),
    ) -> Plan[AbstractRecursiveFileProgress]:
        """What :meth:`upload_dir` would do; nothing is changed.

        Print the plan, then ``await plan.apply(progress=...)``, which raises PlanOutdated if
        the files are not as they were. It keeps every step in memory.
        """
        handle, key = await self.locate(dst)
        return await handle.plan_upload_dir(
            src,
            key,
            update=update,
            resume=resume,
            verify=verify,
            filter=filter,
            ignore_file_names=ignore_file_names,
        )

    @within_lifetime
    async def plan_download_dir(
        self,
        src: BlobPath,
        dst: LocalPath,
        *,
        update: bool = False,
        continue_: bool = False,
        verify: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
    ) -> Plan[AbstractRecursiveFileProgress]:
        """What :meth:`download_dir` would do; see :meth:`plan_upload_dir`."""
        handle, key = await self.locate(src)
        return await handle.plan_download_dir(
            key, dst, update=update, continue_=continue_, verify=verify, filter=filter
        )

    @within_lifetime
    async def plan_copy_dir(
        self,
        src: BlobPath,
        dst: BlobPath,
        *,
        update: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
    ) -> Plan[AbstractRecursiveFileProgress]:
        """What :meth:`copy_dir` would do; see :meth:`plan_upload_dir`."""
        source, prefix = await self.locate(src)
        target, new = await self.locate(dst)
        return await source.plan_copy_dir(prefix, new, to=target, update=update, filter=filter)

    @within_lifetime
    async def plan_sync_up(
        self,
        src: LocalPath,
        dst: BlobPath,
        *,
        delete: bool = False,
        max_delete: int | None = 1000,
        verify: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
        ignore_file_names: AbstractSet[str] = frozenset(),
    ) -> Plan[AbstractRecursiveFileProgress]:
        """What :meth:`sync_up` would do; see :meth:`plan_upload_dir`.

        Where that would raise DeletionRefused, the plan shows it all the same: ``refused`` says
        why, and ``apply`` raises it.
        """
        handle, key = await self.locate(dst)
        return await handle.plan_sync_up(
            src,
            key,
            delete=delete,
            max_delete=max_delete,
            verify=verify,
            filter=filter,
            ignore_file_names=ignore_file_names,
        )

    @within_lifetime
    async def plan_sync_down(
        self,
        src: BlobPath,
        dst: LocalPath,
        *,
        delete: bool = False,
        max_delete: int | None = 1000,
        verify: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
        ignore_file_names: AbstractSet[str] = frozenset(),
    ) -> Plan[AbstractRecursiveFileProgress]:
        """What :meth:`sync_down` would do; see :meth:`plan_sync_up`."""
        handle, key = await self.locate(src)
        return await handle.plan_sync_down(
            key,
            dst,
            delete=delete,
            max_delete=max_delete,
            verify=verify,
            filter=filter,
            ignore_file_names=ignore_file_names,
        )

    @within_lifetime
    async def plan_rm(self, uri: BlobPath) -> Plan[AbstractDeleteProgress]:
        """What :meth:`blob_rm` with ``recursive=True`` would do; see :meth:`plan_upload_dir`."""
        handle, key = await self.locate(uri)
        return await handle.plan_rm(key)

    @within_lifetime
    async def apply(
        self,
        plan: Plan[AbstractRecursiveFileProgress],
        progress: AbstractRecursiveFileProgress | None = None,
    ) -> None:
        """Do a plan that moves a tree and was made elsewhere, as a part that ``split`` gave.

        As ``plan.apply``, but with this client, and what ``update`` or a synchronisation finds
        in place by now is not moved again: a part may be applied twice. Paths of the disk are
        those of this machine. Raises PlanOutdated, with nothing touched, and
        IllegalArgumentError for a plan that removes or holds what cannot be done.
        """
        check_part(plan)
        match plan.operation, plan.target:
            case "upload" | "sync up", str(target):
                handle, key = await self.locate(target)
                await handle._apply_upload(plan, key, progress)
            case "download" | "sync down", str():
                handle, key = await self.locate(plan.source)
                await handle._apply_download(plan, key, progress)
            case "copy", str(target):
                source, prefix = await self.locate(plan.source)
                to, new = await self.locate(target)
                await source._apply_copy(plan, prefix, new, to, progress)
            case other, _:
                raise IllegalArgumentError(f"a plan of the operation {other!r} moves nothing")
