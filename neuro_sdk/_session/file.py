"""``OpendalFile``: one path of a session, opened to read or to write."""

from __future__ import annotations

import codecs
import io
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from .._core.models import BlobObject
from ..errors import BlobNotFound, IllegalArgumentError
from ..protocols import Provider
from .spool import Spool

__all__ = ["MODES", "OpendalFile", "Publish", "Reading", "Writing", "find_base"]

MODES = ("rb", "r", "wb", "w", "ab", "a")
_AHEAD = 1 << 20

Publish = Callable[[bytes | AsyncIterator[bytes]], Awaitable[None]]
"""Makes the body that of the path, whole or not at all."""


class OpendalFile:
    """A file of a session, made by its ``open``; use it as ``async with``.

    In binary modes ``read`` gives and ``write`` takes bytes, in text modes (``r``, ``w``, ``a``)
    str in UTF-8 with its line ends as they are. Positions are bytes in both.

    What is read is all of the version that was there when the file was opened; BlobChanged if
    that is replaced. What is written appears at once when the file is closed. If the block of
    ``async with`` fails nothing is published, and the file that was there stays. Appending
    writes the whole file anew, so of two who append at once one wins.
    """

    def __init__(self, path: str, mode: str, inner: Reading | Writing) -> None:
        self.path = path
        self.mode = mode
        self._inner = inner
        self._text = "b" not in mode
        self._closed = False

    def __repr__(self) -> str:
        return f"<OpendalFile {self.path!r} {self.mode!r}{', closed' if self._closed else ''}>"

    @property
    def closed(self) -> bool:
        """True after ``close`` or the end of the block."""
        return self._closed

    def readable(self) -> bool:
        """True in the modes ``rb`` and ``r``."""
        return isinstance(self._inner, Reading)

    def writable(self) -> bool:
        """True in all other modes."""
        return isinstance(self._inner, Writing)

    def seekable(self) -> bool:
        """True unless the file was opened to append."""
        return "a" not in self.mode

    async def read(self, size: int | None = -1) -> bytes | str:
        """Up to *size* bytes, or characters in text mode; to the end if it is negative or None."""
        inner = self._open_inner()
        if not isinstance(inner, Reading):
            raise io.UnsupportedOperation(f"{self.path!r} is opened to write, not to read")
        count = -1 if size is None else size
        return await (inner.read_text(count) if self._text else inner.read(count))

    async def write(self, data: bytes | bytearray | memoryview | str) -> int:
        """Write *data* at the position; the answer is its length."""
        inner = self._open_inner()
        if not isinstance(inner, Writing):
            raise io.UnsupportedOperation(f"{self.path!r} is opened to read, not to write")
        if isinstance(data, str) != self._text:
            wanted = "str" if self._text else "bytes"
            raise TypeError(
                f"{self.path!r} is opened as {self.mode!r} and takes {wanted}, "
                f"not {type(data).__name__}"
            )
        await inner.spool.write(data.encode() if isinstance(data, str) else bytes(data))
        return len(data)

    async def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to *offset* bytes from the start, the position or the end; the new position."""
        inner = self._open_inner()
        if not self.seekable():
            raise io.UnsupportedOperation(f"{self.path!r} is opened to append")
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: inner.position, os.SEEK_END: inner.size}
        if whence not in starts:
            raise IllegalArgumentError(f"whence must be 0, 1 or 2, not {whence!r}", key=self.path)
        position = starts[whence] + offset
        if position < 0:
            raise IllegalArgumentError(
                f"the position {position} is before the start", key=self.path
            )
        inner.position = position
        return position

    async def tell(self) -> int:
        """The position in bytes."""
        return self._open_inner().position

    async def close(self) -> None:
        """Publish what was written. Once closed, closing again does nothing."""
        if not self._closed:
            self._closed = True
            await self._inner.close()

    async def drop(self) -> None:
        """Close without publishing; the file that was there stays."""
        if not self._closed:
            self._closed = True
            await self._inner.drop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await (self.close() if kind is None else self.drop())

    def _open_inner(self) -> Reading | Writing:
        if self._closed:
            raise ValueError(f"{self.path!r} is closed")
        return self._inner


class Reading:
    """Bytes of one version of a blob, some of them read ahead."""

    def __init__(self, opened: Callable[[], Awaitable[Provider]], blob: BlobObject) -> None:
        self._opened = opened
        self._blob = blob
        self._held, self._held_from = b"", 0
        self.position = 0
        self.size = blob.size

    async def read(self, count: int) -> bytes:
        data = await self._peek(count)
        self.position += len(data)
        return data

    async def read_text(self, count: int) -> str:
        data = await self._peek(count if count < 0 else 4 * count)  # no character is longer
        at_end = self.position + len(data) >= self.size
        text = codecs.getincrementaldecoder("utf-8")().decode(data, at_end)
        text = text if count < 0 else text[:count]
        self.position += len(text.encode())
        return text

    async def _peek(self, count: int) -> bytes:
        left = max(0, self.size - self.position)
        count = left if count < 0 else min(count, left)
        start = self.position - self._held_from
        if not 0 <= start <= len(self._held) - count:
            wanted = min(left, max(count, _AHEAD))
            pieces = (await self._opened()).fetch(
                self._blob.key, self.position, wanted, known=self._blob
            )
            async with aclosing(pieces):
                data = b"".join([piece async for piece in pieces])
            if count > _AHEAD:
                return data
            self._held, self._held_from, start = data, self.position, 0
        return self._held[start : start + count]

    async def close(self) -> None:
        self._held = b""

    drop = close


@dataclass(frozen=True)
class Base:
    """What is there already when a file is opened to append."""

    size: int
    fetch: Callable[[], AsyncGenerator[bytes, None]]


@dataclass
class Writing:
    """What is written, until it is published; *base* is what it is added to."""

    spool: Spool
    publish: Publish
    dropped: Callable[[], Awaitable[None]]
    base: Base | None = None

    @property
    def _start(self) -> int:
        return 0 if self.base is None else self.base.size

    @property
    def position(self) -> int:
        return self._start + self.spool.position

    @position.setter
    def position(self, position: int) -> None:
        self.spool.position = position

    @property
    def size(self) -> int:
        return self._start + self.spool.size

    async def close(self) -> None:
        try:
            content = self.spool.content()
            if self.base is not None:
                content = _joined(self.base.fetch(), content)
            if isinstance(content, bytes):
                await self.publish(content)
            else:
                async with aclosing(content):
                    await self.publish(content)
        finally:
            self.spool.close()

    async def drop(self) -> None:
        self.spool.close()
        await self.dropped()


async def _joined(
    base: AsyncGenerator[bytes, None], added: bytes | AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    async with aclosing(base):
        async for piece in base:
            yield piece
    if isinstance(added, bytes):
        if added:
            yield added
        return
    async with aclosing(added):
        async for piece in added:
            yield piece


async def find_base(provider: Provider, path: str) -> Base | None:
    """The blob that is at *path* now, if one is."""
    try:
        blob = await provider.head(path)
    except BlobNotFound:
        return None
    return Base(blob.size, lambda: provider.fetch(path, known=blob))
