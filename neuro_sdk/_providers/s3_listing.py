"""Listings of S3: several pages at once where it is told which keys are probably there.

A page has the token of the next one, so pages come one after another. But a listing may begin
after any key: while a page is on its way, those after keys a page apart are asked for as well.
Each counts only if it is seen to go on with what the page before it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Self

from .._aio import dropped
from ..errors import NeuroError, StorageError
from ..protocols import Likely
from .s3_pages import Divided, continues, divide, last_key, next_token

__all__ = ["Ask", "answers"]

Ask = Callable[[Mapping[str, str]], Awaitable[bytes]]
"""The answer to a query."""

_APART = 950  # of the thousand in a page, so that each holds some of the next one
_ABREAST = 3
_MISSES = 2  # more than there were hits, and it is given up


async def answers(
    ask: Ask, query: Mapping[str, str], *, bucket: str, likely: Likely | None = None
) -> AsyncGenerator[Sequence[bytes], None]:
    """One after another the answers that list all that *query* asks for."""
    async with _Ahead(ask, query, likely) as ahead:
        before: str | None = None
        answer = await ask(query)
        while (token := next_token(answer)) is not None:
            found = await ahead.find(answer)
            if found is not None:
                key, parts = found
                yield [parts.before]
                further = await ahead.take(key, parts.blobs)
                if further is not None:
                    answer = further
                    continue
                answer = parts.after
            yield [answer]
            if token in ("", before):
                raise StorageError("the listing has no end", bucket=bucket)
            before = token
            answer = await ask({**query, "continuation-token": token})
        yield [answer]


def _is_text(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:  # the name of a file that is none, and no key
        return False
    return True


class _Ahead:
    """The answers that begin after *likely* keys, asked for before it is their turn."""

    def __init__(self, ask: Ask, query: Mapping[str, str], likely: Likely | None) -> None:
        self._ask = ask
        self._query = query
        self._likely = likely
        self._begun: dict[str, asyncio.Future[bytes]] = {}
        self._room = asyncio.Semaphore(_ABREAST)
        self._passed = ""
        self._misses = 0
        self._beginning: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._likely is not None:
            self._beginning = asyncio.create_task(self._begin(self._likely))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._beginning is not None:
            await dropped(self._beginning)
        for key in [*self._begun]:
            await self._drop(key)

    async def _begin(self, likely: Likely) -> None:
        async with aclosing(likely(_APART)) as keys:
            async for key in keys:
                if key <= self._passed or not _is_text(key):
                    continue
                await self._room.acquire()
                if self._misses > _MISSES:
                    return
                query = {**self._query, "start-after": key}
                self._begun[key] = asyncio.ensure_future(self._ask(query))

    async def find(self, answer: bytes) -> tuple[str, Divided] | None:
        """The last key in *answer* that another begins after."""
        begun = [*self._begun]
        found = None
        while begun and found is None:
            key = begun.pop()
            parts = divide(answer, key)
            found = None if parts is None else (key, parts)
        if found is None:
            # Whatever the order of the store, too early an end of hope costs no more than time.
            self._passed = last_key(answer)
            begun = [key for key in self._begun if key <= self._passed]
            self._misses += len(begun)
        for key in begun:
            await self._drop(key)
        return found

    async def take(self, key: str, blobs: bytes) -> bytes | None:
        """The answer that begins after *key*; None unless it begins with these *blobs*."""
        try:
            answer = await self._begun[key]
        except NeuroError:
            answer = b""  # whoever asks again is told
        await self._drop(key)
        if continues(answer, blobs):
            self._misses -= 1
            return answer
        self._misses += 1
        return None

    async def _drop(self, key: str) -> None:
        await dropped(self._begun.pop(key))
        self._room.release()
