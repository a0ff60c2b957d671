"""Drivers at real places, and journals that stay within the test."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from neuro_sdk._platform.admin.azure_calls import Access, Calls
from neuro_sdk._platform.seaweedfs import SeaweedFSServer
from neuro_sdk.cli.azurite import AzuriteServer
from neuro_sdk.drivers import OpendalDriver

from ..servers.fake_gcs import FakeGcs
from ..servers.s3 import s3_client


@dataclass(frozen=True)
class Place:
    """Where a driver can be opened again and again."""

    scheme: str
    kwargs: dict[str, Any]

    def driver(self, remove_created_on_close: bool = False) -> OpendalDriver:
        return OpendalDriver(self.scheme, self.kwargs, remove_created_on_close)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of the user."""
    folder = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder


@pytest.fixture
def journals(state: Path) -> Callable[[], list[Path]]:
    """The files of sessions that have something to remove."""
    return lambda: sorted(state.rglob("*.jsonl"))


@pytest.fixture
async def s3_config(seaweedfs: SeaweedFSServer) -> dict[str, Any]:
    """The configuration of a driver for a new bucket at SeaweedFS, as the document has it."""
    name = f"driver-{uuid.uuid4().hex[:12]}"
    keys = (seaweedfs.endpoint, seaweedfs.access_key, seaweedfs.secret_key)
    async with s3_client(*keys) as s3:
        await s3.create_bucket(Bucket=name)
    return {
        "endpoint": seaweedfs.endpoint,
        "access_key": seaweedfs.access_key,
        "secret_key": seaweedfs.secret_key,
        "bucket": name,
        "region": "us-east-1",
        "driver_config": {},
    }


@pytest.fixture
def s3_place(s3_config: dict[str, Any]) -> Place:
    """The same bucket for OpenDAL."""
    return Place(
        "s3",
        {
            "bucket": s3_config["bucket"],
            "endpoint": s3_config["endpoint"],
            "region": "us-east-1",
            "access_key_id": s3_config["access_key"],
            "secret_access_key": s3_config["secret_key"],
        },
    )


@pytest.fixture
async def azure_place(azurite: AzuriteServer) -> Place:
    """A new container at Azurite."""
    name = f"driver-{uuid.uuid4().hex[:12]}"
    access = Access(
        endpoint=azurite.endpoint, account=azurite.account_name, key=azurite.account_key
    )
    calls = await asyncio.to_thread(Calls, access)
    await calls.create(name, about="it")
    await calls.close()
    return Place(
        "azblob",
        {
            "container": name,
            "endpoint": azurite.endpoint,
            "account_name": azurite.account_name,
            "account_key": azurite.account_key,
        },
    )


@pytest.fixture
async def gcs_place(fake_gcs: FakeGcs) -> Place:
    """A new bucket at fake-gcs-server, which takes any token."""
    name = f"driver-{uuid.uuid4().hex[:12]}"
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{fake_gcs.endpoint}/storage/v1/b?project=p", json={"name": name}) as answer,
    ):
        assert answer.status == 200
    return Place("gcs", {"bucket": name, "endpoint": fake_gcs.endpoint, "token": "any-token"})


PLACES = ("fs", "memory", "s3", "s3 below a root", "s3 as OpenDAL has it", "azblob", "gcs")


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each place in turn."""
    if request.param == "fs":
        return Place("fs", {"root": str(tmp_path / "root")})
    if request.param == "memory":
        return Place("memory", {})
    if request.param == "azblob":
        azure: Place = request.getfixturevalue("azure_place")
        return azure
    if request.param == "gcs":
        gcs: Place = request.getfixturevalue("gcs_place")
        return gcs
    s3: Place = request.getfixturevalue("s3_place")
    if request.param == "s3 below a root":
        return Place("s3", {**s3.kwargs, "root": "/below/a root/"})
    if request.param == "s3 as OpenDAL has it":
        # An option that buckets do not have, so that OpenDAL alone serves it.
        return Place("s3", {**s3.kwargs, "disable_stat_with_override": True})
    return s3


@pytest.fixture
async def driver(place: Place) -> AsyncIterator[OpendalDriver]:
    """A connected driver at each place in turn, which leaves what it makes."""
    async with place.driver() as connected:
        yield connected
