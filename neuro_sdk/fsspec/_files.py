"""The files of ``BlobFileSystem``: reads of one version, writes that are whole or nothing."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from fsspec.asyn import AbstractAsyncStreamedFile, sync
from fsspec.compression import compr
from fsspec.spec import AbstractBufferedFile

from .. import BlobChanged
from ._paths import described, split
from ._writing import Writing

if TYPE_CHECKING:
    from ._system import BlobFileSystem

__all__ = ["BlobFile", "BlobStream", "PackedFile", "TextFile", "check_mode"]

_MODES = ("rb", "wb", "xb", "ab")


def check_mode(mode: str) -> None:
    """Raise UnsupportedOperation unless *mode* is one that a blob can be opened in."""
    if mode not in _MODES:
        raise io.UnsupportedOperation(
            f"a blob opens in the modes {', '.join(_MODES)} and their text forms, not in {mode!r}"
        )


class BlobFile(AbstractBufferedFile):
    """A blob as a file; made by ``BlobFileSystem.open``.

    Reading: all of it is the version that was there when the file was opened; BlobChanged if
    the blob is replaced meanwhile. Writing: the blob appears, whole, when the file is closed.
    Until then it is sent in parts of *block_size* bytes, and as many of them are held as an
    upload has in flight. When a ``with`` block is left by an exception, on ``discard``, and when
    the file is forgotten without being closed, nothing is published and the old blob stays.
    ``ab`` sends the old blob again, and ``xb`` looks for one only when it opens the file.
    """

    DEFAULT_BLOCK_SIZE = 8 << 20

    def __init__(
        self,
        fs: BlobFileSystem,
        path: str,
        mode: str = "rb",
        block_size: int | str | None = "default",
        autocommit: bool = True,
        cache_type: str = "readahead",
        cache_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Made by ``BlobFileSystem.open``."""
        self._writing: Writing | None = None
        self._outer = sys.exception()
        size = kwargs.pop("size", None)
        self._bucket, self._known = _wait(fs, fs._for_file, path, mode)
        if mode == "rb":
            size = self._known.size
            self._details = described(split(path)[0], self._known)
        super().__init__(
            fs, path, mode, block_size, autocommit, cache_type, cache_options, size, **kwargs
        )
        if mode == "ab" and self._known is not None:
            self.loc = self._known.size

    def _fetch_range(self, start: int, end: int) -> bytes:
        data: bytes = _wait(self.fs, self.fs._fetch, self._bucket, self._known, start, end)
        return data

    def _initiate_upload(self) -> None:
        self._writing = _wait(
            self.fs, self.fs._begin, self._bucket, split(self.path)[1], self._known
        )

    def _upload_chunk(self, final: bool = False) -> None:
        assert self._writing is not None
        data = self.buffer.getvalue()
        try:
            if data:
                _wait(self.fs, self._writing.put, data)
            if final and self.autocommit:
                self.commit()
        except BaseException:
            # Whether the block was handed over is not known, so the file cannot go on.
            self.closed = True
            self._writing.drop()
            raise

    def commit(self) -> None:
        """Publish what was written, where ``autocommit`` left that to the caller."""
        if not self.closed and not self.forced:
            self.close()
        if self._writing is not None:
            _wait(self.fs, self._writing.finish)

    def discard(self) -> None:
        """Close the file and publish nothing."""
        self.closed = True
        writing, self._writing = self._writing, None
        if writing is not None:
            _wait(self.fs, writing.abort)

    def close(self) -> None:
        """Publish what was written, unless a ``with`` block is being left by an exception."""
        if self.closed:
            return
        if self.mode != "rb" and _is_left_by_error(self._outer):
            self.discard()
        else:
            super().close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None or self.mode == "rb":
            self.close()
        else:
            self.discard()

    def __reduce__(self) -> tuple[Any, ...]:
        if self.mode != "rb":
            raise TypeError("a file that is being written cannot be pickled")
        cache = self.cache.name if self.cache else "none"
        return _reopen, (self.fs, self.path, self.blocksize, cache, self.loc, self._known.etag)

    def forget(self) -> None:
        """As ``discard``, without waiting and with a warning, unless the file was closed."""
        if not self.closed:
            self.closed = True
            if self.mode != "rb":
                writing, self._writing = self._writing, None
                _forget(self, writing)

    def __del__(self) -> None:
        self.forget()


def _wait(fs: BlobFileSystem, call: Callable[..., Any], *args: Any) -> Any:
    """What *call* gives on the loop of the file system, which another thread runs."""
    return sync(fs.loop, call, *args)


def _reopen(
    fs: BlobFileSystem, path: str, block_size: int, cache_type: str, at: int, etag: str | None
) -> BlobFile:
    file = BlobFile(fs, path, block_size=block_size, cache_type=cache_type)
    if file._known.etag != etag:
        bucket, key = split(path)
        raise BlobChanged("the blob was replaced since the file was opened", bucket=bucket, key=key)
    file.seek(at)
    return file


