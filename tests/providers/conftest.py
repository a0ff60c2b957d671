"""A bucket at SeaweedFS, behind a proxy that counts and breaks what passes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

import neuro_sdk
from neuro_sdk import BucketHandle, Client, TransferConfig
from neuro_sdk._platform.seaweedfs import SeaweedFSServer
from tests.servers.proxy import Faults, FaultyProxy

QUICK = TransferConfig(timeout=2, retries=2, part_size=5 << 20)


def store_file(folder: Path, server: SeaweedFSServer, endpoint: str | None = None) -> Path:
    path = folder / "cluster.toml"
    path.write_text(
        f'provider = "seaweedfs"\nendpoint_url = "{endpoint or server.endpoint}"\n'
        f'access_key_id = "{server.access_key}"\nsecret_access_key = "{server.secret_key}"\n'
    )
    return path


@pytest.fixture
def watched(seaweedfs: SeaweedFSServer, proxy: Callable[[str], FaultyProxy]) -> FaultyProxy:
    return proxy(seaweedfs.endpoint)


@pytest.fixture
async def client(
    tmp_path: Path, seaweedfs: SeaweedFSServer, watched: FaultyProxy
) -> AsyncIterator[Client]:
    path = store_file(tmp_path, seaweedfs, watched.endpoint)
    async with neuro_sdk.local(tmp_path / "home", store=path, transfer=QUICK) as client:
        yield client


@pytest.fixture
async def box(client: Client, watched: FaultyProxy) -> AsyncIterator[BucketHandle]:
    bucket = await client.buckets.create("box")
    async with client.buckets.open("box") as handle:
        yield handle
    watched.faults = Faults()
    await client.buckets.rm(bucket.id, force=True)
