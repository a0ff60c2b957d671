"""A proxy in front of a store: it counts what passes and breaks it on demand.

Clients talk to it as if it were the store, or as to a proxy. The ``Host`` header is passed on as
it came, and the target byte for byte, so that signatures stay valid. Bodies pass in pieces, both
ways.
"""

from __future__ import annotations

import asyncio
import random
import re
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from yarl import URL

from neuro_sdk._http import Connector

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# The parameters that make a request another kind of request, and those whose value does.
_S3_MARKS = {"delete", "list-type", "location", "partNumber", "policy", "uploadId", "uploads"}
_GCS_MARKS = {"uploadType", "upload_id"}
_AZURE_MARKS = {"comp", "restype"}
_SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>"
)
_PIECE = 1 << 16


@dataclass
class Seen:
    """One request that came: ``received`` counts the bytes of its body, ``sent`` those back."""

    method: str
    target: str
    status: int | None = None
    received: int = 0
    sent: int = 0
    connection: int = 0

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def kind(self) -> str:
        """Method and telling query parameters: ``GET``, ``GET list-type``, ``PUT comp=block``."""
        marks = []
        for pair in filter(None, self.target.partition("?")[2].split("&")):
            name, _, value = pair.partition("=")
            if name in _S3_MARKS | _GCS_MARKS:
                marks.append(name)
            elif name in _AZURE_MARKS:
                marks.append(f"{name}={value}")
        return " ".join([self.method, *sorted(marks)])


@dataclass
class Faults:
    """What goes wrong from now on; ``applies`` says with which requests."""

    delay: float = 0.0
    """Seconds before each answer."""
    refuse: float = 0.0
    """Share of the requests that get the status ``status`` and never reach the store."""
    status: int = 503
    lose: bool = False
    """Requests reach the store, but the connection breaks instead of its answer.

    aiohttp, and what uses it, sends a PUT, GET or DELETE once more then without being told to.
    """
    cut_after: int | None = None
    """Bytes of the answer's body after which the connection breaks."""
    stall_after: int | None = None
    """Bytes of the answer's body after which nothing comes any more."""
    times: int | None = None
    """How many more requests are refused, lost, cut or stalled; None for all."""
    applies: Callable[[Seen], bool] = lambda _seen: True
    dice: random.Random = field(default_factory=lambda: random.Random(0))


def _target(request: web.BaseRequest) -> str:
    """What is asked for, less the host that a client of a proxy names."""
    return re.sub(r"^http://[^/]*", "", request.raw_path)


class FaultyProxy:
    """Give ``faults`` another value to change what goes wrong; ``seen`` holds what came."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream.rstrip("/")
        self._lock = threading.Lock()
        self._ending = asyncio.Event()
        self.endpoint = ""
        self.faults = Faults()
        self.seen: list[Seen] = []
        self.open_now = 0
        self.most_open = 0

    def counts(self) -> Counter[str]:
        """How many requests of each kind have come."""
        return Counter(seen.kind for seen in list(self.seen))

    def count(
        self, method: str | None = None, *, kind: str | None = None, path: str | None = None
    ) -> int:
        """How many requests have come with this method, of this kind, to this path."""
        return sum(
            method in (None, seen.method)
            and kind in (None, seen.kind)
            and path in (None, seen.path)
            for seen in list(self.seen)
        )

    @property
    def received(self) -> int:
        """Bytes of all bodies that clients sent."""
        return sum(seen.received for seen in list(self.seen))

    @property
    def sent(self) -> int:
        """Bytes of all bodies that clients were sent."""
        return sum(seen.sent for seen in list(self.seen))

    def forget(self) -> None:
        """Count from nothing and let everything pass."""
        self.seen = []
        self.most_open = self.open_now
        self.faults = Faults()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FaultyProxy]:
        """Listen on a free port of this machine."""
        # Shorter than any store keeps a connection, which would else end under a request.
        connector = Connector(limit=0, keepalive_timeout=2)
        async with aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
        ) as self._session:
            server = web.Server(self._handle, access_log=None, handler_cancellation=True)
            runner = web.ServerRunner(server, shutdown_timeout=0.2)
            await runner.setup()
            try:
                site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
                await site.start()
                self.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
                yield self
            finally:
                self._ending.set()
                await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        seen = Seen(request.method, _target(request), connection=id(request.transport))
        with self._lock:
            self.seen.append(seen)
            self.open_now += 1
            self.most_open = max(self.most_open, self.open_now)
        try:
            return await self._answer(request, seen)
        finally:
            with self._lock:
                self.open_now -= 1

    async def _answer(self, request: web.BaseRequest, seen: Seen) -> web.StreamResponse:
        faults = self.faults
        hit = faults.applies(seen)
        if hit and faults.delay:
            await self._pause(faults.delay)
        broken = hit and faults.times != 0
        if broken and faults.refuse and faults.dice.random() < faults.refuse:
            self._spend(faults)
            return await self._refuse(request, seen, faults.status)
        now = faults if broken else Faults()
        if now.lose or now.cut_after is not None or now.stall_after is not None:
            self._spend(faults)
        return await self._forward(request, seen, now)

    def _spend(self, faults: Faults) -> None:
        if faults.times is not None:
            faults.times -= 1

    async def _pause(self, seconds: float | None) -> None:
        """Wait that long, None for ever, but not past the end of the proxy."""
        try:
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        except TimeoutError:
            return

    async def _refuse(
        self, request: web.BaseRequest, seen: Seen, status: int
    ) -> web.StreamResponse:
        async for piece in self._body(request, seen):
            del piece  # taken in, so that the connection can be used again
        seen.status, seen.sent = status, len(_SLOW_DOWN)
        return web.Response(status=status, body=_SLOW_DOWN, content_type="application/xml")

    async def _body(self, request: web.BaseRequest, seen: Seen) -> AsyncIterator[bytes]:
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        async for piece in request.content.iter_chunked(_PIECE):
            seen.received += len(piece)
            yield piece

    async def _forward(
        self, request: web.BaseRequest, seen: Seen, now: Faults
    ) -> web.StreamResponse:
        headers = [pair for pair in request.headers.items() if pair[0].lower() not in _HOP_BY_HOP]
        try:
            upstream = await self._session.request(
                request.method,
                URL(self._upstream + _target(request), encoded=True),
                headers=headers,
                data=self._body(request, seen) if request.body_exists else None,
                allow_redirects=False,
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            )
        except aiohttp.ClientError:
            seen.status = 502
            return web.Response(status=502)
        async with upstream:
            seen.status = upstream.status
            if now.lose:
                await upstream.read()
                await self._cut(request)
                return web.Response()
            response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
            for name, value in upstream.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    response.headers.add(name, value)
            await response.prepare(request)
            async for piece in upstream.content.iter_chunked(_PIECE):
                for limit, broken in (
                    (now.cut_after, self._cut),
                    (now.stall_after, self._stall),
                ):
                    if limit is not None and seen.sent + len(piece) > limit:
                        part = piece[: limit - seen.sent]
                        seen.sent += len(part)
                        await response.write(part)
                        await broken(request)
                        return response
                seen.sent += len(piece)  # before the client can know of it
                await response.write(piece)
            await response.write_eof()
            return response

    async def _cut(self, request: web.BaseRequest) -> None:
        # Closed, not aborted: what was written before still arrives.
        if request.transport is not None:
            request.transport.close()

    async def _stall(self, request: web.BaseRequest) -> None:
        await self._pause(None)
        await self._cut(request)
