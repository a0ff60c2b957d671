"""The standard input and output as streams of bytes, which Ctrl-C can leave at any time."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator, Callable
from typing import BinaryIO, TypeVar

__all__ = ["standard_input", "write_out"]

T = TypeVar("T")

_PIECE = 1 << 20


async def standard_input() -> AsyncGenerator[bytes, None]:
    """The bytes of the standard input until its end."""
    source = sys.stdin.buffer
    read = _reader(source)
    while piece := await _beside(read):
        yield piece


async def write_out(piece: bytes) -> None:
    """Write all of *piece* to the standard output."""
    target = sys.stdout.buffer
    await _beside(lambda: _write(target, piece))


def _reader(source: BinaryIO) -> Callable[[], bytes]:
    try:
        number = source.fileno()
    except OSError:  # a file in memory, as in tests of other programs
        return lambda: source.read(_PIECE)
    # Past the buffer, whose lock a thread that is left behind would hold until the end.
    return lambda: os.read(number, _PIECE)


def _write(target: BinaryIO, piece: bytes) -> None:
    try:
        number = target.fileno()
    except OSError:
        target.write(piece)
        return
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(number, rest) :]


async def _beside(work: Callable[[], T]) -> T:
    """What *work* gives in a thread that nobody waits for when this is cancelled.

    The threads of the loop would be waited for at its end, and with them for a pipe that
    neither moves nor closes.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:
            error = raised
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:  # the loop is closed: nobody asks any more
            return

    threading.Thread(target=run, daemon=True).start()
    return await done
