"""The harness of the benchmarks measures who does the work, and tells who does not."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from benchmarks.data import Wrong
from benchmarks.delay import delayed
from benchmarks.peers import OURS, PEERS, Peer
from benchmarks.peers.obstore_ import store_at
from benchmarks.report import medians
from benchmarks.rounds import Place, rounds
from benchmarks.runs import Failed
from benchmarks.stores import Store
from benchmarks.task import Access
from benchmarks.workloads import WORKLOADS, Sizes, Stage
from neuro_sdk._platform.seaweedfs import SeaweedFSServer

from .servers.s3 import s3_client

_BUCKET = "benchmarks"
_SIZES = Sizes(blobs=20, file=17 << 20, files=20, listed=20)
_BY_NAME = {peer.name: peer for peer in PEERS}


@pytest.fixture
async def place(seaweedfs: SeaweedFSServer, tmp_path: Path) -> AsyncIterator[Place]:
    """A small stage before a real store."""
    access = Access(
        kind="s3",
        endpoint=seaweedfs.endpoint,
        user=seaweedfs.access_key,
        secret=seaweedfs.secret_key,
        bucket=_BUCKET,
    )
    async with s3_client(access.endpoint, access.user, access.secret) as s3:
        with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            await s3.create_bucket(Bucket=_BUCKET)
    store = Store(name="seaweedfs", access=access, pid=seaweedfs.pid, tidy=lambda: None)
    stage = Stage(store_at(access), tmp_path, _SIZES, name=tmp_path.name)
    yield Place(store, access.endpoint, 0.0, [seaweedfs.pid], stage, tmp_path)
    await stage.close(store.tidy)


@pytest.mark.parametrize(
    ("name", "workload"),
    [
        (OURS, "put-blobs"),
        (OURS, "download-file"),
        (OURS, "update-up"),
        ("obstore", "get-blobs"),
        ("obstore", "remove-tree"),
    ],
)
async def test_a_workload_is_done_and_measured(place: Place, name: str, workload: str) -> None:
    run = await place.run(_BY_NAME[name], workload)
    assert (run.peer, run.workload) == (name, workload)
    assert 0 < run.wall < run.whole
    assert 0 < run.cpu < run.whole_cpu
    assert run.rss > 1 << 20


async def test_all_take_their_turn_and_one_round_is_for_warming_up(place: Place) -> None:
    peers = [_BY_NAME[OURS], _BY_NAME["obstore"]]
    runs = await rounds([place], peers, "list", 1)
    assert [run.peer for run in runs] == [OURS, "obstore"]
    assert [row.rounds for row in medians(runs)] == [1, 1]


@pytest.mark.parametrize("workload", [name for name in WORKLOADS if "update" not in name])
async def test_who_does_nothing_is_not_timed_as_fast(place: Place, workload: str) -> None:
    idle = Peer("idle", "pytest", arguments=lambda _: ["python", "-c", ""], listed=lambda _: [])
    with pytest.raises(Wrong):
        await place.run(idle, workload)


async def test_who_does_too_much_is_told(place: Place) -> None:
    code = "import pathlib, sys; pathlib.Path(sys.argv[1], 'more').touch()"
    busy = Peer("busy", "pytest", arguments=lambda task: ["python", "-c", code, task.folder])
    with pytest.raises(Wrong, match="something was moved"):
        await place.run(busy, "update-down")


async def test_who_fails_is_left_out_with_its_last_words(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "raise SystemExit('no such bucket')"
    broken = Peer("broken", "pytest", arguments=lambda _: ["python", "-c", code])
    with pytest.raises(Failed, match="no such bucket"):
        await place.run(broken, "list")
    assert await rounds([place], [broken], "list", 1) == []
    assert capsys.readouterr().err.count("FAILED: broken, list, 0 ms") == 1


async def test_a_delay_is_added_to_each_round_trip_and_bytes_pass_as_they_are() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.write(b"over")
        writer.close()

    body = bytes(range(256)) * (4 << 12)
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with delayed(f"http://127.0.0.1:{port}/account", 40) as (endpoint, _):
        assert endpoint.endswith("/account")
        near = int(endpoint.removesuffix("/account").rpartition(":")[2])
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection("127.0.0.1", near)
            for least in (0.080, 0.040):  # the first includes the handshake
                began = time.monotonic()
                writer.write(b"ping")
                assert await reader.readexactly(4) == b"ping"
                assert time.monotonic() - began > least - 0.005
            writer.write(body)
            assert await reader.readexactly(len(body)) == body
            writer.write_eof()
            assert await reader.read() == b"over"
            writer.close()
            await writer.wait_closed()
    server.close()
    await server.wait_closed()
