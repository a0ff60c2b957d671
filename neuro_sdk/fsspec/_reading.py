"""The bytes of blobs: whole, in ranges, and into files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.utils import merge_offset_ranges

from .. import BlobObject, BucketHandle
from ..errors import BlobIsADirectory, BlobNotFound, LocalIsADirectory
from ..progress import (
    AbstractFileProgress,
    StorageProgressComplete,
    StorageProgressStart,
    StorageProgressStep,
)
from ._looking import Looking
from ._paths import span

__all__ = ["PART", "Bridge", "Reading"]

PART = 8 << 20
"""Bytes that are asked for or sent at once."""
_GAP = 64 << 10  # bytes; reading them costs less than another request

_Found = tuple[BucketHandle, BlobObject]


class Reading(Looking):
    """The methods that give the bytes of blobs; see ``BlobFileSystem``."""

    async def _cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        async with self._at(path) as (bucket, key):
            if (start or 0) < 0 or (end or 0) < 0:
                return await self._fetch(bucket, await bucket.head_blob(key), start, end)
            length = None if end is None else max(0, end - (start or 0))
            async with bucket.fetch_blob(key, start or 0, length=length) as pieces:
                return b"".join([piece async for piece in pieces])

    async def _fetch(
        self, bucket: BucketHandle, blob: BlobObject, start: int | None, end: int | None
    ) -> bytes:
        """A slice of the blob, of the version that was looked up."""
        offset, length = span(start, end, blob.size)
        async with bucket.fetch_blob(blob.key, offset, length=length, known=blob) as pieces:
            return b"".join([piece async for piece in pieces])

    async def _cat_ranges(
        self,
        paths: list[str],
        starts: int | Iterable[int | None] | None,
        ends: int | Iterable[int | None] | None,
        max_gap: int | None = None,
        batch_size: int | None = None,
        on_error: str = "return",
        **_: Any,
    ) -> list[Any]:
        """As fsspec says; each blob is looked up once and read in one version.

        Ranges with at most *max_gap* bytes between them, 64 KiB by default, are read as one.
        """
        if not isinstance(paths, list):
            raise TypeError("paths is a list")
        first = [*starts] if isinstance(starts, Iterable) else [starts] * len(paths)
        last = [*ends] if isinstance(ends, Iterable) else [ends] * len(paths)
        if not len(paths) == len(first) == len(last):
            raise ValueError("paths, starts and ends are of one length")
        slots = asyncio.Semaphore(batch_size or self.batch_size)
        names = [*dict.fromkeys(paths)]
        looks = await asyncio.gather(
            *[self._one(name, slots) for name in names], return_exceptions=True
        )
        blobs = dict(zip(names, looks, strict=True))
        spans = [
            (0, 0) if isinstance(found, BaseException) else span(start, end, found[1].size)
            for start, end, found in zip(first, last, map(blobs.__getitem__, paths), strict=True)
        ]
        blocks = await self._blocks(blobs, [*zip(paths, spans, strict=True)], max_gap, slots)
        results: list[Any] = []
        for path, (offset, length) in zip(paths, spans, strict=True):
            found = blobs[path]
            result: Any = found if isinstance(found, BaseException) else None
            for start, end, body in blocks.get(path, ()):
                if result is None and start <= offset and offset + length <= end:
                    at = offset - start
                    result = body if isinstance(body, BaseException) else body[at : at + length]
            results.append(result)
        if on_error != "return":
            for result in results:
                if isinstance(result, BaseException):
                    raise result
        return results

    async def _blocks(
        self,
        blobs: Mapping[str, _Found | BaseException],
        spans: Sequence[tuple[str, tuple[int, int]]],
        max_gap: int | None,
        slots: asyncio.Semaphore,
    ) -> dict[str, list[tuple[int, int, bytes | BaseException]]]:
        """The start, end and bytes of ranges that hold *spans*, by path."""
        good = [(path, *at) for path, at in spans if not isinstance(blobs[path], BaseException)]
        merged = merge_offset_ranges(
            [path for path, _, _ in good],
            [offset for _, offset, _ in good],
            [offset + length for _, offset, length in good],
            max_gap=_GAP if max_gap is None else max_gap,
            max_block=PART,
        )

        async def fetch(path: str, start: int, end: int) -> bytes:
            found = blobs[path]
            assert not isinstance(found, BaseException)
            async with slots:
                return await self._fetch(*found, start, end)

        blocks = [*zip(*merged, strict=True)]
        bodies = await asyncio.gather(*[fetch(*block) for block in blocks], return_exceptions=True)
        by_path: dict[str, list[tuple[int, int, bytes | BaseException]]] = {}
        for (path, start, end), body in zip(blocks, bodies, strict=True):
            by_path.setdefault(path, []).append((start, end, body))
        return by_path

    async def _one(self, path: str, slots: asyncio.Semaphore) -> _Found:
        async with slots, self._at(path) as (bucket, key):
            return bucket, await bucket.head_blob(key)

    async def _get_file(
        self, rpath: str, lpath: str, callback: Callback = DEFAULT_CALLBACK, **_: Any
    ) -> None:
        try:
            async with self._at(rpath) as (bucket, key):
                await bucket.download_file(key, Path(lpath), progress=Bridge(callback))
        except (BlobIsADirectory, BlobNotFound, LocalIsADirectory):
            if not await self._isdir(rpath):
                raise
            await asyncio.to_thread(os.makedirs, lpath, exist_ok=True)


class Bridge(AbstractFileProgress):
    """Tells a callback of fsspec about one file."""

    def __init__(self, callback: Callback) -> None:
        self._callback = callback

    def start(self, data: StorageProgressStart) -> None:
        self._callback.set_size(data.size)

    def step(self, data: StorageProgressStep) -> None:
        self._callback.absolute_update(data.current)

    def complete(self, data: StorageProgressComplete) -> None:
        self._callback.absolute_update(data.size)
