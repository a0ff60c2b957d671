"""The verbs of ``BucketHandle`` that plan what others do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from typing import Self

from ._aio import within_lifetime
from ._bucket_files import BucketFiles, callback_errors
from ._core.plans import Plan
from ._core.uri import LocalPath
from ._transfer import plans
from ._transfer.remove import Removal
from .progress import AbstractDeleteProgress, AbstractRecursiveFileProgress

__all__ = ["BucketPlans"]


class BucketPlans(BucketFiles):
    """Each method takes what the verb takes that it plans, less the progress."""

    @within_lifetime
    async def _guard(self, work: Callable[[], Awaitable[None]]) -> None:
        with callback_errors():
            await work()

    @within_lifetime
    async def plan_upload_dir(
        self,
        src: LocalPath,
        prefix: str = "",
        *,
        update: bool = False,
        resume: bool = False,
        verify: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
        ignore_file_names: AbstractSet[str] = frozenset(),
    ) -> Plan[AbstractRecursiveFileProgress]:
        """See :meth:`Buckets.plan_upload_dir`."""
        with callback_errors():
            upload = await self._upload(
                src, prefix, update, resume, verify, filter, ignore_file_names
            )
            return await plans.plan_upload(upload, self._guard)

    @within_lifetime
    async def plan_download_dir(
        self,
        prefix: str,
        dst: LocalPath,
        *,
        update: bool = False,
        continue_: bool = False,
        verify: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
    ) -> Plan[AbstractRecursiveFileProgress]:
        """See :meth:`Buckets.plan_download_dir`."""
        with callback_errors():
            download = await self._download(prefix, dst, update, continue_, verify, filter)
            return await plans.plan_download(download, self._guard)

    @within_lifetime
    async def plan_copy_dir(
        self,
        prefix: str,
        new: str,
        *,
        to: Self | None = None,
        update: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
    ) -> Plan[AbstractRecursiveFileProgress]:
        """See :meth:`Buckets.plan_copy_dir`."""
        with callback_errors():
            copy = await self._copy(prefix, new, to or self, update, filter)
            return await plans.plan_copy(copy, self._guard)

    @within_lifetime
    async def plan_sync_up(
        self,
        src: LocalPath,
        prefix: str = "",
        *,
        delete: bool = False,
        max_delete: int | None = 1000,
        verify: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
        ignore_file_names: AbstractSet[str] = frozenset(),
    ) -> Plan[AbstractRecursiveFileProgress]:
        """See :meth:`Buckets.plan_sync_up`."""
        with callback_errors():
            sync = await self._sync_up(src, prefix, verify, filter, ignore_file_names)
            return await plans.plan_sync_up(sync, self._guard, delete=delete, max_delete=max_delete)

    @within_lifetime
    async def plan_sync_down(
        self,
        prefix: str,
        dst: LocalPath,
        *,
        delete: bool = False,
        max_delete: int | None = 1000,
        verify: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
        ignore_file_names: AbstractSet[str] = frozenset(),
    ) -> Plan[AbstractRecursiveFileProgress]:
        """See :meth:`Buckets.plan_sync_down`."""
        with callback_errors():
            sync = await self._sync_down(prefix, dst, verify, filter, ignore_file_names)
            return await plans.plan_sync_down(
                sync, self._guard, delete=delete, max_delete=max_delete
            )

    @within_lifetime
    async def plan_rm(self, key: str) -> Plan[AbstractDeleteProgress]:
        """See :meth:`Buckets.plan_rm`."""
        return await plans.plan_removal(Removal(await self._opened(), key), self._guard)
