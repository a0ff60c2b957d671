"""Small blobs on the event loop: connections, answers, and what happens where one fails."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from neuro_sdk import BlobNotFound, BlobObject, BucketHandle, StorageError, StorageUnavailable
from neuro_sdk._core.parts import SMALL
from neuro_sdk._providers import s3_engine
from neuro_sdk._providers.pool import ConnectionPool, Response
from neuro_sdk._providers.ranges import Ranges
from tests.servers.certificates import make_certificate
from tests.servers.proxy import Faults, FaultyProxy, Seen

BODY = os.urandom(5000)

fails_once = pytest.mark.parametrize(
    "faults",
    [
        Faults(refuse=1.0, times=1),
        Faults(refuse=1.0, times=1, status=403),
        Faults(lose=True, times=1),
        Faults(cut_after=100, times=1),
    ],
    ids=["refused", "forbidden", "lost", "cut"],
)


@pytest.fixture
async def box(box: BucketHandle, watched: FaultyProxy) -> BucketHandle:
    """Whose credentials are there."""
    await box.put_blob("first", b"")
    watched.seen.clear()
    return box


async def fetched(box: BucketHandle, key: str) -> bytes:
    return b"".join([piece async for piece in box.fetch_blob(key)])


class TestBlobs:
    async def test_take_one_request_each_over_few_connections(
        self, box: BucketHandle, watched: FaultyProxy
    ) -> None:
        bodies = {f"many/{n}": random.Random(n).randbytes(n * 20) for n in range(300)}
        await asyncio.gather(*(box.put_blob(key, body) for key, body in bodies.items()))
        assert watched.counts() == {"PUT": 300}
        assert await asyncio.gather(*(fetched(box, key) for key in bodies)) == [*bodies.values()]
        assert watched.counts() == {"PUT": 300, "GET": 300}
        assert 1 < len({seen.connection for seen in watched.seen}) <= 96  # TransferConfig

    async def test_one_after_the_other_take_one_connection(
        self, box: BucketHandle, watched: FaultyProxy
    ) -> None:
        for n in range(10):
            await box.put_blob(f"{n}", BODY)
            assert await fetched(box, f"{n}") == BODY
        assert len({seen.connection for seen in watched.seen}) == 1

    async def test_are_looked_at_and_removed_so_too(
        self, box: BucketHandle, watched: FaultyProxy
    ) -> None:
        await box.put_blob("a/b c", BODY)
        (listed,) = [blob async for blob in box.list_blobs("a/")]
        watched.seen.clear()
        looked_at = await box.head_blob("a/b c")
        assert isinstance(listed, BlobObject)
        assert (looked_at.size, looked_at.etag) == (listed.size, listed.etag)
        assert listed.modified_at is not None
        assert looked_at.modified_at == listed.modified_at.replace(microsecond=0)
        with pytest.raises(BlobNotFound):
            await box.head_blob("a/b")
        for _ in range(2):
            await box.delete_blob("a/b c")
        with pytest.raises(BlobNotFound):
            await box.head_blob("a/b c")
        assert watched.counts() == {"HEAD": 3, "DELETE": 2}
        assert len({seen.connection for seen in watched.seen}) == 1

    @pytest.mark.parametrize("size", [SMALL - 1, SMALL, SMALL + 1])
    async def test_of_any_size_are_whole(
        self, box: BucketHandle, watched: FaultyProxy, size: int
    ) -> None:
        body = os.urandom(size)
        await box.put_blob("a/b c", body)
        assert await fetched(box, "a/b c") == body
        known = await box.head_blob("a/b c")
        watched.seen.clear()
        pieces = [piece async for piece in box.fetch_blob("a/b c", 7, length=100, known=known)]
        assert b"".join(pieces) == body[7:107]
        assert watched.counts() == {"GET": 1}

    @fails_once
    async def test_are_asked_for_again_where_that_fails(
        self, box: BucketHandle, watched: FaultyProxy, faults: Faults
    ) -> None:
        await box.put_blob("key", b"before")
        watched.faults = faults
        await box.put_blob("key", BODY)

        def again() -> None:
            watched.faults = Faults(**{**vars(faults), "times": 1})

        again()
        known = await box.head_blob("key")
        assert known.size == len(BODY)
        for given in (None, known):
            again()
            pieces = [piece async for piece in box.fetch_blob("key", known=given)]
            assert b"".join(pieces) == BODY
        again()
        await box.delete_blob("key")
        watched.faults = Faults()
        with pytest.raises(BlobNotFound):
            await box.head_blob("key")

    async def test_that_cannot_be_had_fail_with_the_word_of_the_store(
        self, box: BucketHandle, watched: FaultyProxy
    ) -> None:
        await box.put_blob("key", BODY)
        with pytest.raises(BlobNotFound):
            await fetched(box, "missing")
        watched.faults = Faults(refuse=1.0, status=403)
        with pytest.raises(StorageUnavailable, match="SlowDown") as caught:
            await box.put_blob("key", b"other")
        assert (caught.value.bucket, caught.value.key) == ("box", "key")
        watched.faults = Faults()
        assert await fetched(box, "key") == BODY

    async def test_of_a_store_that_stalls_are_left_to_the_engine(
        self, box: BucketHandle, watched: FaultyProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(s3_engine, "SOON", 0.3)
        await box.put_blob("key", BODY)
        watched.faults = Faults(stall_after=100, times=1)
        watched.seen.clear()
        assert await fetched(box, "key") == BODY
        assert watched.counts() == {"GET": 2}
        watched.seen.clear()
        assert await fetched(box, "key") == BODY
        assert watched.counts() == {"GET": 1, "HEAD": 1}  # for a minute

    @fails_once
    async def test_listings_and_bulk_removals_are_asked_for_again(
        self, box: BucketHandle, watched: FaultyProxy, faults: Faults
    ) -> None:
        keys = [f"tree/{number}" for number in range(5)]
        for key in keys:
            await box.put_blob(key, b"x")
        watched.faults = faults
        assert [entry.key async for entry in box.list_blobs("tree/", recursive=True)] == keys
        watched.faults = Faults(
            **{**vars(faults), "times": 1, "applies": lambda seen: seen.method == "POST"}
        )
        watched.seen.clear()
        await box.blob_rm("tree", recursive=True)
        assert watched.count(kind="POST delete") == 2
        assert [entry async for entry in box.list_blobs("tree/", recursive=True)] == []

    async def test_bulk_removals_may_take_their_time(
        self, box: BucketHandle, watched: FaultyProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(s3_engine, "SOON", 0.3)
        for number in range(5):
            await box.put_blob(f"tree/{number}", b"x")
        watched.faults = Faults(delay=1.0, applies=lambda seen: seen.method == "POST")
        watched.seen.clear()
        await box.blob_rm("tree", recursive=True)
        assert watched.count(kind="POST delete") == 1

    async def test_that_are_cancelled_are_the_old_or_the_new(
        self, box: BucketHandle, watched: FaultyProxy
    ) -> None:
        bodies = [bytes([n]) * 100_000 for n in range(40)]
        await box.put_blob("key", bodies[0])
        watched.faults = Faults(delay=0.005)
        cancelled = 0
        for n, body in enumerate(bodies):
            calls: list[asyncio.Task[Any]] = [
                asyncio.create_task(box.put_blob("key", body)),
                asyncio.create_task(fetched(box, "key")),
            ]
            await asyncio.sleep(n * 0.0005)
            for call in calls:
                call.cancel()
            ends = await asyncio.gather(*calls, return_exceptions=True)
            cancelled += sum(isinstance(end, asyncio.CancelledError) for end in ends)
            assert not [end for end in ends if isinstance(end, Exception)]
        assert cancelled > 20
        watched.faults = Faults()
        assert await fetched(box, "key") in bodies

    async def test_a_body_that_does_not_fit_its_checksum_is_sent_again(
        self, box: BucketHandle, watched: FaultyProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(s3_engine, "crc32c", lambda _: "AAAAAA==")
        await box.put_blob("key", BODY)
        assert [seen.status for seen in watched.seen] == [400, 200]
        assert await fetched(box, "key") == BODY


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Server:
    """Writes its *answers* in turn, the last for ever; None closes the connection."""

    def __init__(self, answers: Sequence[bytes | None]) -> None:
        self._answers = answers
        self.base = ""
        self.asked: list[bytes] = []
        self.connections = 0
        self.most = 0
        self.open = 0

    async def has_heard(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.asked) < count:  # noqa: ASYNC110 - what is waited for is not here
                await asyncio.sleep(0.001)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    self.asked.append(head)
                    answer = self._answers[min(len(self.asked), len(self._answers)) - 1]
                    if answer is None:
                        return
                    writer.write(answer)
                    await writer.drain()
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def served(
    *answers: bytes | None, size: int = 4, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[ConnectionPool, Server]]:
    server = Server(answers)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    scheme = "http" if tls is None else "https"
    pool = ConnectionPool(f"{scheme}://127.0.0.1:{port}/bucket", size)
    try:
        yield pool, server
    finally:
        await pool.close()
        listening.close()
        await listening.wait_closed()


async def get(pool: ConnectionPool, *, most: int = 100, seconds: float = 5.0) -> Response:
    return await pool.request("GET", "/bucket/key", {"A": "b"}, most=most, seconds=seconds)


class TestAnswers:
    async def test_come_over_one_connection(self) -> None:
        async with served(OK) as (pool, server):
            for _ in range(3):
                assert await get(pool) == (200, {b"content-length": b"4"}, b"body")
            assert server.connections == 1
            host = pool._host.encode()
            assert server.asked[0] == b"GET /bucket/key HTTP/1.1\r\nHost: %b\r\nA: b\r\n\r\n" % host

    async def test_come_over_so_many_connections_and_no_more(self) -> None:
        async with served(OK, size=3) as (pool, server):
            told = await asyncio.gather(*(get(pool) for _ in range(30)))
            assert {answer.body for answer in told} == {b"body"}
            assert server.most == server.connections == 3

    @pytest.mark.parametrize(
        ("answer", "told"),
        [
            (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
            (b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno", (404, b"no")),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", (200, b"")),
            (CHUNKED + b"2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n", (200, b"body")),
        ],
    )
    async def test_of_other_forms(self, answer: bytes, told: tuple[int, bytes]) -> None:
        async with served(answer) as (pool, server):
            for _ in range(2):
                heard = await get(pool)
                assert (heard.status, heard.body) == told
            assert server.connections == 1

    async def test_to_a_look_have_no_body(self) -> None:
        async with served(b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n") as (pool, server):
            for _ in range(2):
                heard = await pool.request("HEAD", "/", {}, most=100, seconds=5)
                assert heard == (200, {b"content-length": b"400"}, b"")
            assert server.connections == 1

    @pytest.mark.parametrize(
        "answer",
        [
            b"no HTTP at all\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbod",
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nbody",
            b"HTTP/1.1 200",
        ],
    )
    async def test_that_are_none_are_errors(self, answer: bytes) -> None:
        async with served(answer) as (pool, _):
            with pytest.raises(OSError):  # noqa: PT011 - each has a class of its own
                await get(pool, seconds=0.2)

    async def test_that_do_not_come(self) -> None:
        async with served(None) as (pool, _):
            with pytest.raises(ConnectionError):
                await get(pool)
        with pytest.raises(ConnectionRefusedError):
            await get(pool)

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n",
            CHUNKED + b"33\r\n%b\r\n" % (b"x" * 51) * 2,
        ],
        ids=["told", "not told"],
    )
    async def test_that_are_too_long_are_not_waited_for(self, answer: bytes) -> None:
        async with served(answer, OK) as (pool, server):
            assert (await get(pool)).body is None
            assert (await get(pool)).body == b"body"
            assert server.connections == 2

    @pytest.mark.parametrize(
        "first",
        [
            OK.replace(b"200 OK\r\n", b"200 OK\r\nConnection: close\r\n"),
            OK.replace(b"1.1", b"1.0"),
            OK + b"more than was asked for",
            OK + OK,
        ],
    )
    async def test_after_which_a_connection_is_of_no_more_use(self, first: bytes) -> None:
        async with served(first, OK) as (pool, server):
            for _ in range(2):
                assert (await get(pool)).body == b"body"
            assert server.connections == 2

    async def test_of_a_store_that_has_closed_a_connection_which_was_kept(self) -> None:
        async with served(OK, None, OK) as (pool, server):
            for _ in range(2):
                assert (await get(pool)).body == b"body"
            assert (server.connections, len(server.asked)) == (2, 3)

    async def test_of_connections_that_were_kept_for_long(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("neuro_sdk._providers.pool._IDLE", 0.0)
        async with served(OK) as (pool, server):
            for _ in range(3):
                assert (await get(pool)).body == b"body"
            assert server.connections == 3

    @pytest.mark.parametrize("value", ["a\r\nB: c", "\u00e9", "\x00"])
    async def test_are_not_asked_for_with_a_header_that_is_none(self, value: str) -> None:
        async with served(OK) as (pool, server):
            with pytest.raises(ValueError, match="header"):
                await pool.request("GET", "/", {"A": value}, most=1, seconds=1)
            assert server.asked == []


def contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a server shows, and what a client wants that trusts it alone."""
    make_certificate(folder / "certificate.pem", folder / "key.pem")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return server, ssl.create_default_context(cafile=folder / "certificate.pem")


