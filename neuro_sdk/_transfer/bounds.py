"""What one call may take at once: memory for bodies, and bytes a second."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .._core.config import TransferConfig
from .._core.parts import SMALL

__all__ = ["Bounds"]


class Bounds:
    """The bounds of one call, shared by all its files.

    Files of at most ``small`` bytes are moved from one end to the other in one go of a thread.
    """

    def __init__(self, config: TransferConfig) -> None:
        self._free = self._total = config.memory
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._bandwidth = config.bandwidth
        self._clear_at = 0.0
        self.part_size = config.part_size
        self.small = min(SMALL, config.part_size)
        self.window = max(1, min(config.window, config.memory // config.part_size))

    @asynccontextmanager
    async def memory(self, size: int) -> AsyncIterator[None]:
        """Hold the memory that a file of *size* bytes needs, in the order of asking."""
        need = min(size, self.window * self.part_size, self._total)
        await self.take(need)
        try:
            yield
        finally:
            self.give(need)

    async def take(self, need: int) -> None:
        """Hold *need* bytes, no more than a part, until as many are given back."""
        if not self._waiting and need <= self._free:
            self._free -= need
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((need, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(need)
            else:
                self._waiting.remove((need, turn))
                self.give(0)
            raise

    def give(self, size: int) -> None:
        """Let others have *size* bytes that were taken."""
        self._free += size
        while self._waiting and self._waiting[0][0] <= self._free:
            need, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._free -= need
                turn.set_result(None)

    @property
    def has_pace(self) -> bool:
        """True if ``pace`` may have to be waited for."""
        return self._bandwidth is not None

    async def pace(self, size: int) -> None:
        """Wait until *size* more bytes may pass; what is waited for has passed already."""
        if self._bandwidth is None:
            return
        now = asyncio.get_running_loop().time()
        self._clear_at = max(now, self._clear_at) + size / self._bandwidth
        await asyncio.sleep(self._clear_at - now)
