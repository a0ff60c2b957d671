"""One progress of many tasks: the events of files, in the order that callbacks are promised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from neuro_sdk import (
    AbstractRecursiveFileProgress,
    Action,
    Plan,
    PlannedStep,
    StorageProgressComplete,
    StorageProgressEnterDir,
    StorageProgressFail,
    StorageProgressLeaveDir,
    StorageProgressStart,
    StorageProgressStep,
)

__all__ = ["COMPLETE", "Merged"]

COMPLETE = -1
"""In the place of a number of bytes: the file is there, whole."""


class Merged:
    """What has become of the files of a plan, whoever tells of them and how often.

    A task that is repeated tells of its files again: what was told of is not told twice, and a
    file that was complete once stays so. A folder in which something moves or fails is entered
    before and left after all that lies below it.
    """

    def __init__(
        self,
        plan: Plan[AbstractRecursiveFileProgress],
        progress: AbstractRecursiveFileProgress | None,
    ) -> None:
        self._plan = plan
        self._progress = progress
        self._steps = {step.path: step for step in plan.of(Action.COPY, Action.APPEND)}
        self._current: dict[str, int] = {}
        self._open = Counter(
            folder
            for path in [*self._steps, *(step.path for step in plan.failing)]
            for folder in _folders(path)
        )
        self._open[""] += 1  # until ``finish``
        self._entered: set[str] = set()
        self._left = set(self._steps)
        self.copied = 0
        self.bytes = 0

    def begin(self) -> None:
        """Enter the root; tell what the plan says cannot be done."""
        self._enter("")
        for step in self._plan.failing:
            self._fail(step.path, step.reason)

    def happened(self, path: str, done: int) -> None:
        """*done* bytes of *path* are acknowledged, or it is COMPLETE."""
        if path not in self._left:
            return
        step = self._steps[path]
        self._start(step)
        if done == COMPLETE:
            self._complete(step)
        elif done > self._current[path]:
            self._step(step, done)

    def ended(self, steps: Iterable[PlannedStep], failures: Mapping[str, Exception]) -> list[str]:
        """A task with these *steps* has ended; gives the paths that failed.

        What of it is not among the *failures* is done. What was complete before it failed at
        another try is done too.
        """
        failed = []
        for step in steps:
            if step.path not in self._left:
                continue
            if step.path in failures:
                failed.append(step.path)
                self._left.discard(step.path)
                self._fail(step.path, str(failures[step.path]))
            else:
                if not _is_marker(step.path):
                    self._start(step)
                self._complete(step)
        return failed

    def finish(self) -> None:
        """No more tasks: leave the root."""
        self._leave("")

    def _start(self, step: PlannedStep) -> None:
        if step.path in self._current:
            return
        self._enter(step.path)
        self._current[step.path] = 0
        if self._progress is not None:
            self._progress.start(StorageProgressStart(*self._plan.urls(step.path), step.size))

    def _step(self, step: PlannedStep, done: int) -> None:
        self._current[step.path] = done
        if self._progress is not None:
            urls = self._plan.urls(step.path)
            self._progress.step(StorageProgressStep(*urls, done, step.size))

    def _complete(self, step: PlannedStep) -> None:
        path = step.path
        self._left.discard(path)
        self.copied += 1
        self.bytes += step.size
        if _is_marker(path):
            self._enter(path)
        else:
            if self._current[path] < step.size:
                self._step(step, step.size)
            del self._current[path]
            if self._progress is not None:
                event = StorageProgressComplete(*self._plan.urls(path), step.size)
                self._progress.complete(event)
        self._done(path)

    def _fail(self, path: str, message: str) -> None:
        self._enter(path)
        self._current.pop(path, None)
        if self._progress is not None:
            self._progress.fail(StorageProgressFail(*self._plan.urls(path), message))
        self._done(path)

    def _enter(self, path: str) -> None:
        for folder in _folders(path):
            if folder not in self._entered:
                self._entered.add(folder)
                if self._progress is not None:
                    self._progress.enter(StorageProgressEnterDir(*self._plan.urls(folder)))

    def _done(self, path: str) -> None:
        for folder in reversed([*_folders(path)]):
            self._leave(folder)

    def _leave(self, folder: str) -> None:
        self._open[folder] -= 1
        if self._open[folder] == 0:
            del self._open[folder]
            if self._progress is not None:
                self._progress.leave(StorageProgressLeaveDir(*self._plan.urls(folder)))


def _is_marker(path: str) -> bool:
    return path == "" or path.endswith("/")


def _folders(path: str) -> Iterator[str]:
    """The folders that *path* lies in, and itself if it is one, the outermost first."""
    yield ""
    slash = path.find("/")
    while slash >= 0:
        yield path[: slash + 1]
        slash = path.find("/", slash + 1)
