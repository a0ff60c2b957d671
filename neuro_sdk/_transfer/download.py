"""Blobs and trees of a bucket onto the local disk."""

from __future__ import annotations

import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
)
from contextlib import aclosing
from functools import partial
from pathlib import Path

from yarl import URL

from .._aio import Job, batches, in_order, run_bounded
from .._core.config import TransferConfig
from .._core.keys import check_key, key_problem
from .._core.landing import Collisions, landing_path
from .._core.models import BlobObject, BucketEntry
from .._core.plan import Action, Side, plan_download
from .._core.uri import file_url
from ..errors import (
    BlobIsADirectory,
    BlobNotADirectory,
    BlobNotFound,
    InvalidKey,
    LocalDiskFull,
    LocalIsADirectory,
    LocalNotADirectory,
    NeuroError,
    StorageError,
)
from ..progress import AbstractFileProgress, AbstractRecursiveFileProgress
from ..protocols import Provider
from .bounds import Bounds
from .disk import (
    Disk,
    Existing,
    Growing,
    Partial,
    ignores_case,
    make_folder,
    make_folders,
    stat_many,
)
from .events import FileEvents, Folder, TreeEvents, ask
from .report import Report
from .walk import Filter

__all__ = ["download_file", "download_tree"]

_OVERLAP = 64 << 10  # read again before appending, to see that both are the same blob
_BATCH = 256
_WINDOWS = os.name == "nt"


async def download_file(
    disk: Disk,
    provider: Provider,
    key: str,
    target: Path,
    *,
    config: TransferConfig,
    update: bool,
    continue_: bool,
    progress: AbstractFileProgress | None,
) -> None:
    """Bring one blob to *target*; see Buckets.download_file."""
    name = provider.bucket.name or provider.bucket.id
    if key == "" or key.endswith("/"):
        raise BlobIsADirectory("the source is a directory; use download_dir", bucket=name, key=key)
    check_key(key, provider.rules, bucket=name)
    if await disk.run(target, os.path.isdir, target):
        raise LocalIsADirectory(
            f"the destination is a folder; end it with a file name: {str(target)!r}"
        )
    blob = await provider.head(key)
    await disk.run(target.parent, make_folders, target.parent)
    (known,) = await disk.run(target, stat_many, [str(target)])
    action = plan_download(
        _side(blob), known, update=update, continue_=continue_, grain=provider.grain
    )
    if action is Action.SKIP:
        return
    events = None
    if progress is not None:
        events = FileEvents(progress, provider.bucket.blob_url(key), file_url(target))
    fetch = _Fetch(disk, provider, Bounds(config), continue_)
    await fetch.file(blob, str(target), action, events)


def _side(blob: BucketEntry) -> Side:
    return Side(blob.size, blob.modified_at)


class _Fetch:
    """Brings single blobs to the disk, whole or not at all."""

    def __init__(self, disk: Disk, provider: Provider, bounds: Bounds, continue_: bool) -> None:
        self._disk = disk
        self._provider = provider
        self._bounds = bounds
        self._continue = continue_
        self._full = False

    async def file(
        self, blob: BlobObject, target: str, action: Action, events: FileEvents | None
    ) -> None:
        """Bring *blob* to *target*; BlobChanged if it is replaced meanwhile."""
        if events is not None:
            events.start(blob.size)
        if action is Action.APPEND and await self._append(blob, target, events):
            pass
        elif blob.size <= self._bounds.part_size:
            await self._small(blob, target)
            if events is not None and blob.size:
                events.step(blob.size)
        else:
            await self._large(blob, target, events)
        if events is not None:
            events.complete()

    async def _small(self, blob: BlobObject, target: str) -> None:
        body = await self._part(blob, 0, blob.size) if blob.size else b""
        await self._disk.run(target, Partial.write_whole, target, body)

    async def _large(self, blob: BlobObject, target: str, events: FileEvents | None) -> None:
        version = None if blob.etag is None else f"{blob.bucket.id}\n{blob.key}\n{blob.etag}"
        open_partial = partial(Partial, target, version=version, resume=self._continue)
        file = await self._disk.run(target, open_partial)
        try:
            if not await self._fill(blob, file, events):
                await self._disk.run(target, file.restart)
                await self._fill(blob, file, events)
            await self._disk.run(target, file.publish)
        except BaseException as error:
            self._full = self._full or isinstance(error, LocalDiskFull)
            # On a full disk nobody wants what the others were cut short in either.
            await self._disk.run(target, file.abandon if self._full else partial(file.fail, error))
            raise

    async def _append(self, blob: BlobObject, target: str, events: FileEvents | None) -> bool:
        file = await self._disk.run(target, Existing.open, target)
        if file is None:
            return False
        try:
            return await self._fill(blob, file, events)
        finally:
            await self._disk.run(target, file.abandon)

    async def _fill(self, blob: BlobObject, file: Growing, events: FileEvents | None) -> bool:
        """Fetch from the end of *file* on; False, with nothing written, if it is no prefix."""
        if file.position > blob.size:
            return False
        overlap = min(_OVERLAP, file.position)
        expected = await self._disk.run(file.target, file.tail, overlap)
        calls = self._parts(blob, file.position - overlap)
        async with aclosing(in_order(self._bounds.window, calls)) as bodies:
            async for body in bodies:
                if expected:
                    if body[:overlap] != expected:
                        return False
                    expected, body = b"", body[overlap:]
                if body:
                    await self._disk.run(file.target, file.write, body)
                    if events is not None:
                        events.step(file.position)
        return True

    def _parts(
        self, blob: BlobObject, start: int
    ) -> Iterator[Callable[[], Coroutine[None, None, bytes]]]:
        size = self._bounds.part_size
        for offset in range(start, blob.size, size):
            yield partial(self._part, blob, offset, min(size, blob.size - offset))

    async def _part(self, blob: BlobObject, offset: int, length: int) -> bytes:
        await self._bounds.pace(length)
        fetch = self._provider.fetch(blob.key, offset, length, known=blob)
        pieces = [piece async for piece in fetch]
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if len(body) != length:
            raise StorageError(
                f"the store sent {len(body)} bytes where {length} were asked for",
                bucket=blob.bucket.name or blob.bucket.id,
                key=blob.key,
            )
        return body


