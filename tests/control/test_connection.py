"""What can go wrong between a client and a platform: refusals, faults, waits, secrets."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
import traceback
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from neuro_sdk import (
    AuthenticationError,
    AuthorizationError,
    BucketNotEmpty,
    BucketNotFound,
    ConflictError,
    CreationDisabled,
    IllegalArgumentError,
    NameTaken,
    NDJSONError,
    NeuroError,
    PlatformError,
    PlatformTimeout,
    ServerNotAvailable,
    TransferConfig,
)
from neuro_sdk._control.opening import open_http
from neuro_sdk._control.plane import HTTPControlPlane
from neuro_sdk._core.config import Target
from neuro_sdk._core.models import Bucket
from neuro_sdk._core.secret import Hidden

from ..platform.serving import OPEN
from .upstream import Era, Upstream, running

TOKEN = "e30.eyJpZGVudGl0eSI6ICJhbGljZSJ9.c2VjcmV0LXBhcnQ"
WAIT = 2.0  # seconds for one answer, where none comes


async def opened(upstream: Upstream, **limits: Any) -> HTTPControlPlane:
    target = Target(platform=str(upstream.api), token=Hidden(TOKEN))
    return await open_http(target, TransferConfig(**{"timeout": 10, "retries": 3, **limits}), OPEN)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running(Era.ORG_PROJECT) as server:
        yield server


@pytest.fixture
async def plane(upstream: Upstream) -> AsyncIterator[HTTPControlPlane]:
    made = await opened(upstream)
    yield made
    await made.close()


@pytest.fixture
async def impatient(upstream: Upstream) -> AsyncIterator[HTTPControlPlane]:
    made = await opened(upstream, timeout=WAIT)
    yield made
    await made.close()


def answers(status: int, body: str) -> Callable[[web.Request], web.Response]:
    return lambda _request: web.Response(status=status, text=body)


REFUSALS: list[tuple[int, str, type[NeuroError], str]] = [
    (400, '{"error": "org_name must be provided"}', IllegalArgumentError, "org_name must be"),
    (400, "[" * 10_000, IllegalArgumentError, r"\[\[\["),
    (401, "401: Unauthorized", AuthenticationError, "log in again"),
    (
        403,
        '{"missing": [{"uri": "blob://one/acme/vision/x", "action": "read"}]}',
        AuthorizationError,
        "read on blob://one/acme/vision/x",
    ),
    (403, '{"missing": [1]}', AuthorizationError, "missing"),
    (403, "Forbidden", AuthorizationError, "Forbidden"),
    (404, "Bucket x not found", BucketNotFound, "Bucket x not found"),
    (404, '{"error": "no", "code": "no_bucket"}', BucketNotFound, "no"),
    (405, "405: Method Not Allowed", PlatformError, "405"),
    (409, '{"code": "unique", "description": "it is taken"}', NameTaken, "it is taken"),
    (409, '{"code": "new", "description": "something"}', ConflictError, "something"),
    (409, "", ConflictError, "409"),
    (422, '{"code": "disabled", "description": "off"}', CreationDisabled, "off"),
    (422, "{}", IllegalArgumentError, "422"),
    (500, '{"error": "Unexpected exception: BucketNotEmpty: x"}', BucketNotEmpty, "remain"),
    (
        500,
        '{"error": "Unexpected exception: Bucket for path a/b/c not found. Path with query: x"}',
        BucketNotFound,
        "no such bucket",
    ),
    (500, '{"error": "Unexpected exception: boom"}', PlatformError, "boom"),
    (500, '{"error": 1}', PlatformError, "500"),
    (418, "\x1b[31mred\x07", PlatformError, r"418: \[31mred"),
]


@pytest.mark.parametrize(
    ("status", "body", "kind", "match"), REFUSALS, ids=lambda value: str(value)[:20]
)
async def test_refusals(
    upstream: Upstream,
    plane: HTTPControlPlane,
    status: int,
    body: str,
    kind: type[NeuroError],
    match: str,
) -> None:
    upstream.answer = answers(status, body)
    with pytest.raises(NeuroError, match=match) as caught:
        await plane.get_bucket("photos", plane.config.scope)
    assert type(caught.value) is kind
    assert len(upstream.seen) == 1, "what will not change is not asked again"
    assert "\x1b" not in str(caught.value)


class TestRepetition:
    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    async def test_what_may_pass_is_tried_again(
        self, upstream: Upstream, plane: HTTPControlPlane, status: int
    ) -> None:
        upstream.add("photos")
        upstream.answer = lambda _request: (
            web.Response(status=status) if len(upstream.seen) < 3 else None
        )
        assert (await plane.get_bucket("photos", plane.config.scope)).name == "photos"
        assert len(upstream.seen) == 3

    async def test_not_for_ever(self, upstream: Upstream, plane: HTTPControlPlane) -> None:
        upstream.answer = answers(503, "away")
        with pytest.raises(ServerNotAvailable, match="away"):
            await plane.get_bucket("photos", plane.config.scope)
        assert len(upstream.seen) == 4

    async def test_making_is_not_repeated(
        self, upstream: Upstream, plane: HTTPControlPlane
    ) -> None:
        upstream.answer = answers(503, "away")
        with pytest.raises(ServerNotAvailable):
            await plane.create_bucket("photos", plane.config.scope)
        upstream.answer = dropped
        with pytest.raises(ServerNotAvailable):
            await plane.create_credentials("ci-job", ["x"], read_only=True, cluster_name="one")
        assert len(upstream.seen) == 2

    async def test_a_lost_answer_to_a_removal_is_success(
        self, upstream: Upstream, plane: HTTPControlPlane
    ) -> None:
        upstream.add("photos", imported=True)
        bucket = await plane.get_bucket("photos", plane.config.scope)

        def lose_the_first(request: web.Request) -> web.Response | None:
            if request.method == "DELETE" and upstream.buckets:
                upstream.buckets.clear()
                return dropped(request)
            return None

        upstream.answer = lose_the_first
        await plane.delete_bucket(bucket)
        with pytest.raises(BucketNotFound):
            await plane.delete_bucket(bucket)

    async def test_nobody_listens(self) -> None:
        with socket.socket() as taken:  # bound and not listening
            taken.bind(("127.0.0.1", 0))
            target = Target(platform=f"http://127.0.0.1:{taken.getsockname()[1]}", token=None)
            with pytest.raises(ServerNotAvailable, match="could not be reached") as caught:
                await open_http(target, TransferConfig(timeout=5, retries=1), OPEN)
        assert isinstance(caught.value, ConnectionError)
        assert not isinstance(caught.value, BucketNotFound)


def dropped(request: web.Request) -> web.Response:
    """The connection breaks instead of an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def stalled(_request: web.Request) -> web.Response:
    await asyncio.sleep(3600)
    raise AssertionError


