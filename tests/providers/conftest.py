"""A bucket at SeaweedFS, behind a proxy that counts and breaks what passes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import neuro_sdk
from neuro_sdk import BucketHandle, Client, TransferConfig
from tests.servers.proxy import Faults, FaultyProxy

QUICK = TransferConfig(timeout=2, retries=2, part_size=5 << 20)


@pytest.fixture
def transfer() -> TransferConfig:
    """The bounds of the client; a module may have its own."""
    return QUICK


@pytest.fixture
async def client(
    tmp_path: Path, watched_store: Path, transfer: TransferConfig
) -> AsyncIterator[Client]:
    async with neuro_sdk.local(tmp_path / "home", store=watched_store, transfer=transfer) as client:
        yield client


@pytest.fixture
async def box(client: Client, watched: FaultyProxy) -> AsyncIterator[BucketHandle]:
    bucket = await client.buckets.create("box")
    async with client.buckets.open("box") as handle:
        yield handle
    watched.faults = Faults()
    await client.buckets.rm(bucket.id, force=True)
