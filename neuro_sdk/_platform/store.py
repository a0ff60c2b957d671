"""The registry: what the platform remembers, each change in one transaction."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from sqlalchemy import (
    URL,
    ColumnElement,
    and_,
    bindparam,
    delete,
    func,
    inspect,
    make_url,
    or_,
    select,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from .._core.models import Bucket, PersistentBucketCredentials
from ..errors import (
    BucketNotFound,
    ConfigError,
    IllegalArgumentError,
    NameTaken,
    NeuroError,
    StorageError,
    StorageUnavailable,
)
from . import sqlite
from .admin import Place
from .tables import SCHEMA_VERSION, BucketRow, CredentialsRow, GrantRow, SchemaRow, Tables, place_of
from .tasks import whole

__all__ = ["Role", "Store"]

_TABLES_LOCK = 0x6E6575726F  # a number of ours among those of the database


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What persistent credentials stand for at the providers."""

    name: str
    read_only: bool
    places: tuple[Place, ...]


# Each client asks this at least twice: columns of a statement that is made and compiled once, and
# no transaction about it, take a third of the time of rows of the mapper. An id is longer than
# any name.
_buckets = BucketRow.__table__.c
_BUCKET = select(BucketRow.__table__).where(
    or_(
        _buckets.id == bindparam("id_or_name"),
        and_(
            _buckets.org_name == bindparam("org"),
            _buckets.project_name == bindparam("project"),
            _buckets.name == bindparam("id_or_name"),
        ),
    )
)