class TestSecure:
    async def test_connections_to_who_proves_to_be_the_store(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        at_server, at_client = contexts(tmp_path)
        long = b"x" * 600_000
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 600000\r\n\r\n" + long
        async with served(OK, OK, answer, tls=at_server) as (pool, server):
            with pytest.raises(ssl.SSLCertVerificationError):
                await get(pool)
            assert server.asked == []
            monkeypatch.setattr("neuro_sdk._providers.pool.tls", lambda: at_client)
            told = await asyncio.gather(get(pool), get(pool))
            assert {heard.body for heard in told} == {b"body"}
            assert (await get(pool, most=600_000)).body == long
            assert server.most == 2

    async def test_ranges_of_who_proves_to_be_the_store(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        at_server, at_client = contexts(tmp_path)
        answer = b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 2-5/10\r\nContent-Length: 4\r\n\r\n"
        async with served(answer + b"cdef", tls=at_server) as (pool, server):
            base = f"https://{pool._host}"
            ranges = Ranges(base, lambda _, key, told: (f"/{key}", told), name="box", limit=5)
            memory = bytearray(4)
            run = ranges.begin("key", '"tag"', 10, 2, 4).run
            with pytest.raises(StorageUnavailable, match="SSLCertVerificationError"):
                await asyncio.to_thread(run, memoryview(memory))
            assert server.asked == []
            monkeypatch.setattr("neuro_sdk._providers.ranges.tls", lambda: at_client)
            await asyncio.to_thread(run, memoryview(memory))
            assert memory == b"cdef"
            ranges.close()


class TestEnds:
    async def test_one_that_is_cancelled_takes_its_connection_with_it(self) -> None:
        async with served(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nb", OK) as (pool, server):
            call = asyncio.create_task(get(pool))
            await server.has_heard(1)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert (await get(pool)).body == b"body"
            assert server.connections == 2

    async def test_what_is_asked_ends_when_the_pool_is_closed(self) -> None:
        async with served(b"HTTP/1.1 200 OK\r\n", size=2) as (pool, server):
            calls = [asyncio.create_task(get(pool)) for _ in range(5)]
            await server.has_heard(2)
            await pool.close()
            ends = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(end, ConnectionError) for end in ends)
            assert pool._open == set()

    def test_a_new_loop_has_connections_of_its_own(self) -> None:
        pools: list[ConnectionPool] = []

        async def ask() -> None:
            async with served(OK) as (pool, _):
                pools.append(pool)
                pools[0]._where = pool._where
                pools[0]._closed = False
                for _ in range(2):
                    assert (await get(pools[0])).body == b"body"
                await pools[0].close()

        for _ in range(2):
            asyncio.run(ask())
        gc.collect()  # nothing was left open


async def test_a_store_that_says_a_blob_is_there_but_sends_another_length(
    box: BucketHandle, watched: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    await box.put_blob("key", BODY)
    known = await box.head_blob("key")

    async def short(*_: object, **__: object) -> Response:
        return Response(200, {}, BODY[:-1])

    monkeypatch.setattr(ConnectionPool, "request", short)
    watched.seen.clear()
    assert [piece async for piece in box.fetch_blob("key", known=known)] == [BODY]
    assert watched.counts() == {"GET": 1}
    watched.faults = Faults(refuse=1.0, applies=is_get)
    with pytest.raises(StorageError):
        async for _ in box.fetch_blob("key", known=known):
            pass


def is_get(seen: Seen) -> bool:
    return seen.kind == "GET"
