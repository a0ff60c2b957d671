"""``BlobFileSystem``: what fsspec asks of a file system, by the public API of this package."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

from fsspec.asyn import sync_wrapper
from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.core import get_compression

from .. import BlobObject, BucketHandle
from ..errors import BlobNotFound, NameTaken, NotSupportedError
from ._files import BlobFile, BlobStream, PackedFile, TextFile, check_mode
from ._reading import PART, Bridge, Reading
from ._writing import Writing

__all__ = ["BlobFileSystem"]

_TEXT = frozenset({"encoding", "errors", "newline"})


class BlobFileSystem(Reading):
    """Buckets as directories, blobs as files; protocol ``blob``, paths ``BUCKET/KEY``.

    *path* opens the embedded platform in a folder as :func:`neuro_sdk.local` does, *profile* a
    platform of the profile file as :func:`neuro_sdk.get` does; with neither of them the
    environment decides. *cluster*, *org* and *project* say where on it buckets are looked for.
    None of them is a secret, so that a pickled file system holds none: the token is found where
    it is opened.

    The client is opened at the first call and closed at the end of the program. With
    ``asynchronous=True`` the methods that begin with an underscore are awaited, each event loop
    has a client of its own, and ``async with fs`` or ``await fs.aclose()`` closes it.

    Nothing is cached. A directory is there while something lies below it, so ``mkdir`` and
    ``makedirs`` make buckets, and nothing in one; directory markers that others made are shown and
    removed. A path that holds ``*``, ``?`` or ``[`` is a pattern unless a blob has that name.
    Errors are those of ``neuro_sdk.errors``; a missing bucket is a FileNotFoundError here.
    """

    async def _pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        async with self._at(path) as (bucket, key):
            await _check_free(bucket, key, mode)
            large = isinstance(value, (bytes, bytearray, memoryview)) and len(value) > PART
            await bucket.put_blob(key, _pieces(value) if large else value)

    async def _put_file(
        self,
        lpath: str,
        rpath: str,
        callback: Callback = DEFAULT_CALLBACK,
        mode: str = "overwrite",
        **_: Any,
    ) -> None:
        if await asyncio.to_thread(os.path.isdir, lpath):
            return  # what lies in it makes it a directory
        async with self._at(rpath) as (bucket, key):
            await _check_free(bucket, key, mode)
            await bucket.upload_file(Path(lpath), key, progress=Bridge(callback))

    async def _touch(self, path: str, truncate: bool = True, **_: Any) -> None:
        if not truncate and await self._exists(path):
            raise NotSupportedError(f"the time of a blob cannot be set: {path!r}")
        await self._pipe_file(path, b"")

    async def _cp_file(self, path1: str, path2: str, **_: Any) -> None:
        async with self._at(path1) as (source, key), self._at(path2) as (target, new):
            try:
                if key:
                    await source.copy_blob(key, new, to=target)
            except BlobNotFound:
                if not await source.blob_is_dir(key):
                    raise

    async def _mv_file(self, path1: str, path2: str) -> None:
        async with self._at(path1) as (source, key), self._at(path2) as (target, new):
            await source.move_blob(key, new, to=target)

    async def _mkdir(self, path: str, *_: Any, **__: Any) -> None:
        await self._makedirs(path, exist_ok="/" in self._strip_protocol(path))

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        name = self._strip_protocol(path)
        if "/" in name:
            async with self._at(name) as (bucket, key):  # a bucket that is missing is a slip
                if not exist_ok and await bucket.blob_is_dir(key):
                    raise _exists_already(name)
            return
        try:
            await (await self._clients.get()).buckets.create(name)
        except NameTaken:
            if not exist_ok:
                raise

    async def _rmdir(self, path: str) -> None:
        async with self._at(path) as (bucket, key):
            if not key:
                await (await self._clients.get()).buckets.rm(bucket.bucket.id)
                return
            async with bucket.list_blobs(f"{key}/", recursive=True, limit=2) as entries:
                keys = [entry.key async for entry in entries]
            if not keys:
                raise BlobNotFound("no such directory", bucket=bucket.bucket.name, key=key)
            if keys != [f"{key}/"]:
                raise OSError(errno.ENOTEMPTY, "the directory is not empty", path)
            await bucket.delete_blob(f"{key}/")

    async def _rm_file(self, path: str, **_: Any) -> None:
        async with self._at(path) as (bucket, key):
            await bucket.blob_rm(key)

    async def _rm(
        self,
        path: str | Sequence[str],
        recursive: bool = False,
        batch_size: int | None = None,
        maxdepth: int | None = None,
        **_: Any,
    ) -> None:
        """As fsspec says; a tree goes with one listing and bulk requests.

        A bucket that is named itself goes too, with *recursive*. A directory without *recursive*
        raises IsADirectoryError.
        """
        paths = await self._expand_path(path, recursive and maxdepth is not None, maxdepth)
        if recursive and maxdepth is not None:  # what lies deeper stays, and so do directories
            paths = [one for one in paths if await self._isfile(one)]
            recursive = False
        if recursive:
            paths = [one for one in paths if not any(one.startswith(f"{up}/") for up in paths)]
        slots = asyncio.Semaphore(batch_size or self.batch_size)

        async def remove(one: str) -> None:
            async with slots, self._at(one) as (bucket, key):
                await bucket.blob_rm(key, recursive=recursive)
                if not key:
                    await (await self._clients.get()).buckets.rm(bucket.bucket.id)

        results = await asyncio.gather(*[remove(one) for one in paths], return_exceptions=True)
        failed = [result for result in results if result is not None]
        if failed:
            for other in failed[1:]:
                failed[0].add_note(f"and: {other}")
            raise failed[0]

    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """See fsspec; the modes are ``rb``, ``wb``, ``xb``, ``ab`` and the same for text."""
        if "r" in mode or ("b" in mode and compression is None):
            return super().open(path, mode, block_size, cache_options, compression, **kwargs)
        text = {key: kwargs.pop(key) for key in _TEXT & kwargs.keys()}
        binary = f"{mode.replace('t', '').replace('b', '')}b"
        file = super().open(path, binary, block_size, cache_options, None, **kwargs)
        packing = get_compression(path, compression)
        packed: Any = file if packing is None else PackedFile(file, packing)
        return packed if "b" in mode else TextFile(packed, **text)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> BlobFile:
        check_mode(mode)
        if self.asynchronous:
            raise NotSupportedError("an asynchronous file system opens files by open_async")
        return BlobFile(
            self, path, mode, block_size, autocommit, cache_options=cache_options, **kwargs
        )

    async def open_async(self, path: str, mode: str = "rb", **kwargs: Any) -> BlobStream:
        """Open a blob as a :class:`BlobStream`, in the modes ``rb``, ``wb``, ``xb`` and ``ab``."""
        check_mode(mode)
        path = self._strip_protocol(path)
        return BlobStream(self, path, mode, await self._for_file(path, mode), **kwargs)

    async def _for_file(self, path: str, mode: str) -> tuple[BucketHandle, BlobObject | None]:
        """The bucket, and the blob where the mode asks for one that is there."""
        async with self._at(path) as (bucket, key):
            if mode == "rb":
                return bucket, await bucket.head_blob(key)
            await _check_free(bucket, key, "create" if mode == "xb" else "overwrite")
            if mode == "ab":
                with contextlib.suppress(BlobNotFound):
                    return bucket, await bucket.head_blob(key)
            return bucket, None

    async def _begin(self, bucket: BucketHandle, key: str, before: BlobObject | None) -> Writing:
        return Writing(bucket, key, before)

    rmdir = sync_wrapper(_rmdir)
    touch = sync_wrapper(_touch)


async def _pieces(value: bytes | bytearray | memoryview) -> AsyncGenerator[bytes, None]:
    view = memoryview(value).cast("B")
    for at in range(0, len(view), PART):
        yield bytes(view[at : at + PART])


async def _check_free(bucket: BucketHandle, key: str, mode: str) -> None:
    if mode not in ("create", "overwrite"):
        raise ValueError(f"mode is 'create' or 'overwrite', not {mode!r}")
    if mode == "create":
        with contextlib.suppress(BlobNotFound):
            await bucket.head_blob(key)
            raise _exists_already(f"{bucket.bucket.name or bucket.bucket.id}/{key}")


def _exists_already(path: str) -> FileExistsError:
    return FileExistsError(errno.EEXIST, "it exists already", path)
