"""The local disk: everything that blocks, run in threads of our own.

Functions here are plain and blocking; ``Disk.run`` takes them off the event loop and turns
their OSErrors into errors of our tree.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import stat as modes
import sys
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from .._core.plan import Side, as_side
from ..errors import (
    BlobChanged,
    LocalError,
    LocalFileChanged,
    LocalIsADirectory,
    NeuroError,
    local_error,
)
from ..protocols import Reading
from .buffers import Buffers
from .threads import Threads

try:
    import fcntl
except ImportError:  # not a POSIX system: partial files are then never shared or resumed
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "Disk",
    "Existing",
    "Growing",
    "Handle",
    "Partial",
    "Source",
    "changed_at",
    "ignores_case",
    "is_partial",
    "lock",
    "make_folder",
    "make_folders",
    "stat_inside",
    "stat_many",
    "stat_one",
    "to_side",
]

T = TypeVar("T")

_PARTIAL = ".neuro-sdk-"
_SUFFIXES = (".part", ".version")


_THREADS = 16  # more do not make a disk faster


class Disk:
    """Threads for the disk, and others that ask a store as well, for *concurrency* files at once.

    A third of those files waits for its turn.
    """

    def __init__(self, concurrency: int) -> None:
        self._threads = Threads(min(_THREADS, concurrency), "neuro-sdk-disk")
        self._wires = Threads(concurrency - concurrency // 3, "neuro-sdk-wire")
        self._reader = Threads(1, "neuro-sdk-reader")

    async def run(
        self, path: str | os.PathLike[str], function: Callable[..., T], *args: object
    ) -> T:
        """Call *function* in a thread; *path* is what an OSError is about unless it says.

        A cancelled caller waits for the thread: it may be using a file that comes to be closed,
        or be what closes it, and then it is called in any case.
        """
        work = self._threads.start(partial(_explained, path, function, *args), surely=True)
        try:
            return await work
        except asyncio.CancelledError:
            if not work.cancelled() and work.exception() is None:
                result = work.result()
                if isinstance(result, Handle):
                    await self._threads.start(result.abandon, surely=True)
            raise

    async def read_part(self, source: Source, offset: int, length: int) -> bytes:
        """``Source.read_at`` of much, one after another and always in the same thread.

        The C library keeps what a thread has freed for that thread. With many of them, each
        would keep a few parts.
        """
        return await self._reader.start(
            partial(_explained, source.path, source.read_at, offset, length)
        )

    def begin(
        self, path: str | os.PathLike[str], function: Callable[..., T], *args: object
    ) -> asyncio.Future[T]:
        """As ``run``, but nobody waits for it yet, and it may be cancelled before it begins."""
        return self._threads.start(partial(_explained, path, function, *args))

    def begin_with_store(
        self, path: str | os.PathLike[str], function: Callable[..., T], *args: object
    ) -> asyncio.Future[T]:
        """As ``begin``, for a function that waits for a store as well."""
        return self._wires.start(partial(_explained, path, function, *args))

    async def read(self, reading: Reading, length: int, buffers: Buffers) -> memoryview:
        """What *reading* gives, in one of the *buffers*. It is cut if the caller is cancelled."""

        def run() -> memoryview:
            into = buffers.take(length)
            reading.run(into)
            return into

        return await self._wires.start(run, cut=reading.cut)

    def close(self) -> None:
        """Let the threads end once their work is done."""
        self._threads.close()
        self._wires.close()
        self._reader.close()


def _explained(path: str | os.PathLike[str], function: Callable[..., T], *args: object) -> T:
    try:
        return function(*args)
    except NeuroError:
        raise
    except OSError as error:
        raise local_error(error, _about(error, path)) from error


def _about(error: OSError, path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    # Nobody knows our hidden files: the one that they stand for is meant.
    own = error.filename is None or is_partial(os.path.basename(os.fsdecode(error.filename)))
    return path if own else os.fsdecode(error.filename)


class Handle:
    """An open file that is closed by hand, never by chance."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def abandon(self) -> None:
        """Close; what the file holds is of no more interest."""
        self._close()


