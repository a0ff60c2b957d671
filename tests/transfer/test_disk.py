"""Calls to the disk: in threads, and short ones many in one go."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from neuro_sdk._transfer.disk import Disk, Source
from neuro_sdk.errors import LocalNotFound


@pytest.fixture
async def disk() -> AsyncIterator[Disk]:
    disk = Disk(8)
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


async def blocked(disk: Disk, gate: Gate) -> list[asyncio.Task[None]]:
    """Four groups at work, so that what comes next waits."""
    tasks = [asyncio.create_task(disk.run_short("gate", gate)) for _ in range(4)]
    for _ in range(5000):
        if len(gate.begun) == 4:
            return tasks
        await asyncio.sleep(0.001)
    raise AssertionError("four groups did not begin")


class TestShort:
    async def test_each_gets_what_is_its_own(self, disk: Disk, tmp_path: Path) -> None:
        for number in range(0, 100, 2):
            (tmp_path / str(number)).write_text(str(number))

        async def read(number: int) -> str:
            path = tmp_path / str(number)
            return await disk.run_short(path, path.read_text)

        found = await asyncio.gather(*map(read, range(100)), return_exceptions=True)
        for number, outcome in enumerate(found):
            if number % 2:
                assert isinstance(outcome, LocalNotFound)
                assert repr(str(tmp_path / str(number))) in str(outcome)
            else:
                assert outcome == str(number)

    async def test_what_waits_is_done_in_one_go(self, disk: Disk) -> None:
        gate = Gate()
        tasks = await blocked(disk, gate)
        threads = [asyncio.create_task(disk.run_short("x", threading.get_ident)) for _ in range(64)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in threads)
        gate.open.set()
        idents = await asyncio.gather(*threads)
        await asyncio.gather(*tasks)
        for at in range(0, 64, 16):
            assert len(set(idents[at : at + 16])) == 1

    async def test_who_is_cancelled_waits_and_what_was_opened_is_closed(
        self, disk: Disk, tmp_path: Path
    ) -> None:
        (tmp_path / "a").write_bytes(b"12")
        gate, opened = Gate(), []

        def source() -> Source:
            opened.append(Source(str(tmp_path / "a")))
            return opened[0]

        tasks = await blocked(disk, gate)
        task = asyncio.create_task(disk.run_short("a", source))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0.05)
        assert not task.done()
        gate.open.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.gather(*tasks)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(opened[0]._fd)

    async def test_any_error_comes_out(self, disk: Disk) -> None:
        def fail() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await disk.run_short("x", fail)
        assert await disk.run_short("x", int) == 0
