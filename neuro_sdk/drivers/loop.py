"""One event loop in a thread of its own, for code that is not async."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

from ..errors import ClientClosed, ForkedProcessError

__all__ = ["LoopThread"]

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for callers in any other thread, also where a loop runs in theirs."""

    def __init__(self, name: str) -> None:
        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self.closed = False
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What *work* gives; on Ctrl-C it is cancelled, and ends, first."""
        try:
            self._check()
        except BaseException:
            work.close()
            raise
        ended: concurrent.futures.Future[T] = concurrent.futures.Future()
        tasks: list[asyncio.Task[T]] = []

        def begin() -> None:
            tasks.append(self._loop.create_task(work))
            tasks[0].add_done_callback(partial(_hand_over, ended))

        self._loop.call_soon_threadsafe(begin)
        try:
            return ended.result()
        except BaseException:
            if not ended.done():
                self._loop.call_soon_threadsafe(lambda: tasks[0].cancel())
                concurrent.futures.wait([ended])
            raise

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise ForkedProcessError(
                "this belongs to the parent process; make another in each worker"
            )
        if self.closed:
            raise ClientClosed("this is closed; make another")
        if threading.current_thread() is self._thread:
            raise RuntimeError("called from its own event loop, which would wait for ever")

    def close(self) -> None:
        """End the thread; what still runs is cancelled."""
        if self.closed or os.getpid() != self._pid:
            return
        self.closed = True
        asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _hand_over(ended: concurrent.futures.Future[T], task: asyncio.Task[T]) -> None:
    if task.cancelled():
        ended.set_exception(ClientClosed("this was closed during the call"))
        return
    error = task.exception()
    if error is None:
        ended.set_result(task.result())
    else:
        ended.set_exception(error)


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
