"""What filters and ignore files exclude, asked path by path, whether it is on the disk or not."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from .._core.ignore import IgnoreRules, parse_ignore
from .disk import Disk
from .events import ask
from .steps import Filter
from .walk import read_ignore_files, rules_above

__all__ = ["Protected"]


@dataclass(frozen=True, slots=True)
class _Level:
    path: str
    rules: IgnoreRules
    excluded: bool


class Protected:
    """Says of relative paths whether a walk of *root* would leave them out.

    They come in an order in which all of a folder is one run. What is excluded at one end of a
    synchronisation must not be removed at the other.
    """

    def __init__(
        self,
        disk: Disk,
        root: Path,
        filter_: Filter | None,
        ignore_file_names: AbstractSet[str],
    ) -> None:
        self._disk = disk
        self._root = root
        self._filter = filter_
        self._names = sorted(ignore_file_names)
        self._levels: list[_Level] = []

    async def excludes(self, path: str) -> bool:
        """True for what is left out, and for all below a folder that is; folders end in ``/``."""
        if not self._levels:
            rules = await rules_above(self._disk, self._root, self._names)
            self._levels.append(_Level("", await self._extended(rules, ""), False))
        while not path.startswith(self._levels[-1].path):
            self._levels.pop()
        level = self._levels[-1]
        while not level.excluded and (slash := path.find("/", len(level.path))) >= 0:
            folder = path[: slash + 1]
            excluded = await self._is_out(level.rules, folder)
            rules = level.rules if excluded else await self._extended(level.rules, folder)
            level = _Level(folder, rules, excluded)
            self._levels.append(level)
        if level.excluded:
            return True
        return path != level.path and await self._is_out(level.rules, path)

    async def _is_out(self, rules: IgnoreRules, path: str) -> bool:
        local = f"{self._root.as_posix().rstrip('/')}/{path.rstrip('/')}"
        if rules.ignores(local, is_dir=path.endswith("/")):
            return True
        return self._filter is not None and not await ask(self._filter, path)

    async def _extended(self, rules: IgnoreRules, folder: str) -> IgnoreRules:
        if not self._names:
            return rules
        local = self._root / folder
        for data in await self._disk.run(local, read_ignore_files, str(local), self._names):
            rules = rules.extended(local.as_posix(), parse_ignore(data))
        return rules
