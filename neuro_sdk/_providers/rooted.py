"""A directory of a store as if it were a bucket of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from functools import partial

from .._core.keys import KeyRules
from .._core.models import BlobObject, Bucket, BucketEntry
from .._core.parts import PartLimits
from ..errors import NeuroError
from ..protocols import Direct, Likely, Multipart, Provider

__all__ = ["RootedProvider"]


class RootedProvider:
    """The blobs of *inner* whose keys begin with *root*, by what follows it.

    *root* ends in a slash. Keys have passed ``check_key``, so none leads out of it.
    """

    direct: Direct | None = None

    def __init__(self, inner: Provider, root: str) -> None:
        self._inner = inner
        self._root = root
        longest = inner.rules.max_bytes - len(root.encode())
        self.rules: KeyRules = replace(inner.rules, max_bytes=longest)

    @property
    def bucket(self) -> Bucket:
        return self._inner.bucket

    @property
    def grain(self) -> timedelta:
        return self._inner.grain

    @property
    def multipart(self) -> Multipart | None:
        inner = self._inner.multipart
        return None if inner is None else _RootedMultipart(inner, self._root)

    def _below(self, entry: BucketEntry) -> BucketEntry:
        return replace(entry, key=entry.key.removeprefix(self._root))

    async def head(self, key: str) -> BlobObject:
        try:
            return replace(await self._inner.head(self._root + key), key=key)
        except NeuroError as error:
            error.key = key
            raise

    async def put(self, key: str, body: bytes | AsyncIterator[bytes]) -> None:
        await self._inner.put(self._root + key, body)

    async def fetch(
        self,
        key: str,
        offset: int = 0,
        length: int | None = None,
        *,
        known: BlobObject | None = None,
    ) -> AsyncGenerator[bytes, None]:
        there = None if known is None else replace(known, key=self._root + known.key)
        async with aclosing(
            self._inner.fetch(self._root + key, offset, length, known=there)
        ) as pieces:
            async for piece in pieces:
                yield piece

    async def fetch_small(self, key: str) -> bytes | None:
        try:
            return await self._inner.fetch_small(self._root + key)
        except NeuroError as error:
            error.key = key
            raise

    async def pages(
        self,
        prefix: str = "",
        *,
        recursive: bool = False,
        most: int | None = None,
        likely: Likely | None = None,
    ) -> AsyncGenerator[Sequence[BucketEntry], None]:
        # The marker of the root itself may be the first, and is none of them.
        more = None if most is None else most + 1
        there = None if likely is None else partial(self._inside, likely)
        listing = self._inner.pages(
            self._root + prefix, recursive=recursive, most=more, likely=there
        )
        async with aclosing(listing) as pages:
            async for page in pages:
                below = [self._below(entry) for entry in page if entry.key != self._root]
                if below:
                    yield below

    async def _inside(self, likely: Likely, apart: int) -> AsyncGenerator[str, None]:
        async with aclosing(likely(apart)) as keys:
            async for key in keys:
                yield self._root + key

    async def delete(self, key: str) -> None:
        await self._inner.delete(self._root + key)

    async def delete_many(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        failed = await self._inner.delete_many([self._root + key for key in keys])
        return {key.removeprefix(self._root): error for key, error in failed.items()}

    async def copy(self, source: str, target: str) -> None:
        await self._inner.copy(self._root + source, self._root + target)

    async def close(self) -> None:
        await self._inner.close()


class _RootedMultipart:
    def __init__(self, inner: Multipart, root: str) -> None:
        self._inner = inner
        self._root = root
        self.limits: PartLimits = inner.limits
        self.holds = inner.holds

    async def begin(self, key: str) -> str:
        return await self._inner.begin(self._root + key)

    async def put_part(self, key: str, upload: str, number: int, body: Sequence[bytes]) -> str:
        return await self._inner.put_part(self._root + key, upload, number, body)

    async def present(self, key: str, upload: str, tags: Mapping[int, str]) -> Mapping[int, str]:
        return await self._inner.present(self._root + key, upload, tags)

    async def finish(self, key: str, upload: str, tags: Mapping[int, str]) -> None:
        await self._inner.finish(self._root + key, upload, tags)

    async def abort(self, key: str, upload: str) -> None:
        await self._inner.abort(self._root + key, upload)
