"""Plans of the operations on trees: their steps, kept and done later.

The steps come from the operation itself and go back to it, so that a plan does what the
operation would have done, less what was decided anew. Before that the source is looked at again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from .._aio import each
from .._core.models import BlobObject, BucketEntry
from .._core.plan import Action, Side, deletion_problem
from .._core.plans import (
    Plan,
    PlannedStep,
    fetch_requests,
    list_requests,
    put_requests,
    remove_requests,
)
from .._core.versions import content_tag, same_version
from ..errors import BlobNotFound, PlanOutdated
from ..progress import AbstractDeleteProgress, AbstractRecursiveFileProgress
from ..protocols import Provider
from .copy import Copy
from .download import Download
from .remove import Removal
from .steps import Step, Steps
from .sync import Sync, SyncDown, SyncUp
from .upload import Upload
from .walk import Found, Kind

__all__ = [
    "Guard",
    "TreePlan",
    "again",
    "check_blobs",
    "check_files",
    "plan_copy",
    "plan_download",
    "plan_removal",
    "plan_sync_down",
    "plan_sync_up",
    "plan_upload",
]

Guard = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
"""Does the work of a plan as a call of the client."""

TreePlan = Plan[AbstractRecursiveFileProgress]

S = TypeVar("S")

_BATCH = 256
_NAMED = 5


async def plan_upload(
    upload: Upload, guard: Guard, options: frozenset[str] = frozenset()
) -> TreePlan:
    """What upload_dir would do now."""
    await upload.check()
    steps = await _all(upload.steps(tell_left_out=True))

    async def work(progress: AbstractRecursiveFileProgress | None) -> None:
        await check_files(upload, steps)
        await upload.run(again(steps), progress, exact=True)

    return Plan(
        operation="upload",
        source=str(upload.root),
        target=_uri(upload.provider, upload.prefix),
        steps=_planned(steps, _sending(upload)),
        options=options,
        _apply=lambda progress: guard(lambda: work(progress)),
    )


async def plan_download(
    download: Download, guard: Guard, options: frozenset[str] = frozenset()
) -> TreePlan:
    """What download_dir would do now; the destination is not made for that."""
    steps = await _all(download.steps())

    async def work(progress: AbstractRecursiveFileProgress | None) -> None:
        await check_blobs(download.provider, download.prefix, _blobs(steps))
        await download.run(again(steps), progress)

    return Plan(
        operation="download",
        source=_uri(download.provider, download.prefix),
        target=str(download.root),
        steps=_planned(steps, _fetching(download)),
        looking=list_requests(len(steps)),
        options=options,
        folders=_folders(steps),
        _apply=lambda progress: guard(lambda: work(progress)),
    )


async def plan_copy(copy: Copy, guard: Guard, options: frozenset[str] = frozenset()) -> TreePlan:
    """What copy_dir would do now."""
    steps = await _all(copy.steps())
    part = copy.config.part_size

    def cost(step: Step[BlobObject]) -> int:
        if step.path.endswith("/"):
            return 1
        if copy.at_store:  # looked up, copied, and looked up again
            return 3
        return fetch_requests(step.size, part) + put_requests(step.size, part)

    async def work(progress: AbstractRecursiveFileProgress | None) -> None:
        await check_blobs(copy.source, copy.prefix, _blobs(steps))
        await copy.run(again(steps), progress, exact=True)

    return Plan(
        operation="copy",
        source=_uri(copy.source, copy.prefix),
        target=_uri(copy.target, copy.new),
        steps=_planned(steps, cost),
        looking=list_requests(len(steps)),
        options=options,
        _apply=lambda progress: guard(lambda: work(progress)),
    )


async def plan_removal(removal: Removal, guard: Guard) -> Plan[AbstractDeleteProgress]:
    """What blob_rm with recursive=True would do now."""
    steps = await _all(removal.steps())

    async def work(progress: AbstractDeleteProgress | None) -> None:
        await check_blobs(removal.provider, removal.prefix, _blobs(steps))
        await removal.run(again([step.path for step in steps]), progress)

    return Plan(
        operation="rm",
        source=_uri(removal.provider, removal.prefix or removal.directory),
        target=None,
        steps=_planned(steps),
        looking=list_requests(len(steps)),
        _apply=lambda progress: guard(lambda: work(progress)),
    )


async def plan_sync_up(
    sync: SyncUp,
    guard: Guard,
    options: frozenset[str] = frozenset(),
    *,
    delete: bool,
    max_delete: int | None,
) -> TreePlan:
    """What sync_up would do now."""
    upload, sync_plan = sync.upload, await _SyncPlan.make(sync, delete, max_delete)
    extras = sync_plan.extras

    async def check_extras() -> None:
        if extras:
            await check_blobs(upload.provider, upload.prefix, _blobs(extras))
            there = await sync.there([step.path for step in extras])
            _refuse(sorted(there), "has a file again")

    async def check() -> None:
        await check_files(upload, sync_plan.steps)
        await check_extras()

    return Plan(
        operation="sync up",
        source=str(upload.root),
        target=_uri(upload.provider, upload.prefix),
        steps=_planned([*sync_plan.steps, *extras], _sending(upload)),
        refused=sync_plan.refused,
        looking=list_requests(len(extras)) if extras else 0,
        options=options,
        _apply=lambda progress: guard(lambda: sync_plan.apply(check, progress)),
        _remove=lambda progress: guard(lambda: sync_plan.remove(check_extras, progress)),
    )


async def plan_sync_down(
    sync: SyncDown,
    guard: Guard,
    options: frozenset[str] = frozenset(),
    *,
    delete: bool,
    max_delete: int | None,
) -> TreePlan:
    """What sync_down would do now."""
    download, sync_plan = sync.download, await _SyncPlan.make(sync, delete, max_delete)

    async def check_blobs_with(steps: Sequence[Step[BlobObject]]) -> None:
        names = {sync.name_of(step.path) for step in sync_plan.extras}

        def is_extra(entry: BucketEntry) -> bool:
            return sync.name_of(entry.key[len(download.prefix) :]) in names

        blobs = _blobs(steps)
        await check_blobs(download.provider, download.prefix, blobs, unwanted=is_extra)

    async def check() -> None:
        await check_blobs_with(sync_plan.steps)

    async def check_extras() -> None:
        await check_blobs_with(())

    return Plan(
        operation="sync down",
        source=_uri(download.provider, download.prefix),
        target=str(download.root),
        steps=_planned([*sync_plan.steps, *sync_plan.extras], _fetching(download), remote=False),
        refused=sync_plan.refused,
        looking=list_requests(len(sync_plan.steps)),
        options=options,
        folders=_folders(sync_plan.steps),
        _apply=lambda progress: guard(lambda: sync_plan.apply(check, progress)),
        _remove=lambda progress: guard(lambda: sync_plan.remove(check_extras, progress)),
    )


@dataclass(frozen=True)
class _SyncPlan:
    """The steps of a synchronisation, and what it would remove after them."""

    sync: Sync[Any]
    delete: bool
    steps: Sequence[Step[Any]]
    extras: Sequence[Step[Any]]
    refused: str | None

    @classmethod
    async def make(cls, sync: Sync[Any], delete: bool, max_delete: int | None) -> _SyncPlan:
        sync.check_limit(max_delete)
        await sync.check()
        steps = await _all(sync.steps(tell_left_out=True))
        extras = [step async for step in sync.extras()] if delete else []
        empty = not any(step.is_file for step in steps)
        refused = None
        if delete:
            refused = deletion_problem(
                extras=len(extras), max_delete=max_delete, source_empty=empty
            )
        return cls(sync, delete, steps, extras, refused)

    async def apply(
        self,
        check: Callable[[], Awaitable[None]],
        progress: AbstractRecursiveFileProgress | None,
    ) -> None:
        await check()
        if self.delete:
            extras = {self.sync.name_of(step.path): step for step in self.extras}
            await self.sync.mirror(again(self.steps), extras, progress, exact=True)
        else:
            await self.sync.transfer(progress, again(self.steps), exact=True)

    async def remove(
        self,
        check: Callable[[], Awaitable[None]],
        progress: AbstractRecursiveFileProgress | None,
    ) -> None:
        self.sync.refuse(source_empty=await self.sync.is_empty())
        await check()
        await self.sync.remove(self.extras, progress)


def _uri(provider: Provider, key: str) -> str:
    return str(provider.bucket.blob_url(key))


def _sending(upload: Upload) -> Callable[[Step[Any]], int]:
    part = upload.config.part_size

    def cost(step: Step[Any]) -> int:
        again = 1 + fetch_requests(step.size, part)  # looked up, and read
        verified = upload.verify and not step.path.endswith("/")
        return put_requests(step.size, part) + (again if verified else 0)

    return cost


def _fetching(download: Download) -> Callable[[Step[Any]], int]:
    part = download.config.part_size

    def cost(step: Step[Any]) -> int:
        again = download.verify and content_tag(step.source.etag) is None
        return fetch_requests(step.size, part) * (2 if again else 1)

    return cost


def _planned(
    steps: Iterable[Step[Any]],
    cost: Callable[[Step[Any]], int] = lambda _step: 0,
    *,
    remote: bool = True,
) -> tuple[PlannedStep, ...]:
    planned = []
    removed = 0
    for step in steps:
        if step.error is not None:
            planned.append(PlannedStep(Action.FAIL, step.path, step.size, str(step.error)))
        elif step.action is not None:
            requests = 0
            if step.action is Action.REMOVE:
                requests = remove_requests(removed) if remote else 0
                removed += 1
            elif step.action is not Action.SKIP:
                requests = cost(step)
            planned.append(
                PlannedStep(
                    step.action, step.path, step.size, step.reason, requests, *_version(step.source)
                )
            )
    return tuple(planned)


def _version(source: Found | BlobObject | Side) -> tuple[datetime | None, str | None]:
    if isinstance(source, BlobObject):
        return source.modified_at, source.etag
    return source.modified_at, None


def _folders(steps: Iterable[Step[BlobObject]]) -> tuple[str, ...]:
    return tuple(step.path for step in steps if step.action is None and step.error is None)


async def _all(steps: Steps[S]) -> Sequence[Step[S]]:
    return [step async for page in steps for step in page]


async def again(page: Sequence[S]) -> AsyncGenerator[Sequence[S], None]:
    """What was decided before, as one *page*."""
    yield page


def _blobs(steps: Iterable[Step[BlobObject]]) -> dict[str, BlobObject]:
    """The blobs that something is done with, by key."""
    done = (Action.COPY, Action.APPEND, Action.REMOVE)
    return {
        step.source.key: step.source for step in steps if step.action in done and step.error is None
    }


async def check_files(upload: Upload, steps: Sequence[Step[Found]]) -> None:
    """Raise PlanOutdated unless the files that are uploaded are as they were found."""
    changed: list[str] = []
    files = [
        step.source
        for step in steps
        if step.action is Action.COPY and step.source.kind is Kind.FILE and step.error is None
    ]
    for start in range(0, len(files), _BATCH):
        batch = files[start : start + _BATCH]
        changed += [found.path for found in await upload.changed(batch)]
    _refuse(changed, "is not the file that was planned")


async def check_blobs(
    provider: Provider,
    prefix: str,
    blobs: Mapping[str, BlobObject],
    unwanted: Callable[[BucketEntry], bool] = lambda _entry: False,
    *,
    within: str | None = None,
) -> None:
    """Raise PlanOutdated unless the *blobs* are as they were, and none is *unwanted*.

    *within* is what all their keys begin with, where that is more than *prefix*.
    """
    missing = dict(blobs)
    changed: list[str] = []
    listing = provider.pages(prefix if within is None else within, recursive=True)
    async with aclosing(each(listing)) as entries:
        async for entry in entries:
            planned = missing.pop(entry.key, None)
            if (planned is not None and not same_version(planned, entry)) or unwanted(entry):
                changed.append(entry.key)
    for key, planned in missing.items():
        if not key.startswith(prefix):  # the blob beside the directory of that name
            try:
                if same_version(planned, await provider.head(key)):
                    continue
            except BlobNotFound:
                pass
        changed.append(key)
    what = "is not the blob that was planned, or has come since"
    _refuse(changed, what, [key.removeprefix(prefix) for key in changed])


def _refuse(changed: Sequence[str], what: str, paths: Sequence[str] | None = None) -> None:
    if changed:
        named = ", ".join(map(repr, changed[:_NAMED]))
        more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
        raise PlanOutdated(
            f"{named}{more}: {what}; make another plan", paths=changed if paths is None else paths
        )
