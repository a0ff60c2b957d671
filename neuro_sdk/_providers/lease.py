"""Credentials that stay fresh: renewed before they end, once for all who wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Protocol, TypeVar

from .._core.config import TransferConfig
from .._core.expiry import expiry_of, renewal_time
from .._core.keys import KeyRules
from .._core.models import BlobObject, Bucket, BucketCredentials, BucketEntry
from .._core.parts import PartLimits
from .._multipart import send_stream
from ..errors import AuthenticationError, AuthError, StorageError
from ..protocols import Direct, Likely, Multipart, OpenProvider, Provider

__all__ = ["LeasedProvider"]

T = TypeVar("T")


class _Attempt(Protocol):
    async def __call__(self, operation: Callable[[Provider], Awaitable[T]]) -> T: ...


_DEFAULTS = TransferConfig()
_DOUBT = 30.0  # seconds after which a refusal without a reason may be an expired credential


class LeasedProvider:
    """A ``Provider`` whose credentials are asked for anew when their time comes.

    What is under way goes on with the old ones. When the store itself calls credentials
    expired before their time, they are renewed once and the operation is repeated.
    """

    def __init__(
        self,
        bucket: Bucket,
        credentials: Callable[[], Awaitable[BucketCredentials]],
        open_provider: OpenProvider,
        *,
        transfer: TransferConfig = _DEFAULTS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.bucket = bucket
        self._credentials = credentials
        self._open_provider = open_provider
        self._transfer = transfer
        self._clock = clock
        self._lock = asyncio.Lock()
        self._inner: Provider | None = None
        self._since = 0.0
        self._renew_at: float | None = None
        self._old: list[Provider] = []

    @property
    def rules(self) -> KeyRules:
        return self._ready.rules

    @property
    def grain(self) -> timedelta:
        return self._ready.grain

    @property
    def multipart(self) -> Multipart | None:
        inner = self._ready.multipart
        return None if inner is None else _LeasedMultipart(inner, self._try)

    @property
    def direct(self) -> Direct | None:
        return self._ready.direct if self._is_fresh(None) else None

    @property
    def _ready(self) -> Provider:
        assert self._inner is not None, "open() comes first"
        return self._inner

    async def open(self) -> LeasedProvider:
        """Have credentials that are good now."""
        await self._current()
        return self

    async def _current(self, refused: Provider | None = None) -> Provider:
        if self._is_fresh(refused):
            return self._ready
        async with self._lock:
            if self._is_fresh(refused):
                return self._ready  # another caller renewed while this one waited
            credentials = await self._credentials()
            now = self._clock()
            if self._inner is not None:
                self._old.append(self._inner)
                while len(self._old) > 1:  # by now nothing can be under way with the older ones
                    await self._old.pop(0).close()
            self._inner = self._open_provider(self.bucket, credentials)
            self._since = now
            expiry = expiry_of(credentials.credentials)
            self._renew_at = None if expiry is None else renewal_time(now, expiry.timestamp())
            return self._inner

    def _is_fresh(self, refused: Provider | None) -> bool:
        if self._inner is None or self._inner is refused:
            return False
        return self._renew_at is None or self._clock() < self._renew_at

    def _may_be_stale(self, error: AuthError) -> bool:
        if self._renew_at is None:
            return False
        # A refused HEAD has no body to say why.
        return isinstance(error, AuthenticationError) or self._clock() - self._since > _DOUBT

    async def _try(self, operation: Callable[[Provider], Awaitable[T]]) -> T:
        provider = await self._current()
        try:
            return await operation(provider)
        except AuthError as error:
            if not self._may_be_stale(error):
                raise
        return await operation(await self._current(refused=provider))

    async def head(self, key: str) -> BlobObject:
        return await self._try(lambda provider: provider.head(key))

    async def put(self, key: str, body: bytes | AsyncIterator[bytes]) -> None:
        if isinstance(body, bytes):
            await self._try(lambda provider: provider.put(key, body))
            return
        provider = await self._current()
        if self.multipart is None or key.endswith("/"):  # a stream cannot be read twice
            await provider.put(key, body)
            return
        # Each part is sent with the credentials of its moment.
        small = await send_stream(
            self.multipart,
            key,
            body,
            part_size=self._transfer.part_size,
            window=self._transfer.window,
        )
        if small is not None:
            await self.put(key, small)

    async def fetch(
        self,
        key: str,
        offset: int = 0,
        length: int | None = None,
        *,
        known: BlobObject | None = None,
    ) -> AsyncGenerator[bytes, None]:
        if self._renew_at is None and self._inner is not None:
            async with aclosing(self._inner.fetch(key, offset, length, known=known)) as pieces:
                async for piece in pieces:
                    yield piece
            return
        if known is None:
            known = await self.head(key)
        end = known.size if length is None else min(known.size, offset + length)
        for again in (False, True):
            provider = await self._current()
            try:
                async with aclosing(
                    provider.fetch(key, offset, max(0, end - offset), known=known)
                ) as pieces:
                    async for piece in pieces:
                        offset += len(piece)
                        yield piece
            except AuthError as error:
                if again or not self._may_be_stale(error):
                    raise
                await self._current(refused=provider)
            else:
                return

    async def fetch_small(self, key: str) -> bytes | None:
        return await (await self._current()).fetch_small(key)

    async def pages(
        self,
        prefix: str = "",
        *,
        recursive: bool = False,
        most: int | None = None,
        likely: Likely | None = None,
    ) -> AsyncGenerator[Sequence[BucketEntry], None]:
        last: str | None = None
        renewed = False
        while True:
            provider = await self._current()
            listing = provider.pages(prefix, recursive=recursive, most=most, likely=likely)
            try:
                async with aclosing(self._after(last, listing)) as pages:
                    async for page in pages:
                        last, renewed = page[-1].key, False
                        yield page
            except AuthError as error:
                if renewed or not self._may_be_stale(error):
                    raise
                renewed = True
                await self._current(refused=provider)
            else:
                return

    async def _after(
        self, last: str | None, listing: AsyncGenerator[Sequence[BucketEntry], None]
    ) -> AsyncGenerator[Sequence[BucketEntry], None]:
        # Stores do not sort alike, so nothing but that key tells where the listing was.
        passed = last is None
        async with aclosing(listing) as pages:
            async for page in pages:
                rest = page
                if not passed:
                    keys = [entry.key for entry in page]
                    if last not in keys:
                        continue
                    passed = True
                    rest = page[keys.index(last) + 1 :]
                if rest:
                    yield rest
        if not passed:
            raise StorageError(
                "the credentials ended in the middle of the listing, and the key it had come to "
                "is gone; list again",
                bucket=self.bucket.name,
                key=last,
            )

    async def delete(self, key: str) -> None:
        await self._try(lambda provider: provider.delete(key))

    async def delete_many(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        return await self._try(lambda provider: provider.delete_many(keys))

    async def copy(self, source: str, target: str) -> None:
        await self._try(lambda provider: provider.copy(source, target))

    async def close(self) -> None:
        while self._old:
            await self._old.pop().close()
        if self._inner is not None:
            inner, self._inner = self._inner, None
            await inner.close()


class _LeasedMultipart:
    """Uploads in parts, each request with the credentials of its moment."""

    def __init__(self, first: Multipart, attempt: _Attempt) -> None:
        self.limits: PartLimits = first.limits
        self.holds = first.holds
        self._try = attempt

    async def begin(self, key: str) -> str:
        return await self._try(lambda inner: _parts(inner).begin(key))

    async def put_part(self, key: str, upload: str, number: int, body: Sequence[bytes]) -> str:
        return await self._try(lambda inner: _parts(inner).put_part(key, upload, number, body))

    async def present(self, key: str, upload: str, tags: Mapping[int, str]) -> Mapping[int, str]:
        return await self._try(lambda inner: _parts(inner).present(key, upload, tags))

    async def finish(self, key: str, upload: str, tags: Mapping[int, str]) -> None:
        await self._try(lambda inner: _parts(inner).finish(key, upload, tags))

    async def abort(self, key: str, upload: str) -> None:
        await self._try(lambda inner: _parts(inner).abort(key, upload))


def _parts(provider: Provider) -> Multipart:
    assert provider.multipart is not None, "a bucket keeps its kind of store"
    return provider.multipart
