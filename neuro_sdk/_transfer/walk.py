"""A local tree in the order of the keys it becomes."""

from __future__ import annotations

import asyncio
import os
import stat as modes
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing, closing
from datetime import datetime
from enum import Enum
from functools import partial
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple, cast

from .._core.ignore import IgnoreRules, parse_ignore
from .._core.plan import Side
from ..errors import LocalError, local_error
from .disk import Disk, changed_at, is_partial
from .events import ask
from .folders import opened
from .steps import LEFT_OUT, Filter

__all__ = ["Found", "Kind", "read_ignore_files", "rules_above", "walk"]

_AHEAD = 16
_ENTRIES_AHEAD = 1024  # what lives for longer is looked at by the collector again and again
_PAGE = 1000
_LONG, _LONG_EACH = 0.005, 0.0001  # seconds, and for each entry


class Kind(Enum):
    """What the walk came upon."""

    FOLDER = "folder"
    EMPTY_FOLDER = "empty folder"
    FILE = "file"
    PROBLEM = "problem"
    LEFT_OUT = "left out"


class Found(NamedTuple):
    """One thing in the tree; ``path`` is relative, with ``/``, and ends in one for folders.

    ``size`` and ``modified_at`` are those of a file.
    """

    kind: Kind
    path: str
    local: str
    size: int = 0
    modified_at: datetime | None = None
    error: LocalError | None = None
    reason: str = ""

    @property
    def side(self) -> Side:
        """The file as one end of a transfer."""
        return Side(self.size, self.modified_at)


_as_found = partial(tuple.__new__, Found)  # half the time, for a tree has a great many


class _Folder(NamedTuple):
    """One to be scanned; ``path`` is empty for the root, else it ends in a slash."""

    path: str
    local: str
    identity: tuple[int, int]


class _Scan(NamedTuple):
    """What a folder holds, in the order of keys, and which of that are folders."""

    children: Sequence[Found | _Folder] = ()
    folders: Sequence[_Folder] = ()
    ignore_files: Sequence[bytes] = ()
    error: LocalError | None = None


class _Scans(NamedTuple):
    scans: Sequence[_Scan]
    took_long: bool


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
    folder = _Folder("", str(root), await disk.run(root, _identity, str(root)))
    walker = _Walker(disk, filter_, names, tell_left_out)
    async with aclosing(walker.tree(folder, rules)) as tree:
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

    def tree(self, root: _Folder, rules: IgnoreRules) -> AsyncGenerator[Sequence[Found], None]:
        return self._folder(root, rules, (), _Ahead(self._scan, iter([root])))

    def _scan(self, folders: Sequence[_Folder]) -> asyncio.Future[_Scans]:
        return self._disk.begin(folders[0].local, _scan_some, folders, self._ignore_names)

    async def _folder(
        self,
        folder: _Folder,
        rules: IgnoreRules,
        above: tuple[tuple[int, int], ...],
        scans: _Ahead,
    ) -> AsyncGenerator[Sequence[Found], None]:
        path, local, identity = folder
        scan = await scans.of(folder)
        if scan.error is not None:
            if path == "":
                raise scan.error
            yield [Found(Kind.PROBLEM, path, local, error=scan.error)]
            return
        base = Path(local).as_posix()
        for data in scan.ignore_files:
            rules = rules.extended(base, parse_ignore(data))
        above = (*above, identity)
        page = [Found(Kind.FOLDER if scan.children else Kind.EMPTY_FOLDER, path, local)]
        all_wanted = self._filter is None and not rules
        if all_wanted and not scan.folders:
            page += cast(Sequence[Found], scan.children)
            for start in range(0, len(page), _PAGE):
                yield page[start : start + _PAGE]
            return
        with closing(_Ahead(self._scan, self._below(scan, base, rules))) as ahead:
            for child in scan.children:
                reason = "" if all_wanted else await self._left_out(child, base, rules)
                if reason:
                    if self._tell_left_out:
                        page.append(_excluded(child, reason))
                elif isinstance(child, Found):
                    page.append(child)
                elif child.identity in above:
                    reason = f"a link that leads back to a folder it lies in: {child.local!r}"
                    error = LocalError(reason)
                    page.append(Found(Kind.PROBLEM, child.path, child.local, error=error))
                else:
                    if page:
                        yield page
                        page = []
                    async with aclosing(self._folder(child, rules, above, ahead)) as below:
                        async for more in below:
                            yield more
                if len(page) == _PAGE:
                    yield page
                    page = []
        if page:
            yield page

    def _below(self, scan: _Scan, base: str, rules: IgnoreRules) -> Iterator[_Folder]:
        for child in scan.folders:
            if not _ignored(child, base, rules):
                yield child

    async def _left_out(self, child: Found | _Folder, base: str, rules: IgnoreRules) -> str:
        if _ignored(child, base, rules):
            return "left out by an ignore file"
        if self._filter is not None and not await ask(self._filter, child.path):
            return LEFT_OUT
        return ""


