"""A blob that is written piece by piece: whole under its name at the end, or not there."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator

from .. import BlobObject, BucketHandle

__all__ = ["Writing"]


class Writing:
    """A blob on its way; use it on the event loop of its bucket.

    What is handed over goes out in parts as it comes, and nobody sees it before ``finish``.
    *before* is a blob whose bytes, of that version, come first.
    """

    def __init__(self, bucket: BucketHandle, key: str, before: BlobObject | None = None) -> None:
        self._bucket = bucket
        self._before = before
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(1)
        self._loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._sending = self._loop.create_task(bucket.put_blob(key, self._body()))
        self._sending.add_done_callback(_seen)

    async def _body(self) -> AsyncGenerator[bytes, None]:
        if self._before is not None:
            old = self._bucket.fetch_blob(self._before.key, known=self._before)
            async with old as pieces:
                async for piece in pieces:
                    yield piece
        while (more := await self._pieces.get()) is not None:
            yield more

    async def put(self, piece: bytes) -> None:
        """Hand over bytes; waits for room, and raises what the sending failed with."""
        await self._hand_over(piece)

    async def finish(self) -> None:
        """Publish it."""
        if not self._sending.done():
            await self._hand_over(None)
        await asyncio.wait([self._sending])
        self._check()

    async def abort(self) -> None:
        """Leave nothing of it."""
        self._sending.cancel()
        await asyncio.wait([self._sending])

    def drop(self) -> None:
        """As ``abort``, from any thread and without waiting; nothing in a forked child."""
        if os.getpid() != self._pid:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed, and with it all ended
            self._loop.call_soon_threadsafe(self._sending.cancel)

    async def _hand_over(self, piece: bytes | None) -> None:
        putting = asyncio.ensure_future(self._pieces.put(piece))
        try:
            await asyncio.wait([putting, self._sending], return_when=asyncio.FIRST_COMPLETED)
        finally:
            putting.cancel()
        self._check()

    def _check(self) -> None:
        if self._sending.cancelled():
            raise ValueError("the writing of this blob was given up")
        if self._sending.done():
            self._sending.result()


def _seen(sending: asyncio.Task[None]) -> None:
    if not sending.cancelled():
        sending.exception()  # whoever writes on is told; if nobody does, nobody need be
