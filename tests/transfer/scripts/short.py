"""A script as people write them: open, put, list, fetch, a small tree both ways, close, end.

Arguments: a folder, and ``close`` or ``forget``; or ``engine`` for reads of the bare engine up
to the very end, which is what is most likely to meet the end of the interpreter.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import neuro_sdk
from neuro_sdk import Client
from neuro_sdk._providers.opendal import Engine


async def use(client: Client, folder: Path) -> None:
    buckets = client.buckets
    await buckets.create("photos")
    await buckets.put_blob("photos", "a/b", b"x" * 100_000)
    async with buckets.list_blobs("blob:photos/", recursive=True) as entries:
        assert [entry.key async for entry in entries] == ["a/b"]
    pieces = [piece async for piece in buckets.fetch_blob("photos", "a/b")]
    assert b"".join(pieces) == b"x" * 100_000
    (folder / "from" / "sub").mkdir(parents=True)
    for number in range(8):
        (folder / "from" / "sub" / str(number)).write_bytes(b"y" * 30_000 * number)
    await buckets.upload_dir(folder / "from", "blob:photos/tree")
    await buckets.download_dir("blob:photos/tree", folder / "to")
    assert len(list((folder / "to" / "sub").iterdir())) == 8


async def use_engine() -> None:
    engine = Engine("memory", {}, bucket="b")
    await engine.write("k", b"x" * 100_000, "k")
    for _ in range(5):
        await asyncio.gather(*[engine.read("k", "k") for _ in range(32)])


async def main(folder: Path, how: str) -> None:
    if how == "engine":
        await use_engine()
        return
    client = await neuro_sdk.local(folder / "home")
    await use(client, folder)
    if how == "close":
        await client.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
