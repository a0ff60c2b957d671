"""What other processes do while the tests look on."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import random
import resource
from multiprocessing.connection import Connection
from pathlib import Path

import neuro_sdk
from neuro_sdk import BlobChanged, BlobNotFound, BucketHandle, LocalError, NeuroError

# These are imported when a platform is opened, and then nobody may read where Python lies.
from neuro_sdk._platform import service as _service  # noqa: F401
from neuro_sdk._providers import services as _services  # noqa: F401

from .trees import STEPS
from .verbs import run

_NOBODY = 65534


def transfer(connection: Connection, verb: str, home: Path, folder: Path) -> None:
    """Run a transfer, telling of its first step and of its end."""
    told = False

    def step(_: int) -> None:
        nonlocal told
        if not told:
            told = True
            connection.send("first step")

    async def work() -> None:
        async with neuro_sdk.local(home, transfer=STEPS) as client:
            await run(client, verb, folder, step)

    connection.send("begun")
    asyncio.run(work())
    connection.send("done")


def transfer_slowly(
    connection: Connection, verb: str, home: Path, folder: Path, stop_after: int
) -> None:
    """Run a transfer that stands still at a step, to be killed there."""
    count = 0

    def step(_: int) -> None:
        nonlocal count
        count += 1
        if count == stop_after:
            connection.send("standing still")
            connection.recv()

    async def work() -> None:
        async with neuro_sdk.local(home, transfer=STEPS) as client:
            await run(client, verb, folder, step)

    asyncio.run(work())


def become_nobody() -> None:
    """Give up the rights that know no permissions, but not the name that buckets go by."""
    if os.getuid() == 0:
        os.environ["LOGNAME"] = getpass.getuser()
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)


def told(error: BaseException) -> str:
    """An error as text, with all that a caller may ask of it."""
    if not isinstance(error, NeuroError):
        return f"not of our tree: {error!r}"
    filename = error.filename if isinstance(error, LocalError) else None
    kind = type(error).__name__
    return f"{kind}: {error} | filename={filename} bucket={error.bucket} key={error.key}"


def transfer_as_nobody(connection: Connection, verb: str, home: Path, folder: Path) -> None:
    """Run a transfer without the rights of the administrator; tell of its error."""
    become_nobody()
    connection.send(asyncio.run(_outcome(verb, home, folder)))


def transfer_on_a_full_disk(connection: Connection, verb: str, home: Path, folder: Path) -> None:
    """Run a transfer while files may not grow beyond 600 kB; tell of its error."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
    connection.send(asyncio.run(_outcome(verb, home, folder)))


async def _outcome(verb: str, home: Path, folder: Path) -> str:
    try:
        async with neuro_sdk.local(home, transfer=STEPS) as client:
            await run(client, verb, folder, lambda _: None)
    except Exception as error:
        return told(error)
    return "done"


def put_as_nobody(connection: Connection, home: Path, key: str) -> None:
    """Try each verb on one blob of the bucket ``photos``; tell of each a line."""
    become_nobody()

    async def work() -> list[str]:
        answers = []
        async with neuro_sdk.local(home) as client, client.buckets.open("photos") as bucket:
            for verb in (
                lambda: bucket.put_blob(key, _content(key)),
                lambda: read(bucket, key),
                lambda: bucket.head_blob(key),
                lambda: _list(bucket),
                lambda: bucket.delete_blob(key),
                lambda: bucket.blob_rm("", recursive=True),
            ):
                try:
                    answers.append(f"done: {await verb()!r}")
                except Exception as error:
                    answers.append(told(error))
        return answers

    connection.send("\n".join(asyncio.run(work())))


def _content(key: str) -> bytes:
    from .trees import content

    return content(key.removeprefix("tree/"), 0)


async def read(bucket: BucketHandle, key: str) -> bytes:
    """The whole blob."""
    return b"".join([piece async for piece in bucket.fetch_blob(key)])


async def _list(bucket: BucketHandle) -> list[str]:
    return [entry.key async for entry in bucket.list_blobs("", recursive=True)]


def write_for_a_while(connection: Connection, home: Path, name: str, count: int) -> None:
    """Write and remove blobs beside others who do the same; tell which must be there at last."""
    chance = random.Random(name)
    kept = []

    async def work(bucket: BucketHandle, number: int) -> None:
        same = f"same/{chance.randrange(3)}"
        await bucket.put_blob(same, whole(chance))
        own = f"deep/er/{name}-{number}"
        await bucket.put_blob(own, whole(chance))
        check(await read(bucket, own))
        match number % 4:
            case 0:
                kept.append(own)
            case 1:
                await bucket.blob_rm(own, recursive=True)
            case _:
                await bucket.delete_blob(own)
        await bucket.put_blob(f"lost/{chance.randrange(2)}/{name}", whole(chance))
        if number % 3 == 0:
            with contextlib.suppress(BlobNotFound):  # the other one was first
                await bucket.blob_rm("lost", recursive=True)
        with contextlib.suppress(BlobChanged):  # the other one has just written it
            check(await read(bucket, same))

    async def all_work() -> None:
        async with neuro_sdk.local(home) as client, client.buckets.open("photos") as bucket:
            for number in range(count):
                await work(bucket, number)

    assert connection.recv() == "go"
    try:
        asyncio.run(all_work())
    except Exception as error:
        connection.send(f"failed: {told(error)}")
        raise
    connection.send(" ".join(kept))


def whole(chance: random.Random) -> bytes:
    """A body from which ``check`` tells that nothing of it is missing."""
    size = chance.randrange(40, 200_000)
    return size.to_bytes(8, "big") + bytes([size % 251]) * size


def check(body: bytes) -> None:
    """Raise AssertionError unless *body* is one that ``whole`` made, whole."""
    size = int.from_bytes(body[:8], "big")
    assert body[8:] == bytes([size % 251]) * size, f"{len(body)} bytes of {size + 8}"
