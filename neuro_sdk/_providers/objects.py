"""A bucket at an object store, through OpenDAL."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from datetime import timedelta

from .._core.config import TransferConfig
from .._core.keys import KeyRules, listable_prefix
from .._core.models import BlobCommonPrefix, BlobObject, Bucket, BucketEntry
from .._core.pages import Blobs, Columns
from .._core.parts import SMALL
from .._multipart import send_stream
from ..errors import (
    BlobChanged,
    BlobNotFound,
    InvalidKey,
    KeyConflict,
    NeuroError,
    StorageTimeout,
)
from ..protocols import Direct, Likely, Multipart, Reading
from .opendal import Engine, pinned
from .stat import Stat

__all__ = ["BulkDelete", "ObjectProvider"]

BulkDelete = Callable[[Sequence[str]], Awaitable[Mapping[str, Exception]]]
"""Removes up to 1,000 keys with one request; the answer holds what failed."""

_SINGLE_DELETES = 16
_LOOKS = 32
_PAGE = 1000  # what a page holds at any store


class ObjectProvider:
    """The ``Provider`` of a bucket at an object store.

    *bulk_delete* removes many keys at once where the store can; without it each takes a
    request. *multipart* takes what is larger than a part; without it OpenDAL's writer does.
    *direct* says that the engine can be asked from threads. *closing* is awaited by ``close``.
    *folders* says that the store keeps folders as a disk does: it goes on listing one when its
    last blob is gone, so that each has to be looked into, and the marker ``a/`` would take the
    place of the blob ``a``, so that it is refused.
    """

    grain = timedelta(seconds=1)  # HTTP dates

    def __init__(
        self,
        bucket: Bucket,
        engine: Engine,
        *,
        rules: KeyRules,
        transfer: TransferConfig,
        bulk_delete: BulkDelete | None = None,
        multipart: Multipart | None = None,
        folders: bool = False,
        direct: bool = True,
        closing: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.bucket = bucket
        self.rules = rules
        self._engine = engine
        self._transfer = transfer
        self._bulk_delete = bulk_delete
        self.multipart = multipart
        self._folders = folders
        self._closing = closing
        self._name = bucket.name or bucket.id
        self._direct = _Direct(engine, self._blob) if direct else None
        self._small = True  # what was fetched last

    @property
    def direct(self) -> Direct | None:
        return self._direct if self._engine.is_quick else None

    async def head(self, key: str) -> BlobObject:
        if not key.endswith("/"):
            return self._blob(await self._engine.stat(key, key))
        # The engine says that a directory is there if anything lies in it; a marker is a blob.
        first = await self._first(key)
        if first is not None and first.key == key:
            return first
        raise BlobNotFound("no such blob", bucket=self._name, key=key)

    async def _first(self, prefix: str) -> BlobObject | None:
        async with aclosing(self._engine.pages(prefix, recursive=True, most=1)) as pages:
            page = await anext(pages, None)
            return None if page is None else Blobs(self.bucket, page)[0]

    def _blob(self, found: Stat) -> BlobObject:
        return Blobs(self.bucket, Columns.of([found]))[0]

    async def put(self, key: str, body: bytes | AsyncIterator[bytes]) -> None:
        if key.endswith("/"):
            if body != b"":
                raise InvalidKey(
                    "a key that ends with a slash is a directory and holds no data",
                    bucket=self._name,
                    key=key,
                )
            if self._folders:
                await self._check_no_blob(key.removesuffix("/"))
            await self._engine.make_folder(key, key)
        elif isinstance(body, bytes):
            await self._engine.write(key, body, key)
        else:
            await self._put_stream(key, body)

    async def _check_no_blob(self, key: str) -> None:
        with contextlib.suppress(BlobNotFound):
            await self._engine.stat(key, key)
            raise KeyConflict(
                "this store cannot hold a directory marker beside the blob of that name",
                bucket=self._name,
                key=key,
            )

    async def _put_stream(self, key: str, pieces: AsyncIterator[bytes]) -> None:
        part, window = self._transfer.part_size, self._transfer.window
        if self.multipart is not None:
            small = await send_stream(self.multipart, key, pieces, part_size=part, window=window)
            if small is not None:
                await self._engine.write(key, small, key)
            return
        held: list[bytes] = []
        size = 0
        async for piece in pieces:
            held.append(piece)
            size += len(piece)
            if size > part:
                break
        else:
            await self._engine.write(key, b"".join(held), key)
            return
        await self._engine.write_stream(
            key, _chained(held, pieces), key, chunk=part, concurrent=window
        )

    async def fetch(
        self,
        key: str,
        offset: int = 0,
        length: int | None = None,
        *,
        known: BlobObject | None = None,
    ) -> AsyncGenerator[bytes, None]:
        if known is None:
            known = await self.head(key)
        self._small = known.size <= SMALL
        end = known.size if length is None else min(known.size, offset + length)
        if offset >= end or key.endswith("/"):
            return
        part, size = self._transfer.part_size, end - offset
        if size > part:
            # A cut answer is resumed by the layer below: the tag keeps it to one version.
            stream = self._engine.stream(
                key,
                key,
                offset=offset,
                size=size,
                chunk=part,
                concurrent=self._transfer.window,
                **pinned(known),
            )
            async for piece in stream:
                yield piece
        else:
            yield await self._engine.read_known(known, offset, size)

    async def fetch_small(self, key: str) -> bytes | None:
        # What would be read of a large one is read for nothing, and more of them may follow.
        if not self._small or self.direct is None or key.endswith("/"):
            return None
        try:
            body = await self._engine.read_small(key, key, SMALL)
        except BlobNotFound:
            raise
        except NeuroError:
            return None
        self._small = body is not None
        return body

    async def pages(
        self,
        prefix: str = "",
        *,
        recursive: bool = False,
        most: int | None = None,
        likely: Likely | None = None,
    ) -> AsyncGenerator[Sequence[BucketEntry], None]:
        asked = listable_prefix(prefix)
        # Where the engine would ask for another prefix more is listed, and sorted out here.
        whole = asked == prefix
        few = most if whole and most is not None and most <= _PAGE else None
        listing = self._engine.pages(
            asked, recursive=recursive or not whole, most=few, likely=likely
        )
        last = ""
        async with aclosing(listing) as pages:
            async for page in pages:
                shown: Sequence[BucketEntry] = Blobs(self.bucket, page.below(prefix))
                if not recursive:
                    shown = [self._at_level(entry, prefix) for entry in shown]
                    if not whole:
                        shown, last = _once(shown, last), shown[-1].key if shown else last
                    elif self._folders:
                        shown = await self._without_empty(shown)
                if shown:
                    yield shown

    def _at_level(self, found: BucketEntry, prefix: str) -> BucketEntry:
        """The blob, or what stands for all below the next slash after the prefix."""
        slash = found.key.find("/", len(prefix))
        if slash < 0:
            return found
        return BlobCommonPrefix(key=found.key[: slash + 1], bucket=self.bucket)

    async def _without_empty(self, entries: Sequence[BucketEntry]) -> Sequence[BucketEntry]:
        shown: list[BucketEntry] = []
        for start in range(0, len(entries), _LOOKS):
            batch = entries[start : start + _LOOKS]
            looks = await asyncio.gather(*map(self._holds_blobs, batch))
            shown += [entry for entry, holds in zip(batch, looks, strict=True) if holds]
        return shown

    async def _holds_blobs(self, entry: BucketEntry) -> bool:
        return isinstance(entry, BlobObject) or await self._first(entry.key) is not None

    async def delete(self, key: str) -> None:
        await self._engine.delete(key, key)

    async def delete_many(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        if self._bulk_delete is not None and len(keys) > 1:
            return await self._bulk_delete(keys)
        failed: dict[str, Exception] = {}
        slots = asyncio.Semaphore(_SINGLE_DELETES)

        async def delete(key: str) -> None:
            async with slots:
                try:
                    await self._engine.delete(key, key)
                except NeuroError as error:
                    failed[key] = error

        async with asyncio.TaskGroup() as group:
            for key in keys:
                group.create_task(delete(key))
        return failed

    async def copy(self, source: str, target: str) -> None:
        await self._engine.copy(source, target, source)

    async def close(self) -> None:
        if self._closing is not None:
            await self._closing()


class _Direct:
    """Calls for threads."""

    def __init__(self, engine: Engine, blob: Callable[[Stat], BlobObject]) -> None:
        self._engine = engine
        self._blob = blob

    def put(self, key: str, body: bytes) -> None:
        with self._timed():
            self._engine.write_now(key, body, key)

    def fetch(self, known: BlobObject) -> bytes:
        with self._timed():
            body = self._engine.read_now(known)
        if len(body) != known.size:
            raise BlobChanged(
                "the blob was replaced while it was read", bucket=self._engine.bucket, key=known.key
            )
        return body

    def begin(self, key: str, told: Callable[[BlobObject], None]) -> Reading | None:
        reading = self._engine.beginning(key, lambda found: told(self._blob(found)))
        return None if reading is None else _Reading(reading, self._timed)

    def read(self, known: BlobObject, offset: int, length: int) -> Reading | None:
        reading = self._engine.reading(known, offset, length)
        return None if reading is None else _Reading(reading, self._timed)

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        try:
            yield
        except StorageTimeout:
            self._engine.note_slow()
            raise


class _Reading:
    """One that tells of a store that takes long."""

    def __init__(
        self, inner: Reading, timed: Callable[[], contextlib.AbstractContextManager[None]]
    ) -> None:
        self._inner = inner
        self._timed = timed
        self.cut = inner.cut

    def run(self, into: memoryview) -> None:
        with self._timed():
            self._inner.run(into)


async def _chained(first: Sequence[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for piece in first:
        yield piece
    async for piece in rest:
        yield piece


def _once(entries: Sequence[BucketEntry], last: str) -> Sequence[BucketEntry]:
    """The *entries* but for those of the same key as the one before; *last* came before all."""
    before = [last, *(entry.key for entry in entries)]
    return [entry for entry, key in zip(entries, before, strict=False) if entry.key != key]
