"""Memory that serves again and again."""

from __future__ import annotations

import mmap
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from neuro_sdk._transfer.buffers import Buffers

SIZE = 3 << 20


def test_each_is_as_long_as_is_asked_for_and_can_be_written_to() -> None:
    buffers = Buffers(SIZE)
    for length in (0, 1, SIZE):
        view = buffers.take(length)
        assert len(view) == length
        view[:] = b"x" * length
        assert view.tobytes() == b"x" * length


def test_what_is_given_back_is_taken_again() -> None:
    buffers = Buffers(SIZE)
    first, other = buffers.take(10), buffers.take(10)
    assert first.obj is not other.obj
    memory = first.obj
    buffers.give(first[4:])
    assert buffers.take(SIZE).obj is memory
    assert buffers.take(SIZE).obj not in (memory, other.obj)


@pytest.mark.parametrize("foreign", [b"bytes", memoryview(b"bytes")])
def test_what_is_none_of_theirs_is_left_alone(foreign: bytes | memoryview) -> None:
    buffers = Buffers(SIZE)
    buffers.give(foreign)
    assert len(buffers.take(SIZE)) == SIZE


def test_threads_never_share_one() -> None:
    buffers = Buffers(1 << 16)

    def use(number: int) -> bool:
        view = buffers.take(8)
        told = number.to_bytes(8, "big")
        view[:] = told
        same = view.tobytes() == told
        buffers.give(view)
        return same

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(2000)))


def test_where_memory_cannot_be_mapped_it_is_had_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no more maps")

    monkeypatch.setattr(mmap, "mmap", refuse)
    assert isinstance(Buffers(SIZE).take(5).obj, bytearray)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is mapped on Linux alone")
def test_on_linux_it_is_mapped() -> None:
    assert isinstance(Buffers(SIZE).take(5).obj, mmap.mmap)