async def download_tree(
    disk: Disk,
    provider: Provider,
    prefix: str,
    root: Path,
    *,
    config: TransferConfig,
    update: bool,
    continue_: bool,
    filter_: Filter | None,
    progress: AbstractRecursiveFileProgress | None,
) -> None:
    """Bring everything below *prefix* to *root*; see Buckets.download_dir."""
    bucket = provider.bucket
    name = bucket.name or bucket.id
    directory = prefix.removesuffix("/")
    if directory:
        prefix = directory + "/"
        check_key(prefix, provider.rules, bucket=name, marker=True)
    async with aclosing(provider.list(prefix, recursive=True)) as listing:
        first = await anext(listing, None)
        if first is None and directory:
            await _refuse_missing(provider, directory)
        base = await disk.run(root, _made_destination, str(root))
        tree = TreeEvents(
            progress,
            lambda path: bucket.blob_url(prefix + path),
            lambda path: _landing_url(f"{base}/{path}"),
        )
        bounds = Bounds(config)
        download = _Download(
            _Fetch(disk, provider, bounds, continue_),
            bounds,
            disk,
            provider,
            base,
            prefix,
            tree,
            Report("downloaded", name),
            filter_,
            Collisions(await disk.run(root, ignores_case, str(root))),
            partial(plan_download, update=update, continue_=continue_, grain=provider.grain),
            needs_target=update or continue_,
        )
        async with aclosing(_chain(first, listing)) as entries:
            await run_bounded(config.concurrency, download.jobs(entries))
    tree.finish()
    download.report.conclude()


def _made_destination(root: str) -> str:
    if os.path.lexists(root) and not os.path.isdir(root):
        raise LocalNotADirectory(f"the destination is a file, not a folder: {root!r}")
    make_folders(root)
    return root.rstrip("/")


def _landing_url(path: str) -> URL:
    try:
        return file_url(path)
    except UnicodeEncodeError:  # a key that is no text lands nowhere; its failure shows it so
        return file_url(path.encode(errors="replace").decode())


async def _refuse_missing(provider: Provider, directory: str) -> None:
    name = provider.bucket.name or provider.bucket.id
    try:
        await provider.head(directory)
    except BlobNotFound:
        raise BlobNotFound("nothing lies below this key", bucket=name, key=directory) from None
    raise BlobNotADirectory(
        "a blob, not a directory; use download_file", bucket=name, key=directory
    )


async def _chain(
    first: BucketEntry | None, rest: AsyncIterator[BucketEntry]
) -> AsyncGenerator[BucketEntry, None]:
    if first is not None:
        yield first
    async for entry in rest:
        yield entry


