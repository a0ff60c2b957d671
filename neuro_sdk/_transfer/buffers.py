"""Memory that parts of a blob are read into, again and again."""

from __future__ import annotations

import contextlib
import mmap
import sys

__all__ = ["Buffers"]


class Buffers:
    """Buffers of *size* bytes, made as they are needed; threads may take them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free: list[mmap.mmap | bytearray] = []

    def take(self, length: int) -> memoryview:
        """The first *length* bytes of one that nobody uses."""
        try:
            buffer = self._free.pop()
        except IndexError:
            buffer = _memory(self._size)
        return memoryview(buffer)[:length]

    def give(self, view: bytes | memoryview) -> None:
        """Let the buffer that *view* is of, if it is of one, be taken again."""
        if isinstance(view, memoryview) and isinstance(view.obj, (mmap.mmap, bytearray)):
            self._free.append(view.obj)


def _memory(size: int) -> mmap.mmap | bytearray:
    # The first touch of a page is a fault, which takes longer than to fill a small page. Python
    # would fill all of them with zeros besides.
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            with contextlib.suppress(OSError):  # a kernel without large pages
                memory.madvise(mmap.MADV_HUGEPAGE)
            return memory
    return bytearray(size)