class TestWaits:
    async def test_a_stalled_answer(self, upstream: Upstream, impatient: HTTPControlPlane) -> None:
        upstream.answer = stalled
        since = time.monotonic()
        with pytest.raises(PlatformTimeout, match="2 seconds") as caught:
            await impatient.get_bucket("photos", impatient.config.scope)
        assert isinstance(caught.value, TimeoutError)
        assert time.monotonic() - since < 30

    async def test_an_answer_that_drips(
        self, upstream: Upstream, impatient: HTTPControlPlane
    ) -> None:
        async def drip(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            while True:
                await response.write(b" ")
                await asyncio.sleep(WAIT / 10)

        upstream.answer = drip
        with pytest.raises(PlatformTimeout):
            await impatient.get_bucket("photos", impatient.config.scope)

    async def test_a_cancelled_call_ends(self, upstream: Upstream, plane: HTTPControlPlane) -> None:
        upstream.answer = stalled
        call = asyncio.create_task(plane.get_bucket("photos", plane.config.scope))
        for _ in range(1000):
            if upstream.seen:
                break
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


GOOD = {"id": "bucket-1", "provider": "aws", "project_name": "vision"}


def stream(*pieces: bytes, end: str = "") -> Callable[[web.Request], Any]:
    """An answer of these pieces that then ends well, breaks or stalls."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        if end == "stalls":
            await asyncio.sleep(3600)
        if end == "breaks":
            await asyncio.sleep(0.05)  # so that what was written is on its way
            assert request.transport is not None
            request.transport.abort()
        return response

    return answer


LINE = json.dumps(GOOD).encode()


class TestStreams:
    async def listed(self, plane: HTTPControlPlane) -> list[Bucket]:
        return [bucket async for bucket in plane.list_buckets(plane.config.scope)]

    @pytest.mark.parametrize(
        "pieces",
        [
            [LINE + b"\n" + LINE + b"\n"],
            [LINE + b"\n" + LINE],
            [LINE[:9], LINE[9:] + b"\n\n", LINE[:1], LINE[1:] + b"\r\n"],
        ],
    )
    async def test_lines_come_in_any_pieces(
        self, upstream: Upstream, plane: HTTPControlPlane, pieces: list[bytes]
    ) -> None:
        upstream.answer = stream(*pieces)
        assert len(await self.listed(plane)) == 2

    async def test_plain_json_is_taken_too(
        self, upstream: Upstream, plane: HTTPControlPlane
    ) -> None:
        upstream.answer = lambda _request: web.json_response([GOOD])
        assert len(await self.listed(plane)) == 1

    @pytest.mark.parametrize("end", [b"", b"\n"])
    async def test_an_error_line(
        self, upstream: Upstream, plane: HTTPControlPlane, end: bytes
    ) -> None:
        error = b'{"error": "Unexpected exception ValueError: boom"}' + end
        upstream.answer = stream(LINE + b"\n", error)
        seen = []
        with pytest.raises(NDJSONError, match="ValueError: boom") as caught:
            async for bucket in plane.list_buckets(plane.config.scope):
                seen.append(bucket)
        assert len(seen) == 1
        assert isinstance(caught.value, ValueError)
        assert len(upstream.seen) == 1

    async def test_a_stream_that_breaks(self, upstream: Upstream, plane: HTTPControlPlane) -> None:
        for pieces in ([LINE + b"\n"], [LINE + b"\n", LINE[:7]]):
            upstream.answer = stream(*pieces, end="breaks")
            with pytest.raises(NDJSONError, match="broke off"):
                await self.listed(plane)

    async def test_a_second_answer_within_the_first(
        self, upstream: Upstream, plane: HTTPControlPlane
    ) -> None:
        """What a server of today does where it means an error line."""

        async def answer(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
            await response.prepare(request)
            await response.write(LINE + b"\n")
            assert request.transport is not None
            request.transport.write(b"HTTP/1.1 500 Internal Server Error\r\n\r\n{}")
            await asyncio.sleep(3600)
            raise AssertionError

        upstream.answer = answer
        with pytest.raises(PlatformError):  # NDJSONError, unless both came in one piece
            await self.listed(plane)

    async def test_a_stream_that_stalls(
        self, upstream: Upstream, impatient: HTTPControlPlane
    ) -> None:
        upstream.answer = stream(LINE + b"\n", end="stalls")
        with pytest.raises(NDJSONError, match="broke off") as caught:
            await self.listed(impatient)
        assert isinstance(caught.value.__cause__, PlatformTimeout)

    async def test_what_fails_before_the_first_line_is_repeated(
        self, upstream: Upstream, plane: HTTPControlPlane
    ) -> None:
        upstream.add("photos")
        upstream.answer = lambda request: dropped(request) if len(upstream.seen) < 3 else None
        assert len(await self.listed(plane)) == 1

    @pytest.mark.parametrize("line", [b"{", b"\xff", b"x" * (2 << 20)])
    async def test_a_line_that_is_none(
        self, upstream: Upstream, plane: HTTPControlPlane, line: bytes
    ) -> None:
        upstream.answer = stream(LINE + b"\n", line)
        with pytest.raises(NDJSONError):
            await self.listed(plane)

    async def test_a_list_may_be_left_early(
        self, upstream: Upstream, plane: HTTPControlPlane
    ) -> None:
        upstream.answer = stream(LINE + b"\n", end="stalls")
        buckets = plane.list_buckets(plane.config.scope)
        assert (await anext(buckets)).id == "bucket-1"
        await buckets.aclose()


class TestSecrets:
    async def test_the_token_is_nowhere(
        self, upstream: Upstream, plane: HTTPControlPlane, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Not even where the server sends it back."""
        told = []

        def echo(request: web.Request) -> web.Response:
            body = {"error": f"cannot take {request.headers['Authorization']}"}
            return web.json_response(body, status=int(request.query.get("status", 500)))

        with caplog.at_level(logging.DEBUG):
            for answer in (echo, dropped, answers(503, TOKEN), stream(LINE, end="breaks")):
                upstream.answer = answer
                for call in (
                    plane.get_bucket("photos", plane.config.scope),
                    anext(plane.list_buckets(plane.config.scope)),
                    plane.create_bucket("photos", plane.config.scope),
                ):
                    try:
                        await call
                    except NeuroError as error:
                        chain = traceback.TracebackException.from_exception(
                            error, capture_locals=True
                        )
                        told.append("".join(chain.format()))
        assert len(told) > 6
        secret = TOKEN.rpartition(".")[2]
        for text in told:
            assert secret not in text, "\n".join(
                line for line in text.splitlines() if secret in line or "File" in line
            )
        assert secret not in caplog.text
        assert secret not in repr(plane.__dict__) + repr(plane.config)
        assert secret not in repr(Target(platform="x", token=Hidden(TOKEN)))

    async def test_a_redirect_does_not_take_it_elsewhere(
        self, upstream: Upstream, plane: HTTPControlPlane
    ) -> None:
        async with running(Era.ORG_PROJECT) as other:
            there = str(other.api)

            def redirect(_request: web.Request) -> web.Response:
                return web.Response(status=307, headers={"Location": there})

            upstream.answer = redirect
            with pytest.raises(PlatformError, match="redirect"):
                await plane.get_bucket("photos", plane.config.scope)
            assert other.seen == []
            assert other.tokens == set()

    async def test_encryption_is_not_given_up(self) -> None:
        from neuro_sdk._core.discovery import read_config

        body = {"clusters": [{"name": "one", "buckets_url": "http://host/api/v1/buckets"}]}
        with pytest.raises(PlatformError, match="without encryption"):
            read_config(body, URL("https://host/api/v1"))
