"""What peers without trees leave to their users: walking, comparing, a bounded crowd of tasks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

__all__ = ["crowd", "files_below", "stale_blobs", "stale_files"]


def files_below(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Relative path and stat of each file below *folder*."""

    def walk(path: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from walk(entry.path, f"{prefix}{entry.name}/")
                else:
                    yield prefix + entry.name, entry.stat(follow_symlinks=False)

    return walk(folder, "")


def stale_blobs(folder: str, prefix: str, blobs: Iterable[tuple[str, int, Any]]) -> list[str]:
    """Files that are missing below *prefix*, of another size there, or newer than there."""
    known = {key[len(prefix) + 1 :]: (size, time.timestamp()) for key, size, time in blobs}
    return [
        name
        for name, stat in files_below(folder)
        if name not in known or known[name][0] != stat.st_size or known[name][1] < stat.st_mtime
    ]


def stale_files(folder: str, prefix: str, blobs: Iterable[tuple[str, int, Any]]) -> list[str]:
    """Blobs that are missing in *folder*, of another size there, or newer than there."""
    known = dict(files_below(folder))
    stale = []
    for key, size, time in blobs:
        stat = known.get(key[len(prefix) + 1 :])
        if stat is None or stat.st_size != size or stat.st_mtime < time.timestamp():
            stale.append(key)
    return stale


async def crowd(limit: int, work: Callable[[T], Awaitable[Any]], items: Iterable[T]) -> list[Any]:
    """``work(item)`` for each, *limit* at a time, results in order."""
    queue = list(enumerate(items))
    results: list[Any] = [None] * len(queue)
    waiting = iter(queue)

    async def run() -> None:
        for number, item in waiting:
            results[number] = await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(limit, len(queue))):
            group.create_task(run())
    return results