def _forget(file: BlobFile | BlobStream, writing: Writing | None) -> None:
    if os.getpid() != file.fs._pid:
        return  # a forked child; the file is the parent's
    if writing is not None:
        writing.drop()
    told = f"{file.path!r} was never closed, so nothing of it was published"
    warnings.warn(told, RuntimeWarning, stacklevel=4)


def _is_left_by_error(outer: BaseException | None) -> bool:
    """True if a ``with`` block is being left by an exception other than *outer*.

    ``fsspec.open``, pandas and others leave their blocks by calling ``close``, which is not told
    why: the frame of their ``__exit__`` knows.
    """
    error = sys.exception()
    if error is None or error is outer:
        return False
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_name in ("__exit__", "__aexit__"):
            for value in frame.f_locals.values():
                if value is error or (type(value) is tuple and any(x is error for x in value)):
                    return True
        frame = frame.f_back
    return False


class _Wrapped:
    """What a wrapper around a file that is written adds: the same promise."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def close(self) -> None:
        raise NotImplementedError

    def discard(self) -> None:
        raise NotImplementedError


class _Out(io.RawIOBase):
    """Where a packer writes; what it still holds when its file is dropped goes nowhere.

    One that fails to write that keeps it, and says so when it is collected.
    """

    def __init__(self, file: BlobFile) -> None:
        self._file = file
        self.dropped = False

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(self._file.tell())

    def write(self, data: Any) -> int:
        if self.dropped or self._file.closed:  # the collector may have come to it first
            return memoryview(data).nbytes
        return int(self._file.write(data))


class PackedFile(_Wrapped, io.BufferedIOBase):
    """A file whose bytes are compressed on their way into a ``BlobFile``."""

    def __init__(self, file: BlobFile, compression: str) -> None:
        self._file = file
        self._out = _Out(file)
        self._packer = compr[compression](self._out, mode="w")

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._packer.write(data)
        return memoryview(data).nbytes

    def close(self) -> None:
        if not self.closed:
            try:
                self._packer.close()
                self._file.close()
            finally:
                super(_Wrapped, self).close()

    def discard(self) -> None:
        """Close the file and publish nothing."""
        self._out.dropped = True
        if not self._file.closed:
            self._file.discard()
        self._packer.close()
        super(_Wrapped, self).close()

    def forget(self) -> None:
        """As ``BlobFile.forget``."""
        self._file.forget()
        self.discard()

    def __del__(self) -> None:
        self.forget()


class TextFile(_Wrapped, io.TextIOWrapper):
    """A ``BlobFile`` or ``PackedFile`` that takes text."""

    def close(self) -> None:
        io.TextIOWrapper.close(self)

    def discard(self) -> None:
        """Close the file and publish nothing."""
        buffer: Any = self.buffer
        buffer.discard()
        with contextlib.suppress(ValueError):  # text that it still held
            io.TextIOWrapper.close(self)

    def __del__(self) -> None:
        if not self.closed:
            buffer: Any = self.buffer
            buffer.forget()
            self.discard()


class BlobStream(AbstractAsyncStreamedFile):
    """A ``BlobFile`` whose ``read``, ``write``, ``close`` and ``discard`` are awaited.

    Made by ``BlobFileSystem.open_async``; use it as ``async with``.
    """

    DEFAULT_BLOCK_SIZE = BlobFile.DEFAULT_BLOCK_SIZE

    def __init__(
        self, fs: BlobFileSystem, path: str, mode: str, opened: tuple[Any, Any], **kwargs: Any
    ) -> None:
        """Made by ``BlobFileSystem.open_async``."""
        self._bucket, self._known = opened
        self._writing: Writing | None = None
        size = None
        if mode == "rb":
            size = self._known.size
            self._details = described(split(path)[0], self._known)
        super().__init__(fs, path, "wb" if mode == "xb" else mode, size=size, **kwargs)
        if mode == "ab" and self._known is not None:
            self.loc = self._known.size

    async def _fetch_range(self, start: int, end: int) -> bytes:
        data: bytes = await self.fs._fetch(self._bucket, self._known, start, end)
        return data

    async def _initiate_upload(self) -> None:
        self._writing = await self.fs._begin(self._bucket, split(self.path)[1], self._known)

    async def _upload_chunk(self, final: bool = False) -> None:
        assert self._writing is not None
        data = self.buffer.getvalue()
        try:
            if data:
                await self._writing.put(data)
            if final:
                await self._writing.finish()
        except BaseException:
            # Whether the block was handed over is not known, so the file cannot go on.
            self.closed = True
            self._writing.drop()
            raise

    async def discard(self) -> None:
        """Close the file and publish nothing."""
        self.closed = True
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing.abort()

    async def close(self) -> None:
        """Publish what was written."""
        try:
            await super().close()
        except BaseException:
            await self.discard()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None or self.mode == "rb":
            await self.close()
        else:
            await self.discard()

    def __del__(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self.mode != "rb":
            _forget(self, self._writing)
