"""The verbs of ``BucketHandle`` that plan what others do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from typing import Self

from ._aio import within_lifetime
from ._bucket_files import BucketFiles, callback_errors
from ._core.plans import Plan
from ._core.uri import LocalPath
from ._transfer import planned, plans
from ._transfer.plans import TreePlan
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
            options = _options(update=update, resume=resume, verify=verify)
            return await plans.plan_upload(upload, self._guard, options)

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
            options = _options(update=update, continue_=continue_, verify=verify)
            return await plans.plan_download(download, self._guard, options)

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
            return await plans.plan_copy(copy, self._guard, _options(update=update))

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
            return await plans.plan_sync_up(
                sync, self._guard, _options(verify=verify), delete=delete, max_delete=max_delete
            )

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
                sync, self._guard, _options(verify=verify), delete=delete, max_delete=max_delete
            )

    @within_lifetime
    async def plan_rm(self, key: str) -> Plan[AbstractDeleteProgress]:
        """See :meth:`Buckets.plan_rm`."""
        return await plans.plan_removal(Removal(await self._opened(), key), self._guard)

    @within_lifetime
    async def _apply_upload(
        self, plan: TreePlan, prefix: str, progress: AbstractRecursiveFileProgress | None
    ) -> None:
        with callback_errors():
            if plan.operation == "upload":
                update, resume, verify = _asked(plan, "update", "resume", "verify")
                upload = await self._upload(
                    plan.source, prefix, update, resume, verify, None, frozenset()
                )
            else:
                (verify,) = _asked(plan, "verify")
                sync = await self._sync_up(plan.source, prefix, verify, None, frozenset())
                upload = sync.upload
            await planned.apply_upload(upload, plan, progress)

    @within_lifetime
    async def _apply_download(
        self, plan: TreePlan, prefix: str, progress: AbstractRecursiveFileProgress | None
    ) -> None:
        target = plan.target or ""
        with callback_errors():
            if plan.operation == "download":
                update, continue_, verify = _asked(plan, "update", "continue_", "verify")
                download = await self._download(prefix, target, update, continue_, verify, None)
            else:
                (verify,) = _asked(plan, "verify")
                sync = await self._sync_down(prefix, target, verify, None, frozenset())
                download = sync.download
            await planned.apply_download(download, plan, progress)

    @within_lifetime
    async def _apply_copy(
        self,
        plan: TreePlan,
        prefix: str,
        new: str,
        to: Self,
        progress: AbstractRecursiveFileProgress | None,
    ) -> None:
        (update,) = _asked(plan, "update")
        with callback_errors():
            copy = await self._copy(prefix, new, to, update, None)
            await planned.apply_copy(copy, plan, progress)


def _asked(plan: TreePlan, *names: str) -> list[bool]:
    return [name in plan.options for name in names]


def _options(**asked: bool) -> frozenset[str]:
    return frozenset(name for name, value in asked.items() if value)
