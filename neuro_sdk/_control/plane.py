"""The ControlPlane that asks a platform over HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from yarl import URL

from .._aio import sized
from .._core import wire
from .._core.config import ClientConfig
from .._core.discovery import (
    Discovered,
    create_fields,
    is_asked_for,
    list_query,
    lookup_query,
)
from .._core.expiry import check_link_seconds
from .._core.keys import KeyRules, check_key
from .._core.models import Bucket, BucketCredentials, PersistentBucketCredentials
from .._core.names import check_name
from .._core.uri import Scope
from ..errors import (
    BucketNotEmpty,
    BucketNotFound,
    ConfigError,
    IllegalArgumentError,
    NotSupportedError,
    PlatformError,
    TransferError,
)
from ..protocols import OpenProvider, Provider
from .connection import Connection

__all__ = ["HTTPControlPlane"]

_OURS = "neuro-sdk/"
_BULK = 1000
_ANY_STORE = KeyRules(max_bytes=1 << 20)  # what a store adds, the platform knows


class HTTPControlPlane:
    """The ControlPlane of a platform over HTTP, of any era of its protocol.

    ``config`` says which org and project are meant where a scope leaves them out. What the
    platform itself does not do when a bucket is removed, keeping one that is not empty and
    emptying one by force, is done here with the bucket's own credentials.
    """

    def __init__(
        self,
        connection: Connection,
        discovered: Discovered,
        config: ClientConfig,
        open_provider: OpenProvider,
    ) -> None:
        self.config = config
        self.discovered = discovered
        self._connection = connection
        self._open_provider = open_provider

    async def list_buckets(self, scope: Scope) -> AsyncGenerator[Bucket, None]:
        scope = self._filled(scope)
        url = self._url(scope.cluster_name, "buckets")
        query = list_query(scope, projects=self._projects)
        async with aclosing(self._connection.lines(url, query=query)) as items:
            async for item in items:
                bucket = wire.read_bucket(item, scope.cluster_name)
                if self._is_listed(bucket, scope):
                    yield bucket

    async def create_bucket(self, name: str | None, scope: Scope) -> Bucket:
        check_name(name)
        scope = self._filled(scope)
        answer = await self._connection.call(
            "POST",
            self._url(scope.cluster_name, "buckets"),
            body={"name": name, **create_fields(scope, projects=self._projects)},
            repeat=False,
            bucket=name,
        )
        return wire.read_bucket(answer.body, scope.cluster_name)

    async def import_bucket(
        self,
        name: str | None,
        scope: Scope,
        *,
        provider: Bucket.Provider,
        provider_bucket_name: str,
        credentials: Mapping[str, str],
    ) -> Bucket:
        check_name(name)
        _check_import(provider, provider_bucket_name, credentials)
        scope = self._filled(scope)
        answer = await self._connection.call(
            "POST",
            self._url(scope.cluster_name, "buckets", "import", "external"),
            body={
                "name": name,
                "provider": Bucket.Provider(provider).value,
                "provider_bucket_name": provider_bucket_name,
                "credentials": dict(credentials),
                **create_fields(scope, projects=self._projects),
            },
            repeat=False,
            bucket=name,
        )
        return wire.read_bucket(answer.body, scope.cluster_name)

    async def get_bucket(self, id_or_name: str, scope: Scope) -> Bucket:
        scope = self._filled(scope)
        answer = await self._connection.call(
            "GET",
            self._url(scope.cluster_name, "buckets", _address(id_or_name)),
            query=lookup_query(scope, projects=self._projects),
            repeat=True,
            bucket=id_or_name,
        )
        bucket = wire.read_bucket(answer.body, scope.cluster_name)
        if not is_asked_for(
            id_or_name,
            scope,
            found_id=bucket.id,
            found_owner=bucket.owner,
            found_project=bucket.project_name,
        ):
            raise BucketNotFound("there is no such bucket", bucket=id_or_name)
        return bucket

    async def delete_bucket(self, bucket: Bucket, *, force: bool = False) -> None:
        url = self._of(bucket)
        answer = await self._connection.call(
            "GET", url, query=self._query(bucket), repeat=True, bucket=_label(bucket)
        )
        query = self._query(bucket)
        if answer.service.startswith(_OURS):
            query["force"] = "true" if force else "false"
        elif not bucket.imported:
            await self._make_empty(bucket, force=force)
        await self._connection.call("DELETE", url, query=query, repeat=True, bucket=_label(bucket))

    async def set_public(self, bucket: Bucket, public: bool) -> Bucket:
        answer = await self._connection.call(
            "PATCH",
            self._of(bucket),
            query=self._query(bucket),
            body={"public": public},
            repeat=True,
            bucket=_label(bucket),
        )
        return wire.read_bucket(answer.body, bucket.cluster_name)

    async def bucket_credentials(self, bucket: Bucket) -> BucketCredentials:
        answer = await self._connection.call(
            "POST",
            self._of(bucket) / "make_tmp_credentials",
            query=self._query(bucket),
            repeat=True,
            bucket=_label(bucket),
        )
        credentials = wire.read_credentials(answer.body)
        if credentials.provider is Bucket.Provider.LOCAL:
            raise NotSupportedError(
                "this platform names a folder of its own machine, which is nothing here",
                bucket=_label(bucket),
            )
        return credentials

    async def sign_url(self, bucket: Bucket, key: str, expires_in: int) -> URL:
        check_link_seconds(expires_in)
        check_key(key, _ANY_STORE, bucket=_label(bucket))
        answer = await self._connection.call(
            "POST",
            self._of(bucket) / "sign_blob_url",
            query=self._query(bucket),
            body={"key": key, "expires_in_sec": expires_in},
            repeat=True,
            bucket=_label(bucket),
        )
        return _signed(answer.body)

    async def list_credentials(
        self, cluster_name: str
    ) -> AsyncGenerator[PersistentBucketCredentials, None]:
        url = self._url(cluster_name, "persistent_credentials")
        async with aclosing(self._connection.lines(url)) as items:
            async for item in items:
                yield wire.read_persistent(item, cluster_name)

    async def create_credentials(
        self, name: str | None, bucket_ids: Sequence[str], *, read_only: bool, cluster_name: str
    ) -> PersistentBucketCredentials:
        url = self._url(cluster_name, "persistent_credentials")
        check_name(name, "credentials")
        if isinstance(bucket_ids, str) or not bucket_ids:
            raise IllegalArgumentError("bucket_ids must be a list of at least one bucket id")
        answer = await self._connection.call(
            "POST",
            url,
            body={
                "name": name,
                "bucket_ids": list(dict.fromkeys(bucket_ids)),
                "read_only": read_only,
            },
            repeat=False,
        )
        return wire.read_persistent(answer.body, cluster_name)

    async def get_credentials(
        self, id_or_name: str, cluster_name: str
    ) -> PersistentBucketCredentials:
        url = self._url(cluster_name, "persistent_credentials", _address(id_or_name))
        answer = await self._connection.call("GET", url, repeat=True)
        return wire.read_persistent(answer.body, cluster_name)

    async def delete_credentials(self, id_or_name: str, cluster_name: str) -> None:
        url = self._url(cluster_name, "persistent_credentials", _address(id_or_name))
        await self._connection.call("DELETE", url, repeat=True)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._connection.close()

    @property
    def _projects(self) -> bool:
        return self.discovered.projects is not None

    def _filled(self, scope: Scope) -> Scope:
        """The scope with what it leaves out."""
        if scope.owner and scope.project_name:
            raise IllegalArgumentError("bucket_owner cannot be given together with project_name")
        project = scope.project_name or (None if scope.owner else self.config.project_name)
        return replace(scope, org_name=scope.org_name or self.config.org_name, project_name=project)

    def _url(self, cluster_name: str, *path: str) -> URL:
        base = self.discovered.cluster(cluster_name).buckets_url
        if base is None:
            raise ConfigError(f"the cluster {cluster_name!r} has no bucket service")
        for part in path:
            # "." and ".." would be resolved away, and a slash would be another path.
            base = base.joinpath(part)
        return base

    def _of(self, bucket: Bucket) -> URL:
        return self._url(bucket.cluster_name, "buckets", _address(bucket.id))

    def _query(self, bucket: Bucket) -> dict[str, str]:
        """What finds the bucket by its id in every era."""
        scope = Scope(
            cluster_name=bucket.cluster_name,
            org_name=bucket.org_name,
            project_name=bucket.project_name if self._projects else None,
            owner=None if self._projects else bucket.owner,
        )
        return lookup_query(scope, projects=self._projects)

    def _is_listed(self, bucket: Bucket, scope: Scope) -> bool:
        """Some servers list all that the caller may read, whatever is asked."""
        if not list_query(scope, projects=self._projects) or bucket.project_name is None:
            return True
        return bucket.project_name == (scope.project_name or scope.owner)

    async def _make_empty(self, bucket: Bucket, *, force: bool) -> None:
        """See to it that nothing is lost with the bucket: other platforms do not ask."""
        provider = self._open_provider(bucket, await self.bucket_credentials(bucket))
        try:
            if force:
                await _remove_all(provider, bucket)
                return
            async with aclosing(provider.pages(recursive=True, most=1)) as pages:
                async for page in pages:
                    raise BucketNotEmpty(
                        "blobs remain in the bucket; remove them, or pass force=True",
                        bucket=_label(bucket),
                        key=page[0].key,
                    )
        finally:
            await provider.close()


async def _remove_all(provider: Provider, bucket: Bucket) -> None:
    async with aclosing(sized(provider.pages(recursive=True), _BULK)) as rows:
        async for row in rows:
            failed = await provider.delete_many([entry.key for entry in row])
            if failed:
                raise TransferError(
                    f"{len(failed)} blobs could not be removed, so the bucket stays",
                    failures=list(failed.items()),
                    failed=len(failed),
                    bucket=_label(bucket),
                )


def _check_import(
    provider: Bucket.Provider, provider_bucket_name: object, credentials: object
) -> None:
    provider = Bucket.Provider(provider)
    if not provider.known:
        raise NotSupportedError(f"this version knows no provider {provider.value!r}")
    if provider is Bucket.Provider.LOCAL:
        raise NotSupportedError(
            "a folder of this machine can be imported only into the embedded platform, "
            "neuro_sdk.local()"
        )
    if not isinstance(provider_bucket_name, str) or not provider_bucket_name.strip():
        raise IllegalArgumentError("provider_bucket_name must be text and not empty")
    if not isinstance(credentials, Mapping) or not all(
        isinstance(part, str) for item in credentials.items() for part in item
    ):
        raise IllegalArgumentError("credentials must be a mapping of str to str")


def _address(id_or_name: str) -> str:
    """An id or name as a segment of a path; BucketNotFound for what cannot be one."""
    if not isinstance(id_or_name, str):
        raise TypeError(f"an id or a name is a str, not {type(id_or_name).__name__}")
    good = id_or_name not in ("", ".", "..") and "/" not in id_or_name
    if not good or not id_or_name.isprintable():
        raise BucketNotFound("no bucket or credentials can have this name", bucket=id_or_name)
    return id_or_name


def _label(bucket: Bucket) -> str:
    return bucket.name or bucket.id


def _signed(body: Any) -> URL:
    url = body.get("url") if isinstance(body, dict) else None
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise PlatformError("the platform's answer holds no URL")
    return URL(url, encoded=True)
