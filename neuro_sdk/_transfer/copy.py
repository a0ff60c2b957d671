"""Blobs and trees from one place at the stores to another.

Within a bucket the store copies, where it can. Else the bytes pass through this process, a
few parts of them at a time, all of one version, into a blob that appears when it is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial

from .._aio import Job, each, run_bounded
from .._core.config import TransferConfig
from .._core.keys import check_key, common_text, key_error, key_problem, overlap, tree_prefix
from .._core.models import BlobObject, BucketEntry
from .._core.plan import Action, Side, plan_update
from .._core.versions import same_version, tags_differ
from ..errors import (
    BlobChanged,
    BlobIsADirectory,
    BlobNotFound,
    IllegalArgumentError,
    NotSupportedError,
    StorageError,
    StorageTimeout,
)
from ..progress import AbstractFileProgress, AbstractRecursiveFileProgress
from ..protocols import Provider
from .body import gathered
from .bounds import Bounds
from .download import list_tree
from .events import FileEvents, TreeEvents
from .report import Report
from .steps import LEFT_OUT, Doing, Filter, Step, Steps, Wanted
from .upload import Cursor

__all__ = ["Copy", "copy_blob"]

_GATHER = 1 << 20


async def copy_blob(
    source: Provider,
    target: Provider,
    key: str,
    new: str,
    *,
    config: TransferConfig,
    move: bool = False,
    progress: AbstractFileProgress | None,
) -> None:
    """Copy one blob, or with *move* take it away from where it was; see Buckets.copy_blob."""
    for provider, name in ((source, key), (target, new)):
        if name == "" or name.endswith("/"):
            raise BlobIsADirectory(
                "a directory where a blob is needed; copy_dir copies all below one",
                bucket=_name(provider),
                key=name,
            )
        check_key(name, provider.rules, bucket=_name(provider))
    if (source.bucket.id, key) == (target.bucket.id, new):
        raise IllegalArgumentError(
            "source and target are the same blob", bucket=_name(source), key=key
        )
    blob = await source.head(key)
    if move:
        await _check_apart(blob, target, new)
    events = None
    if progress is not None:
        urls = source.bucket.blob_url(key), target.bucket.blob_url(new)
        events = FileEvents(progress, *urls)
    await _Copying(source, target, Bounds(config)).blob(blob, new, events)
    if move:
        await _check_copy(source, blob, target, new)
        if not same_version(blob, await source.head(key)):
            raise BlobChanged(
                "the blob was replaced while it was moved; it stays, and so does its copy",
                bucket=_name(source),
                key=key,
            )
        await source.delete(key)
    if events is not None:
        events.complete()


def _name(provider: Provider) -> str:
    return provider.bucket.name or provider.bucket.id


async def _check_apart(blob: BlobObject, target: Provider, new: str) -> None:
    # One blob may have two addresses: a bucket that was imported twice, a link, a disk that
    # ignores case. Removing the one would remove the other.
    try:
        there = await target.head(new)
    except BlobNotFound:
        return
    if same_version(blob, there):
        raise IllegalArgumentError(
            "the target has the size, tag and time of the source, so it may be the same blob; "
            "copy it, or remove one of the two",
            bucket=_name(target),
            key=new,
        )


async def _check_copy(source: Provider, blob: BlobObject, target: Provider, new: str) -> None:
    """Raise StorageError unless what is stored under *new* is *blob*, as far as can be told."""
    copy = await target.head(new)
    good = copy.size == blob.size
    if good and tags_differ(blob, copy):
        good = await _digest(source, blob) == await _digest(target, copy)
    if not good:
        raise StorageError(
            f"the copy under {new!r} in the bucket {_name(target)!r} is not what was copied; "
            "the source stays",
            bucket=_name(source),
            key=blob.key,
        )


async def _digest(provider: Provider, blob: BlobObject) -> str:
    digest = hashlib.sha256()
    async with aclosing(provider.fetch(blob.key, known=blob)) as pieces:
        async for piece in pieces:
            digest.update(piece)
    return digest.hexdigest()


class _Copying:
    """Copies single blobs, whole or not at all."""

    def __init__(self, source: Provider, target: Provider, bounds: Bounds) -> None:
        self._source = source
        self._target = target
        self._bounds = bounds
        self._at_store = source.bucket.id == target.bucket.id

    async def blob(self, blob: BlobObject, new: str, events: FileEvents | None) -> None:
        """Copy *blob* to the key *new*; BlobChanged if it is replaced while it is read."""
        if events is not None:
            events.start(blob.size)
        if self._at_store and await self._by_store(blob, new):
            if events is not None and blob.size:
                events.step(blob.size)
        else:
            await self._by_client(blob, new, events)

    async def _by_store(self, blob: BlobObject, new: str) -> bool:
        try:
            await self._target.copy(blob.key, new)
        except NotSupportedError:
            self._at_store = False
            return False
        except StorageTimeout:
            # A store may take longer over a large blob than an answer may take.
            if blob.size <= self._bounds.part_size:
                raise
            return False
        return True

    async def _by_client(self, blob: BlobObject, new: str, events: FileEvents | None) -> None:
        async with self._bounds.memory(blob.size), aclosing(self._pieces(blob)) as pieces:
            if blob.size <= self._bounds.part_size:
                body = b"".join([piece async for piece in pieces])
                await self._target.put(new, body)
                if events is not None and blob.size:
                    events.step(blob.size)
            else:
                async with aclosing(_told(pieces, events)) as told:
                    await self._target.put(new, told)

    async def _pieces(self, blob: BlobObject) -> AsyncGenerator[bytes, None]:
        done = 0
        fetched = self._source.fetch(blob.key, known=blob)
        async with aclosing(fetched), aclosing(gathered(fetched, _GATHER)) as pieces:
            async for piece in pieces:
                await self._bounds.pace(len(piece))
                done += len(piece)
                yield piece
        if done != blob.size:
            raise StorageError(
                f"the store sent {done} bytes of a blob of {blob.size}",
                bucket=_name(self._source),
                key=blob.key,
            )


async def _told(
    pieces: AsyncGenerator[bytes, None], events: FileEvents | None
) -> AsyncGenerator[bytes, None]:
    # The writer asks for the next piece once it has taken the one before.
    done = 0
    async for piece in pieces:
        yield piece
        done += len(piece)
        if events is not None:
            events.step(done)


class Copy:
    """The blobs below *prefix* on their way under *new*."""

    skipped = "the blob there is not older"

    def __init__(
        self,
        source: Provider,
        target: Provider,
        prefix: str,
        new: str,
        *,
        config: TransferConfig,
        update: bool,
        filter_: Filter | None,
    ) -> None:
        self.source = source
        self.target = target
        self.prefix = tree_prefix(prefix, source.rules, bucket=_name(source))
        self.new = tree_prefix(new, target.rules, bucket=_name(target))
        self.config = config
        self._update = update
        self._filter = filter_
        self.at_store = source.bucket.id == target.bucket.id
        self._overlap = overlap(self.prefix, self.new)
        if self._overlap and self.at_store:
            raise self._inside()

    def _inside(self) -> IllegalArgumentError:
        return IllegalArgumentError(
            f"the target {self.new!r} is the source, or one of them lies in the other",
            bucket=_name(self.source),
            key=self.prefix,
        )

    async def _check_apart(self, entry: BucketEntry) -> None:
        # A bucket that was imported twice: the copies would be listed and copied in turn.
        if self._overlap and key_problem(entry.key, self.target.rules) is None:
            with contextlib.suppress(BlobNotFound):
                if same_version(entry, await self.target.head(entry.key)):
                    raise self._inside()

    async def steps(self) -> Steps[BlobObject]:
        """What is to be done, decided path by path in the order of the keys."""
        wanted = Wanted(self._filter)
        listing = list_tree(self.source, self.prefix, instead="copy_blob")
        target = self.target.pages(self.new, recursive=True)
        async with aclosing(listing), Cursor(target, self._update) as cursor:
            first = True
            async for page in listing:
                if first:
                    await self._check_apart(page[0])
                    first = False
                paths = [entry.key[len(self.prefix) :] for entry in page]
                known = await cursor.sides([self.new + path for path in paths])
                steps = []
                for entry, path, there in zip(page, paths, known, strict=True):
                    assert isinstance(entry, BlobObject)
                    if path == "":
                        continue
                    if self._filter is None or await wanted.wants(path):
                        step = self._step(entry, path, there)
                    else:
                        step = Step(path, entry, Action.SKIP, entry.size, LEFT_OUT, left_out=True)
                    steps.append(step)
                yield steps

    async def steps_of(self, blobs: Sequence[BlobObject]) -> Sequence[Step[BlobObject]]:
        """What is to be done with some that were listed before, in their order."""
        paths = [blob.key[len(self.prefix) :] for blob in blobs]
        keys = [self.new + path for path in paths]
        there = self.target.pages(common_text(keys), recursive=True)
        async with Cursor(there, self._update) as cursor:
            return [*map(self._step, blobs, paths, await cursor.sides(keys))]

    def _step(self, entry: BlobObject, path: str, known: Side | None) -> Step[BlobObject]:
        for provider, key in ((self.source, entry.key), (self.target, self.new + path)):
            error = key_error(key, provider.rules, bucket=_name(provider))
            if error is not None:
                return Step(path, entry, error=error)
        if path.endswith("/"):
            return Step(path, entry, Action.COPY if known is None else None)
        action = plan_update(entry, known)
        reason = self.skipped if action is Action.SKIP else ""
        return Step(path, entry, action, entry.size, reason)

    async def run(
        self,
        steps: Steps[BlobObject],
        progress: AbstractRecursiveFileProgress | None,
        *,
        exact: bool = False,
    ) -> None:
        """Do the *steps*; raise TransferError if any of them failed.

        With *exact* a blob must be as it was when its step was decided: where the store copies,
        that is looked up after the copy.
        """
        tree = TreeEvents(
            progress,
            lambda path: self.source.bucket.blob_url(self.prefix + path),
            lambda path: self.target.bucket.blob_url(self.new + path),
        )
        doing = Doing(tree, Report("copied", _name(self.source)))
        await run_bounded(self.config.concurrency, self._jobs(steps, doing, exact))
        doing.conclude()

    async def _jobs(
        self, steps: Steps[BlobObject], doing: Doing, exact: bool
    ) -> AsyncGenerator[Job, None]:
        doing.tree.enter("")
        copying = _Copying(self.source, self.target, Bounds(self.config))
        async with aclosing(each(steps)) as decided:
            async for step in decided:
                path = step.path
                if step.left_out:
                    continue
                if step.error is not None:
                    doing.fail(path, step.error)
                    continue
                folder = doing.tree.enter(path[: path.rfind("/") + 1])
                if step.action is Action.SKIP:
                    doing.tree.skip(path, step.size)
                    continue
                if step.action is None:
                    continue
                doing.tree.begin(folder)
                if path.endswith("/"):
                    work = partial(self.target.put, self.new + path, b"")
                else:
                    work = partial(self._file, step, doing, copying, exact)
                yield partial(doing.run, path, folder, work)

    async def _file(
        self, step: Step[BlobObject], doing: Doing, copying: _Copying, exact: bool
    ) -> None:
        events, blob = doing.tree.file(step.path), step.source
        await copying.blob(blob, self.new + step.path, events)
        if exact and self.at_store and not same_version(blob, await self.source.head(blob.key)):
            raise BlobChanged(
                "the blob was replaced since it was planned, and so may be its copy",
                bucket=_name(self.source),
                key=blob.key,
            )
        if events is not None:
            events.complete()
        doing.report.done += 1