class _Ahead:
    """Scans of *folders*, begun before their turn, so that nothing waits for a slow disk.

    A thread scans some of them in a row: threads that look at one file after another at the
    same time fight for the interpreter. Where that takes long, more of them have fewer each.
    """

    def __init__(
        self,
        scan: Callable[[Sequence[_Folder]], asyncio.Future[_Scans]],
        folders: Iterator[_Folder],
    ) -> None:
        self._scan = scan
        self._folders = folders
        self._begun: deque[tuple[Sequence[_Folder], asyncio.Future[_Scans]]] = deque()
        self._ready: deque[tuple[_Folder, _Scan]] = deque()
        self._at_once = _AHEAD
        self._begin()

    def _begin(self) -> None:
        ready = sum(len(scan.children) for _, scan in self._ready)
        most = _AHEAD // self._at_once if ready < _ENTRIES_AHEAD else int(not self._ready)
        while len(self._begun) < most:
            folders = [*islice(self._folders, self._at_once)]
            if not folders:
                return
            self._begun.append((folders, self._scan(folders)))

    async def of(self, folder: _Folder) -> _Scan:
        """The scan of *folder*, whose turn it is, and none of those before it is."""
        while True:
            while self._ready:
                passed, scan = self._ready.popleft()
                if passed is folder:
                    self._begin()
                    return scan
            self._begin()
            folders, scanning = self._begun[0]
            scans, took_long = await scanning
            self._begun.popleft()
            self._ready.extend(zip(folders, scans, strict=False))
            # What took long once may have waited for the interpreter, not for the disk.
            if took_long:
                self._at_once = max(1, self._at_once // 2)
            else:
                self._at_once = min(_AHEAD, self._at_once * 2)
            left = folders[len(scans) :]
            for start in reversed(range(0, len(left), self._at_once)):
                some = left[start : start + self._at_once]
                self._begun.appendleft((some, self._scan(some)))

    def close(self) -> None:
        """Nobody asks for more."""
        for _, scanning in self._begun:
            scanning.cancel()
            scanning.add_done_callback(lambda done: done.cancelled() or done.exception())


def _ignored(child: Found | _Folder, base: str, rules: IgnoreRules) -> bool:
    name = child.path.rstrip("/").rpartition("/")[2]
    return rules.ignores(f"{base.rstrip('/')}/{name}", is_dir=child.path.endswith("/"))


def _scan_some(folders: Sequence[_Folder], ignore_names: list[str]) -> _Scans:
    """One after another, until they hold much or it takes long."""
    scans: list[_Scan] = []
    entries, started = 0, time.monotonic()
    for folder in folders:
        try:
            scans.append(_scan(folder, ignore_names))
        except OSError as error:
            path = error.filename if isinstance(error.filename, str) else folder.local
            scans.append(_Scan(error=local_error(error, path)))
        entries += len(scans[-1].children)
        took_long = time.monotonic() - started > _LONG + entries * _LONG_EACH
        if took_long or entries > _ENTRIES_AHEAD:
            break
    return _Scans(scans, took_long)


def _scan(folder: _Folder, ignore_names: list[str]) -> _Scan:
    above, local, _ = folder
    base = os.path.join(local, "")
    children: list[Found | _Folder] = []
    folders: list[_Folder] = []
    with opened(local) as number, os.scandir(local if number is None else number) as entries:
        for entry in entries:
            name = entry.name
            if is_partial(name):
                continue
            path, place = above + name, base + name
            try:
                found = entry.stat()
            except OSError as error:
                children.append(_unreadable(path, place, entry, error))
                continue
            if modes.S_ISREG(found.st_mode):
                row = (Kind.FILE, path, place, found.st_size, changed_at(found), None, "")
                children.append(_as_found(row))
            elif modes.S_ISDIR(found.st_mode):
                folders.append(_Folder(path + "/", place, (found.st_dev, found.st_ino)))
            else:
                problem = LocalError(f"not a regular file or folder: {place!r}")
                children.append(Found(Kind.PROBLEM, path, place, error=problem))
    children += folders
    children.sort(key=attrgetter("path"))
    folders.sort(key=attrgetter("path"))
    if not ignore_names:
        return _Scan(children, folders)
    present = {child.path for child in children}
    wanted = [name for name in ignore_names if above + name in present]
    return _Scan(children, folders, read_ignore_files(local, wanted))


def _excluded(child: Found | _Folder, reason: str) -> Found:
    if isinstance(child, Found):
        return child._replace(kind=Kind.LEFT_OUT, error=None, reason=reason)
    return Found(Kind.LEFT_OUT, child.path, child.local, reason=reason)


def _unreadable(path: str, local: str, entry: os.DirEntry[str], error: OSError) -> Found:
    problem = local_error(error, local)
    if entry.is_symlink():
        problem = LocalError(f"a link that leads nowhere: {local!r}")
    return Found(Kind.PROBLEM, path, local, error=problem)


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
