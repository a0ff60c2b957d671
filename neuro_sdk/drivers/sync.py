"""The driver for code that is not async: scripts, doctests, test benches."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Self

from .._aio import AsyncStream
from .._core.described import Capability, Metadata, PresignedRequest
from .._core.uri import LocalPath
from .._session.file import OpendalFile
from .config import OpendalConfig
from .loop import LoopThread
from .opendal import OpendalDriver

__all__ = ["SyncOpendalDriver", "SyncOpendalFile"]


class SyncOpendalFile:
    """An :class:`OpendalFile` whose methods are plain; use it as ``with``."""

    def __init__(self, file: OpendalFile, loop: LoopThread) -> None:
        self._file = file
        self._loop = loop

    def __repr__(self) -> str:
        return f"<SyncOpendalFile {self._file.path!r} {self._file.mode!r}>"

    @property
    def closed(self) -> bool:
        """True after ``close`` or the end of the block."""
        return self._file.closed

    def readable(self) -> bool:
        """See :meth:`OpendalFile.readable`."""
        return self._file.readable()

    def writable(self) -> bool:
        """See :meth:`OpendalFile.writable`."""
        return self._file.writable()

    def seekable(self) -> bool:
        """See :meth:`OpendalFile.seekable`."""
        return self._file.seekable()

    def read(self, size: int | None = -1) -> bytes | str:
        """See :meth:`OpendalFile.read`."""
        return self._loop.run(self._file.read(size))

    def write(self, data: bytes | bytearray | memoryview | str) -> int:
        """See :meth:`OpendalFile.write`."""
        return self._loop.run(self._file.write(data))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """See :meth:`OpendalFile.seek`."""
        return self._loop.run(self._file.seek(offset, whence))

    def tell(self) -> int:
        """See :meth:`OpendalFile.tell`."""
        return self._loop.run(self._file.tell())

    def close(self) -> None:
        """See :meth:`OpendalFile.close`."""
        self._loop.run(self._file.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.run(self._file.__aexit__(kind, error, traceback))


class SyncOpendalDriver:
    """An :class:`OpendalDriver` whose methods are plain, connected from the start.

    Made by ``OpendalDriver.sync("fs", {"root": "/srv/files"})`` or ``from_yaml``; use it as
    ``with`` or close it. It works in any thread, several at once, and where an event loop runs.
    """

    def __init__(self, driver: OpendalDriver) -> None:
        self._driver = driver
        self._loop = LoopThread("neuro-sdk-driver")
        try:
            self._loop.run(driver.connect())
        except BaseException:
            self._loop.close()
            raise

    @classmethod
    def from_yaml(cls, path: LocalPath) -> Self:
        """A driver of the configuration in a YAML file; see :class:`OpendalConfig`."""
        return cls(OpendalDriver.from_yaml(path))

    def __repr__(self) -> str:
        return f"<Sync{repr(self._driver).removeprefix('<')}"

    @property
    def config(self) -> OpendalConfig:
        """What the driver was told."""
        return self._driver.config

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._loop.closed:
            return
        try:
            self._loop.run(self._driver.__aexit__(kind, error, traceback))
        finally:
            self._loop.close()

    def close(self) -> None:
        """See :meth:`Session.close`; closing again does nothing."""
        self.__exit__(None, None, None)

    def open(self, path: str, mode: str = "rb") -> SyncOpendalFile:
        """See :meth:`Session.open`."""

        async def opened() -> OpendalFile:
            return await self._driver.open(path, mode)

        return SyncOpendalFile(self._loop.run(opened()), self._loop)

    def read_bytes(self, path: str) -> bytes:
        """See :meth:`Session.read_bytes`."""
        return self._loop.run(self._driver.read_bytes(path))

    def write_bytes(self, path: str, data: bytes | bytearray | memoryview) -> None:
        """See :meth:`Session.write_bytes`."""
        self._loop.run(self._driver.write_bytes(path, data))

    def write_from_path(self, path: str, source: LocalPath) -> None:
        """See :meth:`Session.write_from_path`."""
        self._loop.run(self._driver.write_from_path(path, source))

    def read_into_path(self, path: str, target: LocalPath) -> None:
        """See :meth:`Session.read_into_path`."""
        self._loop.run(self._driver.read_into_path(path, target))

    def hash(self, path: str, algo: str = "sha256") -> str:
        """See :meth:`Session.hash`."""
        return self._loop.run(self._driver.hash(path, algo))

    def stat(self, path: str) -> Metadata:
        """See :meth:`Session.stat`."""
        return self._loop.run(self._driver.stat(path))

    def exists(self, path: str) -> bool:
        """See :meth:`Session.exists`."""
        return self._loop.run(self._driver.exists(path))

    def list(self, path: str = "/") -> Iterator[str]:
        """See :meth:`Session.list`."""
        return self._paths(self._driver.list(path))

    def scan(self, path: str = "/") -> Iterator[str]:
        """See :meth:`Session.scan`."""
        return self._paths(self._driver.scan(path))

    def _paths(self, stream: AsyncStream[str]) -> Iterator[str]:
        groups = stream.pages()

        async def following() -> Sequence[str] | None:
            return await anext(groups, None)

        async def end() -> None:
            async with stream, aclosing(groups):
                pass

        try:
            while paths := self._loop.run(following()):
                yield from paths
        finally:
            self._loop.run(end())

    def create_dir(self, path: str) -> None:
        """See :meth:`Session.create_dir`."""
        self._loop.run(self._driver.create_dir(path))

    def copy(self, source: str, target: str) -> None:
        """See :meth:`Session.copy`."""
        self._loop.run(self._driver.copy(source, target))

    def rename(self, source: str, target: str) -> None:
        """See :meth:`Session.rename`."""
        self._loop.run(self._driver.rename(source, target))

    def delete(self, path: str) -> None:
        """See :meth:`Session.delete`."""
        self._loop.run(self._driver.delete(path))

    def remove_all(self, path: str) -> None:
        """See :meth:`Session.remove_all`."""
        self._loop.run(self._driver.remove_all(path))

    def presign_stat(self, path: str, expire_second: int = 3600) -> PresignedRequest:
        """See :meth:`Session.presign_stat`."""
        return self._loop.run(self._driver.presign_stat(path, expire_second))

    def presign_read(self, path: str, expire_second: int = 3600) -> PresignedRequest:
        """See :meth:`Session.presign_read`."""
        return self._loop.run(self._driver.presign_read(path, expire_second))

    def presign_write(self, path: str, expire_second: int = 3600) -> PresignedRequest:
        """See :meth:`Session.presign_write`."""
        return self._loop.run(self._driver.presign_write(path, expire_second))

    def capability(self) -> Capability:
        """See :meth:`Session.capability`."""
        return self._loop.run(self._driver.capability())

    def get_created_resources(self) -> set[str]:
        """See :meth:`Session.get_created_resources`."""
        return self._loop.run(self._driver.get_created_resources())
