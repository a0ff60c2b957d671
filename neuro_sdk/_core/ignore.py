"""Ignore files: which paths the rules of git drop.

pathspec keeps the lines of a file and finds the last one that matches; it is imported with the
first line, which most trees do without. What a line means is said in ``ignore_lines.py``.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import PathSpec

    from .ignore_lines import IgnoreLine

__all__ = ["IgnoreRules", "parse_ignore"]


def parse_ignore(data: bytes) -> list[str]:
    """The lines of an ignore file; bytes that are not UTF-8 become lone surrogates, as in paths."""
    lines = data.removeprefix(codecs.BOM_UTF8).split(b"\n")
    return [line.removesuffix(b"\r").decode("utf-8", "surrogateescape") for line in lines]


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The ignore files that hold for a directory: its own and those of the directories above.

    The rules are git's. They judge one path at a time: a directory that is dropped must not be
    entered, for what lies in it is judged on its own.
    """

    _files: tuple[tuple[str, PathSpec[IgnoreLine]], ...] = ()

    def __bool__(self) -> bool:
        """True if there is any rule."""
        return bool(self._files)

    def extended(self, directory: str, lines: Iterable[str]) -> IgnoreRules:
        """These rules and those of one more file in *directory*, an absolute path.

        Rules of deeper directories win, and in one directory those of the file added later.
        """
        from pathspec import PathSpec

        from .ignore_lines import IgnoreLine

        spec = PathSpec.from_lines(IgnoreLine, lines, backend="simple")
        if all(line.include is None for line in spec.patterns):
            return self
        files = [*self._files, (directory.rstrip("/") + "/", spec)]
        return IgnoreRules(tuple(sorted(files, key=lambda file: len(file[0]))))

    def ignores(self, path: str, *, is_dir: bool) -> bool:
        """True if *path*, absolute and without a slash at its end, is dropped."""
        for directory, spec in reversed(self._files):
            if path.startswith(directory):
                below = path[len(directory) :] + "/" * is_dir
                include = spec.check_file(below, ()).include
                if include is not None:
                    return include
        return False
