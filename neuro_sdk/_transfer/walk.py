"""A local tree in the order of the keys it becomes."""

from __future__ import annotations

import asyncio
import os
import stat as modes
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing, closing
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from .._core.ignore import IgnoreRules, parse_ignore
from .._core.plan import Side
from ..errors import LocalError, local_error
from .disk import Disk, is_partial, to_side
from .events import ask
from .steps import LEFT_OUT, Filter

__all__ = ["Found", "Kind", "read_ignore_files", "rules_above", "walk"]

_AHEAD = 16
_ENTRIES_AHEAD = 4096
_PAGE = 1000


class Kind(Enum):
    """What the walk came upon."""

    FOLDER = "folder"
    EMPTY_FOLDER = "empty folder"
    FILE = "file"
    PROBLEM = "problem"
    LEFT_OUT = "left out"


class Found(NamedTuple):
    """One thing in the tree; ``path`` is relative, with ``/``, and ends in one for folders."""

    kind: Kind
    path: str
    local: str
    side: Side | None = None
    error: LocalError | None = None
    reason: str = ""


class _Child(NamedTuple):
    name: str  # with a slash at the end for a folder
    local: str
    side: Side | None = None
    identity: tuple[int, int] | None = None
    error: LocalError | None = None

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


class _Scan(NamedTuple):
    children: list[_Child]
    ignore_files: list[bytes]


async def walk(
    disk: Disk,
    root: Path,
    *,
    filter_: Filter | None = None,
    ignore_file_names: AbstractSet[str] = frozenset(),
    tell_left_out: bool = False,
) -> AsyncGenerator[Sequence[Found], None]:
    """Everything below *root* that the filter and the ignore files let through, some at a time.

    Folders come before what they hold. Links are followed; one that leads back to a folder it
    lies in is a PROBLEM, and so are links to nowhere, pipes, sockets and devices, and folders
    that cannot be read. What our own downloads left half done is passed over. With
    *tell_left_out* what filter and ignore files leave out is LEFT_OUT, a folder with all below it.
    """
    names = sorted(ignore_file_names)
    rules = await rules_above(disk, root, names)
    identity = await disk.run(root, _identity, str(root))
    walker = _Walker(disk, filter_, names, tell_left_out)
    async with aclosing(walker.tree(str(root), rules, identity)) as tree:
        async for page in tree:
            yield page


async def rules_above(disk: Disk, root: Path, names: list[str]) -> IgnoreRules:
    """The rules of the ignore files in the folders above *root*."""
    rules = IgnoreRules()
    if names:
        for above in reversed(root.parents):
            for data in await disk.run(above, read_ignore_files, str(above), names):
                rules = rules.extended(above.as_posix(), parse_ignore(data))
    return rules


class _Walker:
    def __init__(
        self, disk: Disk, filter_: Filter | None, ignore_names: list[str], tell_left_out: bool
    ) -> None:
        self._disk = disk
        self._filter = filter_
        self._ignore_names = ignore_names
        self._tell_left_out = tell_left_out

    def tree(
        self, root: str, rules: IgnoreRules, identity: tuple[int, int]
    ) -> AsyncGenerator[Sequence[Found], None]:
        return self._folder("", root, rules, (identity,), self._scan(root))

    def _scan(self, local: str) -> asyncio.Future[_Scan]:
        return self._disk.begin(local, _scan, local, self._ignore_names)

    async def _folder(
        self,
        path: str,
        local: str,
        rules: IgnoreRules,
        above: tuple[tuple[int, int], ...],
        scanning: asyncio.Future[_Scan],
    ) -> AsyncGenerator[Sequence[Found], None]:
        try:
            scan = await scanning
        except LocalError as error:
            if path == "":
                raise
            yield [Found(Kind.PROBLEM, path, local, error=error)]
            return
        base = Path(local).as_posix()
        for data in scan.ignore_files:
            rules = rules.extended(base, parse_ignore(data))
        page = [Found(Kind.FOLDER if scan.children else Kind.EMPTY_FOLDER, path, local)]
        all_wanted = self._filter is None and not rules
        folders = (c.local for c in scan.children if c.is_folder and not _ignored(c, base, rules))
        with closing(_Ahead(self._scan, folders)) as ahead:
            for child in scan.children:
                name = path + child.name
                reason = "" if all_wanted else await self._left_out(name, child, base, rules)
                if reason:
                    if self._tell_left_out:
                        left = Found(Kind.LEFT_OUT, name, child.local, child.side, reason=reason)
                        page.append(left)
                elif child.error is not None:
                    page.append(Found(Kind.PROBLEM, name, child.local, error=child.error))
                elif child.side is not None:
                    page.append(Found(Kind.FILE, name, child.local, child.side))
                elif child.identity is None or child.identity in above:
                    reason = f"a link that leads back to a folder it lies in: {child.local!r}"
                    page.append(Found(Kind.PROBLEM, name, child.local, error=LocalError(reason)))
                else:
                    if page:
                        yield page
                        page = []
                    identities, scanning = (*above, child.identity), ahead.of(child.local)
                    below = self._folder(name, child.local, rules, identities, scanning)
                    async with aclosing(below):
                        async for more in below:
                            yield more
                if len(page) == _PAGE:
                    yield page
                    page = []
        if page:
            yield page

    async def _left_out(self, name: str, child: _Child, base: str, rules: IgnoreRules) -> str:
        if _ignored(child, base, rules):
            return "left out by an ignore file"
        if self._filter is not None and not await ask(self._filter, name):
            return LEFT_OUT
        return ""


