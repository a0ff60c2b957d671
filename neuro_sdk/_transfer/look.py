"""What a listing of one side probably holds, from a look at the other while it is waited for."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from .._core.plan import Side
from .disk import Disk, regular, stat_inside

__all__ = ["Look"]

_HELD = 5000  # a few pages of a store


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
        entries = _files(self._root or "/")
        above = len(self._root) + 1
        while True:
            some = await self._disk.run(self._root, _take, entries, apart, self._closely)
            self._seen.update(some.sides)
            for path in [*islice(self._seen, max(0, len(self._seen) - _HELD))]:
                del self._seen[path]
            if some.last is None:
                return
            yield self._prefix + some.last[above:]

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


class _Some(NamedTuple):
    last: str | None  # None if there are no more
    sides: dict[str, Side | None]


def _take(entries: Iterator[os.DirEntry[str]], count: int, closely: bool) -> _Some:
    some = [*islice(entries, count)]
    sides: dict[str, Side | None] = {}
    for entry in some if closely else ():
        try:
            sides[entry.path] = regular(entry)
        except OSError:  # whoever asks for it is told
            continue
    return _Some(some[-1].path if len(some) == count else None, sides)


def _files(folder: str) -> Iterator[os.DirEntry[str]]:
    """All but folders, in the order of their keys."""
    below: dict[str, os.DirEntry[str]] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                below[entry.name + "/" if is_folder else entry.name] = entry
    except OSError:
        return
    for name, entry in sorted(below.items()):
        if name.endswith("/"):
            yield from _files(entry.path)
        else:
            yield entry
