"""Files and trees of the local disk into a bucket."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from functools import partial
from pathlib import Path

from .._aio import Job, run_bounded
from .._core.config import TransferConfig
from .._core.keys import check_key, key_problem
from .._core.models import BucketEntry
from .._core.plan import Action, Side, plan_upload
from .._core.uri import file_url
from ..errors import (
    BlobIsADirectory,
    BlobNotFound,
    InvalidKey,
    LocalNotADirectory,
    NeuroError,
)
from ..progress import AbstractFileProgress, AbstractRecursiveFileProgress
from ..protocols import Provider
from .bounds import Bounds
from .disk import Disk, Source
from .events import FileEvents, Folder, TreeEvents
from .parts import send_parts
from .report import Report
from .walk import Filter, Found, Kind, walk

__all__ = ["upload_file", "upload_tree"]

_HELD = 4096


async def upload_file(
    disk: Disk,
    provider: Provider,
    source: Path,
    key: str,
    *,
    config: TransferConfig,
    update: bool,
    resume: bool,
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
    if update:
        opened = await disk.run(source, Source, str(source))
        opened.abandon()
        if plan_upload(opened.side, await _find(provider, key), update=True) is Action.SKIP:
            return
    events = None
    if progress is not None:
        events = FileEvents(progress, file_url(source), provider.bucket.blob_url(key))
    await _send(disk, provider, str(source), key, events, Bounds(config), resume)


async def _find(provider: Provider, key: str) -> Side | None:
    try:
        found = await provider.head(key)
    except BlobNotFound:
        return None
    return Side(found.size, found.modified_at)


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


def _unheard(_: int) -> None:
    """Nobody listens to the progress."""


async def _pieces(
    disk: Disk, source: Source, acknowledged: Callable[[int], None], bounds: Bounds
) -> AsyncGenerator[bytes, None]:
    # The writer asks for the next piece once it has taken the one before.
    done = 0
    while done < source.size:
        length = min(bounds.part_size, source.size - done)
        piece = await disk.run(source.path, source.read_at, done, length)
        await bounds.pace(length)
        yield piece
        done += length
        acknowledged(done)
    await disk.run(source.path, source.check_unchanged)


async def upload_tree(
    disk: Disk,
    provider: Provider,
    root: Path,
    prefix: str,
    *,
    config: TransferConfig,
    update: bool,
    resume: bool,
    filter_: Filter | None,
    ignore_file_names: AbstractSet[str],
    progress: AbstractRecursiveFileProgress | None,
) -> None:
    """Put everything below *root* under *prefix*; see Buckets.upload_dir."""
    bucket = provider.bucket
    name = bucket.name or bucket.id
    if prefix:
        prefix = prefix.removesuffix("/") + "/"
        check_key(prefix, provider.rules, bucket=name, marker=True)
    if not await disk.run(root, _is_folder, root):
        raise LocalNotADirectory(f"a file, not a folder: {str(root)!r}")
    base = str(root).rstrip("/")
    tree = TreeEvents(
        progress,
        lambda path: file_url(f"{base}/{path}"),
        lambda path: bucket.blob_url(prefix + path),
    )
    found = walk(disk, root, filter_=filter_, ignore_file_names=ignore_file_names)
    bounds, report = Bounds(config), Report("uploaded", name)
    upload = _Upload(disk, provider, prefix, bounds, tree, report, resume=resume)
    async with aclosing(found), aclosing(provider.list(prefix, recursive=True)) as entries:
        target = _Cursor(entries) if update else None
        await run_bounded(config.concurrency, upload.jobs(found, target))
    tree.finish()
    upload.report.conclude()


def _is_folder(path: Path) -> bool:
    return path.stat().st_mode & 0o170000 == 0o040000


class _Upload:
    def __init__(
        self,
        disk: Disk,
        provider: Provider,
        prefix: str,
        bounds: Bounds,
        tree: TreeEvents,
        report: Report,
        *,
        resume: bool,
    ) -> None:
        self._disk = disk
        self._provider = provider
        self._prefix = prefix
        self._bounds = bounds
        self._resume = resume
        self._tree = tree
        self.report = report

    async def jobs(
        self, tree: AsyncIterator[Found], target: _Cursor | None
    ) -> AsyncGenerator[Job, None]:
        async for found in tree:
            if found.kind is Kind.PROBLEM:
                assert found.error is not None
                self._fail(found.path, found.error)
                continue
            key = self._prefix + found.path
            is_folder = found.kind is not Kind.FILE
            folder = self._tree.enter(
                found.path if is_folder else found.path[: found.path.rfind("/") + 1]
            )
            if found.kind is Kind.FOLDER or key == "":
                continue
            problem = key_problem(key, self._provider.rules)
            if problem is not None:
                error = InvalidKey(f"the key {problem}", bucket=self._provider.bucket.name, key=key)
                self._fail(found.path, error)
                continue
            known = await target.find(key) if target is not None else None
            if found.kind is Kind.EMPTY_FOLDER:
                if known is None:
                    self._tree.begin(folder)
                    put = partial(self._provider.put, key, b"")
                    yield partial(self._run, found.path, folder, put)
                continue
            if known is not None:
                assert found.side is not None
                if plan_upload(found.side, known, update=True) is Action.SKIP:
                    continue
            self._tree.begin(folder)
            yield partial(self._run, found.path, folder, partial(self._file, found, key))

    async def _file(self, found: Found, key: str) -> None:
        assert found.side is not None
        events = self._tree.file(found.path)
        async with self._bounds.memory(found.side.size):
            await _send(
                self._disk, self._provider, found.local, key, events, self._bounds, self._resume
            )
        self.report.done += 1

    async def _run(
        self, path: str, folder: Folder, work: Callable[[], Coroutine[None, None, None]]
    ) -> None:
        try:
            await work()
        except NeuroError as error:
            self._fail(path, error)
        self._tree.end(folder)

    def _fail(self, path: str, error: NeuroError) -> None:
        self._tree.fail(path, str(error))
        self.report.fail(path, error)


class _Cursor:
    """Finds keys, asked for in their order, in a listing that is sorted in one of two ways.

    Most stores sort by the text of keys; some sort part by part, as folders on a disk are
    walked. A key is missing for certain once the listing has passed it in both ways; what was
    passed meanwhile is held, which is little, for all of a directory comes in one run.
    """

    def __init__(self, entries: AsyncIterator[BucketEntry]) -> None:
        self._entries = entries
        self._held: dict[str, Side] = {}
        self._ahead: BucketEntry | None = None
        self._over = False

    async def find(self, key: str) -> Side | None:
        parts = key.split("/")
        while not self._over:
            if self._ahead is None:
                self._ahead = await anext(self._entries, None)
                self._over = self._ahead is None
                continue
            ahead = self._ahead.key
            if ahead > key and ahead.split("/") > parts:
                break
            self._held[ahead] = Side(self._ahead.size, self._ahead.modified_at)
            self._ahead = None
        if len(self._held) > _HELD:
            # Keys are asked for in their order: those before this one are not asked for again.
            self._held = {held: side for held, side in self._held.items() if held >= key}
        return self._held.get(key)
