"""Requests of our own to a store, for what OpenDAL's binding cannot ask."""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from yarl import URL

from .._core.config import TransferConfig
from ..errors import NeuroError, StorageTimeout, StorageUnavailable
from .opendal import check_process

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Answer", "Rest"]

_BUSY = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the store said."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Rest:
    """Requests to one store, repeated while it is busy or out of reach; every wait ends.

    *error* turns an answer that is no success into an error of our tree; *name* is what errors
    call the bucket.
    """

    def __init__(
        self,
        *,
        name: str,
        transfer: TransferConfig,
        error: Callable[[Answer, str | None], NeuroError],
    ) -> None:
        self._name = name
        self._transfer = transfer
        self._error = error
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        key: str | None = None,
        body: bytes = b"",
        also: Collection[int] = (),
    ) -> Answer:
        """The answer to a request that may be sent twice; *url* is escaped already.

        A status of *also* is a success too.
        """
        import aiohttp  # it takes its time, and many clients never need it

        check_process()
        for attempt in range(self._transfer.retries + 1):
            if attempt:
                await asyncio.sleep(min(5.0, 0.1 * 2**attempt) * random.uniform(0.5, 1.0))  # noqa: S311
            last = attempt == self._transfer.retries
            try:
                answer = await self._send_once(method, url, headers, body)
            except (aiohttp.ClientError, OSError) as cause:
                if last:
                    raise self._unreachable(cause, key) from None  # its text holds the URL
                continue
            if answer.status < 300 or answer.status in also:
                return answer
            if last or answer.status not in _BUSY:
                raise self._error(answer, key)
        raise AssertionError("the last attempt returns or raises")

    async def _send_once(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        data = io.BytesIO(body) if body else None
        async with self._opened().request(
            method, URL(url, encoded=True), headers=headers, data=data, allow_redirects=False
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    def _opened(self) -> aiohttp.ClientSession:
        import aiohttp

        from .._http import Connector

        loop = asyncio.get_running_loop()
        if self._session is not None and self._loop is not loop:
            self._session.detach()  # its connections ended with their loop
            self._session = None
        if self._session is None:
            self._loop = loop
            self._session = aiohttp.ClientSession(
                connector=Connector(),
                timeout=aiohttp.ClientTimeout(total=self._transfer.timeout),
                auto_decompress=False,
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
