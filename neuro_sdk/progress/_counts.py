"""What every ready-made display counts."""

from __future__ import annotations

import abc
import time
from types import TracebackType
from typing import Self

from yarl import URL

from .._core.show import bytes_text
from ._contracts import (
    AbstractDeleteProgress,
    AbstractRecursiveFileProgress,
    AbstractSkipProgress,
    StorageProgressComplete,
    StorageProgressDelete,
    StorageProgressEnterDir,
    StorageProgressFail,
    StorageProgressLeaveDir,
    StorageProgressSkip,
    StorageProgressStart,
    StorageProgressStep,
)

__all__ = ["CountingProgress", "Paced", "one_line"]


def one_line(text: str) -> str:
    """*text* without line breaks and without anything that a terminal would obey."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


class CountingProgress(AbstractRecursiveFileProgress, AbstractDeleteProgress, AbstractSkipProgress):
    """Counts files and bytes, and shows nothing: ``str()`` of it is a summary.

    The displays of this module are built on it. Memory holds what is under way, not what was.
    """

    def __init__(self) -> None:
        self.started = 0
        """Files that have begun."""
        self.completed = 0
        """Files that are there, whole."""
        self.skipped = 0
        """Files that stay as they are."""
        self.failed = 0
        """Files and directories that could not be moved."""
        self.deleted = 0
        """Blobs, markers and files that are gone."""
        self.bytes = 0
        """Bytes acknowledged so far, also those of files that failed later."""
        self.total = 0
        """Bytes of all files that have begun; it grows, for a tree is listed while it is moved."""
        self._current: dict[URL, int] = {}

    def __str__(self) -> str:
        removed = f", removed {self.deleted}" if self.deleted else ""
        return (
            f"copied {self.completed}, skipped {self.skipped}, failed {self.failed}{removed}, "
            f"{bytes_text(self.bytes)}"
        )

    def start(self, data: StorageProgressStart) -> None:
        self.started += 1
        self.total += data.size
        self._current[data.src] = 0

    def step(self, data: StorageProgressStep) -> None:
        self.bytes += data.current - self._current.get(data.src, 0)
        self._current[data.src] = data.current

    def complete(self, data: StorageProgressComplete) -> None:
        self.completed += 1
        self._current.pop(data.src, None)

    def skip(self, data: StorageProgressSkip) -> None:
        del data  # the count is all
        self.skipped += 1

    def fail(self, data: StorageProgressFail) -> None:
        self.failed += 1
        self._current.pop(data.src, None)

    def enter(self, data: StorageProgressEnterDir) -> None:
        """Directories are not counted."""

    def leave(self, data: StorageProgressLeaveDir) -> None:
        """Directories are not counted."""

    def delete(self, data: StorageProgressDelete) -> None:
        del data  # the count is all
        self.deleted += 1


class Paced(CountingProgress):
    """Shows itself at most once in *interval* seconds, and when its block is left.

    What it takes to show is for the subclass: ``_show``.
    """

    def __init__(self, interval: float) -> None:
        super().__init__()
        self._interval = interval
        self._shown_at = time.monotonic()

    def __enter__(self) -> Self:
        self._shown_at = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._show()

    def start(self, data: StorageProgressStart) -> None:
        super().start(data)
        self._tick()

    def step(self, data: StorageProgressStep) -> None:
        super().step(data)
        self._tick()

    def complete(self, data: StorageProgressComplete) -> None:
        super().complete(data)
        self._tick()

    def skip(self, data: StorageProgressSkip) -> None:
        super().skip(data)
        self._tick()

    def fail(self, data: StorageProgressFail) -> None:
        super().fail(data)
        self._tick()

    def delete(self, data: StorageProgressDelete) -> None:
        super().delete(data)
        self._tick()

    def _tick(self) -> None:
        now = time.monotonic()
        if now - self._shown_at >= self._interval:
            self._shown_at = now
            self._show()

    @abc.abstractmethod
    def _show(self) -> None:
        """Show what was counted."""

    def _note(self) -> str:
        """How many files, without the bytes."""
        parts = []
        if self.started or self.failed or not (self.deleted or self.skipped):
            parts.append(f"{self.completed}/{self.started} files")
        for count, what in (
            (self.skipped, "skipped"),
            (self.failed, "failed"),
            (self.deleted, "removed"),
        ):
            if count:
                parts.append(f"{count} {what}")
        return ", ".join(parts)

    def _line(self) -> str:
        """How many files and bytes."""
        return f"{self._note()}, {bytes_text(self.bytes)}" if self.started else self._note()
