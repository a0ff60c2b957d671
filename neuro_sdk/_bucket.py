"""``BucketHandle``: the verbs of one bucket, without its address."""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from yarl import URL

from ._aio import AsyncStream, Entering, Lifetime, singly, sized, within_lifetime
from ._bucket_files import callback_errors
from ._bucket_plans import BucketPlans
from ._core.glob import compile_glob
from ._core.keys import check_key
from ._core.models import BlobObject, Bucket, BucketCredentials, BucketEntry, BucketUsage
from ._transfer.body import Body, gathered, normalised
from ._transfer.disk import Disk
from ._transfer.remove import is_directory, remove
from .errors import IllegalArgumentError, InvalidKey
from .progress import AbstractDeleteProgress

if TYPE_CHECKING:
    from ._core.config import TransferConfig
    from ._session.session import Session
    from .protocols import ControlPlane, Provider

__all__ = ["BucketHandle", "ListingTruncated"]

_GATHER = 1 << 20
_LIMIT = 10_000  # the default of the API document
_USAGE_STEP = 1000


class ListingTruncated(UserWarning):
    """A listing stopped at its default limit although there are more entries."""


class BucketHandle(BucketPlans):
    """One bucket of a client; ``bucket`` describes it.

    Made by :meth:`Buckets.open`. The methods are those of :class:`Buckets` less the address:
    where those take a URI, these take a key, prefix or pattern as it is, never decoded.
    """

    def __init__(
        self,
        bucket: Bucket,
        control: ControlPlane,
        opened: Callable[[], Awaitable[Provider]],
        disk: Disk,
        transfer: TransferConfig,
        lifetime: Lifetime,
    ) -> None:
        self.bucket = bucket
        self._control = control
        self._opened = opened
        self._disk = disk
        self._transfer = transfer
        self._lifetime = lifetime

    def __repr__(self) -> str:
        return f"<BucketHandle {self.bucket.uri}>"

    def _repr_html_(self) -> str:
        return self.bucket._repr_html_()

    def using(self, transfer: TransferConfig) -> BucketHandle:
        """See :meth:`Buckets.using`."""
        return BucketHandle(
            self.bucket,
            self._control,
            self._opened,
            self._disk,
            transfer.instead_of(self._transfer),
            self._lifetime,
        )

    async def close(self) -> None:
        """Nothing is held: the client owns what the bucket needs."""

    # Control plane

    @within_lifetime
    async def request_tmp_credentials(self) -> BucketCredentials:
        """See :meth:`Buckets.request_tmp_credentials`."""
        return await self._control.bucket_credentials(self.bucket)

    @within_lifetime
    async def set_public_access(self, public_access: bool) -> Bucket:
        """See :meth:`Buckets.set_public_access`; ``bucket`` is renewed."""
        self.bucket = await self._control.set_public(self.bucket, public_access)
        return self.bucket

    @within_lifetime
    async def make_signed_url(self, key: str, expires_in_seconds: int = 3600) -> URL:
        """See :meth:`Buckets.make_signed_url`."""
        provider = await self._opened()
        check_key(key, provider.rules, bucket=self._name)
        return await self._control.sign_url(self.bucket, key, expires_in_seconds)

    # Blobs

    @within_lifetime
    async def head_blob(self, key: str) -> BlobObject:
        """See :meth:`Buckets.head_blob`."""
        provider = await self._opened()
        check_key(key, provider.rules, bucket=self._name, marker=True)
        return await provider.head(key)

    @within_lifetime
    async def put_blob(self, key: str, body: Body) -> None:
        """See :meth:`Buckets.put_blob`."""
        provider = await self._opened()
        check_key(key, provider.rules, bucket=self._name, marker=body == b"")
        content = normalised(body, key)
        if isinstance(content, bytes):
            await provider.put(key, content)
            return
        async with aclosing(content), aclosing(gathered(content, _GATHER)) as pieces:
            await provider.put(key, pieces)

    def fetch_blob(
        self,
        key: str,
        offset: int = 0,
        *,
        length: int | None = None,
        known: BlobObject | None = None,
    ) -> AsyncStream[bytes]:
        """See :meth:`Buckets.fetch_blob`."""
        return AsyncStream(self._fetch(key, offset, length, known), self._lifetime)

    async def _fetch(
        self, key: str, offset: int, length: int | None, known: BlobObject | None
    ) -> AsyncGenerator[Sequence[bytes], None]:
        if offset < 0 or (length is not None and length < 0):
            raise IllegalArgumentError(
                "offset and length must not be negative", bucket=self._name, key=key
            )
        if known is not None and (known.bucket.id, known.key) != (self.bucket.id, key):
            raise IllegalArgumentError(
                f"what is known is of another blob, {known.key!r}", bucket=self._name, key=key
            )
        provider = await self._opened()
        check_key(key, provider.rules, bucket=self._name)
        body = None
        if (offset, length, known) == (0, None, None):
            body = await provider.fetch_small(key)
        if body is not None:
            if body:
                yield [body]
            return
        fetched = provider.fetch(key, offset, length, known=known)
        async with aclosing(singly(fetched)) as pieces:
            async for piece in pieces:
                yield piece

    @within_lifetime
    async def delete_blob(self, key: str) -> None:
        """See :meth:`Buckets.delete_blob`."""
        provider = await self._opened()
        check_key(key, provider.rules, bucket=self._name, marker=True)
        await provider.delete(key)

    def list_blobs(
        self, prefix: str = "", *, recursive: bool = False, limit: int | None = 10000
    ) -> AsyncStream[BucketEntry]:
        """See :meth:`Buckets.list_blobs`."""
        return AsyncStream(self._list(prefix, recursive, limit), self._lifetime)

    async def _list(
        self, prefix: str, recursive: bool, limit: int | None
    ) -> AsyncGenerator[Sequence[BucketEntry], None]:
        if limit is not None and limit < 1:
            raise IllegalArgumentError("limit must be at least 1, or None for all")
        self._check_text(prefix)
        provider = await self._opened()
        left = limit
        listing = provider.pages(prefix, recursive=recursive, most=limit)
        async with aclosing(listing) as pages:
            async for page in pages:
                if left is None:
                    yield [*page]
                    continue
                if left:
                    yield [*page[:left]]
                if len(page) > left:
                    break
                left -= len(page)
                if left == 0 and limit != _LIMIT:
                    return
            else:
                return
        if limit == _LIMIT:
            warnings.warn(
                f"the listing of {self.bucket.uri} stops at the default limit of {_LIMIT} "
                "entries; say limit=None for all",
                ListingTruncated,
                stacklevel=2,
            )

    def glob_blobs(self, pattern: str) -> AsyncStream[BucketEntry]:
        """See :meth:`Buckets.glob_blobs`."""
        return AsyncStream(self._glob(pattern), self._lifetime)

    async def _glob(self, pattern: str) -> AsyncGenerator[Sequence[BucketEntry], None]:
        self._check_text(pattern)
        glob = compile_glob(pattern)
        provider = await self._opened()
        async with aclosing(provider.pages(glob.prefix, recursive=glob.recursive)) as pages:
            async for page in pages:
                yield [e for e in page if isinstance(e, BlobObject) and glob.matches(e.key)]

    def get_disk_usage(self) -> AsyncStream[BucketUsage]:
        """See :meth:`Buckets.get_disk_usage`."""
        return AsyncStream(self._usage(), self._lifetime)

    async def _usage(self) -> AsyncGenerator[Sequence[BucketUsage], None]:
        provider = await self._opened()
        total = count = 0
        listing = provider.pages("", recursive=True)
        async with aclosing(sized(listing, _USAGE_STEP)) as pages:
            async for page in pages:
                total += sum(entry.size for entry in page)
                count += len(page)
                yield [BucketUsage(total_bytes=total, object_count=count)]
        if count == 0:
            yield [BucketUsage(total_bytes=0, object_count=0)]

    @within_lifetime
    async def blob_is_dir(self, key: str) -> bool:
        """See :meth:`Buckets.blob_is_dir`."""
        return await is_directory(await self._opened(), key)

    @within_lifetime
    async def blob_rm(
        self,
        key: str,
        *,
        recursive: bool = False,
        progress: AbstractDeleteProgress | None = None,
    ) -> None:
        """See :meth:`Buckets.blob_rm`."""
        with callback_errors():
            await remove(await self._opened(), key, recursive=recursive, progress=progress)

    def session(self, *, remove_created_on_close: bool = False) -> Entering[Session]:
        """See :meth:`Buckets.session`."""
        return Entering(lambda: self._session(remove_created_on_close))

    @within_lifetime
    async def _session(self, remove_created: bool) -> Session:
        from ._session.bucket import open_bucket

        return await open_bucket(
            self.bucket,
            self._control,
            self._opened,
            self._disk,
            self._transfer,
            self._lifetime,
            remove_created_on_close=remove_created,
        )

    @property
    def _name(self) -> str:
        return self.bucket.name or self.bucket.id

    def _check_text(self, text: str) -> None:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidKey(
                "the text holds a lone surrogate", bucket=self._name, key=text
            ) from None
