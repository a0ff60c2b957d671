"""What operations on trees cost in requests, counted before a real SeaweedFS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

import neuro_sdk
from neuro_sdk import BucketHandle, Client, TransferConfig
from neuro_sdk._platform.seaweedfs import SeaweedFSServer

from ..servers.proxy import FaultyProxy

MIB = 1 << 20


@pytest.fixture
def watched(seaweedfs: SeaweedFSServer, proxy: Callable[[str], FaultyProxy]) -> FaultyProxy:
    return proxy(seaweedfs.endpoint)


@pytest.fixture
async def opened(
    tmp_path: Path, seaweedfs: SeaweedFSServer, watched: FaultyProxy
) -> AsyncIterator[Client]:
    store = tmp_path / "cluster.toml"
    store.write_text(
        f'provider = "seaweedfs"\nendpoint_url = "{watched.endpoint}"\n'
        f'access_key_id = "{seaweedfs.access_key}"\n'
        f'secret_access_key = "{seaweedfs.secret_key}"\n'
    )
    limits = TransferConfig(part_size=5 * MIB)
    async with neuro_sdk.local(tmp_path / "home", store=store, transfer=limits) as client:
        yield client


@pytest.fixture
async def bucket(opened: Client) -> AsyncIterator[BucketHandle]:
    made = await opened.buckets.create("box")
    handle = await opened.buckets.open("box")
    await handle.put_blob("warm", b"")  # credentials are there from now on
    yield handle
    await opened.buckets.rm(made.id, force=True)


async def fill(bucket: BucketHandle, count: int) -> None:
    for number in range(count):
        await bucket.put_blob(f"from/d{number % 3}/{number}", b"%d" % number)


class TestCopy:
    async def test_of_a_blob(self, bucket: BucketHandle, watched: FaultyProxy) -> None:
        await bucket.put_blob("a", b"x" * MIB)
        watched.forget()
        await bucket.copy_blob("a", "b")
        assert watched.counts() == {"HEAD": 2, "PUT": 1}
        assert watched.received + watched.sent < 10_000, "the bytes stay at the store"
        watched.forget()
        await bucket.move_blob("a", "c")
        assert watched.counts() == {"HEAD": 5, "PUT": 1, "DELETE": 1}

    async def test_of_a_tree(self, bucket: BucketHandle, watched: FaultyProxy) -> None:
        await fill(bucket, 60)
        watched.forget()
        await bucket.copy_dir("from", "to")
        assert watched.counts() == {"GET list-type": 1, "HEAD": 60, "PUT": 60}
        watched.forget()
        await bucket.copy_dir("from", "to", update=True)
        assert watched.counts() == {"GET list-type": 2}

    async def test_between_buckets(
        self, opened: Client, bucket: BucketHandle, watched: FaultyProxy
    ) -> None:
        other = await opened.buckets.create("other")
        handle = await opened.buckets.open("other")
        await handle.put_blob("warm", b"")
        await fill(bucket, 30)
        watched.forget()
        await bucket.copy_dir("from", "to", to=handle)
        assert watched.counts() == {"GET list-type": 1, "GET": 30, "PUT": 30}
        await opened.buckets.rm(other.id, force=True)
