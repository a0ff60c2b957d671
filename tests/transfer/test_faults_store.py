"""Kills, cuts and cancels at random moments, before a real store.

Each round ends in one of two ways: all of it is there, or each blob and file is the old or the
new one, whole. ``NEURO_SDK_FAULT_ROUNDS`` says how many rounds each kind takes.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import pytest

import neuro_sdk
from neuro_sdk import Bucket, NeuroError
from neuro_sdk._platform.seaweedfs import SeaweedFSServer

from ..servers.proxy import Faults, FaultyProxy, Seen
from ..servers.s3 import s3_client
from .scripts import trees
from .scripts.verbs import run
from .test_process_kill import fetched, killed

ROUNDS = int(os.environ.get("NEURO_SDK_FAULT_ROUNDS", "2"))
HUGE = 11 << 20  # three parts


def tree(version: int) -> dict[str, bytes]:
    """Small files, some that are fetched in parts, and one that is sent in parts too."""
    chance = random.Random(f"huge {version}")
    huge = chance.randbytes(1 << 16) * (HUGE >> 16) + chance.randbytes(chance.randrange(9000))
    small = {f"many/{n % 3}/{n}": b"%d of %d" % (n, version) * (n + 1) for n in range(60)}
    return trees.tree(version) | small | {"huge": huge}


class Field:
    """A bucket behind a proxy, opened by an import in *home*, and the store behind it."""

    def __init__(self, home: Path, proxy: FaultyProxy, s3: Any, name: str) -> None:
        self.home = home
        self.proxy = proxy
        self._s3 = s3
        self._name = name
        self.hits = 0  # answers that were refused, lost or cut, and transfers that were broken off

    async def uploads(self) -> list[dict[str, str]]:
        """What has been begun in parts and is neither finished nor aborted."""
        answer = await self._s3.list_multipart_uploads(Bucket=self._name)
        return list(answer.get("Uploads", ()))

    async def forget(self, uploads: list[dict[str, str]]) -> None:
        for upload in uploads:
            await self._s3.abort_multipart_upload(
                Bucket=self._name, Key=upload["Key"], UploadId=upload["UploadId"]
            )


@pytest.fixture
async def field(
    tmp_path: Path, seaweedfs: SeaweedFSServer, proxy: Callable[[str], FaultyProxy]
) -> AsyncIterator[Field]:
    watched, name, home = proxy(seaweedfs.endpoint), f"faults-{os.urandom(6).hex()}", tmp_path / "h"
    keys = (seaweedfs.access_key, seaweedfs.secret_key)
    async with s3_client(seaweedfs.endpoint, *keys) as s3:
        await s3.create_bucket(Bucket=name)
        credentials = {
            "endpoint_url": watched.endpoint,
            "access_key_id": keys[0],
            "secret_access_key": keys[1],
        }
        async with neuro_sdk.local(home) as client:
            await client.buckets.import_external(
                Bucket.Provider.SEAWEEDFS, name, credentials, name="photos"
            )
        yield Field(home, watched, s3, name)
        async with neuro_sdk.local(home) as client:
            await client.buckets.blob_rm("blob:photos", recursive=True)
        await s3.delete_bucket(Bucket=name)


class Break(Protocol):
    """Runs a transfer and breaks it; True if it came to its end all the same."""

    async def __call__(
        self, field: Field, verb: str, folder: Path, chance: random.Random, span: float
    ) -> bool: ...


async def cancel(field: Field, verb: str, folder: Path, chance: random.Random, span: float) -> bool:
    async with neuro_sdk.local(field.home, transfer=trees.STEPS) as client:
        task = asyncio.create_task(run(client, verb, folder, lambda _: None))
        await asyncio.sleep(chance.uniform(0, span))
        task.cancel()
        began = time.monotonic()
        with suppress(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 20
        return not task.cancelled()


async def kill(
    field: Field, verb: str, folder: Path, chance: random.Random, span: float, *, sign: int
) -> bool:
    delay, at_once = chance.uniform(0, span), chance.random() < 0.2
    died = await asyncio.to_thread(
        killed, verb, field.home, folder, delay, at_once=at_once, sign=sign
    )
    return not died


async def cut(field: Field, verb: str, folder: Path, chance: random.Random, span: float) -> bool:
    del span

    def applies(seen: Seen) -> bool:
        # An upload that was begun without an answer is known to nobody here.
        return seen.kind != "POST uploads" and chance.random() < 0.4

    times = chance.choice([3, 30, 100])
    field.proxy.faults = chance.choice(
        [
            Faults(cut_after=chance.randrange(60_000), times=times),
            Faults(lose=True, times=times),
            Faults(refuse=chance.choice([0.3, 1.0]), times=times),
        ]
    )
    field.proxy.faults.applies = applies
    try:
        async with neuro_sdk.local(field.home, transfer=trees.STEPS) as client:
            await run(client, verb, folder, lambda _: None)
    except NeuroError:
        return False
    finally:
        assert field.proxy.faults.times is not None
        field.hits += times - field.proxy.faults.times
        field.proxy.faults = Faults()
    return True


SIGNALS = {"kill": signal.SIGKILL, "interrupt": signal.SIGINT}
KINDS: dict[str, Break] = {"cancel": cancel, "cut": cut}
KINDS |= {name: partial(kill, sign=sign) for name, sign in SIGNALS.items()}


def rounds(field: Field) -> Iterator[int]:
    """As many as are asked for, and more until one has been broken."""
    for number in count(1):
        if number > ROUNDS and field.hits:
            return
        assert number < ROUNDS + 30, "nothing was broken"
        yield number


@pytest.mark.parametrize("kind", KINDS)
async def test_upload(field: Field, tmp_path: Path, kind: str) -> None:
    folder, chance = tmp_path / "folder", random.Random(f"up {kind}")
    async with neuro_sdk.local(field.home) as client:
        trees.write(folder, tree(0))
        began = time.monotonic()
        await run(client, "upload_dir", folder, lambda _: None)
        span = time.monotonic() - began
        before = await fetched(client)
        assert before == tree(0)
        for version in rounds(field):
            files = tree(version)
            trees.write(folder, files)
            whole = await KINDS[kind](field, "upload_dir", folder, chance, span)
            found = await fetched(client)
            trees.changed(found, before, files)
            if whole:
                span *= 0.8  # the machine was slower when the time was taken
                assert found == files
            else:
                field.hits += 1
            left = await field.uploads()
            # Only who is killed cannot abort what was begun; the bucket's rule does so later.
            assert left == [] or kind == "kill"
            await field.forget(left)
            before = found
        await run(client, "upload_dir", folder, lambda _: None)
        assert await fetched(client) == files


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verb", ["download_dir", "continue_dir"])
async def test_download(field: Field, tmp_path: Path, kind: str, verb: str) -> None:
    source, folder = tmp_path / "source", tmp_path / "folder"
    chance = random.Random(f"down {verb} {kind}")
    folder.mkdir()
    async with neuro_sdk.local(field.home) as client:
        trees.write(source, tree(0))
        await run(client, "upload_dir", source, lambda _: None)
        began = time.monotonic()
        await run(client, "download_dir", folder, lambda _: None)
        span = time.monotonic() - began
        before = trees.read(folder)
        assert before == tree(0)
        for version in rounds(field):
            files = tree(version)
            trees.write(source, files)
            await run(client, "upload_dir", source, lambda _: None)
            whole = await KINDS[kind](field, verb, folder, chance, span)
            found = trees.read(folder)
            trees.changed(found, before, files)
            if whole:
                span *= 0.8
                assert found == files
            else:
                field.hits += 1
            left = trees.hidden(folder)
            assert all(name.endswith((".part", ".version")) for name in left)
            assert len(left) <= 2 * (len(trees.LARGE) + 1)
            before = found
        await run(client, "download_dir", folder, lambda _: None)
        assert trees.read(folder) == files
        assert trees.hidden(folder) == []
