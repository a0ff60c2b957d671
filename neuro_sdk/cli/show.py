"""What commands write to the standard output: text that no terminal obeys, and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

import neuro_sdk

__all__ = [
    "bucket_fields",
    "credentials_fields",
    "echo_fields",
    "echo_json",
    "entry_fields",
    "lines_of",
    "moment",
    "persistent_fields",
    "row",
    "shown",
]


def shown(text: str) -> str:
    """*text* on one line, without anything that a terminal would obey."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def lines_of(text: str) -> str:
    """*text* as ``shown``, but with its line breaks."""
    return "\n".join(map(shown, text.split("\n")))


def echo_json(value: Mapping[str, Any]) -> None:
    """Write one object on one line, in ASCII; moments are in ISO 8601."""
    click.echo(json.dumps(value, default=datetime.isoformat))


def row(*columns: object) -> None:
    """Write one line of a list."""
    click.echo("  ".join(shown(str(column)) for column in columns).rstrip())


def echo_fields(fields: Mapping[str, Any]) -> None:
    """Write a value for people, one line a field; what is None is left out."""
    given = {name: value for name, value in fields.items() if value is not None}
    width = max(map(len, given), default=0)
    for name, value in given.items():
        text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
        click.echo(f"{name:{width}}  {shown(text)}")


def moment(when: datetime | None) -> str:
    """A time for a column of 19 characters."""
    return f"{when:%Y-%m-%d %H:%M:%S}" if when is not None else " " * 19


def bucket_fields(bucket: neuro_sdk.Bucket) -> dict[str, Any]:
    """A bucket as ``--json`` shows it."""
    return {
        "id": bucket.id,
        "name": bucket.name,
        "uri": str(bucket.uri),
        "provider": bucket.provider.value,
        "owner": bucket.owner,
        "created_at": bucket.created_at,
        "cluster": bucket.cluster_name,
        "org": bucket.org_name,
        "project": bucket.project_name,
        "imported": bucket.imported,
        "public": bucket.public,
    }


def entry_fields(entry: neuro_sdk.BucketEntry) -> dict[str, Any]:
    """A blob or directory as ``--json`` shows it."""
    return {
        "type": "dir" if entry.is_dir() else "blob",
        "key": entry.key,
        "uri": str(entry.uri),
        "size": entry.size,
        "created_at": entry.created_at,
        "modified_at": entry.modified_at,
        "etag": entry.etag,
    }


def credentials_fields(credentials: neuro_sdk.BucketCredentials) -> dict[str, Any]:
    """What opens one bucket, secrets included: that is what was asked for."""
    return {
        "bucket_id": credentials.bucket_id,
        "provider": credentials.provider.value,
        "read_only": credentials.read_only,
        "credentials": dict(credentials.credentials),
    }


def persistent_fields(
    found: neuro_sdk.PersistentBucketCredentials, *, secrets: bool
) -> dict[str, Any]:
    """Persistent credentials as ``--json`` shows them."""
    fields: dict[str, Any] = {
        "id": found.id,
        "name": found.name,
        "owner": found.owner,
        "read_only": found.read_only,
        "cluster": found.cluster_name,
        "bucket_ids": [each.bucket_id for each in found.credentials],
    }
    if secrets:
        fields["credentials"] = [credentials_fields(each) for each in found.credentials]
    return fields
