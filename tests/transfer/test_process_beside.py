"""Several processes on one home: every blob ends whole, and none that was acknowledged is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import neuro_sdk

from .scripts import trees, work
from .scripts.processes import ask, start
from .scripts.verbs import run


class TestBeside:
    async def test_writes_and_removals(self, tmp_path: Path) -> None:
        home = tmp_path / "home"
        async with neuro_sdk.local(home) as client:
            bucket = await client.buckets.create("photos")
        started = [
            start(work.write_for_a_while, home, name, 150) for name in ("one", "two", "three")
        ]
        kept: set[str] = set()
        try:
            for _, connection in started:
                connection.send("go")
            for process, connection in started:
                answer = await asyncio.to_thread(ask, connection)
                assert not answer.startswith("failed"), answer
                kept.update(answer.split())
                await asyncio.to_thread(process.join, 20)
                assert process.exitcode == 0
        finally:
            for process, _ in started:
                process.kill()
                process.join()
        assert len(kept) > 100
        async with neuro_sdk.local(home) as client, client.buckets.open("photos") as handle:
            keys = {entry.key async for entry in handle.list_blobs("", recursive=True)}
            for key in keys:
                work.check(await work.read(handle, key))
        assert {key for key in keys if key.startswith("deep/")} == kept
        assert trees.hidden(home / "blobs" / bucket.id) == []

    async def test_one_tree_uploaded_by_two(self, tmp_path: Path) -> None:
        home = tmp_path / "home"
        async with neuro_sdk.local(home) as client:
            bucket = await client.buckets.create("photos")
        started = []
        for version in (1, 2):
            folder = tmp_path / str(version)
            trees.write(folder, trees.tree(version))
            started.append(start(work.transfer, "upload_dir", home, folder))
        for process, connection in started:
            while await asyncio.to_thread(ask, connection) != "done":
                pass
            process.join()
        found = {
            name.removeprefix("tree/"): data
            for name, data in trees.read(home / "blobs" / bucket.id).items()
        }
        trees.changed(found, trees.tree(1), trees.tree(2))
        assert found.keys() == trees.tree(1).keys()

    async def test_one_tree_downloaded_by_two(self, tmp_path: Path) -> None:
        home, folder = tmp_path / "home", tmp_path / "folder"
        trees.write(tmp_path / "source", trees.tree(1))
        async with neuro_sdk.local(home) as client:
            await client.buckets.create("photos")
            await run(client, "upload_dir", tmp_path / "source", lambda _: None)
        for _ in range(4):
            started = [start(work.transfer, "continue_dir", home, folder) for _ in range(3)]
            for process, connection in started:
                while await asyncio.to_thread(ask, connection) != "done":
                    pass
                process.join()
            assert trees.read(folder) == trees.tree(1)
            assert trees.hidden(folder) == []
            for name in ("big", "a", "sub/large"):
                (folder / name).unlink()
