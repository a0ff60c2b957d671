"""The embedded platform: a ControlPlane in this process, on this machine's disk."""

from __future__ import annotations

import asyncio
import copy
import os
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from yarl import URL

from .._core.config import ClientConfig
from .._core.expiry import check_link_seconds
from .._core.keys import check_key
from .._core.models import Bucket, BucketCredentials, PersistentBucketCredentials
from .._core.names import check_name
from .._core.uri import Scope
from ..errors import (
    AuthorizationError,
    ConfigError,
    IllegalArgumentError,
    NotSupportedError,
    local_error,
)
from ..protocols import OpenProvider, Provider
from . import sqlite
from .admin import BucketAdmin, ImportAdmin, Place
from .admin.local import LocalAdmin
from .admin.s3 import S3Admin
from .admin.s3_imports import S3Imports
from .cluster import open_admin, read_cluster
from .links import LinkServer
from .store import Role, Store
from .tasks import whole

__all__ = ["STORE_FILE", "EmbeddedPlatform", "open_registry"]

STORE_FILE = "store.toml"

_S3 = (
    Bucket.Provider.AWS,
    Bucket.Provider.MINIO,
    Bucket.Provider.OPEN_STACK,
    Bucket.Provider.SEAWEEDFS,
)


class EmbeddedPlatform:
    """The ControlPlane whose registry lives in a directory of this machine.

    Any number of processes may use one *home*. It serves one cluster, that of its
    configuration; an owner means the project of that name.
    """

    def __init__(self, config: ClientConfig, store: Store, open_provider: OpenProvider) -> None:
        self._config = config
        self._store = store
        self._open_provider = open_provider
        self._links = LinkServer(self._open_bucket)
        self._admins: dict[Bucket.Provider, BucketAdmin] = {}
        self._imports: dict[Bucket.Provider, ImportAdmin] = {
            provider: S3Imports(provider) for provider in _S3
        }
        self._makes = Bucket.Provider.LOCAL

    @classmethod
    async def open(
        cls,
        *,
        home: Path,
        config: ClientConfig,
        open_provider: OpenProvider,
        store_file: Path | None = None,
        database_url: str | None = None,
    ) -> EmbeddedPlatform:
        """Open the platform in *home*, making it where there is none.

        New buckets are made at the store that *store_file* describes, by default the file
        ``store.toml`` in *home*, or on the disk below *home* where there is no such file. The
        registry is a file in *home* unless *database_url* says otherwise.
        """
        home = await asyncio.to_thread(_made, home)
        store = await open_registry(home, database_url, config.cluster_name)
        platform = cls(config, store, open_provider)
        try:
            local = LocalAdmin(home / "blobs", platform._links)
            await local.prepare()
            platform._admins[Bucket.Provider.LOCAL] = local
            platform._imports[Bucket.Provider.LOCAL] = local
            config_file = store_file or home / STORE_FILE
            if store_file is not None or await asyncio.to_thread(config_file.exists):
                cluster = await asyncio.to_thread(read_cluster, config_file)
                admin = await open_admin(cluster)
                platform._admins[cluster.provider] = admin
                if not isinstance(admin, S3Admin):
                    platform._imports[cluster.provider] = admin
                platform._makes = cluster.provider
        except BaseException:
            await platform.close()
            raise
        return platform

    def acting_for(self, config: ClientConfig) -> EmbeddedPlatform:
        """This platform for the user and with the defaults of *config*; close only the first."""
        view = copy.copy(self)
        view._config = config
        return view

    @property
    def store(self) -> Store:
        """The registry."""
        return self._store

    @property
    def makes(self) -> Bucket.Provider:
        """Where new buckets are made."""
        return self._makes

    async def list_buckets(self, scope: Scope) -> AsyncGenerator[Bucket, None]:
        for place in await self._store.buckets(*self._owner(scope)):
            yield place.bucket

    @whole
    async def create_bucket(self, name: str | None, scope: Scope) -> Bucket:
        bucket = self._new_bucket(name, scope, self._makes)
        admin = self._admins[bucket.provider]
        await self._store.check_free(bucket)  # spares the provider what comes to nothing
        place = Place(bucket=bucket, name=await admin.create(bucket))
        try:
            await self._store.add_bucket(place)
        except BaseException:
            await admin.delete(place, force=False)
            await admin.purge(place)
            raise
        return bucket

    async def import_bucket(
        self,
        name: str | None,
        scope: Scope,
        *,
        provider: Bucket.Provider,
        provider_bucket_name: str,
        credentials: Mapping[str, str],
    ) -> Bucket:
        provider = Bucket.Provider(provider)
        if not provider.known:
            raise NotSupportedError(f"this version knows no provider {provider.value!r}")
        if not isinstance(provider_bucket_name, str) or not provider_bucket_name.strip():
            raise IllegalArgumentError("provider_bucket_name must be text and not empty")
        if not _is_text_mapping(credentials):
            raise IllegalArgumentError("credentials must be a mapping of str to str")
        place = Place(
            bucket=self._new_bucket(name, scope, provider, imported=True),
            name=provider_bucket_name,
            credentials=dict(credentials),
        )
        if provider in self._imports:
            await self._imports[provider].check_import(place)
        await self._store.add_bucket(place)
        return place.bucket

    async def get_bucket(self, id_or_name: str, scope: Scope) -> Bucket:
        return (await self._store.find_bucket(*self._owner(scope), id_or_name)).bucket

    @whole
    async def delete_bucket(self, bucket: Bucket, *, force: bool = False) -> None:
        place = await self._find(bucket)
        if place.credentials is not None:
            await self._store.remove_bucket(bucket.id)
            return
        admin = self._admin(place, "removing")
        await admin.delete(place, force=force)
        for role in await self._store.remove_bucket(bucket.id):
            left = [kept for kept in role.places if kept.bucket.provider == bucket.provider]
            if left:
                await admin.narrow_role(role.name, left, read_only=role.read_only)
            else:
                await admin.delete_role(role.name)
        await admin.purge(place)

    @whole
    async def set_public(self, bucket: Bucket, public: bool) -> Bucket:
        place = await self._find(bucket)
        if place.bucket.public != public:
            await self._sharing(place, "the public access").set_public(place, public)
            place = await self._store.set_public(bucket.id, public)
        return place.bucket

    async def bucket_credentials(
        self, bucket: Bucket, *, read_only: bool = False
    ) -> BucketCredentials:
        place = await self._find(bucket)
        if read_only and place.credentials is not None:
            raise AuthorizationError(
                "an imported bucket opens only with the keys it was imported with, which may "
                "write, and you may only read; ask for signed URLs",
                bucket=bucket.name or bucket.id,
            )
        return await self._credentials(place, read_only=read_only)

    async def sign_url(self, bucket: Bucket, key: str, expires_in: int) -> URL:
        check_link_seconds(expires_in)
        place = await self._find(bucket)
        admin = self._sharing(place, "signing URLs")
        provider = await self._open(place)
        try:
            check_key(key, provider.rules, bucket=bucket.name or bucket.id)
        finally:
            await provider.close()
        return await admin.sign_url(place, key, expires_in)

    async def list_credentials(
        self, cluster_name: str
    ) -> AsyncGenerator[PersistentBucketCredentials, None]:
        self._check_cluster(cluster_name)
        for credentials in await self._store.credentials(self._config.username):
            yield credentials

    @whole
    async def create_credentials(
        self, name: str | None, bucket_ids: Sequence[str], *, read_only: bool, cluster_name: str
    ) -> PersistentBucketCredentials:
        self._check_cluster(cluster_name)
        check_name(name, "credentials")
        if isinstance(bucket_ids, str) or not bucket_ids:
            raise IllegalArgumentError("bucket_ids must be a list of at least one bucket id")
        places = [await self._store.bucket(bucket_id) for bucket_id in dict.fromkeys(bucket_ids)]
        for place in places:
            if place.bucket.imported:
                raise IllegalArgumentError(
                    "credentials for an imported bucket are made at its provider, not here",
                    bucket=place.bucket.name or place.bucket.id,
                )
        role = Role(
            name=f"bucket-credentials-{uuid.uuid4()}", read_only=read_only, places=tuple(places)
        )
        try:
            made = PersistentBucketCredentials(
                id=role.name,
                owner=self._config.username,
                name=name,
                read_only=read_only,
                cluster_name=cluster_name,
                credentials=await self._create_role(role),
            )
            await self._store.add_credentials(made)
        except BaseException:
            await self._delete_role(role)
            raise
        return made

    async def get_credentials(
        self, id_or_name: str, cluster_name: str
    ) -> PersistentBucketCredentials:
        self._check_cluster(cluster_name)
        return await self._store.find_credentials(self._config.username, id_or_name)

    @whole
    async def delete_credentials(self, id_or_name: str, cluster_name: str) -> None:
        self._check_cluster(cluster_name)
        await self._delete_role(
            await self._store.remove_credentials(self._config.username, id_or_name)
        )

    async def close(self) -> None:
        """Stop the links and let go of the registry; links that were signed end with it."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._store.close)
            for admin in self._admins.values():
                stack.push_async_callback(admin.close)
            stack.push_async_callback(self._links.close)

    def _check_cluster(self, cluster_name: str) -> None:
        if cluster_name != self._config.cluster_name:
            raise ConfigError(
                f"there is no cluster {cluster_name!r} here; "
                f"this platform has the one cluster {self._config.cluster_name!r}"
            )

    def _owner(self, scope: Scope) -> tuple[str | None, str]:
        """Org and project that the scope means."""
        self._check_cluster(scope.cluster_name)
        if scope.owner and scope.project_name:
            raise IllegalArgumentError("bucket_owner cannot be given together with project_name")
        project = scope.project_name or scope.owner or self._config.project_name
        return scope.org_name or self._config.org_name, project or self._config.username

    def _new_bucket(
        self,
        name: str | None,
        scope: Scope,
        provider: Bucket.Provider,
        *,
        imported: bool = False,
    ) -> Bucket:
        check_name(name)
        org, project = self._owner(scope)
        return Bucket(
            id=f"bucket-{uuid.uuid4()}",
            owner=self._config.username,
            name=name,
            provider=provider,
            created_at=datetime.now(UTC),
            cluster_name=self._config.cluster_name,
            org_name=org,
            project_name=project,
            imported=imported,
        )

    async def _find(self, bucket: Bucket) -> Place:
        self._check_cluster(bucket.cluster_name)
        return await self._store.bucket(bucket.id)

    def _admin(self, place: Place, what: str) -> BucketAdmin:
        return self._admins.get(place.bucket.provider) or _refuse(place, what)

    def _sharing(self, place: Place, what: str) -> BucketAdmin | ImportAdmin:
        if place.credentials is None:
            return self._admin(place, what)
        return self._imports.get(place.bucket.provider) or _refuse(place, what)

    async def _credentials(self, place: Place, *, read_only: bool) -> BucketCredentials:
        if place.credentials is not None:
            opened: Mapping[str, str] = {**place.credentials, "bucket_name": place.name}
            read_only = opened.get("read_only") == "true"
        else:
            admin = self._admin(place, "opening")
            opened = await admin.credentials(place, read_only=read_only)
        return BucketCredentials(
            bucket_id=place.bucket.id,
            provider=place.bucket.provider,
            credentials=opened,
            read_only=read_only,
        )

    async def _open(self, place: Place) -> Provider:
        return self._open_provider(place.bucket, await self._credentials(place, read_only=True))

    async def _open_bucket(self, bucket_id: str) -> Provider:
        return await self._open(await self._store.bucket(bucket_id))

    async def _create_role(self, role: Role) -> list[BucketCredentials]:
        opened: dict[str, Mapping[str, str]] = {}
        for admin, places in self._by_admin(role):
            opened |= await admin.create_role(role.name, places, read_only=role.read_only)
        return [
            BucketCredentials(
                bucket_id=place.bucket.id,
                provider=place.bucket.provider,
                credentials=opened[place.bucket.id],
                read_only=role.read_only,
            )
            for place in role.places
        ]

    async def _delete_role(self, role: Role) -> None:
        for admin, places in self._by_admin(role):
            await admin.delete_role(role.name, places)

    def _by_admin(self, role: Role) -> list[tuple[BucketAdmin, list[Place]]]:
        grouped: dict[Bucket.Provider, list[Place]] = {}
        for place in role.places:
            grouped.setdefault(place.bucket.provider, []).append(place)
        return [(self._admin(places[0], "a role"), places) for places in grouped.values()]


def _refuse(place: Place, what: str) -> NoReturn:
    raise NotSupportedError(
        f"{what} is not supported for {place.bucket.provider.value} buckets here",
        bucket=place.bucket.name or place.bucket.id,
    )


async def open_registry(home: Path, database_url: str | None, cluster_name: str) -> Store:
    """The registry in *home*, made where there is none, or that in *database_url*."""
    home = await asyncio.to_thread(_made, home)
    return await Store.open(database_url or sqlite.file_url(home / "registry.db"), cluster_name)


def _made(home: Path) -> Path:
    """The absolute path of *home*, made for this user only if it is not there."""
    home = Path(os.path.abspath(home))
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        home.mkdir(mode=0o700, exist_ok=True)
    except OSError as cause:
        raise local_error(cause, cause.filename or home) from cause
    return home


def _is_text_mapping(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(part, str) for item in value.items() for part in item
    )
