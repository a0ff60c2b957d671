"""A client that is closed while calls are under way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

import neuro_sdk
from neuro_sdk import BucketNotFound, Client, ClientClosed

from .scripts import trees
from .scripts.verbs import run

_SECONDS = 10

Calls = Callable[[Client, Path], Coroutine[None, None, object]]


async def upload_dir(client: Client, folder: Path) -> None:
    await run(client, "upload_dir", folder / "source", lambda _: None)


async def upload_file(client: Client, folder: Path) -> None:
    await run(client, "upload_file", folder / "source", lambda _: None)


async def download_dir(client: Client, folder: Path) -> None:
    await run(client, "download_dir", folder / "target", lambda _: None)


async def put(client: Client, folder: Path) -> None:
    while True:
        await client.buckets.put_blob("photos", "x", b"x" * 10_000)


async def fetch(client: Client, folder: Path) -> None:
    while True:
        async with client.buckets.fetch_blob("photos", "tree/big") as pieces:
            async for _ in pieces:
                pass


async def list_all(client: Client, folder: Path) -> None:
    while True:
        async for bucket in client.buckets.list():
            try:
                async for _ in client.buckets.list_blobs(bucket.uri, recursive=True):
                    pass
            except BucketNotFound:
                assert bucket.name is None  # ``make`` has removed it meanwhile


async def remove(client: Client, folder: Path) -> None:
    async with client.buckets.open("photos") as bucket:
        while True:
            await bucket.put_blob("y/y", b"")
            await bucket.blob_rm("y", recursive=True)


async def make(client: Client, folder: Path) -> None:
    while True:
        bucket = await client.buckets.create()
        await client.buckets.rm(bucket.id)


CALLS: list[Calls] = [
    upload_dir,
    upload_file,
    download_dir,
    put,
    fetch,
    list_all,
    remove,
    make,
]


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    trees.write(tmp_path / "source", trees.tree(1))
    async with neuro_sdk.local(tmp_path / "home") as client:
        await client.buckets.create("photos")
        await run(client, "upload_dir", tmp_path / "source", lambda _: None)
    return tmp_path


async def outcomes(folder: Path, calls: list[Calls], delay: float) -> dict[str, object]:
    """What becomes of *calls* when the client is closed after *delay* seconds."""
    client = await neuro_sdk.local(folder / "home", transfer=trees.STEPS)
    tasks = {asyncio.create_task(call(client, folder)): call.__name__ for call in calls}
    await asyncio.sleep(delay)
    async with asyncio.timeout(_SECONDS):
        await client.close()
    _, late = await asyncio.wait(tasks, timeout=_SECONDS)
    for task in late:
        task.cancel()
    if late:
        await asyncio.wait(late, timeout=1)
    return {
        name: "hangs" if task in late else task.exception() or "done"
        for task, name in tasks.items()
    }


async def carried_on(folder: Path) -> None:
    """The next download leaves nothing of what the others have left."""
    left = trees.hidden(folder / "target")
    assert len(left) <= 2 * len(trees.LARGE)
    async with neuro_sdk.local(folder / "home") as client:
        await run(client, "download_dir", folder / "target", lambda _: None)
    assert trees.read(folder / "target").items() >= trees.tree(1).items()
    assert trees.hidden(folder / "target") == []


class TestClose:
    @pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
    async def test_one_call(self, folder: Path, call: Calls) -> None:
        chance = random.Random(call.__name__)
        for _ in range(6):
            for name, end in (await outcomes(folder, [call], chance.uniform(0, 0.04))).items():
                assert end == "done" or isinstance(end, ClientClosed), f"{name}: {end!r}"
        await carried_on(folder)

    async def test_all_at_once(self, folder: Path) -> None:
        chance = random.Random(1)
        calls = [call for call in CALLS if call not in (download_dir, fetch)]  # they see changes
        for _ in range(10):
            for name, end in (await outcomes(folder, calls, chance.uniform(0, 0.1))).items():
                assert end == "done" or isinstance(end, ClientClosed), f"{name}: {end!r}"
