"""RichProgress: bars where there is a terminal, lines elsewhere, bounded in both."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from yarl import URL

import neuro_sdk
from neuro_sdk.progress import (
    RichProgress,
    StorageProgressComplete,
    StorageProgressFail,
    StorageProgressStart,
    StorageProgressStep,
)


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
    assert "Up: 1/1 files, 1 failed, 10 bytes" in text


def test_memory_is_bounded_by_what_is_under_way() -> None:
    with RichProgress(console=_console(terminal=True), files=3) as bar:
        for number in range(20_000):
            src, dst = URL(f"file:///{number}"), URL(f"blob:b/{number}")
            bar.start(StorageProgressStart(src, dst, 1))
            bar.step(StorageProgressStep(src, dst, 1, 1))
            bar.complete(StorageProgressComplete(src, dst, 1))
            assert len(bar._bars.task_ids) == 1
        for number in range(10):
            size = 100 << 20
            bar.start(StorageProgressStart(URL(f"file:///x{number}"), URL("blob:b/x"), size))
        assert len(bar._bars.task_ids) == 1 + 3
    assert bar.completed == 20_000


def test_names_are_no_markup() -> None:
    console = _console(terminal=True)
    with RichProgress("Up [/]", console=console) as bar:
        src, dst = URL("file:///a%5B/b%5D%5Bred%5D"), URL("blob:b/x")
        bar.start(StorageProgressStart(src, dst, 100 << 20))
        bar._bars.refresh()
        assert "b][red]" in _text(console)


def test_an_error_inside_leaves_the_terminal_as_it_was() -> None:
    console = _console(terminal=True)
    with pytest.raises(KeyboardInterrupt), RichProgress("Up", console=console):
        raise KeyboardInterrupt
    assert _text(console).rfind("\x1b[?25h") > _text(console).rfind("\x1b[?25l")  # the cursor
