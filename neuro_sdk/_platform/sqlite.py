"""All that is particular to SQLite: its file, its locks, its way to begin and to fail."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
import threading
import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, AsyncAdaptedQueuePool, Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ..errors import ConfigError, NeuroError, StorageError, StorageTimeout, local_error

__all__ = ["file_url", "open_engine", "prepare_file", "registry_error", "registry_path"]

_BUSY_SECONDS = 60
_SMALLEST_PAGE = 512
_creating = threading.Lock()


def file_url(path: Path) -> URL:
    """The database URL of the registry file at *path*."""
    return URL.create("sqlite+aiosqlite", database=str(path))


def registry_path(url: URL) -> Path:
    """The file that the database URL names."""
    if url.database in (None, "", ":memory:"):
        raise ConfigError("the database URL of a registry must name a file")
    return Path(str(url.database))


def prepare_file(path: Path) -> None:
    """Make the file if it is not there, for this user only, and let readers pass writers."""
    try:
        # Closing a file drops all locks that this process has on it, so a file that may be
        # in use is never opened here; SQLite gives its other files the same mode.
        with _creating, contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        os.chmod(path, 0o600)
        # SQLite would take a file smaller than its smallest page for a new one.
        if 0 < found.st_size < _SMALLEST_PAGE:
            raise _damaged(path)
        _switch_to_wal(path)
    except OSError as cause:
        raise local_error(cause, path) from cause
    except sqlite3.Error as cause:
        raise registry_error(cause, path) from cause


def _switch_to_wal(path: Path) -> None:
    # SQLite does not wait for its locks here, so that two who open a new file would fail.
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            with contextlib.closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as database:
                database.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if not _is(error, "SQLITE_BUSY", "SQLITE_LOCKED") or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def open_engine(url: URL) -> AsyncEngine:
    """The engine of a registry file.

    One connection per process: its calls wait for each other in order, which SQLite's own
    waiting does not grant. The execution option ``registry`` says what is begun on it: ``write``
    a transaction that changes something, ``statement`` none, for a single statement.
    """
    engine = create_async_engine(
        url,
        connect_args={"timeout": _BUSY_SECONDS},
        hide_parameters=True,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=2 * _BUSY_SECONDS,
    )
    event.listen(engine.sync_engine, "connect", _set_up)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _set_up(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins no transactions of its own
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    match connection.get_execution_options().get("registry"):
        case "write":
            # Whoever reads first and asks for the write lock later may be refused it.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        case "statement":
            pass  # it is a transaction by itself
        case _:
            connection.exec_driver_sql("BEGIN")


def registry_error(cause: BaseException, path: Path | str) -> NeuroError:
    """The error of our tree for one of SQLite about the registry at *path*."""
    if _is(cause, "SQLITE_NOTADB", "SQLITE_CORRUPT"):
        return _damaged(path)
    if _is(cause, "SQLITE_BUSY", "SQLITE_LOCKED"):
        return StorageTimeout(
            f"another process has kept the registry {os.fspath(path)!r} locked "
            f"for {_BUSY_SECONDS} seconds"
        )
    for name, number in (
        ("SQLITE_FULL", errno.ENOSPC),
        ("SQLITE_READONLY", errno.EACCES),
        ("SQLITE_CANTOPEN", errno.EACCES),
        ("SQLITE_IOERR", errno.EIO),
    ):
        if _is(cause, name):
            return local_error(OSError(number, os.strerror(number)), path)
    return StorageError(f"the registry {os.fspath(path)!r} failed: {cause}")


def _damaged(path: Path | str) -> ConfigError:
    return ConfigError(
        f"the registry {os.fspath(path)!r} is damaged or something else than a registry; "
        "restore it from a backup, or move it away to begin with an empty one"
    )


def _is(cause: BaseException, *names: str) -> bool:
    # A code may be a refinement: SQLITE_IOERR_WRITE, SQLITE_BUSY_RECOVERY.
    return getattr(cause, "sqlite_errorname", "").startswith(names)
