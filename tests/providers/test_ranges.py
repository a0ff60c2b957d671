"""Parts of large blobs from the socket into memory, and what happens where that fails."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from neuro_sdk import (
    AbstractFileProgress,
    BlobChanged,
    BucketHandle,
    LocalError,
    StorageError,
    StorageProgressComplete,
    StorageProgressStart,
    StorageProgressStep,
    StorageTimeout,
    StorageUnavailable,
)
from neuro_sdk._platform.seaweedfs import SeaweedFSServer
from neuro_sdk._providers import ranges
from neuro_sdk._providers.opendal import SOON
from neuro_sdk._providers.ranges import Ranges
from neuro_sdk._providers.stat import Stat
from tests.servers.proxy import Faults, FaultyProxy, Seen

MIB = 1 << 20
SIZE = 23 * MIB + 7  # five parts of QUICK
PARTS = 5


def is_get(seen: Seen) -> bool:
    return seen.kind == "GET"


async def put(box: BucketHandle, watched: FaultyProxy) -> bytes:
    body = os.urandom(SIZE)
    await box.put_blob("large", body)
    watched.seen.clear()
    return body


class Recorder(AbstractFileProgress):
    """The sizes that were begun and completed."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def start(self, data: StorageProgressStart) -> None:
        self._size = data.size

    def step(self, data: StorageProgressStep) -> None:
        assert data.current <= self._size

    def complete(self, data: StorageProgressComplete) -> None:
        assert data.size == self._size
        self.sizes.append(data.size)


