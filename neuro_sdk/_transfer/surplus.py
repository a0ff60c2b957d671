"""What a local folder has and lacks, and what is taken away from it: the disk's part of sync."""

from __future__ import annotations

import errno
import os
import stat as modes
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from .._core.plan import Side
from ..errors import LocalError, LocalFileChanged, NeuroError, local_error
from .disk import is_partial, to_side

__all__ = ["plain_children", "present", "unlink_many"]

_NO_SUCH_NAME = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)


def present(base: str, paths: Sequence[str]) -> AbstractSet[str]:
    """Those that are files below *base*, or folders where they end in a slash.

    Only what is surely missing is left out: an error of the disk is raised, never an answer.
    """
    found = set()
    for path in paths:
        if any(part in ("", ".", "..") for part in path.removesuffix("/").split("/")):
            continue
        try:
            mode = os.stat(f"{base}/{path}").st_mode
        except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: holds NUL
            continue
        except OSError as error:
            if error.errno in _NO_SUCH_NAME:
                continue
            raise
        if modes.S_ISDIR(mode) is path.endswith("/"):
            found.add(path)
    return found


def plain_children(folder: str) -> list[tuple[str, Side | None]]:
    """Names of plain files with their sides, and of folders with a slash, in the order of keys."""
    found: dict[str, Side | None] = {}  # a disk that changes may give a name twice
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    found[entry.name + "/"] = None
                elif entry.is_file(follow_symlinks=False) and not is_partial(entry.name):
                    found[entry.name] = to_side(entry.stat(follow_symlinks=False))
    except FileNotFoundError:
        return []
    return sorted(found.items(), key=lambda pair: pair[0])


def unlink_many(base: str, files: Mapping[str, Side]) -> Mapping[str, NeuroError]:
    """Remove *files* that are as they were, and folders that this empties; says what failed."""
    failed: dict[str, NeuroError] = {}
    root = os.path.realpath(base or "/")
    folders: set[str] = set()
    for path, side in files.items():
        local = f"{base}/{path}"
        folder = path.rpartition("/")[0]
        try:
            # A folder that became a link meanwhile must not lead the removal out of here.
            if os.path.realpath(os.path.dirname(local)) != os.path.normpath(f"{root}/{folder}"):
                raise LocalError(f"a folder above it became a link: {local!r}")
            found = os.lstat(local)
            if not modes.S_ISREG(found.st_mode) or to_side(found) != side:
                raise LocalFileChanged(f"the file changed, and stays: {local!r}")
            os.unlink(local)
        except FileNotFoundError:
            pass
        except LocalError as error:
            failed[path] = error
            continue
        except OSError as error:
            failed[path] = local_error(error, local)
            continue
        folders.add(folder)
    for folder in sorted(folders, key=len, reverse=True):
        _remove_empty(base, folder)
    return failed


def _remove_empty(base: str, folder: str) -> None:
    while folder:
        try:
            os.rmdir(f"{base}/{folder}")
        except OSError:  # not empty, which is how it ends
            return
        folder = folder.rpartition("/")[0]
