"""The workloads: what each needs before, and what must be true after it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from obstore.store import ObjectStore

from . import data
from .data import Data, Wrong
from .task import Access, Task, blob_names, tree_names
from .worker import digest_of_listing

__all__ = ["FULL", "QUICK", "WORKLOADS", "Sizes", "Stage"]

_MIB = 1 << 20
_GRAIN = 1.0  # second, to which stores round the times of blobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of everything."""

    blobs: int = 2000
    blob: int = 4 << 10
    file: int = 512 * _MIB
    files: int = 2000
    file_in_tree: int = 16 << 10
    listed: int = 20_000


FULL = Sizes()
QUICK = Sizes(blobs=100, file=32 * _MIB, files=100, listed=1500)

WORKLOADS: Mapping[str, str] = {
    "put-blobs": "put 2,000 blobs of 4 KiB",
    "get-blobs": "get 2,000 blobs of 4 KiB",
    "upload-file": "upload a file of 512 MiB",
    "download-file": "download a file of 512 MiB",
    "upload-tree": "upload a tree of 2,000 x 16 KiB",
    "download-tree": "download a tree of 2,000 x 16 KiB",
    "remove-tree": "remove a tree of 2,000 blobs",
    "list": "list 20,000 blobs",
    "update-up": "update 2,000 blobs, nothing to do",
    "update-down": "update 2,000 files, nothing to do",
}
"""Name and, for the full sizes, what it is."""

_SOURCE = {
    "put-blobs": "blobs",
    "get-blobs": "blobs",
    "upload-file": "file",
    "download-file": "file",
    "list": "listed",
}
_ONE = "large.bin"


class Stage:
    """The data of a run: files on the disk, blobs at the store, one fresh place for each task."""

    def __init__(self, store: ObjectStore, folder: Path, sizes: Sizes, name: str = "stage") -> None:
        self._store = store
        self._folder = folder / name
        self._name = name
        self._sizes = sizes
        self._data: dict[str, Data] = {}
        self._there: set[str] = set()
        self._number = 0

    def _source(self, kind: str) -> Data:
        if kind not in self._data:
            sizes, folder = self._sizes, self._folder / "source" / kind
            names, size = {
                "blobs": (blob_names(sizes.blobs), sizes.blob),
                "file": ([_ONE], sizes.file),
                "tree": (tree_names(sizes.files), sizes.file_in_tree),
                "listed": (tree_names(sizes.listed), 16),
            }[kind]
            self._data[kind] = data.make(folder, names, size)
            for name in names:  # older than anything that will be there
                os.utime(folder / name, (1_700_000_000, 1_700_000_000))
        return self._data[kind]

    async def _stored(self, kind: str) -> str:
        """The prefix below which the source is at the store."""
        prefix = f"stored/{self._name}/{kind}"
        if kind not in self._there:
            await data.upload(self._store, prefix, self._source(kind))
            self._there.add(kind)
        return prefix

    async def prepare(self, workload: str, access: Access, home: Path) -> Task:
        """What a process needs; nothing is at the place that it will write to."""
        self._number += 1
        kind = _SOURCE.get(workload, "tree")
        source = self._source(kind)
        fresh = f"run/{self._name}/{self._number:06d}"
        local = self._folder / "run" / f"{self._number:06d}"
        prefix, folder = fresh, local
        match workload:
            case "put-blobs" | "upload-tree":
                folder = source.folder
            case "upload-file":
                prefix, folder = f"{fresh}/{_ONE}", source.folder / _ONE
            case "get-blobs" | "download-tree":
                prefix = await self._stored(kind)
                local.mkdir(parents=True)
            case "download-file":
                prefix, folder = f"{await self._stored(kind)}/{_ONE}", local / _ONE
                local.mkdir(parents=True)
            case "remove-tree":
                await data.upload(self._store, fresh, source)
            case "list":
                prefix = await self._stored(kind)
            case "update-up":
                prefix, folder = await self._stored(kind), source.folder
            case "update-down":
                prefix, folder = await self._stored(kind), self._folder / "updated"
                if not folder.exists():
                    await asyncio.sleep(_GRAIN)  # else a file seems as old as its blob
                    shutil.copytree(source.folder, folder, copy_function=shutil.copyfile)
        names = () if kind == "listed" else tuple(source.names)
        return Task(
            workload=workload,
            access=access,
            prefix=prefix,
            folder=str(folder),
            home=str(home),
            names=names,
        )

    async def state(self, task: Task) -> object:
        """What an update with nothing to do must leave as it is."""
        if not task.workload.startswith("update"):
            return None
        files = {
            os.path.join(at, name): os.stat(os.path.join(at, name)).st_mtime_ns
            for at, _, names in os.walk(task.folder)
            for name in names
        }
        return sorted(await data.listed(self._store, task.prefix)), files

    async def check(
        self, task: Task, before: object, digest: str | None, rows: Sequence[tuple[str, int]] | None
    ) -> None:
        """Raise Wrong unless the task is done; *digest* and *rows* are what the process told."""
        source = self._source(_SOURCE.get(task.workload, "tree"))
        folder, size = Path(task.folder), source.size
        match task.workload:
            case "put-blobs" | "upload-tree":
                keys = {f"{task.prefix}/{name}": told for name, told in source.digests.items()}
                await data.check_blobs(self._store, keys, task.prefix, size)
            case "upload-file":
                await data.check_blobs(
                    self._store, {task.prefix: source.digests[_ONE]}, task.prefix, size
                )
            case "get-blobs" if digest is not None:
                expected = hashlib.md5(usedforsecurity=False)
                for name in source.names:
                    expected.update((source.folder / name).read_bytes())
                _same(digest, expected.hexdigest(), "bodies")
            case "get-blobs" | "download-tree" | "download-file":
                data.check_files(folder, source.digests, size)
            case "remove-tree":
                if left := await data.listed(self._store, task.prefix):
                    raise Wrong(f"{len(left)} blobs were not removed")
            case "list":
                told = digest or digest_of_listing("", rows or [])
                every = [(name, size) for name in source.names]
                _same(told, digest_of_listing("", every), "listing")
            case "update-up" | "update-down":
                if await self.state(task) != before:
                    raise Wrong("something was moved")

    async def clear(self, task: Task, tidy: Callable[[], None]) -> None:
        """Remove what the task has written."""
        if task.prefix.startswith("run/"):
            await data.remove(self._store, task.prefix.removesuffix(f"/{_ONE}"))
            if task.workload == "upload-file":
                tidy()
        with suppress(FileNotFoundError):
            shutil.rmtree(self._folder / "run")

    async def close(self, tidy: Callable[[], None]) -> None:
        """Remove all that is on the disk and at the store."""
        await data.remove(self._store, f"stored/{self._name}")
        tidy()
        shutil.rmtree(self._folder)


def _same(told: str, expected: str, what: str) -> None:
    if told != expected:
        raise Wrong(f"the {what} are not those expected")
