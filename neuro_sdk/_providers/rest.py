"""Requests of our own to a store, for what OpenDAL's binding cannot ask."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from yarl import URL

from .._core.config import TransferConfig
from .._proxies import Proxies
from ..errors import NeuroError, StorageTimeout, StorageUnavailable
from .opendal import check_process

if TYPE_CHECKING:
    import aiohttp

__all__ = ["BUSY", "Answer", "Rest", "Verdict", "by_status"]

BUSY = frozenset({408, 429, 500, 502, 503, 504})
"""What a store answers that may do the same request in a moment."""

_SLICE = 256 << 10  # what is handed to the socket at once

Sign = Callable[[Mapping[str, str]], Mapping[str, str]]


class Answer(NamedTuple):
    """What the store said; *repeated* if an earlier attempt may have been carried out."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    repeated: bool = False


class Verdict(Enum):
    """What an answer means for its request."""

    DONE = auto()
    AGAIN = auto()
    REFUSED = auto()


def by_status(answer: Answer) -> Verdict:
    """The verdict where the status says all."""
    if answer.status < 300:
        return Verdict.DONE
    return Verdict.AGAIN if answer.status in BUSY else Verdict.REFUSED


class Rest:
    """Requests to one store, repeated while it is busy or out of reach; every wait ends.

    *error* turns an answer that is no success into an error of our tree, *judge* says which
    those are; *name* is what errors call the bucket.
    """

    def __init__(
        self,
        *,
        name: str,
        transfer: TransferConfig,
        error: Callable[[Answer, str | None], NeuroError],
        judge: Callable[[Answer], Verdict] = by_status,
    ) -> None:
        self._name = name
        self._transfer = transfer
        self._error = error
        self._judge = judge
        self._proxies = Proxies()
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        key: str | None = None,
        body: Sequence[bytes] = (),
        also: Collection[int] = (),
        sign: Sign = dict,
    ) -> Answer:
        """The answer to a request that may be sent twice; *url* is escaped already.

        *body* is given in chunks, and *headers* are signed anew for each attempt. A status of
        *also* is a success too.
        """
        import aiohttp  # it takes its time, and many clients never need it

        check_process()
        if body:
            headers = {**headers, "Content-Length": str(sum(map(len, body)))}
        for attempt in range(self._transfer.retries + 1):
            if attempt:
                await asyncio.sleep(min(5.0, 0.1 * 2**attempt) * random.uniform(0.5, 1.0))  # noqa: S311
            last = attempt == self._transfer.retries
            try:
                answer = await self._send_once(method, url, sign(headers), body)
            except (aiohttp.ClientError, OSError) as cause:
                if last:
                    raise self._unreachable(cause, key) from None  # its text holds the URL
                continue
            verdict = self._judge(answer)
            if verdict is Verdict.DONE or answer.status in also:
                return answer._replace(repeated=attempt > 0)
            if last or verdict is Verdict.REFUSED:
                raise self._error(answer, key)
        raise AssertionError("the last attempt returns or raises")

    async def _send_once(
        self, method: str, url: str, headers: Mapping[str, str], body: Sequence[bytes]
    ) -> Answer:
        loop = asyncio.get_running_loop()
        target = URL(url, encoded=True)
        wait = self._transfer.timeout
        async with asyncio.timeout(wait) as limit:

            def moved() -> None:
                limit.reschedule(loop.time() + wait)  # what moves on does not stall

            async with self._opened(loop).request(
                method,
                target,
                data=_Body(body, moved) if body else None,
                headers=headers,
                allow_redirects=False,
                proxy=await self._proxies.of(target),
            ) as response:
                return Answer(response.status, response.headers, await response.read())

    def _opened(self, loop: asyncio.AbstractEventLoop) -> aiohttp.ClientSession:
        import aiohttp

        from .._http import Connector

        if self._session is not None and self._loop is not loop:
            self._session.detach()  # its connections ended with their loop
            self._session = None
        if self._session is None:
            self._loop = loop
            self._session = aiohttp.ClientSession(
                connector=Connector(), timeout=aiohttp.ClientTimeout(), auto_decompress=False
            )
        return self._session

    def _unreachable(self, cause: Exception, key: str | None) -> NeuroError:
        if isinstance(cause, TimeoutError):
            limit = self._transfer.timeout
            return StorageTimeout(
                f"no answer within {limit:.0f} seconds", bucket=self._name, key=key
            )
        return StorageUnavailable(
            f"the store cannot be reached: {type(cause).__name__}", bucket=self._name, key=key
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


class _Body:
    """Chunks in slices; *moved* is called at each. aiohttp may want to read them once more."""

    def __init__(self, chunks: Sequence[bytes], moved: Callable[[], None]) -> None:
        self._chunks = chunks
        self._moved = moved

    async def __aiter__(self) -> AsyncGenerator[memoryview, None]:
        for chunk in self._chunks:
            view = memoryview(chunk)
            for at in range(0, len(view), _SLICE):
                self._moved()
                yield view[at : at + _SLICE]
