"""What a tree operation does with one path, and how its steps are carried out.

Deciding and doing are apart: a transfer does each step as it is decided, a plan keeps them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from .._aio import Errand, Job
from .._core.plan import Action, End
from ..errors import LocalError, NeuroError
from .bounds import Bounds
from .disk import Disk
from .events import Folder, TreeEvents, ask
from .report import Report

__all__ = ["LEFT_OUT", "Choose", "Doing", "Filter", "Step", "Steps", "Wanted"]

S = TypeVar("S")

Filter = Callable[[str], Awaitable[bool]]

Choose = Callable[[End, End | None], Action]
"""What to do with a file, from the source and what is at the destination."""

LEFT_OUT = "left out by the filter"


class Step(NamedTuple, Generic[S]):
    """One path of a tree, relative, with a slash at its end for a folder.

    ``action`` is None for a folder that moves no bytes. ``reason`` says why something is
    skipped, ``error`` why it cannot be done. ``left_out`` marks what the caller excluded.
    """

    path: str
    source: S
    action: Action | None = None
    size: int = 0
    reason: str = ""
    error: NeuroError | None = None
    left_out: bool = False

    @property
    def is_file(self) -> bool:
        """True for a file that is wanted, false for folders and what is left out."""
        return not self.left_out and self.path[-1:] not in ("", "/")


Steps = AsyncGenerator[Sequence[Step[S]], None]
"""What is to be done, some steps at a time."""


class Wanted:
    """The caller's filter for paths in the order of a listing; a folder is asked for once."""

    def __init__(self, filter_: Filter | None) -> None:
        self._filter = filter_
        self._known: list[tuple[str, bool]] = []

    async def wants(self, path: str) -> bool:
        """False for what the filter turns down and for all below such a folder."""
        if self._filter is None:
            return True
        while self._known and not path.startswith(self._known[-1][0]):
            self._known.pop()
        if self._known and not self._known[-1][1]:
            return False
        known = self._known[-1][0] if self._known else ""
        while (slash := path.find("/", len(known))) >= 0:
            known = path[: slash + 1]
            wanted = await ask(self._filter, known)
            self._known.append((known, wanted))
            if not wanted:
                return False
        return path.endswith("/") or await ask(self._filter, path)


class Doing:
    """The events of a tree, and what became of its files."""

    def __init__(self, tree: TreeEvents, report: Report) -> None:
        self.tree = tree
        self.report = report

    def fail(self, path: str, error: NeuroError) -> None:
        """Note and tell that *path* failed; raises *error* if the others would as well."""
        self.tree.fail(path, str(error))
        self.report.fail(path, error)

    async def run(
        self, path: str, folder: Folder, work: Callable[[], Coroutine[None, None, None]]
    ) -> None:
        """Do the *work* on a file of *folder*, which was begun; an error is noted."""
        try:
            await work()
        except NeuroError as error:
            self.fail(path, error)
        self.tree.end(folder)

    async def in_one_go(
        self,
        disk: Disk,
        bounds: Bounds,
        step: Step[S],
        folder: Folder,
        job: Job,
        local: str,
        move: Callable[..., int | None],
        *args: object,
    ) -> Errand:
        """Have a thread *move* a small file of *folder*, which was begun; it gives the size.

        The *job* is to do it the long way where *move* gives None, for it is not so small any
        more, and where the store does not do it at once.
        """
        await bounds.take(step.size)
        await bounds.pace(step.size)
        work = disk.begin_with_store(local, move, *args)
        work.add_done_callback(lambda _: bounds.give(step.size))
        return Errand(work, partial(self._settled, step.path, folder, job))

    def _settled(
        self, path: str, folder: Folder, job: Job, work: asyncio.Future[int | None]
    ) -> Coroutine[None, None, None] | None:
        if work.cancelled():
            return None
        error = work.exception()
        if error is None:
            size = work.result()
            if size is None:
                return job()
            self._moved(path, size)
        elif isinstance(error, LocalError):
            self.fail(path, error)
        elif isinstance(error, NeuroError):
            return job()
        else:
            raise error
        self.tree.end(folder)
        return None

    def _moved(self, path: str, size: int) -> None:
        events = self.tree.file(path)
        if events is not None:
            events.start(size)
            if size:
                events.step(size)
            events.complete()
        self.report.done += 1

    def conclude(self) -> None:
        """All is done: leave the folders, raise TransferError if anything failed."""
        self.tree.finish()
        self.report.conclude()
