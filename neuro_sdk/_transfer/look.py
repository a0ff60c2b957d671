"""What a listing of one side probably holds, from what is seen of the other meanwhile."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, suppress
from itertools import chain, groupby, islice
from pathlib import Path

from .._core.plan import Side
from .disk import Disk, stat_inside, stat_one
from .folders import opened
from .walk import Found, Kind

__all__ = ["Look", "Noted"]

_HELD = 5000  # a few pages of a store


class Noted:
    """The files that a walk comes upon, for a listing of the keys they have below *prefix*."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._paths: list[str] = []
        self._over = False
        self._came = asyncio.Event()

    async def pages(
        self, walked: AsyncGenerator[Sequence[Found], None]
    ) -> AsyncGenerator[Sequence[Found], None]:
        """The same pages."""
        try:
            async with aclosing(walked):
                async for page in walked:
                    self._paths += [found.path for found in page if found.kind is Kind.FILE]
                    del self._paths[:-_HELD]  # stores without use for them ask for none
                    self._came.set()
                    yield page
        finally:
            self._over = True
            self._came.set()

    async def likely(self, apart: int) -> AsyncGenerator[str, None]:
        """The keys of the files, as ``Provider.pages`` wants them."""
        while True:
            while len(self._paths) < apart:
                if self._over:
                    return
                self._came.clear()
                await self._came.wait()
            path = self._paths[apart - 1]
            del self._paths[:apart]
            yield self._prefix + path


class Look:
    """The files below *root*, looked at some pages ahead of a listing of keys below *prefix*.

    Links to folders are passed over, and so is what cannot be read: nothing depends on it.
    With *closely* it is known afterwards what the files are like.
    """

    def __init__(self, disk: Disk, root: Path, prefix: str, *, closely: bool) -> None:
        self._disk = disk
        self._root = str(root).rstrip("/")
        self._prefix = prefix
        self._closely = closely
        self._seen: dict[str, Side | None] = {}

    async def likely(self, apart: int) -> AsyncGenerator[str, None]:
        """The keys of the files, as ``Provider.pages`` wants them."""
        paths = chain.from_iterable(_files(self._root or "/"))
        above = len(self._root) + 1
        more = True
        while more:
            some = await self._disk.run(self._root, _take, paths, apart)
            seeing = self._see(some) if self._closely else None
            more = len(some) == apart
            if more:  # the store is asked while the files are looked at
                yield self._prefix + some[-1][above:]
            if seeing is not None:
                await seeing

    def _see(self, some: Sequence[str]) -> asyncio.Future[dict[str, Side | None]]:
        seeing = self._disk.begin(self._root, _sides, some)
        seeing.add_done_callback(self._note)
        return seeing

    def _note(self, seeing: asyncio.Future[dict[str, Side | None]]) -> None:
        if seeing.cancelled() or seeing.exception() is not None:
            return
        self._seen.update(seeing.result())
        for path in [*islice(self._seen, max(0, len(self._seen) - _HELD))]:
            del self._seen[path]

    async def sides(self, paths: Sequence[str]) -> Sequence[Side | None]:
        """The regular files among *paths*, each below the root; None for all else.

        None as well for what lies behind a link that leads out.
        """
        known = {path: self._seen.pop(path) for path in paths if path in self._seen}
        missed = [path for path in paths if path not in known]
        if missed:
            sides = await self._disk.run(self._root, stat_inside, self._root, missed)
            known.update(zip(missed, sides, strict=True))
        return [known[path] for path in paths]


def _take(paths: Iterator[str], count: int) -> Sequence[str]:
    return [*islice(paths, count)]


def _sides(paths: Sequence[str]) -> dict[str, Side | None]:
    sides: dict[str, Side | None] = {}
    for folder, together in groupby(paths, _above):
        with suppress(OSError), opened(folder or "/") as number:
            start = 0 if number is None else len(folder) + 1
            for path in together:
                try:
                    sides[path] = stat_one(path[start:], number)
                except OSError:  # whoever asks for it is told
                    continue
    return sides


def _above(path: str) -> str:
    return path[: path.rfind("/")]


def _files(folder: str) -> Iterator[Sequence[str]]:
    """All but folders, in the order of their keys, those side by side together."""
    below: dict[str, str] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                below[entry.name + "/" if is_folder else entry.name] = entry.path
    except OSError:
        return
    together: list[str] = []
    for name in sorted(below):
        if name[-1] == "/":
            yield together
            together = []
            yield from _files(below[name])
        else:
            together.append(below[name])
    yield together
