"""Plain functions that block, run in threads for an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

__all__ = ["Threads"]

T = TypeVar("T")

_TOGETHER = 16
_TICK = 0.02  # seconds


class Threads:
    """At most *most* threads, which rest when nothing is to be done.

    To wake a thread, and the loop in turn, costs more than a small file does. So a thread goes
    on with what waits by itself, and as long as others wait, what has ended comes to the loop
    many at a time.
    """

    def __init__(self, most: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(most, thread_name_prefix=name)
        self._most = most
        self._lock = threading.Lock()
        self._waiting: deque[_Work] = deque()
        self._at_work = 0
        self._ended: deque[tuple[_Work, Any, BaseException | None]] = deque()
        self._told = False
        self._ticking: asyncio.AbstractEventLoop | None = None

    def start(
        self,
        function: Callable[[], T],
        *,
        surely: bool = False,
        cut: Callable[[], None] | None = None,
    ) -> asyncio.Future[T]:
        """Have a thread call *function*; await the answer for what it returns or raises.

        Whoever is cancelled while waiting goes on only when the thread is done with it, which
        *cut* hastens. If none has begun it is not called at all, unless *surely*.
        """
        work = _Work(self, function, surely, cut)
        loop = work.get_loop()
        if self._ticking is not loop:
            self._ticking = loop
            loop.call_later(_TICK, self._tick, loop)
        with self._lock:
            self._waiting.append(work)
            if self._at_work < self._most:
                try:
                    self._pool.submit(self._work)
                except BaseException:  # closed, or no more threads
                    self._waiting.remove(work)
                    raise
                self._at_work += 1
        return work

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._at_work -= 1
                    return
                work = self._waiting.popleft()
            try:
                self._end(work, work.function(), None)
            except BaseException as error:
                self._end(work, None, error)
            del work

    def _end(self, work: _Work, result: object, error: BaseException | None) -> None:
        with self._lock:
            self._ended.append((work, result, error))
            if self._told or (self._waiting and len(self._ended) < _TOGETHER):
                return
            self._told = True
        try:
            work.get_loop().call_soon_threadsafe(self._deliver)
        except RuntimeError:  # the loop has been closed
            with self._lock:
                self._told = False

    def _deliver(self) -> None:
        with self._lock:
            self._told = False
            ended, self._ended = self._ended, deque()
        for work, result, error in ended:
            if work.get_loop().is_closed():
                continue  # nobody waits any more
            if error is None:
                work.set_result(result)
            else:
                work.set_exception(error)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        # For what ended while others waited, if those take long.
        self._deliver()
        if self._at_work:
            loop.call_later(_TICK, self._tick, loop)
        elif self._ticking is loop:
            self._ticking = None

    def withdraw(self, work: _Work) -> bool:
        """True if *work* will not be done: no thread had begun it."""
        with self._lock:
            try:
                self._waiting.remove(work)
            except ValueError:
                return False
            return True

    def close(self) -> None:
        """Let the threads end once their work is done."""
        self._pool.shutdown(wait=False)


class _Work(asyncio.Future[Any]):
    """What a thread is asked to do; cancelling it has an effect only before it is begun."""

    def __init__(
        self,
        threads: Threads,
        function: Callable[[], Any],
        surely: bool,
        cut: Callable[[], None] | None,
    ) -> None:
        super().__init__()
        self._threads = threads
        self._surely = surely
        self._cut = cut
        self.function = function

    def cancel(self, msg: Any | None = None) -> bool:
        if not self._surely and self._threads.withdraw(self):
            return super().cancel(msg)
        if self._cut is not None:
            self._cut()
        return False