class TestDownloads:
    async def test_take_one_request_for_each_part(
        self, box: BucketHandle, watched: FaultyProxy, tmp_path: Path
    ) -> None:
        body = await put(box, watched)
        for _ in range(2):
            await box.download_file("large", tmp_path / "to")
            assert (tmp_path / "to").read_bytes() == body
        assert watched.counts() == {"GET": 2 * PARTS}
        assert watched.sent == 2 * SIZE
        # The second time goes over the connections of the first.
        assert len({seen.connection for seen in watched.seen if is_get(seen)}) <= PARTS

    @pytest.mark.parametrize("size", [0, 1, 5000, MIB])
    async def test_of_small_ones_take_one_request(
        self, box: BucketHandle, watched: FaultyProxy, tmp_path: Path, size: int
    ) -> None:
        body = os.urandom(size)
        await box.put_blob("small", body)
        watched.seen.clear()
        told = Recorder()
        await box.download_file("small", tmp_path / "to", progress=told)
        assert (tmp_path / "to").read_bytes() == body
        # There is no beginning of what is empty, so it has to be looked at.
        assert watched.counts() == ({"GET": 1} if size else {"GET": 1, "HEAD": 1})
        assert told.sizes == [size]

    async def test_look_first_where_nothing_may_be_wanted(
        self, box: BucketHandle, watched: FaultyProxy, tmp_path: Path
    ) -> None:
        body = await put(box, watched)
        for _ in range(2):
            await box.download_file("large", tmp_path / "to", update=True)
            os.utime(tmp_path / "to", (time.time() + 9, time.time() + 9))
        assert (tmp_path / "to").read_bytes() == body
        assert watched.counts() == {"HEAD": 2, "GET": PARTS}

    async def test_are_of_the_version_that_the_first_answer_told_of(
        self, box: BucketHandle, watched: FaultyProxy, tmp_path: Path
    ) -> None:
        await put(box, watched)
        watched.faults = Faults(delay=0.5, applies=is_get)
        # All but the first part are asked for while that is on its way, by its tag.
        call = asyncio.create_task(box.download_file("large", tmp_path / "in" / "to"))
        async with asyncio.timeout(20):
            while watched.count(kind="GET") < 2:  # noqa: ASYNC110 - the proxy has no event
                await asyncio.sleep(0.01)
        await box.put_blob("large", b"other")  # sooner than the parts come to the store
        with pytest.raises(BlobChanged):
            await call
        assert [*(tmp_path / "in").iterdir()] == []

    async def test_that_have_no_place_are_told_so_and_read_no_more(
        self, box: BucketHandle, watched: FaultyProxy, tmp_path: Path
    ) -> None:
        await put(box, watched)
        (tmp_path / "file").touch()
        with pytest.raises(LocalError):
            await box.download_file("large", tmp_path / "file" / "to")
        assert watched.counts() == {"GET": 1}
        await box.download_file("large", tmp_path / "to")

    @pytest.mark.parametrize(
        "faults",
        [
            Faults(refuse=1.0, times=2, applies=is_get),
            Faults(lose=True, times=2, applies=is_get),
            Faults(cut_after=MIB, times=2, applies=is_get),
            Faults(refuse=1.0, times=2, status=403, applies=is_get),
        ],
        ids=["refused", "lost", "cut", "forbidden"],
    )
    async def test_ask_again_for_what_failed(
        self, box: BucketHandle, watched: FaultyProxy, tmp_path: Path, faults: Faults
    ) -> None:
        body = await put(box, watched)
        watched.faults = faults
        await box.download_file("large", tmp_path / "to")
        assert (tmp_path / "to").read_bytes() == body
        assert watched.count(kind="GET") >= PARTS + 2

    async def test_leave_a_store_that_stalls_to_the_engine(
        self,
        box: BucketHandle,
        watched: FaultyProxy,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(ranges, "SOON", 0.3)
        body = await put(box, watched)
        watched.faults = Faults(stall_after=MIB, times=1, applies=is_get)
        await box.download_file("large", tmp_path / "to")
        assert (tmp_path / "to").read_bytes() == body
        assert watched.count(kind="GET") == PARTS + 1
        provider = await box._opened()
        assert provider.direct is None  # for a minute

    async def test_end_at_once_when_they_are_cancelled(
        self, box: BucketHandle, watched: FaultyProxy, tmp_path: Path
    ) -> None:
        await put(box, watched)
        watched.faults = Faults(stall_after=MIB, applies=is_get)
        call = asyncio.create_task(box.download_file("large", tmp_path / "to"))
        async with asyncio.timeout(20):
            while watched.count(kind="GET") < PARTS:  # noqa: ASYNC110 - the proxy has no event
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        since = time.monotonic()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert time.monotonic() - since < SOON / 2
        assert not (tmp_path / "to").exists()


BEHIND = """
import asyncio, os, sys
from pathlib import Path
import neuro_sdk
from neuro_sdk import Bucket

async def main(folder, name, access_key, secret_key):
    async with neuro_sdk.local(folder / "seaweedfs") as client:
        credentials = {
            "endpoint_url": "http://store.invalid:8333",
            "access_key_id": access_key,
            "secret_access_key": secret_key,
        }
        await client.buckets.import_external(
            Bucket.Provider.SEAWEEDFS, name, credentials, name="far"
        )
        (folder / "from").write_bytes(body := os.urandom(23 << 20))
        async with client.buckets.open("far") as box:
            await box.upload_file(folder / "from", "d/large")
            await box.download_file("d/large", folder / "to")
            assert (folder / "to").read_bytes() == body
            assert [blob.key async for blob in box.list_blobs(recursive=True)] == ["d/large"]
            await box.blob_rm("d", recursive=True)
    print("done")

asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
"""


async def test_all_goes_through_the_proxy_that_the_environment_names(
    box: BucketHandle, seaweedfs: SeaweedFSServer, watched: FaultyProxy, tmp_path: Path
) -> None:
    # The host exists nowhere, so nothing comes there but through the proxy. OpenDAL looks for
    # one once in a process.
    name = (await box.request_tmp_credentials()).credentials["bucket_name"]
    watched.seen.clear()
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", BEHIND, str(tmp_path), name),
        *(seaweedfs.access_key, seaweedfs.secret_key),
        env={**environment, "http_proxy": watched.endpoint},
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate()
    assert told == b"done\n"
    counts = watched.counts()
    assert {"DELETE", "GET", "GET list-type", "PUT partNumber uploadId"} <= counts.keys()


class Handler(BaseHTTPRequestHandler):
    """Answers as the server was told to."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Wrong)
        self.wfile.write(server.answer)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class Wrong(ThreadingHTTPServer):
    """A store that answers anything."""

    daemon_threads = True

    def __init__(self, answer: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer


def sign(method: str, key: str, headers: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    del method
    return f"/{key}", headers


@contextmanager
def answering(answer: bytes) -> Iterator[Ranges]:
    server = Wrong(answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    base = f"http://127.0.0.1:{server.server_port}"
    asked = Ranges(base, sign, name="box", limit=0.5)
    try:
        yield asked
    finally:
        asked.close()
        server.shutdown()
        server.server_close()
        thread.join()


def read(asked: Ranges) -> bytes:
    memory = bytearray(4)
    asked.begin("key", '"tag"', 10, 2, 4).run(memoryview(memory))
    return bytes(memory)


GOOD = b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 2-5/10\r\nContent-Length: 4\r\n\r\n"


TOLD = GOOD.replace(b"2-5/10", b"0-3/10") + b"abcd"
TOLD = TOLD.replace(b"\r\n\r\n", b"\r\nETag: tag\r\nLast-Modified: %s\r\n\r\n", 1)
TOLD = TOLD.replace(b"%s", b"Fri, 02 Jan 2026 03:04:05 GMT")


def begin(asked: Ranges, length: int = 4) -> tuple[bytes, list[Stat]]:
    memory, heard = bytearray(length), list[Stat]()
    asked.begin_unknown("key", heard.append).run(memoryview(memory))
    return bytes(memory), heard


class TestBeginnings:
    def test_tell_what_the_blob_is(self) -> None:
        told = Stat("key", 10, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), '"tag"')
        with answering(TOLD) as asked:
            assert begin(asked) == begin(asked) == (b"abcd", [told])

    def test_may_be_all_there_is(self) -> None:
        told = Stat("key", 4, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), '"tag"')
        with answering(TOLD.replace(b"0-3/10", b"0-3/4")) as asked:
            assert begin(asked, 6) == (b"abcd\0\0", [told])

    @pytest.mark.parametrize(
        "answer",
        [
            TOLD.replace(b"206 Partial", b"200 OK"),
            TOLD.replace(b"ETag", b"Other"),
            TOLD.replace(b"ETag: tag", b"ETag: "),
            TOLD.replace(b"Last-Modified", b"Other"),
            TOLD.replace(b"Jan", b"Foo"),
            TOLD.replace(b"0-3/10", b"0-2/10"),
            TOLD.replace(b"0-3/10", b"1-4/10"),
            TOLD.replace(b"0-3/10", b"0-3/3"),
        ],
    )
    def test_that_are_none_tell_nothing(self, answer: bytes) -> None:
        heard: list[Stat] = []
        with answering(answer) as asked, pytest.raises(StorageError):
            asked.begin_unknown("key", heard.append).run(memoryview(bytearray(4)))
        assert heard == []

    def test_that_break_off_have_told_it(self) -> None:
        heard: list[Stat] = []
        with answering(TOLD[:-1]) as asked, pytest.raises(StorageUnavailable):
            asked.begin_unknown("key", heard.append).run(memoryview(bytearray(4)))
        assert len(heard) == 1


class TestAnswers:
    def test_that_is_right(self) -> None:
        with answering(GOOD + b"cdef") as asked:
            assert read(asked) == read(asked) == b"cdef"

    @pytest.mark.parametrize(
        "answer",
        [
            GOOD.replace(b"206 Partial", b"200 OK") + b"cdef",
            GOOD.replace(b"206 Partial", b"412 Precondition Failed") + b"cdef",
            GOOD.replace(b"2-5/10", b"2-5/11") + b"cdef",
            GOOD.replace(b"2-5/10", b"1-4/10") + b"bcde",
            GOOD.replace(b"Content-Range", b"Other") + b"cdef",
            GOOD + b"cde",
            GOOD.replace(b"Length: 4", b"Length: 3") + b"cde",
            b"HTTP/1.1 206",
            b"no HTTP at all\r\n\r\n",
            b"",
        ],
    )
    def test_that_is_wrong_is_an_error(self, answer: bytes) -> None:
        with answering(answer) as asked, pytest.raises(StorageError) as caught:
            read(asked)
        assert (caught.value.bucket, caught.value.key) == ("box", "key")

    def test_nobody_there(self) -> None:
        with answering(b"") as asked:
            pass
        with pytest.raises(StorageUnavailable, match="ConnectionRefusedError"):
            read(asked)

    def test_one_that_trickles(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ranges, "_PIECE", 1)
        with socket.create_server(("127.0.0.1", 0)) as server:

            def trickle() -> None:
                peer, _ = server.accept()
                with peer:
                    peer.sendall(GOOD)
                    for byte in b"cdef":
                        time.sleep(0.2)
                        try:
                            peer.sendall(bytes([byte]))
                        except OSError:
                            return

            thread = threading.Thread(target=trickle)
            thread.start()
            base = f"http://127.0.0.1:{server.getsockname()[1]}"
            asked = Ranges(base, sign, name="box", limit=0.3)
            with pytest.raises(StorageTimeout):
                read(asked)
            thread.join()

    def test_one_that_was_cut_before_it_began(self) -> None:
        with answering(GOOD + b"cdef") as asked:
            reading = asked.begin("key", '"tag"', 10, 2, 4)
            reading.cut()
            with pytest.raises(StorageUnavailable):
                reading.run(memoryview(bytearray(4)))
            assert read(asked) == b"cdef"
