"""Functions that block: in threads, and what ends comes back many at a time."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from neuro_sdk._transfer.disk import Disk, Partial, Source, is_partial
from neuro_sdk._transfer.threads import Threads
from neuro_sdk.errors import LocalIsADirectory, LocalNotFound


@pytest.fixture
async def disk() -> AsyncIterator[Disk]:
    disk = Disk(4)
    yield disk
    disk.close()


class Gate:
    """A call that waits in its thread until it may end."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.open = threading.Event()

    def __call__(self) -> None:
        self.begun.append(threading.get_ident())
        assert self.open.wait(20)

    async def some(self, count: int) -> None:
        for _ in range(5000):
            if len(self.begun) == count:
                return
            await asyncio.sleep(0.001)
        raise AssertionError(f"{len(self.begun)} threads of {count} began")


async def blocked(disk: Disk, gate: Gate) -> list[asyncio.Future[None]]:
    """All threads at work, so that what comes next waits."""
    works = [disk.begin("gate", gate) for _ in range(4)]
    await gate.some(4)
    return works


class TestCalls:
    async def test_each_gets_what_is_its_own(self, disk: Disk, tmp_path: Path) -> None:
        for number in range(0, 100, 2):
            (tmp_path / str(number)).write_text(str(number))

        async def read(number: int) -> str:
            path = tmp_path / str(number)
            return await disk.run(path, path.read_text)

        found = await asyncio.gather(*map(read, range(100)), return_exceptions=True)
        for number, outcome in enumerate(found):
            if number % 2:
                assert isinstance(outcome, LocalNotFound)
                assert repr(str(tmp_path / str(number))) in str(outcome)
            else:
                assert outcome == str(number)

    async def test_who_waits_for_a_thread_that_has_begun_is_cancelled_when_it_is_done(
        self, disk: Disk, tmp_path: Path
    ) -> None:
        (tmp_path / "a").write_bytes(b"12")
        gate, opened = Gate(), []

        def source() -> Source:
            opened.append(Source(str(tmp_path / "a")))
            gate()
            return opened[0]

        task = asyncio.create_task(disk.run("a", source))
        await gate.some(1)
        task.cancel()
        await asyncio.sleep(0.05)
        assert not task.done()
        gate.open.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert opened[0]._fd == -1

    async def test_what_has_not_begun_is_withdrawn(self, disk: Disk) -> None:
        gate, done = Gate(), list[int]()
        works = await blocked(disk, gate)
        work = disk.begin("x", done.append, 1)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        gate.open.set()
        await asyncio.gather(*works)
        assert await disk.run("x", int) == 0
        assert done == []

    async def test_what_closes_a_file_is_done_however_often_its_caller_is_cancelled(
        self, disk: Disk, tmp_path: Path
    ) -> None:
        file = await disk.run("a", partial(Partial, str(tmp_path / "a"), version="1"))
        gate = Gate()
        works = await blocked(disk, gate)
        task = asyncio.create_task(disk.run("a", file.abandon))
        for _ in range(3):
            await asyncio.sleep(0.01)
            task.cancel()
        assert not task.done()
        gate.open.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.gather(*works)
        assert os.listdir(tmp_path) == []
        assert file._fd == -1

    async def test_any_error_comes_out(self, disk: Disk) -> None:
        def fail() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await disk.run("x", fail)
        assert await disk.run("x", int) == 0

    async def test_a_closed_disk_says_so_and_keeps_nothing(self, disk: Disk) -> None:
        disk.close()
        with pytest.raises(RuntimeError, match="shutdown"):
            await disk.run("x", int)


