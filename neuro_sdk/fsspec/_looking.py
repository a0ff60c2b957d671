"""Listings, and what is told of a path."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from glob import has_magic
from typing import Any

from fsspec.asyn import sync_wrapper
from fsspec.utils import stringify_path

from ..errors import BlobNotFound, InvalidKey, NotSupportedError
from ._base import Based
from ._paths import Info, described, directory, split, tree

__all__ = ["Looking"]


class Looking(Based):
    """The methods that change and read nothing; see ``BlobFileSystem``."""

    async def _expand_path(
        self,
        path: str | Sequence[str],
        recursive: bool = False,
        maxdepth: int | None = None,
        assume_literal: bool = False,
    ) -> list[str]:
        paths = self._strip_protocol([path] if isinstance(path, str) else [*path])
        found: set[str] = set()
        for one in paths:
            if assume_literal or not has_magic(one) or await self._exists(one):
                if recursive:
                    found.update(await self._find(one, maxdepth, withdirs=True))
                if not recursive or (one not in found and await self._exists(one)):
                    found.add(one)
                continue
            matching = await self._glob(one, maxdepth=maxdepth)
            found.update(matching)
            if recursive and matching and maxdepth != 1:
                below = None if maxdepth is None else maxdepth - 1
                found.update(await self._expand_path(matching, True, below, assume_literal=True))
        if not found:
            raise BlobNotFound(f"nothing is there: {', '.join(paths)}")
        return sorted(found)

    async def _info(self, path: str, **_: Any) -> Info:
        name = self._strip_protocol(path)
        if not name:
            return directory("")
        async with self._at(name) as (bucket, key):
            if not key:
                return directory(name, bucket.bucket.created_at)
            try:
                marker = "/" if str(stringify_path(path)).endswith("/") else ""
                return described(split(name)[0], await bucket.head_blob(key + marker))
            except BlobNotFound as error:
                with contextlib.suppress(InvalidKey):  # too long for anything to lie below it
                    if await bucket.blob_is_dir(key):
                        return directory(name)
                raise error from None

    async def _exists(self, path: str, **_: Any) -> bool:
        return await self._kind(path) is not None

    async def _isfile(self, path: str) -> bool:
        return await self._kind(path) == "file"

    async def _isdir(self, path: str) -> bool:
        return await self._kind(path) == "directory"

    async def _kind(self, path: str) -> str | None:
        """``file``, ``directory`` or None; when that cannot be found out, it raises."""
        try:
            kind: str = (await self._info(path))["type"]
        except FileNotFoundError:
            return None
        return kind

    async def _ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        path = self._strip_protocol(path)
        infos = await (self._listed(path) if path else self._buckets())
        return infos if detail else [info["name"] for info in infos]

    async def _listed(self, path: str) -> list[Info]:
        name, key = split(path)
        start = f"{key}/" if key else ""
        async with self._at(path) as (bucket, _key):
            entries = [entry async for entry in bucket.list_blobs(start, limit=None)]
            if not entries and key:
                blob = await bucket.head_blob(key)
                return [described(name, blob)]
        return [described(name, entry) for entry in entries if entry.key != start]

    async def _buckets(self) -> list[Info]:
        client = await self._clients.get()
        async with client.buckets.list() as buckets:
            return [directory(one.name or one.id, one.created_at) async for one in buckets]

    async def _find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        *,
        detail: bool = False,
        prefix: str = "",
        **_: Any,
    ) -> list[str] | dict[str, Info]:
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        path = self._strip_protocol(path)
        if path:
            found = await self._found(path, maxdepth, withdirs, prefix)
        else:
            found = {}
            for bucket in await self._buckets():
                if bucket["name"].startswith(prefix):
                    found |= {bucket["name"]: bucket} if withdirs else {}
                    if maxdepth != 1:
                        below = None if maxdepth is None else maxdepth - 1
                        found |= await self._found(bucket["name"], below, withdirs, "")
        names = sorted(found)
        return {name: found[name] for name in names} if detail else names

    async def _found(
        self, path: str, maxdepth: int | None, withdirs: bool, prefix: str
    ) -> dict[str, Info]:
        """By one listing, of one level where no more is wanted."""
        name, key = split(path)
        start = f"{key}/" if key else ""
        try:
            async with self._at(path) as (bucket, _key):
                listing = bucket.list_blobs(start + prefix, recursive=maxdepth != 1, limit=None)
                entries = [entry async for entry in listing]
                if not entries and key and not prefix:
                    return {path: described(name, await bucket.head_blob(key))}
        except BlobNotFound:
            return {}
        found = tree(name, start, entries, maxdepth, dirs=withdirs)
        if withdirs and (entries or not key):
            found[path] = directory(path)
        return found

    async def _walk(
        self,
        path: str,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: str | Callable[[OSError], object] = "omit",
        *,
        detail: bool = False,
        **_: Any,
    ) -> AsyncGenerator[Any, None]:
        """As fsspec says, but what cannot be reached is raised: it is not what is not there."""
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        path = self._strip_protocol(path)
        try:
            infos = await self._ls(path)
        except FileNotFoundError as error:
            if on_error == "raise":
                raise
            if callable(on_error):
                on_error(error)
            infos = []
        dirs: Any = {}
        files: Any = {}
        for info in infos:  # a store may hold both of one name
            kind = dirs if info["type"] == "directory" else files
            kind[info["name"].rpartition("/")[2]] = info
        if not detail:
            dirs, files = [*dirs], [*files]
        if topdown:
            yield path, dirs, files
        if maxdepth != 1:
            below = None if maxdepth is None else maxdepth - 1
            for name in [*dirs]:
                deeper = self._walk(
                    f"{path}/{name}".lstrip("/"), below, topdown, on_error, detail=detail
                )
                async for found in deeper:
                    yield found
        if not topdown:
            yield path, dirs, files

    async def _du(
        self, path: str, total: bool = True, maxdepth: int | None = None, **kwargs: Any
    ) -> int | dict[str, int]:
        found = await self._find(path, maxdepth, detail=True, **kwargs)
        assert isinstance(found, dict)
        sizes = {name: info["size"] for name, info in found.items()}
        return sum(sizes.values()) if total else sizes

    async def _created(self, path: str) -> datetime:
        return _time(await self._info(path), "created", path)

    async def _modified(self, path: str) -> datetime:
        return _time(await self._info(path), "mtime", path)

    async def _sign(self, path: str, expiration: int = 100, **_: Any) -> str:
        async with self._at(path) as (bucket, key):
            return str(await bucket.make_signed_url(key, expiration))

    created = sync_wrapper(_created)
    modified = sync_wrapper(_modified)
    sign = sync_wrapper(_sign)


def _time(info: Info, name: str, path: str) -> datetime:
    value: datetime | None = info.get(name)
    if value is None:
        raise NotSupportedError(f"the store does not tell that time of {path!r}")
    return value
