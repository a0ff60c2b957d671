"""What sessions have made, in small files of this user, for those that die before they tidy up.

Each session has a file of its own, in a folder for the place it works at. It is locked while the
session lives, so that a file which is not is that of one that died. It holds paths only.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import uuid
from collections.abc import Iterable
from pathlib import Path

import platformdirs

from .._settings.profiles import folder_of_user
from .._transfer.disk import Handle, lock

__all__ = ["Journal"]

_SUFFIX = ".jsonl"
_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_APPEND
_TRIES = 5


class Journal(Handle):
    """The file of one session. Every method blocks."""

    def __init__(self, path: Path, fd: int) -> None:
        super().__init__(fd)
        self._path = path
        self.paths: set[str] = set()

    @classmethod
    def begin(cls, place: str) -> Journal | None:
        """A new one; None where the system has no locks, which tell it from a left one."""
        folder, name = _folder(place), uuid.uuid4().hex
        # Locked before it has its name: no other session may take it for one that was left.
        temporary = folder / f".{name}"
        fd = _create(temporary)
        try:
            if not lock(fd):
                os.close(fd)
                os.unlink(temporary)
                return None
            path = folder / f"{name}{_SUFFIX}"
            os.rename(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.close(fd)
            raise
        return cls(path, fd)

    @classmethod
    def left_behind(cls, place: str) -> list[Journal]:
        """Those of sessions at *place* that died, locked now; each is to be closed."""
        found = []
        try:
            names = sorted(os.listdir(_folder(place)))
        except FileNotFoundError:
            return []
        for name in names:
            if name.endswith(_SUFFIX):
                journal = cls._take(_folder(place) / name)
                if journal is not None:
                    found.append(journal)
        return found

    @classmethod
    def _take(cls, path: Path) -> Journal | None:
        try:
            fd = os.open(path, _FLAGS)
        except FileNotFoundError:
            return None
        try:
            # One without a name was finished by another session just now.
            if not lock(fd) or os.fstat(fd).st_nlink == 0:
                os.close(fd)
                return None
            journal = cls(path, fd)
            journal._read()
        except BaseException:
            with contextlib.suppress(OSError):
                os.close(fd)
            raise
        return journal

    def _read(self) -> None:
        with open(self._fd, "rb", closefd=False) as file:
            lines = file.read().split(b"\n")
        for line in lines[:-1]:  # what a kill cut off has no end of line
            with contextlib.suppress(ValueError, KeyError, TypeError):
                told = json.loads(line)
                if "made" in told:
                    self.paths.add(str(told["made"]))
                else:
                    self.paths.discard(str(told["gone"]))

    def made(self, path: str) -> None:
        """Record that *path* is about to be made."""
        self.paths.add(path)
        self._write([{"made": path}])

    def gone(self, paths: Iterable[str]) -> None:
        """Record that *paths* are no more."""
        gone = list(paths)
        self.paths.difference_update(gone)
        self._write([{"gone": path} for path in gone])

    def _write(self, told: Iterable[dict[str, str]]) -> None:
        lines = b"".join(json.dumps(line).encode() + b"\n" for line in told)
        while lines:
            lines = lines[os.write(self._fd, lines) :]

    def close(self) -> None:
        """Let go of the file; it stays while paths are in it."""
        if not self.paths:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
            with contextlib.suppress(OSError):  # other sessions may have files in it
                os.rmdir(self._path.parent)
        self._close()


def _create(path: Path) -> int:
    for _ in range(_TRIES):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A session that ends may remove the folder just now.
        with contextlib.suppress(FileNotFoundError):
            return os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
    raise FileNotFoundError(errno.ENOENT, "the folder keeps vanishing", str(path.parent))


def _folder(place: str) -> Path:
    return folder_of_user(platformdirs.user_state_path) / "sessions" / place