class TestWakes:
    async def test_what_ends_while_others_wait_comes_many_at_a_time(
        self, disk: Disk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gate = Gate()
        works = await blocked(disk, gate)
        short = [disk.begin("x", int) for _ in range(640)]
        loop, wakes = asyncio.get_running_loop(), 0
        wake = loop.call_soon_threadsafe

        def counted(*args: object, **options: object) -> asyncio.Handle:
            nonlocal wakes
            wakes += 1
            return wake(*args, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        gate.open.set()
        await asyncio.gather(*works, *short)
        assert wakes <= 644 / 16 + 4

    async def test_a_result_does_not_wait_for_others_that_take_long(self) -> None:
        threads, gate = Threads(2, "test"), Gate()
        try:
            first = threads.start(gate)
            quick = threads.start(int)
            rest = [threads.start(gate) for _ in range(3)]
            assert await asyncio.wait_for(asyncio.shield(quick), 10) == 0
            assert not first.done()
            gate.open.set()
            await asyncio.gather(first, *rest)
        finally:
            gate.open.set()
            threads.close()

    def test_another_loop_goes_on_where_one_was_closed_on_the_way(self) -> None:
        threads, gate = Threads(2, "test"), Gate()

        async def leave() -> None:
            for _ in range(20):
                threads.start(gate)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(leave())
        loop.close()

        async def again() -> int:
            work = threads.start(partial(int, "7"))
            gate.open.set()
            return await asyncio.wait_for(work, 10)

        try:
            assert asyncio.run(again()) == 7
        finally:
            threads.close()


class TestWriteWhole:
    def test_a_new_file_has_no_other_name_before(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        named: list[list[str]] = []
        link = os.link

        def watched(*args: object, **options: object) -> None:
            named.append(os.listdir(tmp_path))
            link(*args, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "link", watched)
        before = os.umask(0o027)
        try:
            Partial.write_whole(str(tmp_path / "new"), b"body")
        finally:
            os.umask(before)
        assert named in ([[]], [])  # not every disk can
        assert (tmp_path / "new").read_bytes() == b"body"
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640
        assert os.listdir(tmp_path) == ["new"]

    @pytest.mark.parametrize("cannot", ["O_TMPFILE", "/proc", "the file system"])
    def test_where_that_cannot_be_it_is_written_beside(
        self, cannot: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        open_ = os.open

        def no_open(path: str, flags: int, *args: int) -> int:
            if not is_partial(os.path.basename(path)):
                raise OSError(95, "Operation not supported")
            return open_(path, flags, *args)

        def no_link(*args: object, **options: object) -> None:
            raise FileNotFoundError(2, "No such file or directory")

        if cannot == "O_TMPFILE":
            monkeypatch.setattr("neuro_sdk._transfer.disk._UNNAMED", 0)
        elif cannot == "/proc":
            monkeypatch.setattr(os, "link", no_link)
        else:
            monkeypatch.setattr(os, "open", no_open)
        Partial.write_whole(str(tmp_path / "new"), b"body")
        assert (tmp_path / "new").read_bytes() == b"body"
        assert os.listdir(tmp_path) == ["new"]

    def test_what_has_the_name_is_replaced_as_ever(self, tmp_path: Path) -> None:
        (tmp_path / "old").write_bytes(b"old")
        (tmp_path / "link").symlink_to(tmp_path / "nowhere")
        (tmp_path / "folder").mkdir()
        Partial.write_whole(str(tmp_path / "old"), b"new")
        Partial.write_whole(str(tmp_path / "link"), b"file")
        with pytest.raises(LocalIsADirectory):
            Partial.write_whole(str(tmp_path / "folder"), b"body")
        assert (tmp_path / "old").read_bytes() == b"new"
        assert (tmp_path / "link").read_bytes() == b"file"
        assert not (tmp_path / "link").is_symlink()
        assert sorted(os.listdir(tmp_path)) == ["folder", "link", "old"]

    def test_what_a_killed_download_left_is_taken_up(self, tmp_path: Path) -> None:
        target = str(tmp_path / "a")
        left = Partial(target, version="of a large one")
        left.write(b"some of it")
        left._close()
        assert len(os.listdir(tmp_path)) == 2
        Partial.write_whole(target, b"now small")
        assert os.listdir(tmp_path) == ["a"]
