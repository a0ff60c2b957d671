"""What runs on a worker: a part of a plan, by a client of the worker's own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from distributed import get_worker
from yarl import URL

import neuro_sdk
from neuro_sdk import (
    AbstractRecursiveFileProgress,
    BlobChanged,
    Client,
    ConfigError,
    LocalFileChanged,
    LocalNotFound,
    NeuroError,
    Opening,
    Plan,
    PlanOutdated,
    StorageProgressComplete,
    StorageProgressEnterDir,
    StorageProgressFail,
    StorageProgressLeaveDir,
    StorageProgressStart,
    StorageProgressStep,
    TransferConfig,
    TransferError,
)

from ._merging import COMPLETE

__all__ = ["Happened", "LocalPath", "Task", "Where", "drain", "run_task", "stop"]

LocalPath = URL | str | os.PathLike[str]
TreePlan = Plan[AbstractRecursiveFileProgress]

_REMEMBERED = 1000


class Happened(NamedTuple):
    """``done`` of the bytes of *path* are acknowledged, or all is COMPLETE."""

    path: str
    done: int


@dataclass(frozen=True, kw_only=True)
class Where:
    """How each machine opens a client, and where that looks; no secret."""

    profile: str | None = None
    path: LocalPath | None = None
    transfer: TransferConfig | None = None
    scope: Mapping[str, str | None] = field(default_factory=dict)

    def open(self) -> Opening[Client]:
        """The client, on its way to be open."""
        if self.path is not None:
            return neuro_sdk.local(self.path, transfer=self.transfer)
        return neuro_sdk.get(self.profile, transfer=self.transfer)


@dataclass(frozen=True, kw_only=True)
class Task:
    """Part of a plan on its way to a worker.

    *seal* is a file in the destination that the worker must see, or None for stores.
    """

    call: str
    number: int
    part: TreePlan = field(repr=False)
    where: Where = field(repr=False)
    seal: str | None = None


@dataclass(eq=False)
class _Running:
    """A task on the loop of its thread, and what has happened since it was last asked for."""

    loop: asyncio.AbstractEventLoop
    task: asyncio.Task[Any]
    happened: deque[Happened] = field(default_factory=deque)
    ended: Future[None] = field(default_factory=Future)


# The functions that the caller runs on a worker find here what its threads are doing.
_running: dict[str, set[_Running]] = {}
_stopped: deque[str] = deque(maxlen=_REMEMBERED)
_lock = threading.Lock()


def run_task(task: Task) -> Mapping[str, Exception]:
    """Do *task* in this thread; what failed, by path. All else of its part is done.

    Raises what makes going on pointless.
    """
    return asyncio.run(_run(task))


def drain(call: str) -> list[Happened]:
    """What happened on this worker in *call* since the last time."""
    happened: list[Happened] = []
    for running in _under_way(call):
        with contextlib.suppress(IndexError):
            while True:
                happened.append(running.happened.popleft())
    return happened


async def stop(call: str) -> None:
    """Cancel the tasks of *call* on this worker, and wait until they have tidied up."""
    _stopped.append(call)
    under_way = _under_way(call)
    for running in under_way:
        with contextlib.suppress(RuntimeError):  # its loop has just ended
            running.loop.call_soon_threadsafe(running.task.cancel)
    ended = [asyncio.shield(asyncio.wrap_future(running.ended)) for running in under_way]
    await asyncio.gather(*ended)


def _under_way(call: str) -> list[_Running]:
    with _lock:
        return [*_running.get(call, ())]


@contextmanager
def _noted(call: str) -> Iterator[_Running]:
    current = asyncio.current_task()
    assert current is not None
    running = _Running(asyncio.get_running_loop(), current)
    with _lock:
        _running.setdefault(call, set()).add(running)
    try:
        yield running
    finally:
        with _lock:
            _running[call].discard(running)
            if not _running[call]:
                del _running[call]
        running.ended.set_result(None)


async def _run(task: Task) -> Mapping[str, Exception]:
    with _noted(task.call) as running:
        if task.call in _stopped:
            raise asyncio.CancelledError
        if task.seal is not None and not await asyncio.to_thread(os.path.exists, task.seal):
            raise ConfigError(
                f"the worker {_address()} does not see the folder {os.path.dirname(task.seal)!r} "
                "of the caller; a destination on the disk must be one that all machines share"
            )
        async with task.where.open() as client:
            scope = task.where.scope
            view = client.within(
                cluster=scope.get("cluster"), org=scope.get("org"), project=scope.get("project")
            )
            return await _apply(view, task.part, _Telling(task.part, running.happened))


async def _apply(client: Client, part: TreePlan, telling: _Telling) -> Mapping[str, Exception]:
    failures: dict[str, Exception] = {}
    while True:
        try:
            await client.buckets.apply(part, telling)
        except PlanOutdated as error:
            # The engine touched nothing. What changed fails by itself; the others go on.
            rest = tuple(step for step in part.steps if step.path not in error.paths)
            if len(rest) == len(part.steps):
                raise
            for path in error.paths:
                failures[path] = await asyncio.to_thread(_outdated, part, path)
            part = replace(part, steps=rest)
        except TransferError as error:
            return failures | dict(error.failures)
        else:
            return failures


def _outdated(part: TreePlan, path: str) -> NeuroError:
    if part.source.startswith("blob:"):
        return BlobChanged(f"the blob is not the one that was planned: {str(part.urls(path)[0])!r}")
    local = Path(part.source) / path
    if not local.exists():
        return LocalNotFound(
            f"the worker {_address()} does not see the file {str(local)!r}; it was removed, or "
            "lies on a disk that not all machines share"
        )
    return LocalFileChanged(f"the file changed since it was planned: {str(local)!r}")


def _address() -> str:
    try:
        return str(get_worker().address)
    except ValueError:
        return "of this process"


class _Telling(AbstractRecursiveFileProgress):
    """Notes the events of files by their paths; those of folders the caller knows."""

    def __init__(self, part: TreePlan, happened: deque[Happened]) -> None:
        self._paths = {part.urls(step.path)[0]: step.path for step in part.steps}
        self._happened = happened

    def _note(self, src: URL, done: int) -> None:
        path = self._paths.get(src)
        if path is not None:
            self._happened.append(Happened(path, done))

    def start(self, data: StorageProgressStart) -> None:
        self._note(data.src, 0)

    def step(self, data: StorageProgressStep) -> None:
        self._note(data.src, data.current)

    def complete(self, data: StorageProgressComplete) -> None:
        self._note(data.src, COMPLETE)

    def enter(self, data: StorageProgressEnterDir) -> None:
        """The caller has the whole tree."""

    def leave(self, data: StorageProgressLeaveDir) -> None:
        """The caller has the whole tree."""

    def fail(self, data: StorageProgressFail) -> None:
        """The answer of the task has it."""