class Store:
    """The records of a cluster's buckets and credentials, for any number of processes.

    What a method has returned from is on disk. Errors are those of ``neuro_sdk.errors``.
    """

    def __init__(self, url: URL, engine: AsyncEngine, cluster_name: str) -> None:
        self._url = url
        self._engine = engine
        self._cluster_name = cluster_name
        writing = engine.execution_options(registry="write")
        self._single = engine.execution_options(registry="statement")
        self._reader = async_sessionmaker(engine, expire_on_commit=False)
        self._writer = async_sessionmaker(writing, expire_on_commit=False)

    @classmethod
    async def open(cls, database_url: URL | str, cluster_name: str) -> Store:
        """Open the registry, making its tables where there are none."""
        url, engine = await asyncio.to_thread(_engine, database_url)  # imports its driver
        if url.get_backend_name() == "sqlite":
            await asyncio.to_thread(sqlite.prepare_file, sqlite.registry_path(url))
        store = cls(url, engine, cluster_name)
        try:
            await store._set_up()
        except BaseException:
            await store.close()
            raise
        return store

    @whole
    async def close(self) -> None:
        """Let go of the database."""
        await self._engine.dispose()

    @whole
    async def _set_up(self) -> None:
        async with self.transaction() as session:  # mostly enough, and waits for no writer
            version = await _version(session)
        if version is None or version < SCHEMA_VERSION:
            async with self.transaction(write=True) as session:
                await self._lock_tables(session)
                version = await _version(session)  # another process may have been first
                if version is None or version < SCHEMA_VERSION:
                    # All tables are made in one transaction: where one is not, none is.
                    make = partial(Tables.metadata.create_all, checkfirst=version is not None)
                    await (await session.connection()).run_sync(make)
                    session.add(SchemaRow(version=SCHEMA_VERSION))
                    version = SCHEMA_VERSION
        if version is not None and version > SCHEMA_VERSION:
            raise ConfigError(
                f"the registry {self._shown()!r} was written by a newer version of this "
                f"package (schema {version}, this one knows {SCHEMA_VERSION}); upgrade it"
            )

    async def _lock_tables(self, session: AsyncSession) -> None:
        """Let one process at a time make the tables; a writer of SQLite is alone anyway."""
        if self._url.get_backend_name() == "postgresql":
            await session.execute(select(func.pg_advisory_xact_lock(_TABLES_LOCK)))

    @whole
    async def add_bucket(self, place: Place) -> None:
        """Record a bucket; NameTaken if its org and project have one of this name."""
        async with self.transaction(write=True) as session:
            session.add(BucketRow.of(place))
            try:
                await session.flush()
            except IntegrityError:
                raise _taken(place.bucket) from None

    @whole
    async def check_free(self, bucket: Bucket) -> None:
        """Raise NameTaken if there is a bucket of this name in the same org and project."""
        query = select(BucketRow.id).where(
            BucketRow.org_name == (bucket.org_name or ""),
            BucketRow.project_name == bucket.project_name,
            BucketRow.name == bucket.name,
        )
        async with self.transaction() as session:
            if bucket.name is not None and await session.scalar(query) is not None:
                raise _taken(bucket)

    @whole
    async def bucket(self, bucket_id: str) -> Place:
        """The bucket with this id; BucketNotFound if there is none."""
        place = await self._find(None, "", bucket_id)
        if place is None:
            raise _unknown(bucket_id)
        return place

    @whole
    async def find_bucket(self, org: str | None, project: str, id_or_name: str) -> Place:
        """The bucket with this id, else the one of this name in the org and project."""
        _check_text(id_or_name)
        place = await self._find(org, project, id_or_name)
        if place is None:
            where = "/".join(part for part in (org, project) if part)
            raise BucketNotFound(f"there is no such bucket in {where!r}", bucket=id_or_name)
        return place

    async def _find(self, org: str | None, project: str, id_or_name: str) -> Place | None:
        wanted = {"id_or_name": id_or_name, "org": org or "", "project": project}
        with self._told():
            async with self._single.connect() as connection:
                row = (await connection.execute(_BUCKET, wanted)).first()
        return None if row is None else self._place(row)

    @whole
    async def buckets(self, org: str | None, project: str) -> list[Place]:
        """The buckets of an org and project, oldest first."""
        query = select(BucketRow).where(_within(org, project))
        async with self.transaction() as session:
            rows = await session.scalars(query.order_by(BucketRow.created_at, BucketRow.id))
            return [self._place(row) for row in rows]

    @whole
    async def every_bucket(self) -> list[Place]:
        """The buckets of all orgs and projects, oldest first."""
        query = select(BucketRow).order_by(BucketRow.created_at, BucketRow.id)
        async with self.transaction() as session:
            return [self._place(row) for row in await session.scalars(query)]

    @whole
    async def set_public(self, bucket_id: str, public: bool) -> Place:
        """Remember whether anybody may read the bucket."""
        async with self.transaction(write=True) as session:
            row = await _known(session, bucket_id)
            row.public = public
            return self._place(row)

    @whole
    async def remove_bucket(self, bucket_id: str) -> list[Role]:
        """Forget the bucket; the answer is the roles that lose it, each with what it keeps.

        Credentials are removed with their last bucket.
        """
        losing = select(GrantRow.credentials_id).where(GrantRow.bucket_id == bucket_id)
        async with self.transaction(write=True) as session:
            # Locked in one order, also against credentials that are being made; SQLite has
            # one writer at a time anyway.
            await _known(session, bucket_id, lock="exclusive")
            query = select(CredentialsRow).where(CredentialsRow.id.in_(losing))
            query = query.order_by(CredentialsRow.id).with_for_update()
            affected = list(await session.scalars(query))
            await session.execute(delete(GrantRow).where(GrantRow.bucket_id == bucket_id))
            roles = []
            for row in affected:
                places = [self._place(g.bucket) for g in row.grants if g.bucket_id != bucket_id]
                roles.append(Role(name=row.id, read_only=row.read_only, places=tuple(places)))
            empty = [role.name for role in roles if not role.places]
            await session.execute(delete(CredentialsRow).where(CredentialsRow.id.in_(empty)))
            await session.execute(delete(BucketRow).where(BucketRow.id == bucket_id))
            return roles

    @whole
    async def add_credentials(self, made: PersistentBucketCredentials) -> None:
        """Record credentials; NameTaken if their owner has some of this name."""
        row = CredentialsRow(
            id=made.id,
            owner=made.owner,
            name=made.name,
            read_only=made.read_only,
            created_at=datetime.now(UTC),
        )
        async with self.transaction(write=True) as session:
            session.add(row)
            try:
                await session.flush()
            except IntegrityError:
                raise NameTaken(f"there are credentials with the name {made.name!r}") from None
            for position, one in enumerate(made.credentials):
                await _known(session, one.bucket_id, lock="shared")
                session.add(
                    GrantRow(
                        credentials_id=made.id,
                        bucket_id=one.bucket_id,
                        position=position,
                        credentials=one.credentials,
                    )
                )

    @whole
    async def credentials(self, owner: str) -> list[PersistentBucketCredentials]:
        """The credentials of this user, oldest first."""
        query = select(CredentialsRow).where(CredentialsRow.owner == owner)
        query = query.order_by(CredentialsRow.created_at, CredentialsRow.id)
        async with self.transaction() as session:
            return [row.value(self._cluster_name) for row in await session.scalars(query)]

    @whole
    async def find_credentials(self, owner: str, id_or_name: str) -> PersistentBucketCredentials:
        """The user's credentials with this id or name; BucketNotFound if there are none."""
        async with self.transaction() as session:
            return (await _own(session, owner, id_or_name)).value(self._cluster_name)

    @whole
    async def remove_credentials(self, owner: str, id_or_name: str) -> Role:
        """Forget the user's credentials with this id or name; the answer is their role."""
        async with self.transaction(write=True) as session:
            row = await _own(session, owner, id_or_name)
            places = tuple(self._place(grant.bucket) for grant in row.grants)
            await session.execute(delete(GrantRow).where(GrantRow.credentials_id == row.id))
            await session.execute(delete(CredentialsRow).where(CredentialsRow.id == row.id))
            return Role(name=row.id, read_only=row.read_only, places=places)

    @asynccontextmanager
    async def transaction(self, *, write: bool = False) -> AsyncIterator[AsyncSession]:
        """A transaction that ends with the block; errors are those of our tree."""
        with self._told():
            async with (self._writer if write else self._reader).begin() as session:
                yield session

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of the database become those of our tree."""
        try:
            yield
        except NeuroError:
            raise
        except UnicodeEncodeError as cause:
            raise IllegalArgumentError("a name holds a lone surrogate, which is no text") from cause
        except (SQLAlchemyError, OSError) as cause:
            raise self._error(cause) from cause

    def _error(self, cause: Exception) -> NeuroError:
        reason = cause.orig if isinstance(cause, DBAPIError) and cause.orig else cause
        if self._url.get_backend_name() == "sqlite":
            return sqlite.registry_error(reason, sqlite.registry_path(self._url))
        lost = isinstance(cause, OSError) or getattr(cause, "connection_invalidated", False)
        kind = StorageUnavailable if lost else StorageError
        return kind(f"the registry {self._shown()!r} failed: {reason}")

    def _shown(self) -> str:
        if self._url.get_backend_name() == "sqlite":
            return os.fspath(sqlite.registry_path(self._url))
        return self._url.render_as_string(hide_password=True)

    def _place(self, row: Any) -> Place:
        return place_of(row, self._cluster_name)


def _engine(database_url: URL | str) -> tuple[URL, AsyncEngine]:
    try:
        url = make_url(database_url)
        if url.get_backend_name() == "sqlite":
            return url, sqlite.open_engine(url)
        return url, create_async_engine(url, hide_parameters=True, pool_pre_ping=True)
    except (SQLAlchemyError, ImportError, ValueError) as cause:
        # The URL is not shown: a wrong one may hold its password anywhere.
        raise ConfigError(
            "the database URL of the registry cannot be used; write "
            "sqlite+aiosqlite:///PATH, or the URL of a database whose asyncio driver is installed"
        ) from cause


async def _version(session: AsyncSession) -> int | None:
    """The version of the tables, None where there are none yet."""
    connection = await session.connection()
    if not await connection.run_sync(lambda it: inspect(it).has_table(SchemaRow.__tablename__)):
        return None
    return await session.scalar(select(func.max(SchemaRow.version)))


def _within(org: str | None, project: str) -> ColumnElement[bool]:
    return and_(BucketRow.org_name == (org or ""), BucketRow.project_name == project)


def _taken(bucket: Bucket) -> NameTaken:
    return NameTaken("there is a bucket of this name in this org and project", bucket=bucket.name)


def _check_text(id_or_name: str) -> None:
    # None would find what has no name.
    if not isinstance(id_or_name, str):
        raise TypeError(f"an id or a name is a str, not {type(id_or_name).__name__}")


async def _known(
    session: AsyncSession, bucket_id: str, *, lock: Literal["shared", "exclusive"] | None = None
) -> BucketRow:
    wanted = None if lock is None else {"read": lock == "shared"}
    row = await session.get(BucketRow, bucket_id, with_for_update=wanted)
    if row is None:
        raise _unknown(bucket_id)
    return row


def _unknown(bucket_id: str) -> BucketNotFound:
    return BucketNotFound("there is no such bucket", bucket=bucket_id)


async def _own(session: AsyncSession, owner: str, id_or_name: str) -> CredentialsRow:
    _check_text(id_or_name)
    named = or_(CredentialsRow.id == id_or_name, CredentialsRow.name == id_or_name)
    row = await session.scalar(select(CredentialsRow).where(CredentialsRow.owner == owner, named))
    if row is None:
        raise BucketNotFound(f"there are no persistent credentials {id_or_name!r}")
    return row
