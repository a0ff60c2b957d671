"""Loops of all kinds around one home, or one client; prints ``done``."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

import neuro_sdk
from neuro_sdk import Client
from tests.transfer.scripts.short import main, use


async def put_and_fetch(client: Client, key: str) -> None:
    for number in range(20):
        await client.buckets.put_blob("photos", f"{key}/{number}", key.encode() * number)
        pieces = [p async for p in client.buckets.fetch_blob("photos", f"{key}/{number}")]
        assert b"".join(pieces) == key.encode() * number


async def work(home: Path, key: str) -> None:
    async with neuro_sdk.local(home) as client:
        await put_and_fetch(client, key)


async def create(home: Path) -> None:
    async with neuro_sdk.local(home) as client:
        await client.buckets.create("photos")


def twice(folder: Path) -> None:
    """asyncio.run again, with another client."""
    asyncio.run(main(folder, "close"))
    asyncio.run(work(folder / "home", "a"))


def one_client(folder: Path) -> None:
    """One loop after another, with the same client."""
    client = asyncio.run(opened(folder / "home"))
    asyncio.run(use(client, folder))
    asyncio.run(put_and_fetch(client, "a"))
    asyncio.run(client.close())


async def opened(home: Path) -> Client:
    return await neuro_sdk.local(home)


def threads(folder: Path) -> None:
    """A loop and a client in each of some threads, and in the main one."""
    asyncio.run(create(folder / "home"))
    failed: list[BaseException] = []

    def run(key: str) -> None:
        try:
            asyncio.run(work(folder / "home", key))
        except BaseException as error:
            failed.append(error)

    started = [threading.Thread(target=run, args=[key]) for key in "abc"]
    for thread in started:
        thread.start()
    run("d")
    for thread in started:
        thread.join()
    for error in failed:
        raise error


def uvloop(folder: Path) -> None:
    """Another event loop."""
    import uvloop as other

    other.run(main(folder, "close"))
    other.run(work(folder / "home", "a"))


def close(folder: Path) -> None:
    """A script that ends well."""
    asyncio.run(main(folder, "close"))


def forget(folder: Path) -> None:
    """A script that forgets to close its client."""
    asyncio.run(main(folder, "forget"))


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
    print("done")
