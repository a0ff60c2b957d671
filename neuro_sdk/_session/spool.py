"""What is written to a file before it is published: in memory, and on the disk when it grows."""

from __future__ import annotations

import io
import tempfile
from collections.abc import AsyncGenerator
from typing import IO

from .._transfer.disk import Disk

__all__ = ["Spool"]

_MEMORY = 8 << 20
_PIECE = 1 << 20


class Spool:
    """A buffer with a position; it is no file of any name, so nothing of it can stay behind."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._file: IO[bytes] = io.BytesIO()
        self._on_disk = False
        self.position = 0
        self.size = 0

    async def write(self, data: bytes) -> None:
        """Put *data* at the position and move behind it."""
        end = self.position + len(data)
        if not self._on_disk and end > _MEMORY:
            await self._disk.run("a temporary file", self._move)
        if self._on_disk:
            await self._disk.run("a temporary file", self._write, data)
        else:
            self._write(data)
        self.position = end
        self.size = max(self.size, end)

    def _move(self) -> None:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        file.write(self._bytes())
        self._file, self._on_disk = file, True

    def _write(self, data: bytes) -> None:
        self._file.seek(self.position)
        self._file.write(data)

    def _bytes(self) -> bytes:
        assert isinstance(self._file, io.BytesIO)
        return self._file.getvalue()

    def content(self) -> bytes | AsyncGenerator[bytes, None]:
        """All of it, whatever the position."""
        return self._pieces() if self._on_disk else self._bytes()

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        at = 0
        while piece := await self._disk.run("a temporary file", self._read, at):
            at += len(piece)
            yield piece

    def _read(self, at: int) -> bytes:
        self._file.seek(at)
        return self._file.read(_PIECE)

    def close(self) -> None:
        """Let go of it."""
        self._file.close()
