"""Bars for the terminal."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from yarl import URL

from ._contracts import (
    AbstractDeleteProgress,
    AbstractRecursiveFileProgress,
    StorageProgressComplete,
    StorageProgressDelete,
    StorageProgressEnterDir,
    StorageProgressFail,
    StorageProgressLeaveDir,
    StorageProgressStart,
    StorageProgressStep,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

__all__ = ["RichProgress"]

_OWN_BAR = 4 << 20


class RichProgress(AbstractRecursiveFileProgress, AbstractDeleteProgress):
    """Bars on a terminal, a line now and then elsewhere; needs ``rich``.

    Use it as ``with RichProgress("Upload") as bar`` and pass it as ``progress``. One bar counts
    files and bytes, and up to *files* more show single large files under way. The total grows as
    files come up, for a tree is listed while it is moved.
    """

    def __init__(
        self, title: str = "Transfer", *, files: int = 4, console: Console | None = None
    ) -> None:
        try:
            from rich.console import Console as RichConsole
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                TextColumn,
                TimeElapsedColumn,
                TransferSpeedColumn,
            )
        except ModuleNotFoundError as missing:
            raise ModuleNotFoundError(
                "RichProgress needs rich: pip install 'neuro-blob-sdk[cli]'", name=missing.name
            ) from missing

        self._console = console or RichConsole()
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._title = title
        self._files = files
        self._shown: dict[URL, TaskID] = {}
        self._current: dict[URL, int] = {}
        self._main = self._bars.add_task(title, total=0, note="")
        self._total = 0
        self._said = time.monotonic()
        self.started = 0
        self.completed = 0
        self.failed = 0
        self.deleted = 0
        self.bytes = 0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._show(force=True)
        self._bars.stop()

    def start(self, data: StorageProgressStart) -> None:
        self.started += 1
        self._total += data.size
        self._current[data.src] = 0
        # A bar of its own costs milliseconds, which many small files cannot afford.
        if data.size >= _OWN_BAR and len(self._shown) < self._files:
            label = f"  {data.src.name[:40]}"
            self._shown[data.src] = self._bars.add_task(label, total=data.size, note="")
        self._show()

    def step(self, data: StorageProgressStep) -> None:
        self.bytes += data.current - self._current.get(data.src, 0)
        self._current[data.src] = data.current
        if data.src in self._shown:
            self._bars.update(self._shown[data.src], completed=data.current)
        self._show()

    def complete(self, data: StorageProgressComplete) -> None:
        self.completed += 1
        self._end(data.src)

    def fail(self, data: StorageProgressFail) -> None:
        self.failed += 1
        self._bars.console.print(
            f"failed: {data.message}", markup=False, highlight=False, soft_wrap=True
        )
        self._end(data.src)

    def enter(self, data: StorageProgressEnterDir) -> None:
        """Directories have no bar of their own."""

    def leave(self, data: StorageProgressLeaveDir) -> None:
        """Directories have no bar of their own."""

    def delete(self, data: StorageProgressDelete) -> None:
        del data  # the count is what is shown
        self.deleted += 1
        self._show()

    def _end(self, src: URL) -> None:
        self._current.pop(src, None)
        if src in self._shown:
            self._bars.remove_task(self._shown.pop(src))
        self._show()

    def _note(self) -> str:
        if self.deleted:
            return f"{self.deleted} removed"
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.completed}/{self.started} files{failed}"

    def _show(self, *, force: bool = False) -> None:
        now = time.monotonic()
        if self._console.is_terminal:
            if force or now - self._said > 0.05:
                self._said = now
                self._bars.update(
                    self._main, total=self._total, completed=self.bytes, note=self._note()
                )
        elif force or now - self._said > 5:
            self._said = now
            moved = f", {self.bytes} bytes" if self.started else ""
            self._console.print(
                f"{self._title}: {self._note()}{moved}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
