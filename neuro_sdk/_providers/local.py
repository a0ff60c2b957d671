"""A bucket in a folder of this machine: bytes by OpenDAL's ``fs`` service, names by the disk.

A blob ``a/b`` is the file ``a/b`` below the root. A directory marker ``a/`` is the file
``a/.neuro-sdk-dir``, so that folders left over by a removal never look like blobs. Writes go
to ``.neuro-sdk/writing`` first and appear by one rename.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat as modes
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

from .._aio import to_its_end
from .._core.keys import LOCAL_INTERNAL, LOCAL_MARKER, LOCAL_RULES, parents
from .._core.models import BlobCommonPrefix, BlobObject, Bucket, BucketEntry
from ..errors import (
    AuthorizationError,
    BlobChanged,
    BlobNotFound,
    BucketNotFound,
    InvalidKey,
    KeyConflict,
    LocalError,
    LocalIsADirectory,
    LocalNotADirectory,
    NeuroError,
    local_error,
)
from ..protocols import Likely
from .opendal import Engine, check_process

__all__ = ["LocalProvider"]

_WRITING = f"{LOCAL_INTERNAL}/writing"

_BATCH = 256
_SMALL = 8 << 20
_STALE_SECONDS = 24 * 3600
_TRIES = 5


class LocalProvider:
    """The ``Provider`` of a local bucket in the absolute path *root*.

    It must exist, for a missing one is a lost bucket.
    """

    rules = LOCAL_RULES
    grain = timedelta(0)
    multipart = None  # what is written lies on the disk before it appears
    direct = None

    def __init__(self, bucket: Bucket, root: str, *, read_only: bool = False) -> None:
        self.bucket = bucket
        self._root = root
        self._read_only = read_only
        self._name = bucket.name or bucket.id
        self._engine: Engine | None = None

    async def _open(self, *, check: bool = True) -> Engine:
        # The fs service would make a missing root anew, and with it hide that a bucket is gone.
        check_process()
        look = check or self._engine is None
        if look and not await asyncio.to_thread(self._is_there):
            raise BucketNotFound("the folder of the bucket is gone", bucket=self._name)
        engine = self._engine  # which close() may take away meanwhile
        if engine is None:
            engine = self._engine = Engine("fs", {"root": self._root}, bucket=self._name)
            if not self._read_only:
                await asyncio.to_thread(self._sweep)
        return engine

    def _is_there(self) -> bool:
        try:
            return modes.S_ISDIR(os.stat(self._root).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as cause:  # out of reach is not gone
            error = local_error(cause, self._root)
            error.bucket = self._name
            raise error from cause

    async def _open_to_write(self, key: str) -> Engine:
        if self._read_only:
            raise AuthorizationError("these credentials only read", bucket=self._name, key=key)
        return await self._open()

    async def head(self, key: str) -> BlobObject:
        engine = await self._open(check=False)
        try:
            found = await engine.stat(_path(key), key)
        except (BlobNotFound, LocalNotADirectory):
            found = None
        except LocalError as error:
            if error.errno != errno.ELOOP:
                raise
            found = None
        if found is None or not found.is_file:
            await self._open()
            raise BlobNotFound("no such blob", bucket=self._name, key=key)
        size = 0 if key.endswith("/") else found.size
        return BlobObject(
            key=key,
            bucket=self.bucket,
            size=size,
            modified_at=found.modified_at,
            etag=_etag(found.modified_at, found.size),
        )

    async def fetch_small(self, key: str) -> bytes | None:
        del key
        return None  # there is no request to save

    async def fetch(
        self,
        key: str,
        offset: int = 0,
        length: int | None = None,
        *,
        known: BlobObject | None = None,
    ) -> AsyncGenerator[bytes, None]:
        engine = await self._open(check=False)
        version = known or await self.head(key)
        end = version.size if length is None else min(version.size, offset + length)
        if offset >= end:
            if known is not None:
                await self._check_version(known)
            return
        # One open file is one version, for blobs are only ever replaced by a rename: if the
        # version is the same after the file was opened, it was that one which was opened.
        if end - offset <= _SMALL:
            data = await engine.read(_path(key), key, offset=offset, size=end - offset)
            await self._check_version(version)
            yield data
            return
        first = True
        async with aclosing(engine.stream(_path(key), key, offset=offset)) as pieces:
            async for piece in pieces:
                if first:
                    await self._check_version(version)
                    first = False
                if offset + len(piece) >= end:
                    yield piece[: end - offset]
                    return
                offset += len(piece)
                yield piece

    async def _check_version(self, known: BlobObject) -> None:
        if (await self.head(known.key)).etag != known.etag:
            raise BlobChanged(
                "the blob was replaced while it was read", bucket=self._name, key=known.key
            )

    async def put(self, key: str, body: bytes | AsyncIterator[bytes]) -> None:
        engine = await self._open_to_write(key)
        if key.endswith("/") and body != b"":
            raise InvalidKey(
                "a key that ends with a slash is a directory and holds no data",
                bucket=self._name,
                key=key,
            )
        temporary = f"{_WRITING}/{uuid.uuid4().hex}"
        try:
            if isinstance(body, bytes):
                await engine.write(temporary, body, key)
            else:
                await engine.write_stream(temporary, body, key)
            await self._publish(engine, temporary, key)
        except BaseException:
            await to_its_end(asyncio.to_thread(_unlink, os.path.join(self._root, temporary)))
            raise

    async def copy(self, source: str, target: str) -> None:
        engine = await self._open_to_write(target)
        await self.head(source)
        temporary = f"{_WRITING}/{uuid.uuid4().hex}"
        try:
            await engine.copy(_path(source), temporary, source)
            await self._publish(engine, temporary, target)
        except BaseException:
            await to_its_end(asyncio.to_thread(_unlink, os.path.join(self._root, temporary)))
            raise

    async def _publish(self, engine: Engine, temporary: str, key: str) -> None:
        path = _path(key)
        for attempt in range(_TRIES):
            try:
                await engine.rename(temporary, path, key)
            except LocalIsADirectory:
                # Empty folders are no blobs: clear them out of the way, keep all else.
                full = os.path.join(self._root, path)
                if not await asyncio.to_thread(_remove_empty, full):
                    raise KeyConflict(
                        "a disk cannot hold a blob where others lie below its key",
                        bucket=self._name,
                        key=key,
                    ) from None
            except (KeyConflict, LocalNotADirectory):
                above = await asyncio.to_thread(self._file_above, key)
                if above is not None:
                    raise KeyConflict(
                        f"a disk cannot hold a blob below the blob {above!r}",
                        bucket=self._name,
                        key=key,
                    ) from None
            except BlobNotFound:
                # A removal beside us took the folder away between its making and the rename.
                if attempt == _TRIES - 1:
                    raise
            else:
                return
        raise KeyConflict("the folder of the key keeps changing", bucket=self._name, key=key)

    def _file_above(self, key: str) -> str | None:
        for parent in parents(key):
            path = os.path.join(self._root, parent.rstrip("/"))
            if os.path.lexists(path) and not os.path.isdir(path):
                return parent.rstrip("/")
        return None

    async def delete(self, key: str) -> None:
        failed = await self.delete_many([key])
        if key in failed:
            raise failed[key]

    async def delete_many(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        if keys:
            await self._open_to_write(keys[0])
        return await to_its_end(asyncio.to_thread(self._delete_now, keys))

    def _delete_now(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        failed: dict[str, Exception] = {}
        folders: set[str] = set()
        for key in keys:
            path = os.path.join(self._root, _path(key))
            try:
                if not os.path.isdir(path):
                    os.unlink(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                failed[key] = _named(local_error(error, path), self._name, key)
                continue
            folders.update(parents(_path(key)))
        for folder in sorted(folders, key=len, reverse=True):
            with contextlib.suppress(OSError):  # an empty folder is no blob, so it may stay
                _rmdir(os.path.join(self._root, folder))
        return failed

    async def pages(
        self,
        prefix: str = "",
        *,
        recursive: bool = False,
        most: int | None = None,
        likely: Likely | None = None,
    ) -> AsyncGenerator[Sequence[BucketEntry], None]:
        del likely  # a disk has no pages
        size = min(most or _BATCH, _BATCH)
        await self._open()
        entries = self._walk(prefix, recursive)
        while True:
            try:
                batch = await asyncio.to_thread(_take, entries, size)
            except OSError as error:
                cause = local_error(error, error.filename or self._root)
                raise _named(cause, self._name, prefix) from error
            if batch:
                yield batch
            if len(batch) < size:
                return

    def _walk(self, prefix: str, recursive: bool) -> Iterator[BucketEntry]:
        folder, slash, start = prefix.rpartition("/")
        impossible = slash and any(part in ("", ".", "..") for part in folder.split("/"))
        if impossible or "\0" in prefix:
            return  # no file can have such a key
        yield from self._walk_folder(f"{folder}/" if folder else "", start, recursive)

    def _walk_folder(self, folder: str, start: str, recursive: bool) -> Iterator[BucketEntry]:
        # Sorted with the slash of a folder as part of its name: the order of the keys themselves.
        children = []
        for child in _scan(os.path.join(self._root, folder)):
            is_folder = child.is_dir(follow_symlinks=False)
            if folder == "" and child.name == LOCAL_INTERNAL:
                continue
            if child.name == LOCAL_MARKER:
                if start == "" and folder:
                    children.append(("", child))
            elif child.name.startswith(start):
                children.append((child.name + "/" if is_folder else child.name, child))
        children.sort(key=lambda pair: pair[0])
        for name, child in children:
            key = folder + name
            if not name.endswith("/"):
                entry = self._blob(key, child)
                if entry is not None:
                    yield entry
            elif recursive:
                yield from self._walk_folder(key, "", recursive=True)
            elif next(self._walk_folder(key, "", recursive=True), None) is not None:
                yield BlobCommonPrefix(key=key, bucket=self.bucket)

    def _blob(self, key: str, child: os.DirEntry[str]) -> BlobObject | None:
        try:
            found = child.stat()
        except FileNotFoundError:
            return None  # removed since, or a link to nowhere
        except OSError:
            if child.is_symlink():
                return None  # one that leads in a circle, or where nobody may look
            raise
        if not modes.S_ISREG(found.st_mode):
            return None
        modified = datetime.fromtimestamp(found.st_mtime_ns // 1000 / 1e6, UTC)
        return BlobObject(
            key=key,
            bucket=self.bucket,
            size=found.st_size,
            modified_at=modified,
            etag=_etag(modified, found.st_size),
        )

    def _sweep(self) -> None:
        # What a killed process was writing; a running one touches its file again and again.
        folder = os.path.join(self._root, _WRITING)
        oldest = time.time() - _STALE_SECONDS
        if not os.access(folder, os.R_OK | os.X_OK):
            return
        for child in _scan(folder):
            try:
                if child.stat().st_mtime < oldest:
                    os.unlink(child.path)
            except OSError:
                continue  # another process swept it first

    async def close(self) -> None:
        self._engine = None


def _path(key: str) -> str:
    return key + LOCAL_MARKER if key.endswith("/") else key


def _etag(modified_at: datetime | None, size: int) -> str:
    return f'"{modified_at.timestamp() if modified_at else 0:.6f}-{size}"'


def _named(error: LocalError, bucket: str, key: str) -> NeuroError:
    error.bucket, error.key = bucket, key
    return error


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _take(entries: Iterator[BucketEntry], count: int) -> list[BucketEntry]:
    batch = []
    for entry in entries:
        batch.append(entry)
        if len(batch) == count:
            break
    return batch


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):  # what is left is swept later
        os.unlink(path)


def _rmdir(path: str) -> bool:
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EBUSY):
            return False
        raise
    return True


def _remove_empty(folder: str) -> bool:
    """Remove *folder* if nothing but empty folders is in it; say whether it is gone."""
    return all(not files and _rmdir(path) for path, _, files in os.walk(folder, topdown=False))