class _Ahead:
    """Scans of *folders*, begun before their turn, so that nothing waits for a slow disk."""

    def __init__(
        self, scan: Callable[[str], asyncio.Future[_Scan]], folders: Iterator[str]
    ) -> None:
        self._scan = scan
        self._folders = folders
        self._begun: deque[tuple[str, asyncio.Future[_Scan]]] = deque()
        self._begin()

    def _begin(self) -> None:
        read = sum(_entries(scanning) for _, scanning in self._begun)
        room = _AHEAD - len(self._begun) if read < _ENTRIES_AHEAD else int(not self._begun)
        for local in islice(self._folders, room):
            self._begun.append((local, self._scan(local)))

    def of(self, local: str) -> asyncio.Future[_Scan]:
        """The scan of the folder *local*, whose turn it is, and none of those before it is."""
        while True:
            name, scanning = self._begun.popleft()
            self._begin()
            if name == local:
                return scanning
            _forget(scanning)

    def close(self) -> None:
        """Nobody asks for more."""
        for _, scanning in self._begun:
            _forget(scanning)


def _entries(scanning: asyncio.Future[_Scan]) -> int:
    done = scanning.done() and not scanning.cancelled() and scanning.exception() is None
    return len(scanning.result().children) if done else 0


def _forget(scanning: asyncio.Future[_Scan]) -> None:
    scanning.cancel()
    scanning.add_done_callback(lambda done: done.cancelled() or done.exception())


def _ignored(child: _Child, base: str, rules: IgnoreRules) -> bool:
    path = f"{base.rstrip('/')}/{child.name.rstrip('/')}"
    return rules.ignores(path, is_dir=child.is_folder)


def _scan(local: str, ignore_names: list[str]) -> _Scan:
    children = []
    with os.scandir(local) as entries:
        for entry in entries:
            if not is_partial(entry.name):
                children.append(_child(entry))
    children.sort(key=lambda child: child.name)
    present = {child.name for child in children}
    wanted = [name for name in ignore_names if name in present]
    return _Scan(children, read_ignore_files(local, wanted))


def _child(entry: os.DirEntry[str]) -> _Child:
    try:
        found = entry.stat()
    except OSError as error:
        if entry.is_symlink():
            reason = LocalError(f"a link that leads nowhere: {entry.path!r}")
            return _Child(entry.name, entry.path, error=reason)
        return _Child(entry.name, entry.path, error=local_error(error, entry.path))
    if modes.S_ISDIR(found.st_mode):
        return _Child(entry.name + "/", entry.path, identity=(found.st_dev, found.st_ino))
    if modes.S_ISREG(found.st_mode):
        return _Child(entry.name, entry.path, side=to_side(found))
    reason = LocalError(f"not a regular file or folder: {entry.path!r}")
    return _Child(entry.name, entry.path, error=reason)


def read_ignore_files(folder: str, names: list[str]) -> list[bytes]:
    """What the files called one of *names* in *folder* hold."""
    contents = []
    for name in names:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                contents.append(file.read())
    return contents


def _identity(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino
