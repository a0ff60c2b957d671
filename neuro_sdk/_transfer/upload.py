"""Files and trees of the local disk into a bucket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Self

from .._aio import Errand, Job, dropped, each, read_ahead, run_bounded
from .._core.config import TransferConfig
from .._core.keys import check_key, common_text, key_errors, tree_prefix
from .._core.models import BlobObject, BucketEntry
from .._core.pages import Blobs
from .._core.plan import Action, End, Side, plan_update
from .._core.uri import file_url
from ..errors import (
    BlobIsADirectory,
    BlobNotFound,
    LocalFileChanged,
    LocalNotADirectory,
    NeuroError,
)
from ..progress import AbstractFileProgress, AbstractRecursiveFileProgress
from ..protocols import Direct, Likely, Provider
from .bounds import Bounds
from .disk import Disk, Source, stat_many
from .events import FileEvents, TreeEvents
from .look import Noted
from .parts import send_parts
from .report import Report
from .steps import Choose, Doing, Filter, Step, Steps
from .verify import Held, verify_upload
from .walk import Found, Kind, walk

__all__ = ["Cursor", "Upload", "choose_upload", "upload_file"]

_HELD = 4096
_AHEAD = 2000  # two pages of a store


async def upload_file(
    disk: Disk,
    provider: Provider,
    source: Path,
    key: str,
    *,
    config: TransferConfig,
    update: bool,
    resume: bool,
    verify: bool,
    progress: AbstractFileProgress | None,
) -> None:
    """Put one file under *key*; see Buckets.upload_file."""
    name = provider.bucket.name or provider.bucket.id
    if key == "" or key.endswith("/"):
        raise BlobIsADirectory(
            "the destination is a directory; end it with the name of the blob",
            bucket=name,
            key=key,
        )
    check_key(key, provider.rules, bucket=name)
    events = None
    if progress is not None:
        events = FileEvents(progress, file_url(source), provider.bucket.blob_url(key))
    if update:
        opened = await disk.run(source, Source, str(source))
        opened.abandon()
        if plan_update(opened.side, await _find(provider, key)) is Action.SKIP:
            if events is not None:
                events.skip(opened.size)
            return
    bounds = Bounds(config)
    if not verify:
        await _send(disk, provider, str(source), key, events, bounds, resume)
        return
    (side,) = await disk.run(source, stat_many, [str(source)])
    await _send(disk, provider, str(source), key, Held.back(events), bounds, resume)
    await verify_upload(disk, provider, str(source), side, key)
    if events is not None:
        events.complete()


async def _find(provider: Provider, key: str) -> BlobObject | None:
    try:
        return await provider.head(key)
    except BlobNotFound:
        return None


async def _send(
    disk: Disk,
    provider: Provider,
    path: str,
    key: str,
    events: FileEvents | None,
    bounds: Bounds,
    resume: bool,
) -> None:
    source = await disk.run(path, Source, path, bounds.part_size)
    acknowledged = events.step if events is not None else _unheard
    try:
        if events is not None:
            events.start(source.size)
        if source.body is not None:
            await bounds.pace(source.size)
            await provider.put(key, source.body)
            if source.size:
                acknowledged(source.size)
        elif provider.multipart is not None:
            await send_parts(
                disk,
                provider.multipart,
                provider.bucket.id,
                key,
                source,
                bounds=bounds,
                acknowledged=acknowledged,
                resume=resume,
            )
        else:
            async with aclosing(_pieces(disk, source, acknowledged, bounds)) as pieces:
                await provider.put(key, pieces)
    finally:
        source.abandon()
    if events is not None:
        events.complete()


def _put_small(direct: Direct, path: str, key: str, most: int, expected: Side | None) -> int | None:
    """How many bytes were sent; None, and nothing was, if there are more than *most*.

    LocalFileChanged if the file is not as *expected*.
    """
    source = Source(path, most)
    if expected not in (None, source.side):
        source.abandon()
        raise _changed(path)
    if source.body is None:
        source.abandon()
        return None
    direct.put(key, source.body)
    return source.size


def _changed(path: str) -> LocalFileChanged:
    return LocalFileChanged(f"the file changed since it was planned: {path!r}")


def _unheard(_: int) -> None:
    """Nobody listens to the progress."""


async def _pieces(
    disk: Disk, source: Source, acknowledged: Callable[[int], None], bounds: Bounds
) -> AsyncGenerator[bytes, None]:
    # The writer asks for the next piece once it has taken the one before.
    done = 0
    while done < source.size:
        length = min(bounds.part_size, source.size - done)
        piece = await disk.read_part(source, done, length)
        await bounds.pace(length)
        yield piece
        done += length
        acknowledged(done)
    await disk.run(source.path, source.check_unchanged)


def choose_upload(update: bool) -> Choose | None:
    """How upload_dir decides about what is there already."""
    return plan_update if update else None


def _no_file(found: Found, key: str, error: NeuroError | None, known: End | None) -> Step[Found]:
    path = found.path
    if found.kind is Kind.LEFT_OUT:
        return Step(path, found, Action.SKIP, found.size, found.reason, left_out=True)
    if found.kind is Kind.PROBLEM:
        return Step(path, found, error=found.error)
    if found.kind is Kind.FOLDER or key == "":
        return Step(path, found)
    if error is not None:
        return Step(path, found, error=error)
    return Step(path, found, Action.COPY if known is None else None)


def _is_folder(path: Path) -> bool:
    return path.stat().st_mode & 0o170000 == 0o040000


class Upload:
    """The tree below *root* on its way under *prefix*.

    *choose* decides about what is there already; without it all is sent.
    """

    def __init__(
        self,
        disk: Disk,
        provider: Provider,
        root: Path,
        prefix: str,
        *,
        config: TransferConfig,
        choose: Choose | None,
        skipped: str = "the blob there is not older",
        resume: bool = False,
        verify: bool = False,
        filter_: Filter | None,
        ignore_file_names: AbstractSet[str],
    ) -> None:
        self.disk = disk
        self.provider = provider
        self.root = root
        self.name = provider.bucket.name or provider.bucket.id
        self.prefix = tree_prefix(prefix, provider.rules, bucket=self.name)
        self.config = config
        self.filter = filter_
        self.ignore_file_names = ignore_file_names
        self._choose = choose
        self._skipped = skipped
        self._resume = resume
        self.verify = verify

    async def check(self) -> None:
        """Raise LocalNotFound or LocalNotADirectory unless *root* is a folder."""
        if not await self.disk.run(self.root, _is_folder, self.root):
            raise LocalNotADirectory(f"a file, not a folder: {str(self.root)!r}")

    def walk(self, *, tell_left_out: bool = False) -> AsyncGenerator[Sequence[Found], None]:
        """What is wanted of the tree, and what is not."""
        return walk(
            self.disk,
            self.root,
            filter_=self.filter,
            ignore_file_names=self.ignore_file_names,
            tell_left_out=tell_left_out,
        )

    def listing(self, likely: Likely | None) -> AsyncGenerator[Sequence[BucketEntry], None]:
        """What is at the destination; *likely* are keys that are probably there."""
        likely = likely if self.filter is None else None
        return self.provider.pages(self.prefix, recursive=True, likely=likely)

    async def steps(
        self, *, tell_left_out: bool = False, tell_skipped: bool = True
    ) -> Steps[Found]:
        """What is to be done, decided path by path."""
        noted, wanted = Noted(self.prefix), self._choose is not None
        listing, walked = self.listing(noted.likely), self.walk(tell_left_out=tell_left_out)
        if wanted and self.filter is None:
            walked = read_ahead(noted.pages(walked), items=_AHEAD)
        async with aclosing(walked) as tree, Cursor(listing, wanted) as there:
            async for page in tree:
                keys = [self.prefix + found.path for found in page]
                yield self._steps(page, keys, await there.sides(keys), tell_skipped)

    async def steps_of(self, found: Sequence[Found]) -> Sequence[Step[Found]]:
        """What is to be done with some that were found before, in their order."""
        keys = [self.prefix + one.path for one in found]
        listing = self.provider.pages(common_text(keys), recursive=True)
        async with Cursor(listing, self._choose is not None) as there:
            return self._steps(found, keys, await there.sides(keys), True)

    def _steps(
        self,
        page: Sequence[Found],
        keys: Sequence[str],
        known: Sequence[End | None],
        tell_skipped: bool,
    ) -> Sequence[Step[Found]]:
        choose, steps = self._choose, []
        errors = key_errors(keys, self.provider.rules, bucket=self.name)
        for found, key, error, there in zip(page, keys, errors, known, strict=True):
            if found.kind is not Kind.FILE:
                steps.append(_no_file(found, key, error, there))
            elif error is not None:
                steps.append(Step(found.path, found, error=error))
            else:
                action = choose(found, there) if choose is not None else Action.COPY
                if action is not Action.SKIP:
                    steps.append(Step(found.path, found, action, found.size))
                elif tell_skipped:
                    steps.append(Step(found.path, found, action, found.size, self._skipped))
        return steps

    async def run(
        self,
        steps: Steps[Found],
        progress: AbstractRecursiveFileProgress | None,
        *,
        exact: bool = False,
    ) -> None:
        """Do the *steps*; raise TransferError if any of them failed.

        With *exact* a file must be as it was when its step was decided.
        """
        bucket, prefix, base = self.provider.bucket, self.prefix, str(self.root).rstrip("/")
        tree = TreeEvents(
            progress,
            lambda path: file_url(f"{base}/{path}"),
            lambda path: bucket.blob_url(prefix + path),
        )
        doing = Doing(tree, Report("uploaded", self.name))
        await run_bounded(self.config.concurrency, self._jobs(steps, doing, exact))
        doing.conclude()

    async def _jobs(
        self, steps: Steps[Found], doing: Doing, exact: bool
    ) -> AsyncGenerator[Job | Errand, None]:
        bounds = Bounds(self.config)
        async with aclosing(each(steps)) as decided:
            async for step in decided:
                path, found = step.path, step.source
                if step.left_out:
                    continue
                if found.kind is Kind.PROBLEM:
                    assert step.error is not None
                    doing.fail(path, step.error)
                    continue
                folder = doing.tree.enter(path[: path.rfind("/") + 1])
                if step.error is not None:
                    doing.fail(path, step.error)
                    continue
                if step.action is Action.SKIP:
                    doing.tree.skip(path, step.size)
                    continue
                if step.action is None:
                    continue
                doing.tree.begin(folder)
                key = self.prefix + path
                if found.kind is Kind.EMPTY_FOLDER:
                    work = partial(self.provider.put, key, b"")
                else:
                    work = partial(self._file, found, key, doing, bounds, exact)
                job = partial(doing.run, path, folder, work)
                direct = None if self.verify else self.provider.direct
                if direct is None or found.kind is not Kind.FILE or step.size > bounds.small:
                    yield job
                    continue
                expected = found.side if exact else None
                args = (direct, found.local, key, bounds.small, expected)
                yield await doing.in_one_go(
                    self.disk, bounds, step, folder, job, found.local, _put_small, *args
                )

    async def _file(
        self, found: Found, key: str, doing: Doing, bounds: Bounds, exact: bool
    ) -> None:
        if exact and (await self.changed([found])):
            raise _changed(found.local)
        events = doing.tree.file(found.path)
        told = Held.back(events) if self.verify else events
        async with bounds.memory(found.size):
            await _send(self.disk, self.provider, found.local, key, told, bounds, self._resume)
        if self.verify:
            await verify_upload(self.disk, self.provider, found.local, found.side, key)
            if events is not None:
                events.complete()
        doing.report.done += 1

    async def changed(self, files: Sequence[Found]) -> list[Found]:
        """Those that are not on the disk as they were found."""
        paths = [found.local for found in files]
        sides = await self.disk.run(self.root, stat_many, paths)
        return [found for found, side in zip(files, sides, strict=True) if side != found.side]


class Cursor:
    """Finds keys, asked for once and in their order, in a listing sorted in one of two ways.

    Most stores sort by the text of keys; some sort part by part, as folders on a disk are
    walked. A key is missing for certain once the listing has passed it in both ways; what was
    passed meanwhile is held until it is found, which is little, for all of a directory comes in
    one run.

    As a context manager it owns the listing, whose first page is asked for at once. Unless
    *wanted* nothing is asked for, and nothing found.
    """

    def __init__(
        self, pages: AsyncGenerator[Sequence[BucketEntry], None], wanted: bool = True
    ) -> None:
        self._pages = pages
        self._wanted = wanted
        self._first: asyncio.Future[Sequence[BucketEntry] | None] | None = None
        self._held: dict[str, Side] = {}
        self._last: str | None = ""  # the last key that was read; None when all were

    async def __aenter__(self) -> Self:
        if self._wanted:
            self._first = asyncio.ensure_future(anext(self._pages, None))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._first is not None:
            await dropped(self._first)
        await self._pages.aclose()

    async def sides(self, keys: Sequence[str]) -> Sequence[Side | None]:
        """What the listing has for each of *keys*."""
        if not self._wanted:
            return [None] * len(keys)
        found: list[Side | None] = []
        for key in keys:
            entry = self._held.pop(key, None)
            if entry is None and not self._passed(key):
                entry = await self._read(key)
            found.append(entry)
        return found

    def _passed(self, key: str) -> bool:
        last = self._last
        return last is None or (last > key and last.split("/") > key.split("/"))

    async def _read(self, key: str) -> Side | None:
        if len(self._held) > _HELD:
            # Keys are asked for in their order: those before this one are not asked for again.
            self._held = {held: entry for held, entry in self._held.items() if held >= key}
        while key not in self._held and not self._passed(key):
            page = await (self._first or anext(self._pages, None))
            self._first = None
            self._last = None
            if page is not None:
                blobs = Blobs.of(page)
                self._last = blobs.keys[-1]
                self._held.update(zip(blobs.keys, blobs.sides(), strict=True))
        return self._held.pop(key, None)
