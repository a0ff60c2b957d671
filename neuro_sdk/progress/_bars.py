"""Bars by rich and by tqdm, which are imported where a bar is made."""

from __future__ import annotations

import abc
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from yarl import URL

from ._contracts import (
    StorageProgressComplete,
    StorageProgressFail,
    StorageProgressStart,
    StorageProgressStep,
)
from ._counts import Paced, one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID
    from tqdm import tqdm

__all__ = ["RichProgress", "TqdmProgress"]

_OWN_BAR = 4 << 20
"""Bytes from which on a file may have a bar: one costs milliseconds, more than a small file."""
_OWN_AFTER = 0.5  # seconds that it is under way before it has one, so that bars come one by one
_LABEL = 40
_TERMINAL = 0.05  # seconds between two changes of the bars
_LINES = 5.0  # between two lines where there is no terminal
_NOTEBOOK = 0.25  # between two messages to a widget, of which a notebook keeps each


class _Bars(Paced):
    """One bar for all, and a few for large files under way."""

    def __init__(self, interval: float, files: int) -> None:
        super().__init__(interval)
        self._files = files
        self._large: dict[URL, float] = {}  # files that may get a bar, and since when
        self._own: set[URL] = set()

    def start(self, data: StorageProgressStart) -> None:
        if data.size >= _OWN_BAR:
            self._large[data.src] = time.monotonic()
        super().start(data)

    def step(self, data: StorageProgressStep) -> None:
        src, begun = data.src, self._large.get(data.src)
        if begun is not None and self._deserves(data, begun):
            del self._large[src]
            self._own.add(src)
            self._add(src, f"  {one_line(src.name)[:_LABEL]}", data.size)
        if src in self._own:
            self._move(src, data.current)
        super().step(data)

    def _deserves(self, data: StorageProgressStep, begun: float) -> bool:
        free = len(self._own) < self._files and data.current < data.size
        return free and time.monotonic() - begun >= _OWN_AFTER

    def complete(self, data: StorageProgressComplete) -> None:
        self._end(data.src)
        super().complete(data)

    def fail(self, data: StorageProgressFail) -> None:
        self._end(data.src)
        self._tell(f"failed: {one_line(data.message)}")
        super().fail(data)

    def _end(self, src: URL) -> None:
        self._large.pop(src, None)
        if src in self._own:
            self._own.discard(src)
            self._remove(src)

    @abc.abstractmethod
    def _add(self, src: URL, label: str, size: int) -> None:
        """Show a bar for this file."""

    @abc.abstractmethod
    def _move(self, src: URL, current: int) -> None:
        """Move its bar."""

    @abc.abstractmethod
    def _remove(self, src: URL) -> None:
        """Take its bar away."""

    @abc.abstractmethod
    def _tell(self, message: str) -> None:
        """Print a line."""


class RichProgress(_Bars):
    """Bars on a terminal, a line now and then elsewhere; needs ``rich``.

    Use it as ``with RichProgress("Upload") as bar`` and pass it as ``progress``. One bar counts
    files and bytes, and up to *files* more show single large files under way. The total grows as
    files come up, for a tree is listed while it is moved. The screen is drawn at most ten times
    a second, lines are printed at most every five seconds; each failure has a line of its own.
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
        super().__init__(_TERMINAL if self._console.is_terminal else _LINES, files)
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
        self._tasks: dict[URL, TaskID] = {}
        self._main = self._bars.add_task(title, total=None, note="")

    def __enter__(self) -> Self:
        self._bars.start()
        return super().__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)
        if not self.total:  # a bar of nothing would stay
            self._bars.update(self._main, visible=False)
        self._bars.stop()

    def _show(self) -> None:
        if self._console.is_terminal:
            note = self._note()
            total = self.total or None  # what has none, as a removal, is seen to be at work
            self._bars.update(self._main, total=total, completed=self.bytes, note=note)
        else:
            self._tell(f"{self._title}: {self._line()}")

    def _add(self, src: URL, label: str, size: int) -> None:
        self._tasks[src] = self._bars.add_task(label, total=size, note="")

    def _move(self, src: URL, current: int) -> None:
        self._bars.update(self._tasks[src], completed=current)

    def _remove(self, src: URL) -> None:
        self._bars.remove_task(self._tasks.pop(src))

    def _tell(self, message: str) -> None:
        self._bars.console.print(message, markup=False, highlight=False, soft_wrap=True)


class TqdmProgress(_Bars):
    """A widget in a notebook that has ipywidgets, text bars elsewhere; needs ``tqdm``.

    Use it as ``with TqdmProgress("Upload") as bar`` and pass it as ``progress``. One bar counts
    files and bytes, and up to *files* more show single large files under way, one after the
    other; all change at most four times a second. *options* go to every bar, such as ``file``
    or ``disable``.
    """

    def __init__(self, title: str = "Transfer", *, files: int = 4, **options: Any) -> None:
        try:
            from tqdm.auto import tqdm
        except ModuleNotFoundError as missing:
            raise ModuleNotFoundError(
                "TqdmProgress needs tqdm: pip install 'neuro-blob-sdk[notebook]'", name=missing.name
            ) from missing
        super().__init__(_NOTEBOOK, files)
        self._tqdm = tqdm
        self._options: dict[str, Any] = {
            "unit": "B",
            "unit_scale": True,
            "unit_divisor": 1024,
            "mininterval": _NOTEBOOK,
            **options,
        }
        self._title = title
        self._main: tqdm[Any] | None = None
        self._bars: dict[URL, tqdm[Any]] = {}
        self._idle: list[tqdm[Any]] = []

    def __enter__(self) -> Self:
        self._bar()
        return super().__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for src in [*self._own]:
            self._end(src)
        for bar in self._idle:
            bar.close()
        self._idle.clear()
        super().__exit__(kind, error, traceback)
        self._bar().close()

    def _bar(self) -> tqdm[Any]:
        if self._main is None:
            self._main = self._tqdm(desc=self._title, total=0, **self._options)
        return self._main

    def _show(self) -> None:
        bar = self._bar()
        _widen(bar, self.total)
        bar.set_postfix_str(self._note(), refresh=False)
        bar.n = self.bytes
        bar.refresh()

    def _add(self, src: URL, label: str, size: int) -> None:
        self._bar()  # above the others
        if self._idle:  # a notebook keeps each bar that was ever made
            bar = self._idle.pop()
            bar.set_description_str(label, refresh=False)
            bar.reset(total=size)
        else:
            bar = self._tqdm(desc=label, total=size, leave=False, **self._options)
        self._bars[src] = bar

    def _move(self, src: URL, current: int) -> None:
        bar = self._bars[src]
        bar.update(current - bar.n)

    def _remove(self, src: URL) -> None:
        self._idle.append(self._bars.pop(src))

    def _tell(self, message: str) -> None:
        self._tqdm.write(message, file=self._options.get("file"))


def _widen(bar: tqdm[Any], total: int) -> None:
    bar.total = total
    # A widget takes its length when it is made, and tqdm changes it only with a new start.
    for child in getattr(getattr(bar, "container", None), "children", ()):
        if hasattr(child, "max"):
            child.max = total or 1
