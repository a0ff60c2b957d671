"""Requests to a platform: limits on every wait, repetition of what is safe, errors of our tree."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any, Self

import aiohttp
import stamina
from yarl import URL

from .._core.answers import refusal, shown
from .._core.secret import Hidden
from .._http import Connector
from .._proxies import Proxies
from ..errors import (
    BucketNotFound,
    NDJSONError,
    NeuroError,
    PlatformError,
    PlatformTimeout,
    ServerNotAvailable,
)

__all__ = ["Answer", "Connection"]

_AGENT = f"neuro-sdk/{version('neuro-blob-sdk')}"
_LONGEST_ANSWER = 64 << 20
_LONGEST_LINE = 1 << 20
_STREAM_SECONDS = 10.0  # the longest wait in the middle of a list
_KEEP_IDLE = 10.0  # seconds; less than servers do, so that none closes what is being used
_NDJSON = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a platform answered with success: its parsed body, and the service that did."""

    body: Any
    service: str


class _NeverSent(ServerNotAvailable):
    """No connection came about, so the platform has seen nothing of the request."""


class Connection:
    """A session with a platform, for one token; made by ``open``.

    *timeout* is the longest wait for a connection and for each piece of an answer, in seconds.
    A request that may be repeated is sent up to *retries* times more, and not after *timeout*,
    where the platform could not be reached, says that it cannot answer now, or breaks off.
    """

    def __init__(
        self, session: aiohttp.ClientSession, token: str | None, *, timeout: float, retries: int
    ) -> None:
        self._session = session
        self._token = None if token is None else Hidden(token)
        self._timeout = timeout
        self._retries = retries
        self._proxies = Proxies()

    @classmethod
    async def open(cls, token: str | None, *, timeout: float, retries: int) -> Self:
        """Open a session; nothing is sent yet."""
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_count)
        session = aiohttp.ClientSession(
            connector=Connector(keepalive_timeout=_KEEP_IDLE, limit=16),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[trace],
            headers={"User-Agent": _AGENT},
        )
        return cls(session, token, timeout=timeout, retries=retries)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._session.close()

    async def call(
        self,
        method: str,
        url: URL,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        repeat: bool,
        bucket: str | None = None,
    ) -> Answer:
        """The answer to a request, all of it; *repeat* says that it may be sent twice.

        A request that removes something and is repeated takes "not found" for success: the
        answer to an earlier one was lost.
        """
        sent = SimpleNamespace(times=0)

        async def once() -> Answer:
            async with self._answer(method, url, query, body, sent, bucket) as response:
                text = await self._read(response)
                return Answer(_parsed(text, url) if text else None, _service(response))

        try:
            async for attempt in self._attempts(repeat):
                with attempt:
                    return await once()
        except BucketNotFound:
            if method == "DELETE" and sent.times > 1:
                return Answer(None, "")
            raise
        raise AssertionError("the last attempt returns or raises")

    async def lines(
        self, url: URL, *, query: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Any, None]:
        """The objects of a list, as they come; NDJSONError if it does not come whole.

        Only what fails before the answer begins is repeated.
        """
        begun = SimpleNamespace(answer=False)
        async for attempt in self._attempts(True):
            with attempt:
                try:
                    async for item in self._stream(url, query, begun):
                        yield item
                    return
                except NeuroError as error:
                    if begun.answer and not isinstance(error, NDJSONError):
                        raise NDJSONError(f"the list broke off: {error.message}") from error
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def _stream(
        self, url: URL, query: Mapping[str, str] | None, begun: SimpleNamespace
    ) -> AsyncIterator[Any]:
        sent = SimpleNamespace(times=0)
        limit = min(self._timeout, _STREAM_SECONDS)
        async with self._answer(
            "GET", url, query, None, sent, None, accept=_NDJSON, limit=limit
        ) as response:
            if response.content_type != _NDJSON:
                for item in _items(_parsed(await self._read(response), url)):
                    yield item
                return
            begun.answer = True
            async for line in _lines(response.content):
                item = _parsed(line.decode(errors="replace"), url, kind=NDJSONError)
                if isinstance(item, dict) and isinstance(item.get("error"), str):
                    raise NDJSONError(shown(self._without_token(item["error"])))
                yield item

    def _attempts(self, repeat: bool) -> Any:
        def again(error: Exception) -> bool:
            if isinstance(error, NDJSONError):
                return False
            unanswered = isinstance(error, ServerNotAvailable | PlatformTimeout)
            return isinstance(error, _NeverSent) or (repeat and unanswered)

        return stamina.retry_context(
            on=again,
            attempts=self._retries + 1,
            timeout=self._timeout,
            wait_initial=0.1,
            wait_jitter=0.1,
            wait_max=2.0,
        )

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        url: URL,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        sent: SimpleNamespace,
        bucket: str | None,
        *,
        accept: str = "application/json",
        limit: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A response that tells of success; everything that goes wrong is of our tree."""
        headers = {"Accept": accept}
        if self._token is not None:
            headers["Authorization"] = Hidden(f"Bearer {self._token}")
        host = url.host or ""
        try:
            async with self._session.request(
                method,
                url,
                params=query,
                data=None if body is None else json.dumps(body).encode(),
                headers={**headers, **({"Content-Type": "application/json"} if body else {})},
                allow_redirects=False,
                proxy=await self._proxies.of(url),
                trace_request_ctx=sent,
                timeout=_limits(limit or self._timeout),
            ) as response:
                if not 200 <= response.status < 300:
                    raise await self._refusal(response, bucket)
                yield response
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as cause:
            raise _NeverSent(f"the platform at {host!r} could not be reached: {cause}") from cause
        except TimeoutError as cause:
            raise PlatformTimeout(
                f"the platform at {host!r} did not answer within {limit or self._timeout:g} seconds"
            ) from cause
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as cause:
            raise ServerNotAvailable(f"the platform at {host!r} broke off its answer") from cause
        except aiohttp.ClientResponseError as cause:
            # What it holds of the request shows the token.
            raise PlatformError(
                f"the platform at {host!r} does not speak HTTP as it should: {shown(cause.message)}"
            ) from None
        except (aiohttp.ClientError, ValueError) as cause:
            if isinstance(cause, NeuroError):
                raise
            raise PlatformError(f"the platform at {host!r} cannot be asked: {cause}") from cause

    async def _refusal(self, response: aiohttp.ClientResponse, bucket: str | None) -> NeuroError:
        if 300 <= response.status < 400:
            return PlatformError(
                f"{response.url.origin()} answers with a redirect, which would take the token "
                "elsewhere; use the address it redirects to"
            )
        text = await self._read(response)
        return refusal(response.status, self._without_token(text), bucket=bucket)

    async def _read(self, response: aiohttp.ClientResponse) -> str:
        pieces: list[bytes] = []
        size = 0
        async with asyncio.timeout(self._timeout):
            async for piece in response.content.iter_chunked(1 << 16):
                size += len(piece)
                if size > _LONGEST_ANSWER:
                    raise PlatformError("the platform's answer is longer than any should be")
                pieces.append(piece)
        return b"".join(pieces).decode(errors="replace")

    def _without_token(self, text: str) -> str:
        return text if self._token is None else text.replace(str(self._token), "***")


def _limits(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        total=None, connect=seconds, sock_connect=seconds, sock_read=seconds
    )


async def _count(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    _params: aiohttp.TraceRequestHeadersSentParams,
) -> None:
    # aiohttp itself repeats some requests where a connection that was kept turns out closed.
    context.trace_request_ctx.times += 1


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """The lines of a stream, the last also without its end."""
    rest = b""
    async for piece in content.iter_any():
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
        if len(rest) > _LONGEST_LINE:
            raise NDJSONError("a line of the platform's answer is longer than any should be")
    if rest.strip():
        yield rest


def _parsed(text: str, url: URL, kind: type[PlatformError] = PlatformError) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise kind(
            f"{url.origin()} answered with something else than JSON; check the address"
        ) from None


def _items(body: Any) -> list[Any]:
    if not isinstance(body, list):
        raise PlatformError("the platform answered with something else than a list")
    return body


def _service(response: aiohttp.ClientResponse) -> str:
    return response.headers.get("X-Service-Version", "")
