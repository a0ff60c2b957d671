"""A local tree seen ahead of a listing, by two readers of folders."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from neuro_sdk._aio import each
from neuro_sdk._core.plan import Side
from neuro_sdk._transfer import look as looking
from neuro_sdk._transfer import walk as walking
from neuro_sdk._transfer.disk import Disk, stat_many
from neuro_sdk._transfer.look import Look, Noted
from neuro_sdk._transfer.walk import Kind, walk
from tests.trees import make_tree

_TREE = {
    **{
        f"{folder}/f{number:02}": b"xy"
        for folder in ("a", "a-b", "a.b/c", "b")
        for number in range(25)
    },
    "z": b"z",
}


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk(8)
    yield disk
    disk.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "root", _TREE)


async def _files(disk: Disk, root: Path) -> list[str]:
    pages = walk(disk, root)
    async with aclosing(pages):
        return [found.path async for page in pages for found in page if found.kind is Kind.FILE]


async def _some(pages: AsyncGenerator[str, None], count: int) -> list[str]:
    async with aclosing(pages):
        return [await anext(pages) for _ in range(count)]


class TestLook:
    async def test_keys_are_those_of_a_walk(self, disk: Disk, root: Path) -> None:
        files = await _files(disk, root)
        assert len(files) == len(_TREE)
        look = Look(disk, root, "below/", closely=False)
        found = [key async for key in look.likely(10)]
        assert found == [f"below/{path}" for path in files[9::10]]

    async def test_what_was_seen_is_known(self, disk: Disk, root: Path) -> None:
        async def now(paths: list[str]) -> list[Side | None]:
            return await disk.run(root, stat_many, paths)

        paths = [str(root / path) for path in [*_TREE, "a/none", "a/f00/x", "none/f", "a"]]
        look = Look(disk, root, "", closely=True)
        assert await look.sides(paths) == await now(paths)
        await _some(look.likely(10), 5)
        seen, unseen = str(root / "a-b/f00"), str(root / "z")
        before = await now([seen])
        await disk.run(root, os.utime, seen, (1, 1))
        await disk.run(root, os.utime, unseen, (1, 1))
        assert await look.sides([seen, unseen]) == [*before, *await now([unseen])]
        assert await look.sides(paths) == await now(paths)  # nothing is told twice

    async def test_little_is_held(
        self, disk: Disk, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(looking, "_HELD", 30)
        look = Look(disk, root, "", closely=True)
        assert len([key async for key in look.likely(10)]) == 10
        assert len(look._seen) == 30

    async def test_links(self, disk: Disk, tmp_path: Path) -> None:
        root = make_tree(tmp_path / "root", {"in/f": b"1"})
        make_tree(tmp_path / "out", {"f": b"2", "below/f": b"3"})
        (root / "out").symlink_to(tmp_path / "out")
        (root / "inside").symlink_to("in")
        (root / "file").symlink_to(tmp_path / "out/f")
        (root / "nowhere").symlink_to("none")
        look = Look(disk, root, "", closely=True)
        keys = [key async for key in look.likely(1)]
        assert keys == ["file", "in/f", "inside", "nowhere", "out"]
        paths = [
            str(root / path) for path in ("inside/f", "out/f", "out/below/f", "file", "nowhere")
        ]
        inside, *out, file, nowhere = await look.sides(paths)
        assert inside is not None
        assert out == [None, None]
        assert file is not None
        assert nowhere is None

    @pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may read everything")
    async def test_what_cannot_be_read_is_passed_over(self, disk: Disk, root: Path) -> None:
        (root / "a").chmod(0)
        try:
            keys = [key async for key in Look(disk, root, "", closely=True).likely(1)]
        finally:
            (root / "a").chmod(0o700)
        assert keys == sorted(path for path in _TREE if not path.startswith("a/"))

    async def test_nothing_there(self, disk: Disk, tmp_path: Path) -> None:
        look = Look(disk, tmp_path / "none", "", closely=True)
        assert [key async for key in look.likely(1)] == []
        assert await look.sides([str(tmp_path / "none/f")]) == [None]


class TestNoted:
    async def test_keys_are_those_of_the_walk_that_passes(self, disk: Disk, root: Path) -> None:
        files = await _files(disk, root)
        noted = Noted("below/")
        walked = [found.path async for found in each(noted.pages(walk(disk, root)))]
        assert [path for path in walked if path in files] == files
        assert [key async for key in noted.likely(10)] == [f"below/{path}" for path in files[9::10]]

    async def test_keys_come_while_the_walk_goes_on(self, disk: Disk, root: Path) -> None:
        noted = Noted("")
        likely, walked = noted.likely(30), noted.pages(walk(disk, root))
        coming = asyncio.ensure_future(anext(likely))
        async for page in walked:
            passed = page[-1].path
            await asyncio.sleep(0)
            if coming.done():
                break
        assert coming.result() == "a.b/c/f04"
        assert passed.startswith("a.b/")
        await likely.aclose()
        await walked.aclose()

    async def test_who_walks_no_further_gives_no_more(self, disk: Disk, root: Path) -> None:
        noted = Noted("")
        walked = noted.pages(walk(disk, root))
        await anext(walked)
        waiting = asyncio.ensure_future(anext(noted.likely(1000), None))
        await asyncio.sleep(0)
        await walked.aclose()
        assert await asyncio.wait_for(waiting, 1) is None

    async def test_what_nobody_asks_for_is_forgotten(
        self, disk: Disk, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(looking, "_HELD", 30)
        noted = Noted("")
        async for _ in noted.pages(walk(disk, root)):
            pass
        assert len(noted._paths) == 30


class TestWalk:
    async def test_a_slow_disk_is_asked_for_many_folders_at_once(
        self, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = make_tree(tmp_path / "root", {f"d{number:02}/f": b"" for number in range(40)})
        scan, at_once, most = walking._scan, 0, 0

        def slow(folder: walking._Folder, names: list[str]) -> walking._Scan:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            time.sleep(0.02)
            at_once -= 1
            return scan(folder, names)

        monkeypatch.setattr(walking, "_scan", slow)
        assert await _files(disk, root) == [f"d{number:02}/f" for number in range(40)]
        assert most > 4

    async def test_a_quick_disk_is_asked_by_one_thread(
        self, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(walking, "_LONG", 60.0)
        root = make_tree(tmp_path / "root", {f"d{number:02}/f": b"" for number in range(40)})
        begin, begun = disk.begin, 0

        def counted(*args: object) -> asyncio.Future[object]:
            nonlocal begun
            begun += 1
            return begin(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(disk, "begin", counted)
        assert len(await _files(disk, root)) == 40
        assert begun == 4  # the root, and 16 folders at a time

    @pytest.mark.parametrize("seed", range(6))
    async def test_a_disk_that_is_slow_now_and_then(
        self, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
    ) -> None:
        chance = random.Random(seed)
        tree = {f"d{n:02}/{m}/f": b"" for n in range(40) for m in range(chance.randrange(4))}
        root = make_tree(tmp_path / "root", tree)
        scan = walking._scan

        def sometimes_slow(folder: walking._Folder, names: list[str]) -> walking._Scan:
            time.sleep(chance.choice((0, 0, 0, 0.01)))
            return scan(folder, names)

        monkeypatch.setattr(walking, "_scan", sometimes_slow)
        monkeypatch.setattr(walking, "_ENTRIES_AHEAD", chance.choice((3, 1024)))
        assert await _files(disk, root) == sorted(tree)

    async def test_what_is_read_ahead_is_bounded(
        self, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tree = {f"d{number:02}/f{n}": b"" for number in range(40) for n in range(number % 7)}
        root = make_tree(tmp_path / "root", tree)
        monkeypatch.setattr(walking, "_ENTRIES_AHEAD", 5)
        assert await _files(disk, root) == sorted(tree)

        async def wanted(path: str) -> bool:
            return path[:3] in {"d05", "d06", "d33"}

        pages = walk(disk, root, filter_=wanted)
        async with aclosing(pages):
            found = [one.path async for page in pages for one in page if one.kind is Kind.FILE]
        assert found == [path for path in sorted(tree) if path[:3] in {"d05", "d06", "d33"}]
