"""``Buckets``: the documented verbs, each of which finds the bucket and hands over to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from yarl import URL

from ._aio import AsyncStream, Entering, Lifetime, Opening, singly, within_lifetime
from ._bucket import BucketHandle
from ._buckets_plans import BucketsPlans
from ._core.models import (
    BlobObject,
    Bucket,
    BucketCredentials,
    BucketEntry,
    BucketUsage,
    PersistentBucketCredentials,
)
from ._core.names import check_name
from ._core.query import QueryResult
from ._core.uri import BlobPath, Scope, parse_blob_uri
from ._lookups import Lookups
from ._providers.lease import LeasedProvider
from ._transfer.body import Body
from ._transfer.disk import Disk
from .errors import IllegalArgumentError
from .progress import AbstractDeleteProgress

if TYPE_CHECKING:
    from ._core.config import TransferConfig
    from ._session.session import Session
    from .protocols import ControlPlane, OpenProvider, Provider

__all__ = ["Buckets"]

T = TypeVar("T")


class Buckets(BucketsPlans):
    """The buckets of a platform and the blobs in them; available as ``Client.buckets``.

    A bucket is named by ``bucket_id_or_name``, or by a ``blob:`` URI, a ``str`` or a
    ``yarl.URL``. ``cluster_name``, ``org_name`` and ``project_name`` default to those of the
    client; ``bucket_owner`` is the older way to say whose project is meant and excludes
    ``project_name``.

    Methods that return a stream work as ``async for x in buckets.list()`` and as
    ``async with buckets.list() as it: async for x in it``.

    Every method raises errors of ``neuro_sdk.errors``: BucketNotFound, AuthError and
    StorageError where they apply, beside those it names.
    """

    def __init__(
        self,
        control: ControlPlane,
        open_provider: OpenProvider,
        scope: Scope,
        disk: Disk,
        transfer: TransferConfig,
        lifetime: Lifetime,
        providers: dict[str, LeasedProvider] | None = None,
        lookups: Lookups | None = None,
        *,
        using: TransferConfig | None = None,
    ) -> None:
        self._control = control
        self._open_provider = open_provider
        self._scope = scope
        self._disk = disk
        self._settled = transfer  # for requests to the stores, whoever of us opened them
        self._transfer = using or transfer
        self._lifetime = lifetime
        self._providers: dict[str, LeasedProvider] = {} if providers is None else providers
        self._lookups = lookups or Lookups(0)

    def __repr__(self) -> str:
        return f"<Buckets of {self._scope.cluster_name!r}>"

    def _within(self, scope: Scope) -> Buckets:
        return self._view(scope, self._transfer)

    def _view(self, scope: Scope, using: TransferConfig) -> Buckets:
        return Buckets(
            self._control,
            self._open_provider,
            scope,
            self._disk,
            self._settled,
            self._lifetime,
            self._providers,
            self._lookups,
            using=using,
        )

    def _look_in(self, scope: Scope) -> None:
        self._scope = scope

    async def _close(self) -> None:
        while self._providers:
            _, provider = self._providers.popitem()
            await provider.close()

    def using(self, transfer: TransferConfig) -> Buckets:
        """The same buckets with other bounds, for single calls or many.

        As in ``client.buckets.using(TransferConfig(bandwidth=1_000_000)).upload_dir(...)``.
        ConfigError if its ``timeout`` or ``retries`` are not those of the client.
        """
        return self._view(self._scope, transfer.instead_of(self._settled))

    # Buckets

    def list(
        self,
        cluster_name: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> AsyncStream[Bucket]:
        """List the buckets of the org and project, in the order of their creation."""
        found = self._control.list_buckets(self._where(cluster_name, org_name, project_name))
        return AsyncStream(singly(found), self._lifetime)

    @within_lifetime
    async def create(
        self,
        name: str | None = None,
        cluster_name: str | None = None,
        org_name: str | None = None,
        *,
        project_name: str | None = None,
    ) -> Bucket:
        """Create a bucket.

        *name* is None or 3 to 40 characters of a-z, 0-9, ``-`` and ``_``, a letter first,
        unique in the org and project. Raises InvalidName and NameTaken.
        """
        check_name(name)
        scope = self._where(cluster_name, org_name, project_name)
        bucket = await self._control.create_bucket(name, scope)
        if name is not None:
            self._lookups.keep(name, scope, bucket)
        return bucket

    @within_lifetime
    async def import_external(
        self,
        provider: Bucket.Provider,
        provider_bucket_name: str,
        credentials: Mapping[str, str],
        name: str | None = None,
        cluster_name: str | None = None,
        org_name: str | None = None,
        *,
        project_name: str | None = None,
    ) -> Bucket:
        """Import a bucket that exists at a provider; its blobs stay there when it is removed.

        *credentials* are the provider's own. A folder of this machine is imported as
        ``Bucket.Provider.LOCAL`` with ``{"root": "/absolute/path"}``.
        """
        check_name(name)
        return await self._control.import_bucket(
            name,
            self._where(cluster_name, org_name, project_name),
            provider=Bucket.Provider(provider),
            provider_bucket_name=provider_bucket_name,
            credentials=credentials,
        )

    @within_lifetime
    async def get(
        self,
        bucket_id_or_name: str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Bucket:
        """Describe a bucket; BucketNotFound, a ResourceNotFound, if there is none."""
        scope = self._where(cluster_name, org_name, project_name, bucket_owner)
        bucket = await self._control.get_bucket(bucket_id_or_name, scope)
        self._lookups.keep(bucket_id_or_name, scope, bucket)
        return bucket

    def open(
        self,
        bucket_id_or_name: str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Opening[BucketHandle]:
        """A handle with the same verbs less the address: ``await`` it or use ``async with``."""
        scope = self._where(cluster_name, org_name, project_name, bucket_owner)
        return Opening(lambda: self._opened_handle(bucket_id_or_name, scope))

    @within_lifetime
    async def rm(
        self,
        bucket_id_or_name: str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
        force: bool = False,
    ) -> None:
        """Delete a bucket.

        Raises BucketNotEmpty while blobs remain, unless *force*. An imported bucket is only
        forgotten. Persistent credentials that name it lose it.
        """
        scope = self._where(cluster_name, org_name, project_name, bucket_owner)
        bucket = await self._control.get_bucket(bucket_id_or_name, scope)
        await self._control.delete_bucket(bucket, force=force)
        self._lookups.forget(bucket.id)
        provider = self._providers.pop(bucket.id, None)
        if provider is not None:
            await provider.close()

    @within_lifetime
    async def request_tmp_credentials(
        self,
        bucket_id_or_name: str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> BucketCredentials:
        """Get temporary provider credentials to a bucket."""
        scope = self._where(cluster_name, org_name, project_name, bucket_owner)
        return await (await self._handle(bucket_id_or_name, scope)).request_tmp_credentials()

    @within_lifetime
    async def set_public_access(
        self,
        bucket_id_or_name: str,
        public_access: bool,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Bucket:
        """Let anybody read the blobs of a bucket, or stop it.

        A local bucket only keeps the flag: no server offers its blobs to anybody.
        """
        scope = self._where(cluster_name, org_name, project_name, bucket_owner)
        handle = await self._handle(bucket_id_or_name, scope)
        self._lookups.forget(handle.bucket.id)
        return await handle.set_public_access(public_access)

    def get_disk_usage(
        self,
        bucket_id_or_name: str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> AsyncStream[BucketUsage]:
        """Count the blobs of a bucket: partial sums as they grow, the whole one last."""
        scope = self._where(cluster_name, org_name, project_name, bucket_owner)
        return self._stream(
            lambda: self._handle(bucket_id_or_name, scope), lambda handle: handle.get_disk_usage()
        )

    # Blobs

    @within_lifetime
    async def head_blob(
        self,
        bucket_id_or_name: str,
        key: str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> BlobObject:
        """Look up a blob; BlobNotFound, a ResourceNotFound, if there is none at exactly *key*."""
        scope = self._where(cluster_name, org_name, project_name, bucket_owner)
        return await (await self._handle(bucket_id_or_name, scope)).head_blob(key)

    @within_lifetime
    async def put_blob(
        self,
        bucket_id_or_name: str,
        key: str,
        body: Body,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> None:
        """Create or replace a blob, whole or not at all.

        *body* is bytes-like, an async iterable of bytes, or an async generator function
        without parameters. A key that ends in ``/`` with the body ``b""`` is a directory
        marker. Raises InvalidKey, KeyConflict, and TypeError for text.
        """
        scope = self._where(cluster_name, org_name, project_name, bucket_owner)
        await (await self._handle(bucket_id_or_name, scope)).put_blob(key, body)

    def fetch_blob(
        self,
        bucket_id_or_name: str,
        key: str,
        offset: int = 0,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        length: int | None = None,
        known: BlobObject | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> AsyncStream[bytes]:
        """Stream the bytes of a blob from *offset* on, *length* at most, all of one version.

        *known* is the blob as :meth:`head_blob` or a listing gave it. It saves a look, and the
        bytes are of that version: BlobChanged if the blob was replaced since. So several calls
        with the same one read the same version.
        """
        scope = self._where(cluster_name, org_name, project_name, bucket_owner)
        return self._stream(
            lambda: self._handle(bucket_id_or_name, scope),
            lambda handle: handle.fetch_blob(key, offset, length=length, known=known),
        )

    @within_lifetime
    async def delete_blob(
        self,
        bucket_id_or_name: str,
        key: str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> None:
        """Remove the blob at exactly *key*; a missing one is no error, as at the stores."""
        scope = self._where(cluster_name, org_name, project_name, bucket_owner)
        await (await self._handle(bucket_id_or_name, scope)).delete_blob(key)

    def list_blobs(
        self, uri: BlobPath, recursive: bool = False, limit: int | None = 10000
    ) -> AsyncStream[BucketEntry]:
        """List the entries whose keys begin with the text of the URI's key.

        Recursive: every blob. Otherwise: those up to the next ``/``, and a BlobCommonPrefix
        for all that lie below each such ``/``. At most *limit* entries; None for all. When the
        default limit cuts the listing short, ListingTruncated is warned.
        """
        return self._stream_at(
            uri, lambda handle, key: handle.list_blobs(key, recursive=recursive, limit=limit)
        )

    def glob_blobs(self, uri: BlobPath) -> AsyncStream[BucketEntry]:
        """List the blobs whose whole keys match the pattern in the URI's key.

        ``*`` and ``?`` stand for characters other than ``/``, ``[abc]`` and ``[!abc]`` for one
        of a set, ``**`` for any number of directories. Pass a pattern with ``?`` as str.
        """
        return self._stream_at(uri, lambda handle, key: handle.glob_blobs(key))

    @within_lifetime
    async def blob_is_dir(self, uri: BlobPath) -> bool:
        """Whether any blob lies below the key; the bucket itself is a directory."""
        handle, key = await self.locate(uri)
        return await handle.blob_is_dir(key)

    @within_lifetime
    async def blob_rm(
        self,
        uri: BlobPath,
        *,
        recursive: bool = False,
        progress: AbstractDeleteProgress | None = None,
    ) -> None:
        """Remove a blob, or with *recursive* also all below it: ``logs`` never takes ``logs2``.

        Raises BlobIsADirectory, an IsADirectoryError, for a directory without *recursive*,
        BlobNotFound if nothing is there, and TransferError if some could not be removed.
        """
        handle, key = await self.locate(uri)
        await handle.blob_rm(key, recursive=recursive, progress=progress)

    @within_lifetime
    async def make_signed_url(self, uri: BlobPath, expires_in_seconds: int = 3600) -> URL:
        """A URL with which anybody can GET the blob for a while, at most 7 days.

        The blob need not exist yet. The URL of a local bucket is served on this machine's
        loopback address by this client, while it is open and its event loop runs; it ends
        with the client.
        """
        handle, key = await self.locate(uri)
        return await handle.make_signed_url(key, expires_in_seconds)

    def session(
        self,
        bucket_id_or_name: str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        remove_created_on_close: bool = False,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Entering[Session]:
        """Work on a bucket as on files, and take away what was made: use it as ``async with``.

        With *remove_created_on_close* what the session made is removed at its end, after a crash
        by the next session that says so. See :class:`neuro_sdk.drivers.Session`.
        """
        scope = self._where(cluster_name, org_name, project_name, bucket_owner)

        async def opened() -> Session:
            handle = await self._opened_handle(bucket_id_or_name, scope)
            return await handle.session(remove_created_on_close=remove_created_on_close)

        return Entering(opened)

    @overload
    async def query(
        self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()
    ) -> QueryResult: ...

    @overload
    async def query(
        self,
        sql: str,
        parameters: Sequence[object] | Mapping[str, object] = (),
        *,
        arrow: Literal[False],
    ) -> QueryResult: ...

    @overload
    async def query(
        self,
        sql: str,
        parameters: Sequence[object] | Mapping[str, object] = (),
        *,
        arrow: Literal[True],
    ) -> Any: ...

    async def query(
        self,
        sql: str,
        parameters: Sequence[object] | Mapping[str, object] = (),
        *,
        arrow: bool = False,
    ) -> QueryResult | Any:
        """Run one statement of SQL over blobs: ``SELECT ... FROM 'blob:bucket/*.parquet'``.

        DuckDB runs it (extra ``query``) and reads only the ranges of Parquet files that it needs;
        CSV and JSON are read whole. A name is a ``blob:`` URI, also with a glob, in quotes where a
        table stands or as an argument of ``read_parquet`` and its like. *parameters* take the
        places of ``?`` or ``$name``. Gives rows, or with *arrow* a ``pyarrow.Table``.

        Wrong SQL is DuckDB's own error. The statement can read the blobs that this client may
        read and nothing else: no files of this machine, no network, no extensions, no variables;
        it can write nothing. Blobs are of one version, or BlobChanged is raised.
        """
        return await self._queried(sql, parameters, arrow)

    @within_lifetime
    async def _queried(
        self, sql: str, parameters: Sequence[object] | Mapping[str, object], arrow: bool
    ) -> QueryResult | Any:
        from ._query.run import run_query

        async def where(uri: str) -> tuple[Provider, str]:
            handle, key = await self.locate(uri)
            return await self._provider(handle.bucket), key

        return await run_query(where, sql, parameters, arrow=arrow)

    # Persistent credentials

    def persistent_credentials_list(
        self, cluster_name: str | None = None
    ) -> AsyncStream[PersistentBucketCredentials]:
        """List the caller's persistent credentials."""
        found = self._control.list_credentials(self._cluster(cluster_name))
        return AsyncStream(singly(found), self._lifetime)

    @within_lifetime
    async def persistent_credentials_create(
        self,
        bucket_ids: Iterable[str],
        name: str | None = None,
        read_only: bool | None = False,
        cluster_name: str | None = None,
    ) -> PersistentBucketCredentials:
        """Create long-lived credentials for a set of buckets, given by their ids.

        *name* follows the rule of bucket names and is unique among the caller's credentials.
        """
        check_name(name, "credentials")
        if isinstance(bucket_ids, str):
            raise TypeError("bucket_ids is an iterable of ids, not a str")
        return await self._control.create_credentials(
            name,
            [*bucket_ids],
            read_only=bool(read_only),
            cluster_name=self._cluster(cluster_name),
        )

    @within_lifetime
    async def persistent_credentials_get(
        self, credential_id_or_name: str, cluster_name: str | None = None
    ) -> PersistentBucketCredentials:
        """Get persistent credentials by id or name; ResourceNotFound if there are none."""
        return await self._control.get_credentials(
            credential_id_or_name, self._cluster(cluster_name)
        )

    @within_lifetime
    async def persistent_credentials_rm(
        self, credential_id_or_name: str, cluster_name: str | None = None
    ) -> None:
        """Delete persistent credentials by id or name; ResourceNotFound if there are none."""
        await self._control.delete_credentials(credential_id_or_name, self._cluster(cluster_name))

    # Addresses

    def _cluster(self, cluster_name: str | None) -> str:
        return cluster_name or self._scope.cluster_name

    def _where(
        self,
        cluster_name: str | None,
        org_name: str | None,
        project_name: str | None,
        owner: str | None = None,
    ) -> Scope:
        if owner is not None and project_name is not None:
            raise IllegalArgumentError("give bucket_owner or project_name, not both")
        return Scope(
            cluster_name=self._cluster(cluster_name),
            org_name=org_name or self._scope.org_name,
            project_name=None if owner else project_name or self._scope.project_name,
            owner=owner,
        )

    @within_lifetime
    async def _opened_handle(self, id_or_name: str, scope: Scope) -> BucketHandle:
        return await self._handle(id_or_name, scope)

    async def _handle(self, id_or_name: str, scope: Scope) -> BucketHandle:
        bucket = await self._lookups.find(
            id_or_name, scope, lambda: self._control.get_bucket(id_or_name, scope)
        )

        async def opened() -> Provider:
            return await self._provider(bucket)

        return BucketHandle(
            bucket, self._control, opened, self._disk, self._transfer, self._lifetime
        )

    async def _provider(self, bucket: Bucket) -> Provider:
        leased = self._providers.get(bucket.id)
        if leased is None:
            leased = LeasedProvider(
                bucket,
                lambda: self._control.bucket_credentials(bucket),
                self._open_provider,
                transfer=self._settled,
            )
            self._providers[bucket.id] = leased
        return await leased.open()

    @within_lifetime
    async def locate(self, uri: BlobPath) -> tuple[BucketHandle, str]:
        """The handle of the bucket that *uri* names, and its key."""
        parsed = parse_blob_uri(uri, self._scope)
        scope = replace(
            self._scope,
            cluster_name=parsed.cluster_name,
            org_name=parsed.org_name,
            project_name=parsed.project_name,
        )
        return await self._handle(parsed.bucket, scope), parsed.key

    def _stream(
        self,
        handle: Callable[[], Awaitable[BucketHandle]],
        read: Callable[[BucketHandle], AsyncStream[T]],
    ) -> AsyncStream[T]:
        async def pages() -> AsyncGenerator[Sequence[T], None]:
            async with read(await handle()) as items:
                async for page in items.pages():
                    yield page

        return AsyncStream(pages(), self._lifetime)

    def _stream_at(
        self, uri: BlobPath, read: Callable[[BucketHandle, str], AsyncStream[T]]
    ) -> AsyncStream[T]:
        async def pages() -> AsyncGenerator[Sequence[T], None]:
            handle, key = await self.locate(uri)
            async with read(handle, key) as items:
                async for page in items.pages():
                    yield page

        return AsyncStream(pages(), self._lifetime)
