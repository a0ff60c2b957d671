"""Providers and control planes that watch, count or mislead, before real ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any

from neuro_sdk import BlobObject, Bucket, BucketCredentials, BucketEntry, Client, TransferConfig
from neuro_sdk._buckets import Buckets
from neuro_sdk._core.keys import KeyRules
from neuro_sdk._providers.services import opener
from neuro_sdk.protocols import ControlPlane, Direct, Likely, Multipart, Provider

__all__ = ["Front", "Watching", "buckets_behind"]


class Front:
    """A provider that hands everything on; subclasses change what they are about."""

    def __init__(self, inner: Provider) -> None:
        self.inner = inner

    @property
    def bucket(self) -> Bucket:
        return self.inner.bucket

    @property
    def rules(self) -> KeyRules:
        return self.inner.rules

    @property
    def grain(self) -> timedelta:
        return self.inner.grain

    @property
    def multipart(self) -> Multipart | None:
        return self.inner.multipart

    @property
    def direct(self) -> Direct | None:
        return None  # all goes through here

    async def head(self, key: str) -> BlobObject:
        return await self.inner.head(key)

    async def put(self, key: str, body: bytes | AsyncIterator[bytes]) -> None:
        await self.inner.put(key, body)

    async def fetch(
        self,
        key: str,
        offset: int = 0,
        length: int | None = None,
        *,
        known: BlobObject | None = None,
    ) -> AsyncGenerator[bytes, None]:
        async with aclosing(self.inner.fetch(key, offset, length, known=known)) as pieces:
            async for piece in pieces:
                yield piece

    async def fetch_small(self, key: str) -> bytes | None:
        del key
        return None  # all goes through fetch

    async def pages(
        self,
        prefix: str = "",
        *,
        recursive: bool = False,
        most: int | None = None,
        likely: Likely | None = None,
    ) -> AsyncGenerator[Sequence[BucketEntry], None]:
        listing = self.inner.pages(prefix, recursive=recursive, most=most, likely=likely)
        async with aclosing(listing) as pages:
            async for page in pages:
                yield page

    async def delete(self, key: str) -> None:
        await self.inner.delete(key)

    async def delete_many(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        return await self.inner.delete_many(keys)

    async def copy(self, source: str, target: str) -> None:
        await self.inner.copy(source, target)

    async def close(self) -> None:
        await self.inner.close()


class Watching(Front):
    """Counts calls and bytes, and keeps how many calls and tasks there were at once."""

    def __init__(self, inner: Provider) -> None:
        super().__init__(inner)
        self.calls: list[tuple[str, str]] = []
        self.fetched = 0
        self.stored = 0
        self.at_once = 0
        self.peak = 0
        self.tasks = 0
        self.largest = 0
        self.listings = 0  # open just now

    def _enter(self, verb: str, key: str) -> None:
        self.calls.append((verb, key))
        self.at_once += 1
        self.peak = max(self.peak, self.at_once)
        self.tasks = max(self.tasks, len(asyncio.all_tasks()))

    def of(self, verb: str) -> Sequence[str]:
        """The keys that *verb* was called with."""
        return [key for called, key in self.calls if called == verb]

    async def head(self, key: str) -> BlobObject:
        self.calls.append(("head", key))
        return await super().head(key)

    async def put(self, key: str, body: bytes | AsyncIterator[bytes]) -> None:
        self._enter("put", key)
        try:
            await super().put(key, body if isinstance(body, bytes) else self._counted(body))
        finally:
            self.at_once -= 1
        if isinstance(body, bytes):
            self._count(body)

    async def _counted(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in body:
            self._count(piece)
            yield piece

    def _count(self, piece: bytes) -> None:
        self.stored += len(piece)
        self.largest = max(self.largest, len(piece))

    async def fetch(
        self,
        key: str,
        offset: int = 0,
        length: int | None = None,
        *,
        known: BlobObject | None = None,
    ) -> AsyncGenerator[bytes, None]:
        self._enter("fetch", key)
        try:
            async with aclosing(super().fetch(key, offset, length, known=known)) as pieces:
                async for piece in pieces:
                    self.fetched += len(piece)
                    self.largest = max(self.largest, len(piece))
                    yield piece
        finally:
            self.at_once -= 1

    async def pages(
        self,
        prefix: str = "",
        *,
        recursive: bool = False,
        most: int | None = None,
        likely: Likely | None = None,
    ) -> AsyncGenerator[Sequence[BucketEntry], None]:
        self.calls.append(("list", prefix))
        self.listings += 1
        try:
            listing = super().pages(prefix, recursive=recursive, most=most, likely=likely)
            async with aclosing(listing) as pages:
                async for page in pages:
                    yield page
        finally:
            self.listings -= 1

    async def delete_many(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        self.calls.append(("delete_many", str(len(keys))))
        return await super().delete_many(keys)


def buckets_behind(
    client: Client,
    wrap: Callable[[Provider], Provider] = lambda provider: provider,
    *,
    control: Callable[[ControlPlane], Any] = lambda plane: plane,
    transfer: TransferConfig | None = None,
) -> Buckets:
    """The buckets of *client* with each provider, or the control plane, behind another."""
    theirs = client.buckets
    limits = transfer or theirs._transfer
    open_provider = opener(limits)

    def opened(bucket: Bucket, credentials: BucketCredentials) -> Provider:
        return wrap(open_provider(bucket, credentials))

    behind = Buckets(
        control(theirs._control),
        opened,
        client.config.scope,
        theirs._disk,
        limits,
        theirs._lifetime,
    )
    closing: Any = _Closing(behind)
    theirs._providers[f"behind {id(behind)}"] = closing
    return behind


class _Closing:
    """Closes other buckets with those of the client."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    async def close(self) -> None:
        await self._buckets._close()
