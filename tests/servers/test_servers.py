"""The servers that other tests rely on do what those believe."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from botocore.exceptions import ClientError, HTTPClientError, ReadTimeoutError
from yarl import URL

from neuro_sdk._platform.seaweedfs import SeaweedFSServer

from .background import in_background
from .moto import MotoServer, moto_server
from .proxy import Faults, FaultyProxy
from .s3 import s3_client

MIB = 1 << 20
OpenProxy = Callable[[str], FaultyProxy]


class Store:
    """Either server, with a bucket of its own for the test."""

    def __init__(self, server: SeaweedFSServer | MotoServer, bucket: str) -> None:
        self.endpoint = server.endpoint
        self.keys = (server.access_key, server.secret_key)
        self.bucket = bucket


@pytest.fixture(params=["seaweedfs", "moto"])
async def store(request: pytest.FixtureRequest) -> Store:
    server = request.getfixturevalue(request.param)
    store = Store(server, f"proxy-{os.urandom(6).hex()}")
    async with s3_client(store.endpoint, *store.keys) as s3:
        await s3.create_bucket(Bucket=store.bucket)
    return store


async def test_it_counts_requests_and_bytes_exactly(store: Store, proxy: OpenProxy) -> None:
    before = proxy(store.endpoint)
    bucket, part = store.bucket, os.urandom(5 * MIB)
    async with s3_client(before.endpoint, *store.keys) as s3:
        await s3.put_object(Bucket=bucket, Key="a", Body=b"x" * 1000)
        for _ in range(3):
            answer = await s3.get_object(Bucket=bucket, Key="a")
            assert await answer["Body"].read() == b"x" * 1000
        assert before.received == 1000
        assert before.sent == 3000
        upload = {"Bucket": bucket, "Key": "big"}
        upload["UploadId"] = (await s3.create_multipart_upload(**upload))["UploadId"]
        parts = []
        for number in (1, 2):
            answer = await s3.upload_part(**upload, PartNumber=number, Body=part)
            parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        await s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        await s3.list_objects_v2(Bucket=bucket)
        assert (await s3.head_object(Bucket=bucket, Key="big"))["ContentLength"] == 10 * MIB
        await s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}]})
        await s3.delete_object(Bucket=bucket, Key="big")
    assert before.counts() == {
        "PUT": 1,
        "GET": 3,
        "POST uploads": 1,
        "PUT partNumber uploadId": 2,
        "POST uploadId": 1,
        "GET list-type": 1,
        "HEAD": 1,
        "POST delete": 1,
        "DELETE": 1,
    }
    assert before.count("GET") == 4
    assert before.count(path=f"/{bucket}/a") == 4
    assert [seen.received for seen in before.seen if seen.kind.startswith("PUT part")] == [
        len(part),
        len(part),
    ]


@pytest.mark.parametrize("key", ["a b+c", "ü/€?#&=", "100%25", "q'(1)*!~"])
async def test_signatures_stay_valid(store: Store, proxy: OpenProxy, key: str) -> None:
    before = proxy(store.endpoint)
    async with s3_client(before.endpoint, *store.keys) as s3:
        await s3.put_object(Bucket=store.bucket, Key=key, Body=key.encode())
        url = await s3.generate_presigned_url(
            "get_object", Params={"Bucket": store.bucket, "Key": key}, ExpiresIn=60
        )
        listed = await s3.list_objects_v2(Bucket=store.bucket)
    assert [entry["Key"] for entry in listed["Contents"]] == [key]
    assert urlsplit(url).netloc == urlsplit(before.endpoint).netloc
    async with aiohttp.ClientSession() as session, session.get(URL(url, encoded=True)) as answer:
        assert (answer.status, await answer.read()) == (200, key.encode())


async def test_a_wrong_secret_is_refused_behind_it(
    seaweedfs: SeaweedFSServer, proxy: OpenProxy
) -> None:
    before = proxy(seaweedfs.endpoint)
    async with s3_client(before.endpoint, seaweedfs.access_key, "wrong") as s3:
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            await s3.list_buckets()


async def test_a_share_of_requests_is_refused(store: Store, proxy: OpenProxy) -> None:
    before = proxy(store.endpoint)
    async with s3_client(before.endpoint, *store.keys) as s3:
        before.faults, codes = Faults(refuse=0.5), set()
        for number in range(40):
            try:
                await s3.put_object(Bucket=store.bucket, Key=f"{number:02}", Body=b"x")
            except ClientError as error:
                codes.add(error.response["Error"]["Code"])
        refused = {seen.path.rpartition("/")[2] for seen in before.seen if seen.status == 503}
        before.forget()
        answer = await s3.list_objects_v2(Bucket=store.bucket)
    kept = {entry["Key"] for entry in answer["Contents"]}
    assert 5 < len(refused) < 35
    assert codes == {"SlowDown"}
    assert kept | refused == {f"{number:02}" for number in range(40)}
    assert not kept & refused
    assert before.counts() == {"GET list-type": 1}


async def test_a_fault_can_end_and_can_be_for_some_requests_only(
    store: Store, proxy: OpenProxy
) -> None:
    before = proxy(store.endpoint)
    async with s3_client(before.endpoint, *store.keys, retries=2) as s3:
        before.faults = Faults(refuse=1, times=2, applies=lambda seen: seen.method == "PUT")
        await s3.list_objects_v2(Bucket=store.bucket)
        await s3.put_object(Bucket=store.bucket, Key="a", Body=b"x")
    assert [seen.status for seen in before.seen] == [200, 503, 503, 200]


async def test_a_body_is_cut(store: Store, proxy: OpenProxy) -> None:
    before = proxy(store.endpoint)
    async with s3_client(before.endpoint, *store.keys) as s3:
        await s3.put_object(Bucket=store.bucket, Key="a", Body=bytes(MIB))
        before.forget()
        before.faults = Faults(cut_after=300_000, times=1)
        answer = await s3.get_object(Bucket=store.bucket, Key="a")
        async with answer["Body"] as body:
            with pytest.raises((HTTPClientError, aiohttp.ClientError)):
                await body.read()
        assert before.sent == 300_000
        answer = await s3.get_object(Bucket=store.bucket, Key="a")
        assert await answer["Body"].read() == bytes(MIB)


async def test_an_answer_is_lost_after_the_store_has_acted(store: Store, proxy: OpenProxy) -> None:
    before = proxy(store.endpoint)
    async with s3_client(before.endpoint, *store.keys) as s3:
        before.faults = Faults(lose=True)
        with pytest.raises((HTTPClientError, aiohttp.ClientError)):
            await s3.put_object(Bucket=store.bucket, Key="a", Body=b"x")
        before.forget()
        answer = await s3.get_object(Bucket=store.bucket, Key="a")
        assert await answer["Body"].read() == b"x"


async def test_an_answer_stalls(store: Store, proxy: OpenProxy) -> None:
    before = proxy(store.endpoint)
    async with s3_client(before.endpoint, *store.keys, timeout=0.5) as s3:
        await s3.put_object(Bucket=store.bucket, Key="a", Body=bytes(MIB))
        before.faults = Faults(stall_after=1000, times=1)
        answer = await s3.get_object(Bucket=store.bucket, Key="a")
        async with answer["Body"] as body:
            with pytest.raises((ReadTimeoutError, aiohttp.ServerTimeoutError)):
                await body.read()


async def test_each_answer_is_late(store: Store, proxy: OpenProxy) -> None:
    before = proxy(store.endpoint)
    before.faults = Faults(delay=0.3)
    loop = asyncio.get_running_loop()
    async with s3_client(before.endpoint, *store.keys) as s3:
        begun = loop.time()
        await asyncio.gather(*(s3.list_objects_v2(Bucket=store.bucket) for _ in range(5)))
        assert loop.time() - begun >= 0.3
        begun = loop.time()
        await s3.list_objects_v2(Bucket=store.bucket)
        await s3.list_objects_v2(Bucket=store.bucket)
        assert loop.time() - begun >= 0.6
    assert before.most_open == 5
    async with asyncio.timeout(10):  # the proxy's own thread sees them end
        while before.open_now:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_connections_are_kept(store: Store, proxy: OpenProxy) -> None:
    before = proxy(store.endpoint)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        for _ in range(10):
            async with session.get(f"{before.endpoint}/{store.bucket}") as answer:
                await answer.read()
    assert len(before.seen) == 10
    assert len({seen.connection for seen in before.seen}) == 1


async def test_bodies_pass_piece_by_piece(proxy: OpenProxy) -> None:
    async def echo(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"X-Host": request.headers["Host"]})
        await response.prepare(request)
        async for piece in request.content.iter_any():
            await response.write(piece)
        return response

    runner = web.ServerRunner(web.Server(echo))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    before = proxy(f"http://127.0.0.1:{runner.addresses[0][1]}")
    echoed: asyncio.Queue[bytes] = asyncio.Queue()

    async def body() -> object:
        for number in range(5):
            sent = b"%d" % number * 1000
            yield sent
            received = b""
            while len(received) < len(sent):  # comes back before the next piece is sent
                received += await echoed.get()
            assert received == sent

    async def read(answer: aiohttp.ClientResponse) -> None:
        async for piece in answer.content.iter_any():
            echoed.put_nowait(piece)

    try:
        async with (
            asyncio.timeout(20),
            aiohttp.ClientSession() as session,
            session.put(before.endpoint, data=body(), expect100=True) as answer,
        ):
            assert answer.headers["X-Host"] == urlsplit(before.endpoint).netloc
            await read(answer)
        assert (before.received, before.sent) == (5000, 5000)
    finally:
        await runner.cleanup()


async def test_a_store_that_is_gone_is_a_bad_gateway(proxy: OpenProxy) -> None:
    before = proxy("http://127.0.0.1:9")
    async with aiohttp.ClientSession() as session, session.get(before.endpoint) as answer:
        assert answer.status == 502


def test_moto_ends_with_its_block(tmp_path: Path) -> None:
    with moto_server(tmp_path) as server:
        os.kill(server.pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


def test_a_proxy_stops_in_the_middle_of_a_stall(moto: MotoServer) -> None:
    async def ask(answered: threading.Event, endpoint: str) -> None:
        async with aiohttp.ClientSession() as session, session.get(endpoint) as answer:
            answered.set()
            with pytest.raises(aiohttp.ClientError):
                await answer.read()

    answered = threading.Event()
    with ThreadPoolExecutor() as threads:
        with in_background(FaultyProxy(moto.endpoint).running()) as before:
            before.faults = Faults(stall_after=0)
            asking = threads.submit(asyncio.run, ask(answered, before.endpoint))
            assert answered.wait(20)
        asking.result(20)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_seaweedfs_listens_on_the_loopback_interface_only(seaweedfs: SeaweedFSServer) -> None:
    sockets = {os.readlink(fd) for fd in Path(f"/proc/{seaweedfs.pid}/fd").iterdir()}
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{seaweedfs.pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                listening.add(fields[1].partition(":")[0])
    assert listening == {"0100007F"}
