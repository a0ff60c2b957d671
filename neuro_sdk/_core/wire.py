"""Buckets and credentials as the platform's HTTP protocol writes them, both ways.

Reading is lenient: an unknown provider is kept as it is, and what older and newer servers leave
out or set to null has a default. Only what a value cannot do without must be there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ..errors import PlatformError
from .models import Bucket, BucketCredentials, PersistentBucketCredentials

__all__ = [
    "bucket_json",
    "credentials_json",
    "persistent_json",
    "read_bucket",
    "read_credentials",
    "read_persistent",
]

_LONG_AGO = datetime.fromtimestamp(0, UTC)


def bucket_json(bucket: Bucket) -> dict[str, Any]:
    """The Bucket object of the protocol."""
    return {
        "id": bucket.id,
        "name": bucket.name,
        "owner": bucket.owner,
        "org_name": bucket.org_name,
        "project_name": bucket.project_name,
        "provider": bucket.provider.value,
        "created_at": bucket.created_at.isoformat(),
        "imported": bucket.imported,
        "public": bucket.public,
    }


def read_bucket(data: object, cluster_name: str) -> Bucket:
    """The bucket that *data* describes; the cluster is the one that was asked."""
    fields = _object(data, "bucket")
    return Bucket(
        id=_text(fields, "id"),
        owner=_optional(fields, "owner") or "",
        name=_optional(fields, "name"),
        provider=Bucket.Provider(_text(fields, "provider")),
        created_at=_moment(fields, "created_at"),
        cluster_name=cluster_name,
        org_name=_optional(fields, "org_name"),
        project_name=_optional(fields, "project_name"),
        imported=fields.get("imported") is True,
        public=fields.get("public") is True,
    )


def credentials_json(credentials: BucketCredentials) -> dict[str, Any]:
    """The answer to ``make_tmp_credentials``."""
    return {
        "bucket_id": credentials.bucket_id,
        "provider": credentials.provider.value,
        "read_only": credentials.read_only,
        "credentials": dict(credentials.credentials),
    }


def read_credentials(data: object) -> BucketCredentials:
    """What opens one bucket; values that are no text become text, empty ones are left out."""
    fields = _object(data, "credentials")
    opened = _object(fields.get("credentials"), "credentials")
    return BucketCredentials(
        bucket_id=_text(fields, "bucket_id"),
        provider=Bucket.Provider(_text(fields, "provider")),
        credentials={
            name: value if isinstance(value, str) else str(value)
            for name, value in opened.items()
            if value is not None
        },
        read_only=fields.get("read_only") is True,
    )


def persistent_json(credentials: PersistentBucketCredentials) -> dict[str, Any]:
    """The object of ``persistent_credentials``."""
    return {
        "id": credentials.id,
        "name": credentials.name,
        "owner": credentials.owner,
        "read_only": credentials.read_only,
        "credentials": [credentials_json(one) for one in credentials.credentials],
    }


def read_persistent(data: object, cluster_name: str) -> PersistentBucketCredentials:
    """Persistent credentials of the cluster that was asked."""
    fields = _object(data, "persistent credentials")
    entries = fields.get("credentials") or []
    if not isinstance(entries, list):
        raise _wrong("persistent credentials", "credentials")
    return PersistentBucketCredentials(
        id=_text(fields, "id"),
        owner=_optional(fields, "owner") or "",
        name=_optional(fields, "name"),
        read_only=fields.get("read_only") is True,
        cluster_name=cluster_name,
        credentials=[read_credentials(entry) for entry in entries],
    )


def _object(data: object, what: str) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        raise PlatformError(f"the platform answered with something else than a {what} object")
    return data


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise _wrong("object", name)
    return value


def _optional(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise _wrong("object", name)
    return value


def _moment(fields: Mapping[str, Any], name: str) -> datetime:
    text = _optional(fields, name)
    if text is None:
        return _LONG_AGO
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _wrong("object", name) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _wrong(what: str, field: str) -> PlatformError:
    # The value is not shown: it may be a secret in the wrong place.
    return PlatformError(f"the field {field!r} of the {what} in the platform's answer is wrong")
