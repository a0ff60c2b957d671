"""The ready-made displays: what they count and say, how often, and what a bad callback does."""

from __future__ import annotations

import asyncio
import io
import logging
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tqdm import tqdm
from yarl import URL

import neuro_sdk
from neuro_sdk import BucketHandle, Client
from neuro_sdk.progress import (
    CountingProgress,
    LogProgress,
    RichProgress,
    StorageProgressComplete,
    StorageProgressDelete,
    StorageProgressFail,
    StorageProgressSkip,
    StorageProgressStart,
    StorageProgressStep,
    TqdmProgress,
)

from ..conftest import Lifted
from ..trees import make_tree, set_time

SRC, DST = URL("file:///a"), URL("blob:b/a")


def _console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100)


def _text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


async def test_counts_agree_with_what_was_moved(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for number in range(50):
        (tmp_path / "tree" / str(number)).write_bytes(bytes(number))
    async with neuro_sdk.local(tmp_path / "home") as client:
        await client.buckets.create("box")
        with RichProgress("Up", console=_console(terminal=True)) as up:
            await client.buckets.upload_dir(tmp_path / "tree", "blob:box", progress=up)
        assert (up.started, up.completed, up.failed) == (50, 50, 0)
        assert up.bytes == sum(range(50))
        with RichProgress("Gone", console=_console(terminal=True)) as gone:
            await client.buckets.blob_rm("blob:box", recursive=True, progress=gone)
        assert gone.deleted == 50


def test_without_a_terminal_there_are_lines_and_no_escapes() -> None:
    console = _console(terminal=False)
    with RichProgress("Up", console=console) as bar:
        bar.start(StorageProgressStart(URL("file:///a"), URL("blob:b/a"), 10))
        bar.step(StorageProgressStep(URL("file:///a"), URL("blob:b/a"), 10, 10))
        bar.complete(StorageProgressComplete(URL("file:///a"), URL("blob:b/a"), 10))
        bar.fail(StorageProgressFail(URL("file:///c"), URL("blob:b/c"), "no [bold]room"))
    text = _text(console)
    assert "\x1b" not in text
    assert "failed: no [bold]room" in text
    assert "Up: 1/1 files, 1 failed, 10 B" in text


def test_memory_is_bounded_by_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuro_sdk.progress._bars._OWN_AFTER", 0)
    with RichProgress(console=_console(terminal=True), files=3) as bar:
        for number in range(20_000):
            src, dst = URL(f"file:///{number}"), URL(f"blob:b/{number}")
            bar.start(StorageProgressStart(src, dst, 1))
            bar.step(StorageProgressStep(src, dst, 1, 1))
            bar.complete(StorageProgressComplete(src, dst, 1))
            assert len(bar._bars.task_ids) == 1
        for number in range(10):
            size = 100 << 20
            src = URL(f"file:///x{number}")
            bar.start(StorageProgressStart(src, DST, size))
            bar.step(StorageProgressStep(src, DST, 1, size))
        assert len(bar._bars.task_ids) == 1 + 3
    assert bar.completed == 20_000


def test_names_are_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuro_sdk.progress._bars._OWN_AFTER", 0)
    console = _console(terminal=True)
    with RichProgress("Up [/]", console=console) as bar:
        src, dst = URL("file:///a%5B/b%5D%5Bred%5D"), URL("blob:b/x")
        bar.start(StorageProgressStart(src, dst, 100 << 20))
        bar.step(StorageProgressStep(src, dst, 1, 100 << 20))
        bar._bars.refresh()
        assert "b][red]" in _text(console)


def test_an_error_inside_leaves_the_terminal_as_it_was() -> None:
    console = _console(terminal=True)
    with pytest.raises(KeyboardInterrupt), RichProgress("Up", console=console):
        raise KeyboardInterrupt
    assert _text(console).rfind("\x1b[?25h") > _text(console).rfind("\x1b[?25l")  # the cursor


def test_what_a_terminal_would_obey_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuro_sdk.progress._bars._OWN_AFTER", 0)
    console = _console(terminal=False)
    with RichProgress("Up", console=console) as bar:
        bar.fail(StorageProgressFail(SRC, DST, "no\x1b[2J\x07room"))
    text = _text(console)
    assert "failed: no\\x1b[2J\\x07room\n" in text
    assert "\x1b" not in text
    log = io.StringIO()
    with TqdmProgress("Up", file=log, ascii=True) as up:
        up.start(StorageProgressStart(URL("file:///%1B%5B2J"), DST, 100 << 20))
        up.step(StorageProgressStep(URL("file:///%1B%5B2J"), DST, 1, 100 << 20))
        up.fail(StorageProgressFail(SRC, DST, "no\x1b[2Jroom"))
    # tqdm moves the cursor between bars by itself, and that is all.
    assert "\x1b[2J" not in log.getvalue()
    assert "failed: no\\x1b[2Jroom" in log.getvalue()


@pytest.fixture
async def box(client: Client) -> BucketHandle:
    await client.buckets.create("box")
    return await client.buckets.open("box")


async def test_what_is_skipped_is_counted(
    client: Client, box: BucketHandle, tmp_path: Path
) -> None:
    tree = make_tree(tmp_path / "tree", {"a": b"a", "d/b": b"bb", "d/e/c": b"ccc"})
    for path in ("a", "d/b", "d/e/c"):
        set_time(tree / path, datetime.now(UTC) - timedelta(hours=1))
    await box.upload_dir(tree, "tree")
    await box.copy_dir("tree", "copy", to=box)
    back = tmp_path / "back"
    await box.download_dir("tree", back)
    (tree / "a").write_bytes(b"new")
    await asyncio.sleep(0.05)  # the clock of files ticks every few milliseconds
    other = await client.buckets.open("box")

    async def counted(work: str, *args: object, **how: object) -> str:
        counts = CountingProgress()
        await getattr(other, work)(*args, progress=counts, **how)
        assert counts.started == counts.completed
        assert counts.bytes == counts.total
        return str(counts)

    up, none = "copied 1, skipped 2, failed 0, 3 B", "copied 0, skipped 3, failed 0, 0 B"
    assert await counted("upload_dir", tree, "tree", update=True) == up
    assert await counted("sync_up", tree, "tree", delete=True) == none
    assert await counted("upload_file", tree / "d/b", "tree/d/b", update=True) == (
        "copied 0, skipped 1, failed 0, 0 B"
    )
    assert await counted("copy_dir", "tree", "copy", to=box, update=True) == up
    assert await counted("download_dir", "copy", back, update=True) == up
    assert await counted("sync_down", "copy", back) == none
    assert await counted("download_dir", "copy", back, continue_=True) == none
    assert await counted("download_file", "copy/a", back / "a", update=True) == (
        "copied 0, skipped 1, failed 0, 0 B"
    )


async def test_plans_tell_what_they_skip(box: BucketHandle, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", {"a": b"a", "b": b"b"})
    await asyncio.sleep(0.05)
    await box.upload_dir(tree, "tree")
    plan = await box.plan_upload_dir(tree, "tree", update=True)
    counts = CountingProgress()
    await plan.apply(counts)
    assert (counts.completed, counts.skipped) == (0, 2)


async def test_tqdm_counts_what_was_moved(box: BucketHandle, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", {"small": b"a" * 1024, "large": bytes(8 << 20)})
    log = io.StringIO()
    with TqdmProgress("Up", file=log, ascii=True, ncols=100) as up:
        await box.upload_dir(tree, "tree", progress=up)
    last = log.getvalue().splitlines()[-1].split("\r")[-1]
    assert last.startswith("Up: 100%")
    assert "8.00M/8.00M" in last
    assert "2/2 files" in last
    assert (up.completed, up.bytes) == (2, (8 << 20) + 1024)


def test_bars_of_files_are_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuro_sdk.progress._bars._OWN_AFTER", 0)
    made = []

    class Kept(tqdm):  # type: ignore[type-arg]  # at run time it takes none
        def __init__(self, *args: Any, **how: Any) -> None:
            super().__init__(*args, **how)
            made.append(self)

    monkeypatch.setattr("tqdm.auto.tqdm", Kept)
    with TqdmProgress("Up", files=2, file=io.StringIO()) as bar:
        for number in range(20):
            pair = [URL(f"file:///{number}{letter}") for letter in "abc"]
            for src in pair:
                bar.start(StorageProgressStart(src, DST, 8 << 20))
                bar.step(StorageProgressStep(src, DST, 1 << 20, 8 << 20))
            assert {each.desc for each in made[1:]} == {f"  {number}a", f"  {number}b"}
            for src in pair:
                bar.step(StorageProgressStep(src, DST, 8 << 20, 8 << 20))
                bar.complete(StorageProgressComplete(src, DST, 8 << 20))
    assert len(made) == 3
    assert all(each.disable for each in made), "they are closed"
    assert made[0].n == made[0].total == 20 * 3 * (8 << 20)


@pytest.mark.parametrize("kind", [TqdmProgress, RichProgress])
def test_bars_do_not_flood(kind: type[TqdmProgress | RichProgress]) -> None:
    log = io.StringIO()
    console = Console(file=log, force_terminal=True, width=100)
    options = {"console": console} if kind is RichProgress else {"file": log}
    begun = time.monotonic()
    with kind("Up", **options) as bar:
        for number in range(5_000):
            src = URL(f"file:///{number}")
            bar.start(StorageProgressStart(src, DST, 10))
            for step in range(10):
                bar.step(StorageProgressStep(src, DST, step + 1, 10))
            bar.complete(StorageProgressComplete(src, DST, 10))
    seconds = time.monotonic() - begun
    drawn = log.getvalue().count("Up")
    assert bar.bytes == 50_000
    assert drawn <= 5 + 11 * seconds


def test_a_log_has_a_line_an_interval(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with LogProgress("Up", interval=60) as log:
        for number in range(1000):
            src = URL(f"file:///{number}")
            log.start(StorageProgressStart(src, DST, 1024))
            log.step(StorageProgressStep(src, DST, 1024, 1024))
            log.complete(StorageProgressComplete(src, DST, 1024))
        log.skip(StorageProgressSkip(SRC, DST, 10))
        log.delete(StorageProgressDelete(DST, False))
    (line,) = caplog.records
    assert (line.name, line.levelno) == ("neuro_sdk.progress", logging.INFO)
    assert line.getMessage() == "Up: 1000/1000 files, 1 skipped, 1 removed, 1000.0 KiB"


def test_a_log_warns_of_failures(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("somebody.else")
    with LogProgress("Up", interval=0, logger=logger, level=logging.DEBUG) as log:
        log.fail(StorageProgressFail(SRC, DST, "no\nroom"))
    assert [(line.name, line.levelno) for line in caplog.records] == [
        ("somebody.else", logging.WARNING)
    ] * 2
    assert caplog.messages[0] == "Up: 0/0 files, 1 failed, the last: no\\nroom"


def test_importing_progress_imports_no_bars() -> None:
    script = "import sys, neuro_sdk.progress; print({'rich', 'tqdm'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "set()\n"


async def test_a_raising_callback_cancels_and_its_error_surfaces(
    box: BucketHandle, tmp_path: Path
) -> None:
    class Full(CountingProgress):
        def complete(self, data: StorageProgressComplete) -> None:
            super().complete(data)
            raise OSError("no room for the log")

    tree = make_tree(tmp_path / "tree", {f"{number:03}": b"x" for number in range(300)})
    full = Full()
    with pytest.raises(OSError, match="no room for the log"):
        await box.upload_dir(tree, "tree", progress=full)
    assert full.completed == 1
    assert len([entry async for entry in box.list_blobs("tree/")]) < 300


async def test_a_slow_callback_slows_the_transfer_and_the_loop(
    box: BucketHandle, tmp_path: Path, lifted: Lifted
) -> None:
    class Slow(CountingProgress):
        def complete(self, data: StorageProgressComplete) -> None:
            super().complete(data)
            with lifted():
                time.sleep(0.02)

    tree = make_tree(tmp_path / "tree", {f"{number:03}": b"x" for number in range(20)})
    waits = []

    async def watch() -> None:
        while True:
            begun = time.monotonic()
            await asyncio.sleep(0)
            waits.append(time.monotonic() - begun)

    watching = asyncio.create_task(watch())
    begun = time.monotonic()
    await box.upload_dir(tree, "tree", progress=Slow())
    watching.cancel()
    assert time.monotonic() - begun >= 20 * 0.02
    assert max(waits) >= 0.02
