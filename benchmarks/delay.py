"""A TCP proxy that adds a delay to each round trip and keeps the throughput.

Each connection has a delay line per direction: what arrives leaves half the delay later, however
much is under way. The first bytes of a connection wait one delay more, for the handshake that a
distant peer would have needed. It runs as a process of its own:
``python -m benchmarks.delay HOST PORT MILLISECONDS`` prints the port that it listens on.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from urllib.parse import urlsplit

__all__ = ["delayed"]

_UNDER_WAY = 32 << 20  # bytes per direction of a connection
_ENDS = b""


class _Side(asyncio.Protocol):
    """What arrives on one side leaves on the other, later."""

    transport: asyncio.Transport
    other: _Side

    def __init__(self, delay: float, line: _Line) -> None:
        self._loop = asyncio.get_running_loop()
        self._delay = delay
        self._line = line
        self._queue: deque[tuple[float, bytes]] = deque()
        self._held = 0
        self._timer: asyncio.TimerHandle | None = None
        self._blocked = False
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(_UNDER_WAY)

    def data_received(self, data: bytes) -> None:
        self._add(data)
        self._held += len(data)
        if self._held > _UNDER_WAY and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        self._add(_ENDS)
        return True

    def connection_lost(self, _: Exception | None) -> None:
        self._add(_ENDS)

    def pause_writing(self) -> None:
        self.other._blocked = True

    def resume_writing(self) -> None:
        self.other._blocked = False
        self.other._deliver()

    def _add(self, data: bytes) -> None:
        due = max(self._loop.time(), self._line.opened) + self._delay
        self._queue.append((due, data))
        if self._timer is None and self._line.joined:
            self._timer = self._loop.call_at(due, self._deliver)

    def start(self) -> None:
        if self._queue and self._timer is None:
            self._timer = self._loop.call_at(self._queue[0][0], self._deliver)

    def _deliver(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._loop.time() + 0.0005
        target = self.other.transport
        while self._queue and not self._blocked and self._queue[0][0] <= now:
            _, data = self._queue.popleft()
            if data == _ENDS:
                if self.transport.is_closing():
                    target.close()
                elif target.can_write_eof() and not target.is_closing():
                    target.write_eof()
                continue
            self._held -= len(data)
            if not target.is_closing():
                target.write(data)
        if self._paused and self._held < _UNDER_WAY // 2 and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()
        if self._queue and not self._blocked:
            self._timer = self._loop.call_at(self._queue[0][0], self._deliver)


class _Line:
    """Both sides of one connection."""

    def __init__(self, opened: float) -> None:
        self.opened = opened
        self.joined = False


async def _serve(host: str, port: int, delay: float) -> None:
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def accepted() -> _Side:
        line = _Line(loop.time() + delay)  # the handshake
        near = _Side(delay / 2, line)
        task = loop.create_task(join(near, line))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return near

    async def join(near: _Side, line: _Line) -> None:
        far = _Side(delay / 2, line)
        near.other, far.other = far, near
        try:
            await loop.create_connection(lambda: far, host, port)
        except OSError:
            near.transport.abort()
            return
        line.joined = True
        near.start()
        far.start()

    server = await loop.create_server(accepted, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


@contextmanager
def delayed(endpoint: str, milliseconds: float) -> Iterator[tuple[str, list[int]]]:
    """An endpoint so far away from *endpoint*, and what processes serve it."""
    if milliseconds == 0:
        yield endpoint, []
        return
    url = urlsplit(endpoint)
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(url.hostname), str(url.port), str(milliseconds)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield f"{url.scheme}://127.0.0.1:{port}{url.path}", [process.pid]
    finally:
        process.kill()
        process.communicate(timeout=30)


def main() -> None:
    host, port, milliseconds = sys.argv[1:]
    serving = _serve(host, int(port), float(milliseconds) / 1000)
    try:
        import uvloop
    except ImportError:
        asyncio.run(serving)
    else:
        uvloop.run(serving)


if __name__ == "__main__":
    main()
