"""The clients of a file system: opened at the first call, closed at the end of the program."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import weakref
from collections.abc import Awaitable, Callable

from .. import Client
from ..errors import ForkedProcessError

__all__ = ["Clients"]

_CLOSE_SECONDS = 10.0

_Both = tuple[Client, Client]  # one that is closed, and what is used of it


class Clients:
    """One client for each event loop that a file system is used on.

    A file system of the blocking kind knows one loop, that of fsspec's thread.
    """

    def __init__(
        self, opening: Callable[[], Awaitable[Client]], view: Callable[[Client], Client]
    ) -> None:
        self._opening = opening
        self._view = view
        self._pid = os.getpid()
        self._opened: dict[asyncio.AbstractEventLoop, asyncio.Task[_Both]] = {}
        _LIVING.add(self)

    def check_process(self) -> None:
        """Raise ForkedProcessError in a forked child: fsspec's thread did not come along."""
        if os.getpid() != self._pid:
            raise ForkedProcessError(
                "this file system belongs to the parent process; start workers with the 'spawn' "
                "or 'forkserver' method and open a file system in each"
            )

    async def get(self) -> Client:
        """The client of the running loop; those who ask at once share its opening."""
        self.check_process()
        loop = asyncio.get_running_loop()
        opening = self._opened.get(loop)
        if opening is None:
            for other in [other for other in self._opened if other.is_closed()]:
                del self._opened[other]
            opening = self._opened[loop] = loop.create_task(self._open())
        try:
            return (await asyncio.shield(opening))[1]
        finally:
            failed = opening.done() and (opening.cancelled() or opening.exception() is not None)
            if failed and self._opened.get(loop) is opening:
                del self._opened[loop]  # the next call tries again

    async def _open(self) -> _Both:
        client = await self._opening()
        return client, self._view(client)

    async def close(self) -> None:
        """Close the client of the running loop; a later call opens another."""
        opening = self._opened.pop(asyncio.get_running_loop(), None)
        if opening is not None:
            await (await opening)[0].close()

    def close_from_outside(self, *, wait: bool) -> None:
        """Close the clients on the loops of other threads; in a forked child there are none."""
        if os.getpid() != self._pid or sys.is_finalizing():
            return
        for loop in [*self._opened]:
            if loop.is_running():
                closing = asyncio.run_coroutine_threadsafe(self.close(), loop)
                if wait:
                    closing.result(_CLOSE_SECONDS)


_LIVING: weakref.WeakSet[Clients] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for clients in [*_LIVING]:
        clients.close_from_outside(wait=True)
