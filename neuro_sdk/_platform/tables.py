"""The tables of the registry, and the values that their rows stand for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, ForeignKey, Text, TypeDecorator, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from .._core.models import Bucket, BucketCredentials, PersistentBucketCredentials
from .._core.secret import Hidden
from .admin import Place

__all__ = [
    "SCHEMA_VERSION",
    "BucketRow",
    "CredentialsRow",
    "GrantRow",
    "RoleRow",
    "SchemaRow",
    "Tables",
    "TokenRow",
    "place_of",
]

SCHEMA_VERSION = 2
"""2: the tables ``tokens`` and ``roles``; what older versions know is as it was."""


class _Secrets(TypeDecorator[Mapping[str, str]]):
    """A mapping of text to text, kept as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, str] | None, _dialect: Dialect) -> str | None:
        return None if value is None else Hidden(json.dumps(dict(value)))

    def process_result_value(self, value: Any, _dialect: Dialect) -> dict[str, str] | None:
        return None if value is None else json.loads(value)


class _UTC(TypeDecorator[datetime]):
    """A time with zone, which not every database keeps."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Tables(DeclarativeBase):
    """Every table of the registry."""

    type_annotation_map = {str: Text, datetime: _UTC, Mapping[str, str]: _Secrets}  # noqa: RUF012


class SchemaRow(Tables):
    """The one row says which version of these tables the registry has."""

    __tablename__ = "registry_schema"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class BucketRow(Tables):
    """A bucket; ``org_name`` is empty where there is none, so that names stay unique there too."""

    __tablename__ = "buckets"
    __table_args__ = (UniqueConstraint("org_name", "project_name", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    owner: Mapped[str]
    org_name: Mapped[str]
    project_name: Mapped[str]
    provider: Mapped[str]
    provider_bucket_name: Mapped[str]
    created_at: Mapped[datetime]
    imported: Mapped[bool]
    public: Mapped[bool]
    credentials: Mapped[Mapping[str, str] | None] = mapped_column(_Secrets)

    @classmethod
    def of(cls, place: Place) -> BucketRow:
        bucket = place.bucket
        return cls(
            id=bucket.id,
            name=bucket.name,
            owner=bucket.owner,
            org_name=bucket.org_name or "",
            project_name=bucket.project_name,
            provider=str(bucket.provider),
            provider_bucket_name=place.name,
            created_at=bucket.created_at,
            imported=bucket.imported,
            public=bucket.public,
            credentials=place.credentials,
        )


def place_of(row: Any, cluster_name: str) -> Place:
    """What a ``BucketRow`` stands for, or all columns of one."""
    bucket = Bucket(
        id=row.id,
        owner=row.owner,
        name=row.name,
        provider=Bucket.Provider(row.provider),
        created_at=row.created_at,
        cluster_name=cluster_name,
        org_name=row.org_name or None,
        project_name=row.project_name,
        imported=row.imported,
        public=row.public,
    )
    return Place(bucket=bucket, name=row.provider_bucket_name, credentials=row.credentials)


class CredentialsRow(Tables):
    """Persistent credentials of a user."""

    __tablename__ = "credentials"
    __table_args__ = (UniqueConstraint("owner", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    name: Mapped[str | None]
    read_only: Mapped[bool]
    created_at: Mapped[datetime]
    grants: Mapped[list[GrantRow]] = relationship(lazy="selectin", order_by="GrantRow.position")

    def value(self, cluster_name: str) -> PersistentBucketCredentials:
        return PersistentBucketCredentials(
            id=self.id,
            owner=self.owner,
            name=self.name,
            read_only=self.read_only,
            cluster_name=cluster_name,
            credentials=[
                BucketCredentials(
                    bucket_id=grant.bucket_id,
                    provider=Bucket.Provider(grant.bucket.provider),
                    credentials=grant.credentials,
                    read_only=self.read_only,
                )
                for grant in self.grants
            ],
        )


class GrantRow(Tables):
    """What opens one bucket with persistent credentials."""

    __tablename__ = "grants"

    credentials_id: Mapped[str] = mapped_column(ForeignKey("credentials.id"), primary_key=True)
    bucket_id: Mapped[str] = mapped_column(ForeignKey("buckets.id"), primary_key=True, index=True)
    position: Mapped[int]
    credentials: Mapped[Mapping[str, str]] = mapped_column(_Secrets)
    bucket: Mapped[BucketRow] = relationship(lazy="joined", innerjoin=True)


class TokenRow(Tables):
    """A token of a user; of the token itself only its SHA-256 is kept."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(primary_key=True)
    user_name: Mapped[str] = mapped_column(index=True)
    sha256: Mapped[str] = mapped_column(unique=True)
    note: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None] = mapped_column(_UTC)


class RoleRow(Tables):
    """The role of a user in a project; ``*`` as org and project means every project."""

    __tablename__ = "roles"

    user_name: Mapped[str] = mapped_column(primary_key=True)
    org_name: Mapped[str] = mapped_column(primary_key=True)
    project_name: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str]
