"""The inside of a Python peer's process: do the task, time it, write down the result.

The clock runs from the first call to the last. Before it the interpreter starts, the peer is
imported and its client is made, and bodies to put are read; those seconds are written down
separately. After it, what was fetched is hashed.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from .task import Task

__all__ = ["Client", "Listed", "digest_of_bodies", "digest_of_listing", "serve"]

Listed = Sequence[tuple[str, int, Any]]
"""Key, size and time of each blob."""


class Client(Protocol):
    """What a Python peer does; each may be a coroutine or not."""

    def put_blobs(self, prefix: str, bodies: Mapping[str, bytes]) -> Awaitable[None] | None: ...

    def get_blobs(
        self, prefix: str, names: Sequence[str]
    ) -> Awaitable[Sequence[Any]] | Sequence[Any]: ...

    def upload_file(self, path: str, key: str) -> Awaitable[None] | None: ...

    def download_file(self, key: str, path: str) -> Awaitable[None] | None: ...

    def upload_tree(self, folder: str, prefix: str) -> Awaitable[None] | None: ...

    def download_tree(self, prefix: str, folder: str) -> Awaitable[None] | None: ...

    def remove_tree(self, prefix: str) -> Awaitable[None] | None: ...

    def list_blobs(self, prefix: str) -> Awaitable[Listed] | Listed: ...

    def update_up(self, folder: str, prefix: str) -> Awaitable[None] | None: ...

    def update_down(self, prefix: str, folder: str) -> Awaitable[None] | None: ...


def serve(opened: Callable[[Task], AbstractAsyncContextManager[Any]]) -> None:
    """Do the task in the file ``argv[1]`` and write what it took to ``argv[2]``."""
    task, result = Task.load(Path(sys.argv[1])), Path(sys.argv[2])
    measured = asyncio.run(_measured(task, opened))
    result.write_text(json.dumps(measured))
    time.sleep(0.02)  # a native thread that hands over something at the exit aborts the process


async def _measured(
    task: Task, opened: Callable[[Task], AbstractAsyncContextManager[Any]]
) -> dict[str, Any]:
    async with opened(task) as client:
        work = _work(task, client)
        profile = _profile()
        used, started = _cpu(), time.monotonic()
        with profile:
            value = work()
            if inspect.isawaitable(value):
                value = await value
        ended = time.monotonic()
        measured: dict[str, Any] = {
            "wall": ended - started,
            "cpu": _cpu() - used,
            "start": started - float(os.environ.get("BENCH_STARTED", started)),
        }
    if (path := os.environ.get("BENCH_PROFILE")) is not None:
        profile.dump_stats(path)
    match task.workload:
        case "get-blobs":
            measured["digest"] = digest_of_bodies(value)
        case "list":
            measured["digest"] = digest_of_listing(task.prefix, [row[:2] for row in value])
    return measured


def _profile() -> Any:
    if "BENCH_PROFILE" not in os.environ:
        return nullcontext()
    import cProfile

    return cProfile.Profile()


def _work(task: Task, client: Client) -> Callable[[], Any]:
    prefix, folder = task.prefix, task.folder
    match task.workload:
        case "put-blobs":
            bodies = {name: (Path(folder) / name).read_bytes() for name in task.names}
            return lambda: client.put_blobs(prefix, bodies)
        case "get-blobs":
            return lambda: client.get_blobs(prefix, task.names)
        case "upload-file":
            return lambda: client.upload_file(folder, prefix)
        case "download-file":
            return lambda: client.download_file(prefix, folder)
        case "upload-tree":
            return lambda: client.upload_tree(folder, prefix)
        case "download-tree":
            return lambda: client.download_tree(prefix, folder)
        case "remove-tree":
            return lambda: client.remove_tree(prefix)
        case "list":
            return lambda: client.list_blobs(prefix)
        case "update-up":
            return lambda: client.update_up(folder, prefix)
        case "update-down":
            return lambda: client.update_down(prefix, folder)
    raise ValueError(task.workload)


def _cpu() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in usages)


def digest_of_bodies(bodies: Sequence[Any]) -> str:
    """One hash for the bodies in their order."""
    digest = hashlib.md5(usedforsecurity=False)
    for body in bodies:
        digest.update(body)
    return digest.hexdigest()


def digest_of_listing(prefix: str, rows: Sequence[tuple[str, int]]) -> str:
    """One hash for keys and sizes, in whatever order they came."""
    lines = sorted(f"{key.removeprefix(prefix).lstrip('/')} {size}" for key, size in rows)
    return hashlib.md5("\n".join(lines).encode(), usedforsecurity=False).hexdigest()
