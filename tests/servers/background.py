"""Async servers for tests of any kind: they live in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
S = TypeVar("S")

_SECONDS = 180


@contextmanager
def in_background(server: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Enter *server* in a thread; leave it, and end the thread, with the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="test server", daemon=True)
    thread.start()

    def run(work: Coroutine[Any, Any, S]) -> S:
        return asyncio.run_coroutine_threadsafe(work, loop).result(_SECONDS)

    try:
        entered = run(server.__aenter__())
        try:
            yield entered
        finally:
            run(server.__aexit__(None, None, None))
    finally:
        run(loop.shutdown_default_executor())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_SECONDS)
        loop.close()