class _Download:
    """Turns a listing, in the order of its keys, into jobs."""

    def __init__(
        self,
        fetch: _Fetch,
        bounds: Bounds,
        disk: Disk,
        provider: Provider,
        base: str,
        prefix: str,
        tree: TreeEvents,
        report: Report,
        filter_: Filter | None,
        collisions: Collisions,
        plan: Callable[[Side, Side | None], Action],
        *,
        needs_target: bool,
    ) -> None:
        self._fetch = fetch
        self._bounds = bounds
        self._disk = disk
        self._provider = provider
        self._base = base
        self._prefix = prefix
        self._tree = tree
        self.report = report
        self._filter = filter_
        self._collisions = collisions
        self._plan = plan
        self._needs_target = needs_target
        self._wanted: list[tuple[str, bool]] = []
        self._made: list[tuple[str, NeuroError | None]] = []

    async def jobs(self, entries: AsyncIterator[BucketEntry]) -> AsyncGenerator[Job, None]:
        self._tree.enter("")
        async with aclosing(batches(entries, _BATCH)) as groups:
            async for batch in groups:
                problems = [self._problem(entry.key) for entry in batch]
                known = await self._known(batch, problems)
                for entry, problem in zip(batch, problems, strict=True):
                    path = self._path(entry)
                    job = await self._job(entry, path, problem, known.get(path))
                    if job is not None:
                        yield job

    async def _known(
        self, batch: list[BucketEntry], problems: list[InvalidKey | None]
    ) -> Mapping[str, Side | None]:
        """What is at the destinations of a batch, by path, where that is asked for."""
        if not self._needs_target:
            return {}
        pairs = zip(batch, problems, strict=True)
        paths = [self._path(entry) for entry, problem in pairs if problem is None]
        targets = [f"{self._base}/{path}" for path in paths]
        sides = await self._disk.run(self._base, stat_many, targets)
        return dict(zip(paths, sides, strict=True))

    def _path(self, entry: BucketEntry) -> str:
        return entry.key[len(self._prefix) :]

    def _problem(self, key: str) -> InvalidKey | None:
        """Why *key* cannot be fetched or would not land below the destination."""
        name = self._provider.bucket.name or self._provider.bucket.id
        problem = key_problem(key, self._provider.rules)
        if problem is not None:
            return InvalidKey(f"the key {problem}", bucket=name, key=key)
        try:
            landing_path(key, self._prefix, windows=_WINDOWS, bucket=name)
        except InvalidKey as error:
            return error
        return None

    async def _job(
        self, entry: BucketEntry, path: str, problem: InvalidKey | None, known: Side | None
    ) -> Job | None:
        assert isinstance(entry, BlobObject)
        if path == "" or not await self._is_wanted(path):
            return None
        above = path[: path.rfind("/") + 1]
        try:
            if problem is not None:
                if above and self._problem(self._prefix + above) is None:
                    self._tree.enter(above)
                raise problem
            self._collisions.add(tuple(path.removesuffix("/").split("/")))
            folder = await self._make(above)
        except NeuroError as error:
            self._fail(path, error)
            return None
        if path.endswith("/"):
            return None
        action = self._plan(_side(entry), known)
        if action is Action.SKIP:
            return None
        self._tree.begin(folder)
        return partial(self._run, entry, path, action, folder)

    async def _is_wanted(self, path: str) -> bool:
        if self._filter is None:
            return True
        while self._wanted and not path.startswith(self._wanted[-1][0]):
            self._wanted.pop()
        if self._wanted and not self._wanted[-1][1]:
            return False
        known = self._wanted[-1][0] if self._wanted else ""
        while (slash := path.find("/", len(known))) >= 0:
            known = path[: slash + 1]
            wanted = await ask(self._filter, known)
            self._wanted.append((known, wanted))
            if not wanted:
                return False
        return path.endswith("/") or await ask(self._filter, path)

    async def _make(self, path: str) -> Folder:
        folder = self._tree.enter(path)
        while self._made and not path.startswith(self._made[-1][0]):
            self._made.pop()
        if not self._made or self._made[-1][0] != path:
            failed: NeuroError | None = None
            local = f"{self._base}/{path}"
            try:
                await self._disk.run(local, make_folder, local, self._base or "/")
            except NeuroError as error:
                failed = error
            self._made.append((path, failed))
        broken = self._made[-1][1]
        if broken is not None:
            raise broken
        return folder

    async def _run(self, blob: BlobObject, path: str, action: Action, folder: Folder) -> None:
        try:
            events = self._tree.file(path)
            async with self._bounds.memory(blob.size):
                await self._fetch.file(blob, f"{self._base}/{path}", action, events)
            self.report.done += 1
        except NeuroError as error:
            self._fail(path, error)
        self._tree.end(folder)

    def _fail(self, path: str, error: NeuroError) -> None:
        self._tree.fail(path, str(error))
        self.report.fail(path, error)
