"""Blobs as the files that a query reads: asked from its threads, answered on the event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, TypeVar

from .._aio import each
from .._core.glob import compile_glob
from .._core.keys import check_key
from .._core.models import BlobObject
from .._core.query import from_engine
from ..errors import BlobNotFound, ClientClosed
from ..protocols import Provider

__all__ = ["BlobFile", "QueriedBlobs", "Where"]

T = TypeVar("T")

Where = Callable[[str], Awaitable[tuple[Provider, str]]]
"""The bucket that a URI names, and the key in it."""
_MAGIC = frozenset("*?[")


class QueriedBlobs:
    """What one query has found. A blob is of the version that was there when it was looked up.

    The methods block, and are for any thread but that of *loop*.
    """

    def __init__(self, where: Where, loop: asyncio.AbstractEventLoop) -> None:
        self._where = where
        self._loop = loop
        self._globs: dict[str, list[str]] = {}
        self._found: dict[str, tuple[Provider, BlobObject]] = {}
        self._pending: set[concurrent.futures.Future[Any]] = set()
        self._ended = False
        self.failure: BaseException | None = None
        """The first error, which is what the query failed with."""

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._ended:
            work.close()
            raise ClientClosed("the query was cancelled")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._pending.add(future)
        try:
            return future.result()
        except BaseException as error:
            self.failure = self.failure or error
            raise
        finally:
            self._pending.discard(future)

    def end(self) -> None:
        """Answer nothing more; on the loop."""
        self._ended = True
        for future in list(self._pending):
            future.cancel()

    def glob(self, pattern: str) -> list[str]:
        """The names of the blobs that match, in the order of their keys; asked for once."""
        names = self._globs.get(pattern)
        if names is None:
            names = self._globs[pattern] = self._run(self._glob(pattern))
        return names

    async def _glob(self, pattern: str) -> list[str]:
        provider, key = await self._where(from_engine(pattern))
        if not _MAGIC & set(key):
            try:
                return [self._keep(provider, await self._head(provider, key))]
            except BlobNotFound:
                return []
        glob = compile_glob(key)
        listing = provider.pages(glob.prefix, recursive=glob.recursive)
        async with aclosing(each(listing)) as entries:
            return [
                self._keep(provider, entry)
                async for entry in entries
                if isinstance(entry, BlobObject) and glob.matches(entry.key)
            ]

    async def _head(self, provider: Provider, key: str) -> BlobObject:
        check_key(key, provider.rules, bucket=provider.bucket.name or provider.bucket.id)
        return await provider.head(key)

    def _keep(self, provider: Provider, blob: BlobObject) -> str:
        name = str(blob.uri)
        self._found[name] = (provider, blob)
        return name

    def look(self, name: str) -> BlobObject:
        """The blob of that name; BlobNotFound."""
        return self._look(name)[1]

    def _look(self, name: str) -> tuple[Provider, BlobObject]:
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = self._run(self._looked_up(name))
        return found

    async def _looked_up(self, name: str) -> tuple[Provider, BlobObject]:
        provider, key = await self._where(from_engine(name))
        return provider, await self._head(provider, key)

    def open(self, name: str) -> BlobFile:
        """The bytes of the blob of that name."""
        provider, blob = self._look(name)
        return BlobFile(
            blob, lambda offset, length: self._run(_read(provider, blob, offset, length))
        )


async def _read(provider: Provider, blob: BlobObject, offset: int, length: int) -> bytes:
    async with aclosing(provider.fetch(blob.key, offset, length, known=blob)) as pieces:
        return b"".join([piece async for piece in pieces])


class BlobFile:
    """One blob to read from; each read asks the store for just that range."""

    mode = "rb"

    def __init__(self, blob: BlobObject, read: Callable[[int, int], bytes]) -> None:
        self.size = blob.size
        self._read = read
        self._position = 0
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        """Up to *size* bytes, all that are left if it is negative."""
        left = max(0, self.size - self._position)
        wanted = left if size < 0 else min(size, left)
        data = self._read(self._position, wanted) if wanted else b""
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, without asking for anything."""
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}
        self._position = max(0, starts[whence] + offset)
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def readable(self) -> bool:
        """It is."""
        return True

    def writable(self) -> bool:
        """It is not."""
        return False

    def seekable(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """Nothing is held."""
        self.closed = True


def modified_at(blob: BlobObject) -> datetime:
    """When the blob was written, as far as its store tells."""
    return blob.modified_at or datetime.fromtimestamp(0, UTC)