class Source(Handle):
    """A regular file opened for upload, which must not change until all of it is read.

    ``body`` is the whole content of a file of at most *small* bytes, which is closed again.
    """

    def __init__(self, path: str, small: int = -1) -> None:
        # Not blocking, so that a pipe put in the file's place cannot hold up the thread.
        super().__init__(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
        self.path = path
        self.body: bytes | None = None
        try:
            self._before = os.fstat(self._fd)
            if modes.S_ISDIR(self._before.st_mode):
                raise LocalIsADirectory(f"a folder, not a file: {path!r}")
            if not modes.S_ISREG(self._before.st_mode):
                raise LocalError(f"not a regular file: {path!r}")
            if self.size <= small:
                self.body = self.read_at(0, self.size)
                self.check_unchanged()
                self._close()
        except BaseException:
            self._close()
            raise

    @property
    def size(self) -> int:
        return self._before.st_size

    @property
    def side(self) -> Side:
        return to_side(self._before)

    def read_at(self, offset: int, length: int) -> bytes:
        """*length* bytes from *offset* on; LocalFileChanged if the file has become shorter."""
        pieces = []
        while length > 0:
            piece = os.pread(self._fd, length, offset)
            if not piece:
                raise LocalFileChanged(
                    f"the file became shorter while it was being read: {self.path!r}"
                )
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @property
    def version(self) -> str:
        """What tells this content from another that the file may have had: size and time."""
        return f"{self._before.st_size} {self._before.st_mtime_ns}"

    def check_unchanged(self) -> None:
        """Raise LocalFileChanged if the file was written to since it was opened."""
        now = os.fstat(self._fd)
        if (now.st_size, now.st_mtime_ns) != (self._before.st_size, self._before.st_mtime_ns):
            raise LocalFileChanged(f"the file changed while it was being read: {self.path!r}")


class Growing(Handle):
    """A file that is written in order, so that it is a correct prefix at any moment."""

    def __init__(self, target: str, fd: int) -> None:
        super().__init__(fd)
        self.target = target
        self.position = 0

    def tail(self, length: int) -> bytes:
        """The last *length* bytes before the position."""
        return os.pread(self._fd, length, self.position - length)

    def write(self, data: bytes | memoryview) -> None:
        """Write *data* at the position and move on."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, self.position)
            self.position += written
            view = view[written:]


class Existing(Growing):
    """The destination itself, to be continued at its end."""

    @classmethod
    def open(cls, target: str) -> Existing | None:
        """Open and lock *target*, or None if it is a link or another process is writing it."""
        try:
            fd = os.open(target, os.O_RDWR | os.O_CLOEXEC | _NO_FOLLOW)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            return None
        try:
            if not lock(fd):
                os.close(fd)
                return None
            self = cls(target, fd)
            self.position = os.fstat(fd).st_size
        except BaseException:
            os.close(fd)
            raise
        return self


class Partial(Growing):
    """A file on its way: hidden beside its target, locked, renamed when complete.

    The name is the same at each attempt, so a rerun takes the place of what a killed process
    left. With *version*, the text that tells this version of the source from others, what was
    written is kept on failure, and *resume* takes it up again.
    """

    def __init__(self, target: str, *, version: str | None = None, resume: bool = False) -> None:
        folder, name = os.path.split(target)
        if os.path.isdir(target) and not os.path.islink(target):
            raise LocalIsADirectory(f"a folder stands where the file shall go: {target!r}")
        # A rename would replace a file that its owner has made read-only.
        if os.access(target, os.F_OK) and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), target)
        stem = _stem(name)
        self._path = os.path.join(folder, f"{stem}.part")
        fd = _open_locked(self._path)
        if fd is None:  # another process is at it; its file must not be touched
            version = None
            self._path = os.path.join(folder, f"{stem}-{uuid.uuid4().hex[:12]}.part")
            fd = os.open(self._path, _CREATE | os.O_EXCL, 0o666)
        super().__init__(target, fd)
        self._version_path = self._path.removesuffix(".part") + ".version"
        self._keep = version is not None
        try:
            self._begin(version, resume)
        except BaseException:
            self.abandon()
            raise

    def _begin(self, version: str | None, resume: bool) -> None:
        if version is not None and resume and _read_text(self._version_path) == version:
            self.position = os.fstat(self._fd).st_size
            return
        os.ftruncate(self._fd, 0)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._version_path)
        if version is not None:
            _write_text(self._version_path, version)

    def restart(self) -> None:
        """Forget what was written."""
        os.ftruncate(self._fd, 0)
        self.position = 0

    def publish(self) -> None:
        """Give the file its name; a file that has it is replaced."""
        if self._keep:  # first, so that a process killed in between leaves what the next one finds
            with contextlib.suppress(OSError):
                os.unlink(self._version_path)
        os.replace(self._path, self.target)
        self._close()

    def fail(self, error: BaseException) -> None:
        """After *error*: keep what can be resumed, unless disk or source make it worthless."""
        worthless = isinstance(error, (LocalError, BlobChanged)) or self.position == 0
        if self._keep and not worthless:
            self._close()
        else:
            self.abandon()

    def abandon(self) -> None:
        """Leave nothing behind."""
        for path in (self._path, self._version_path):
            with contextlib.suppress(OSError):
                os.unlink(path)
        self._close()

    @classmethod
    def write_whole(cls, target: str, data: bytes | memoryview) -> None:
        """Write a small file: whole or not at all."""
        if _write_new(target, data):
            return
        partial = cls(target)
        try:
            partial.write(data)
            partial.publish()
        except BaseException:
            partial.abandon()
            raise


def _stem(name: str) -> str:
    return _PARTIAL + hashlib.sha256(os.fsencode(name)).hexdigest()[:24]


def _write_new(target: str, data: bytes | memoryview) -> bool:
    """Write a file that has no name before it is complete; False if a name is in the way.

    Nothing is left of it when the process is killed, and it takes a third of the system calls.
    """
    folder, name = os.path.split(target)
    if not _UNNAMED or os.path.lexists(os.path.join(folder, f"{_stem(name)}.part")):
        return False
    try:
        fd = os.open(folder or ".", os.O_RDWR | os.O_CLOEXEC | _UNNAMED, 0o666)
    except OSError:  # not every file system can; what else is wrong shows when it has a name
        return False
    try:
        file = Growing(target, fd)
        file.write(data)
        os.link(f"/proc/self/fd/{fd}", target, src_dir_fd=fd, follow_symlinks=True)
    except FileExistsError:
        return False
    except FileNotFoundError:  # no /proc, or the folder has gone
        return False
    finally:
        os.close(fd)
    return True


def _open_locked(path: str) -> int | None:
    if fcntl is None:
        return None
    while True:
        fd = os.open(path, _CREATE, 0o666)
        try:
            if not lock(fd):
                os.close(fd)
                return None
            # Its owner may have renamed the file between our opening and our locking it.
            if os.path.samestat(os.fstat(fd), os.stat(path)):
                return fd
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def lock(fd: int) -> bool:
    """Lock the open file until it is closed; False if another process has it, or no one can."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


_CREATE = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
_UNNAMED: int = getattr(os, "O_TMPFILE", 0)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


def is_partial(name: str) -> bool:
    """True for the names of files that a download of ours left; trees do not carry them."""
    return name.startswith(_PARTIAL) and name.endswith(_SUFFIXES)


def stat_many(paths: Iterable[str]) -> list[Side | None]:
    """The regular files among *paths*, None for all else."""
    return [stat_one(path) for path in paths]


def stat_inside(root: str, paths: Iterable[str]) -> list[Side | None]:
    """As ``stat_many``, and None for what lies behind a link that leads out of *root*.

    *root* has no slash at its end, and each of *paths* one more than it.
    """
    inside = os.path.realpath(root or "/")
    within = {root: True}

    def leads_inside(path: str) -> bool:
        folder = path[: path.rfind("/")]
        known = within.get(folder)
        if known is None:
            known = leads_inside(folder)
            if known and os.path.islink(folder):
                known = _is_inside(os.path.realpath(folder), inside)
            within[folder] = known
        return known

    return [stat_one(path) if leads_inside(path) else None for path in paths]


def stat_one(path: str, folder: int | None = None) -> Side | None:
    """The file, if it is a regular one, or a link to one.

    *path* is relative to the open *folder* of that number, where there is one.
    """
    try:
        found = os.stat(path, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return to_side(found) if modes.S_ISREG(found.st_mode) else None


def ignores_case(folder: str) -> bool:
    """True if the disk takes ``A`` and ``a`` in *folder* for one file."""
    name = f"{_PARTIAL}case.part"
    probe, other = os.path.join(folder, name), os.path.join(folder, name.upper())
    try:
        while True:
            os.close(os.open(probe, _CREATE, 0o600))
            found = os.path.exists(other)
            if found or os.path.exists(probe):  # unless another download has just removed it
                return found
    except OSError:  # nothing can be written here, though perhaps in folders below
        return sys.platform in ("darwin", "win32")
    finally:
        with contextlib.suppress(OSError):
            os.unlink(probe)


def make_folder(folder: str, root: str) -> None:
    """Make *folder*, which must not lead out of *root* through a link."""
    inside = os.path.realpath(root)
    _check_inside(folder, inside)  # first, so that nothing is made out there
    make_folders(folder)
    _check_inside(folder, inside)


def _check_inside(folder: str, inside: str) -> None:
    real = os.path.realpath(folder)
    if not _is_inside(real, inside):
        raise LocalError(f"the folder {folder!r} leads out of the destination, to {real!r}")


def _is_inside(real: str, inside: str) -> bool:
    return os.path.commonpath([real, inside]) == inside


def make_folders(folder: str | os.PathLike[str]) -> None:
    """Make *folder* and those above it; NotADirectoryError where a file is in the way."""
    try:
        os.makedirs(folder, exist_ok=True)
    except FileExistsError as error:
        reason = os.strerror(errno.ENOTDIR)
        raise NotADirectoryError(errno.ENOTDIR, reason, error.filename) from None


def to_side(found: os.stat_result) -> Side:
    """What a transfer decides on, of one file."""
    return as_side((found.st_size, changed_at(found)))


def changed_at(found: os.stat_result) -> datetime:
    """When a file was changed, to the microsecond."""
    return datetime.fromtimestamp(found.st_mtime, UTC)


def _read_text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _write_text(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
