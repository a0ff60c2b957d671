"""Progress events in the order that the callback classes promise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from yarl import URL

from ..progress import (
    AbstractFileProgress,
    AbstractRecursiveFileProgress,
    AbstractSkipProgress,
    StorageProgressComplete,
    StorageProgressEnterDir,
    StorageProgressFail,
    StorageProgressLeaveDir,
    StorageProgressSkip,
    StorageProgressStart,
    StorageProgressStep,
)

__all__ = ["CallbackRaised", "FileEvents", "Folder", "TreeEvents", "ask", "call"]

E = TypeVar("E")


class CallbackRaised(Exception):
    """Carries the error of a callback past the code that handles errors of files."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def call(callback: Callable[[E], None], event: E) -> None:
    """Call back; an error becomes CallbackRaised."""
    try:
        callback(event)
    except Exception as error:
        raise CallbackRaised(error) from error


class _Caller:
    """Calls back until a callback raises; from then on each call raises that error instead."""

    def __init__(self) -> None:
        self._raised: CallbackRaised | None = None

    def __call__(self, callback: Callable[[E], None], event: E) -> None:
        if self._raised is not None:
            raise self._raised
        try:
            call(callback, event)
        except CallbackRaised as raised:
            self._raised = raised
            raise


async def ask(filter_: Callable[[str], Awaitable[bool]], path: str) -> bool:
    """What the caller's filter says; an error becomes CallbackRaised."""
    try:
        return await filter_(path)
    except Exception as error:
        raise CallbackRaised(error) from error


class FileEvents:
    """The events of one file: start once, growing steps, complete once."""

    def __init__(
        self,
        progress: AbstractFileProgress,
        src: URL,
        dst: URL,
        caller: _Caller | None = None,
    ) -> None:
        self._progress = progress
        self._src = src
        self._dst = dst
        self._size = 0
        self._call = caller or _Caller()

    def start(self, size: int) -> None:
        self._size = size
        self._call(self._progress.start, StorageProgressStart(self._src, self._dst, size))

    def step(self, current: int) -> None:
        event = StorageProgressStep(self._src, self._dst, current, self._size)
        self._call(self._progress.step, event)

    def complete(self) -> None:
        event = StorageProgressComplete(self._src, self._dst, self._size)
        self._call(self._progress.complete, event)

    def skip(self, size: int) -> None:
        """Say, instead of all else, that the file stays as it is."""
        if isinstance(self._progress, AbstractSkipProgress):
            self._call(self._progress.skip, StorageProgressSkip(self._src, self._dst, size))


class Folder:
    """A directory whose events are under way; ``open`` counts what is not done below it."""

    __slots__ = ("above", "open", "path")

    def __init__(self, path: str, above: Folder | None) -> None:
        self.path = path
        self.above = above
        self.open = 1  # the listing itself may bring more


class TreeEvents:
    """The events of a tree whose files come in the order of their paths.

    In that order all that lies in a directory comes in one run, so a directory is entered when
    the first of it comes and left when the listing has moved on and the last file is done.
    Paths are relative, with ``/``; directories end in one, and the root is "".
    """

    def __init__(
        self,
        progress: AbstractRecursiveFileProgress | None,
        src: Callable[[str], URL],
        dst: Callable[[str], URL],
    ) -> None:
        self._progress = progress
        self._src = src
        self._dst = dst
        self._stack: list[Folder] = []
        self._call = _Caller()

    def enter(self, path: str) -> Folder:
        """The directory *path*, entered together with those above it if it was not."""
        if self._stack and self._stack[-1].path == path:
            return self._stack[-1]
        while self._stack and not path.startswith(self._stack[-1].path):
            self._done(self._stack.pop())
        if not self._stack:
            self._push("")
        missing = path[len(self._stack[-1].path) :]
        for name in missing.split("/")[:-1]:
            self._push(f"{self._stack[-1].path}{name}/")
        return self._stack[-1]

    def _push(self, path: str) -> None:
        above = self._stack[-1] if self._stack else None
        if above is not None:
            above.open += 1
        self._stack.append(Folder(path, above))
        if self._progress is not None:
            event = StorageProgressEnterDir(self._src(path), self._dst(path))
            self._call(self._progress.enter, event)

    def file(self, path: str) -> FileEvents | None:
        """The events of one file, or None where nobody listens."""
        if self._progress is None:
            return None
        return FileEvents(self._progress, self._src(path), self._dst(path), self._call)

    def begin(self, folder: Folder) -> None:
        """A file of *folder* is under way; ``end`` must follow."""
        folder.open += 1

    def end(self, folder: Folder) -> None:
        self._done(folder)

    def _done(self, folder: Folder) -> None:
        folder.open -= 1
        if folder.open == 0:
            if self._progress is not None:
                event = StorageProgressLeaveDir(self._src(folder.path), self._dst(folder.path))
                self._call(self._progress.leave, event)
            if folder.above is not None:
                self._done(folder.above)

    def fail(self, path: str, message: str) -> None:
        """Say that *path* could not be moved."""
        if self._progress is not None:
            self._call(
                self._progress.fail,
                StorageProgressFail(self._src(path), self._dst(path), message),
            )

    def skip(self, path: str, size: int) -> None:
        """Say that *path* stays as it is."""
        if isinstance(self._progress, AbstractSkipProgress):
            FileEvents(self._progress, self._src(path), self._dst(path), self._call).skip(size)

    def finish(self) -> None:
        """The listing is over."""
        while self._stack:
            self._done(self._stack.pop())
