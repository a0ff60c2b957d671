"""The read-only values of the public API: buckets, entries, credentials, usage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from yarl import URL

from .show import bytes_text, html_table, time_text
from .uri import BlobURI

__all__ = [
    "BlobCommonPrefix",
    "BlobObject",
    "Bucket",
    "BucketCredentials",
    "BucketEntry",
    "BucketUsage",
    "Listing",
    "PersistentBucketCredentials",
    "blob_objects",
]

T = TypeVar("T")


class Listing(list[T]):
    """A list that a notebook shows as a table; made by :meth:`AsyncStream.collect`."""

    def _repr_html_(self) -> str:
        count = f"{len(self)} {'entry' if len(self) == 1 else 'entries'}"
        if all(isinstance(item, Bucket) for item in self):
            rows = [item._row() for item in self if isinstance(item, Bucket)]
            return html_table(count, _BUCKET_HEAD, rows)
        if all(isinstance(item, BucketEntry) for item in self):
            entries = [item for item in self if isinstance(item, BucketEntry)]
            size = bytes_text(sum(entry.size for entry in entries))
            return html_table(f"{count}, {size}", _ENTRY_HEAD, [entry._row() for entry in entries])
        return html_table(count, ("value",), [(repr(item),) for item in self])


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A bucket as the platform describes it."""

    class Provider(StrEnum):
        """Which kind of store holds the blobs of a bucket.

        A value that this version does not know becomes a member with ``known`` False: such
        a bucket lists and shows, and refuses data operations by name.
        """

        AWS = "aws"
        MINIO = "minio"
        AZURE = "azure"
        GCP = "gcp"
        OPEN_STACK = "open_stack"
        SEAWEEDFS = "seaweedfs"
        LOCAL = "local"

        @classmethod
        def _missing_(cls, value: object) -> Bucket.Provider | None:
            if not isinstance(value, str) or not value:
                return None
            member = str.__new__(cls, value)
            member._name_ = value.upper()
            member._value_ = value
            return member

        @property
        def known(self) -> bool:
            """True where this version can open such a bucket."""
            return self in type(self).__members__.values()

    id: str
    """Unique id, ``bucket-`` and a UUID."""
    owner: str
    """Name of the user who made it."""
    name: str | None
    """Name within org and project, or None."""
    provider: Bucket.Provider
    created_at: datetime
    """When the bucket was made or imported, with time zone."""
    cluster_name: str
    org_name: str | None = None
    project_name: str | None = None
    imported: bool = False
    """True if the blobs belong to an account of the user's, not of the platform's."""
    public: bool = False
    """True if anybody may read the blobs."""

    @property
    def uri(self) -> URL:
        """``blob://cluster/[org/]project/name``, with the id where there is no name."""
        return self.blob_url("")

    def blob_url(self, key: str) -> URL:
        """The URI of the blob *key* of this bucket, percent-encoded."""
        return BlobURI(
            cluster_name=self.cluster_name,
            org_name=self.org_name,
            project_name=self.project_name or self.owner,
            bucket=self.name or self.id,
            key=key,
        ).to_url()

    def _row(self) -> tuple[str, ...]:
        kind = ", ".join(name for name in ("public", "imported") if getattr(self, name))
        owner = self.project_name or self.owner
        return (self.name or self.id, owner, self.provider, time_text(self.created_at), kind)

    def _repr_html_(self) -> str:
        return html_table(str(self.uri), _BUCKET_HEAD, [self._row()])


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketEntry:
    """One line of a listing: a :class:`BlobObject` or a :class:`BlobCommonPrefix`."""

    key: str
    bucket: Bucket = field(repr=False)
    size: int = 0
    """Bytes; 0 for a directory."""
    created_at: datetime | None = None
    modified_at: datetime | None = None
    etag: str | None = None
    """Tag of this version of the blob, as the store gives it; None where it has none."""

    @property
    def uri(self) -> URL:
        """``blob://cluster/[org/]project/bucket/key``, percent-encoded."""
        return self.bucket.blob_url(self.key)

    @property
    def name(self) -> str:
        """Last part of the key: ``c`` of ``a/b/c``, ``b`` of ``a/b/``."""
        return self.key.rstrip("/").rpartition("/")[2]

    def is_dir(self) -> bool:
        """True for a common prefix and for a directory marker, a blob whose key ends in ``/``."""
        return self.key.endswith("/") or self.key == ""

    def is_file(self) -> bool:
        """True for a blob with data."""
        return not self.is_dir()

    def _row(self) -> tuple[str, ...]:
        size = "" if self.is_dir() else bytes_text(self.size)
        return (self.key, size, time_text(self.modified_at))

    def _repr_html_(self) -> str:
        return html_table(str(self.uri), _ENTRY_HEAD, [self._row()])


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobObject(BucketEntry):
    """A key that is present in the store."""


def _setters(kind: type) -> list[Callable[[object, Any], None]]:
    return [getattr(kind, field.name).__set__ for field in fields(kind)]


_new = object.__new__
_set_key, _set_bucket, _set_size, _set_created, _set_modified, _set_etag = _setters(BlobObject)


def blob_objects(
    bucket: Bucket,
    rows: Iterable[tuple[str, int, datetime | None, str | None, datetime | None]],
) -> list[BlobObject]:
    """Blobs of key, size, time of change, tag and time of creation.

    In a quarter of the time that the constructor takes; listings make a great many. Directory
    markers have no size.
    """
    blobs = []
    for key, size, modified_at, etag, created_at in rows:
        blob = _new(BlobObject)
        _set_key(blob, key)
        _set_bucket(blob, bucket)
        _set_size(blob, 0 if key[-1:] == "/" else size)
        _set_created(blob, created_at)
        _set_modified(blob, modified_at)
        _set_etag(blob, etag)
        blobs.append(blob)
    return blobs


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobCommonPrefix(BucketEntry):
    """What a non-recursive listing shows for all keys below ``key``, which ends in ``/``."""

    def is_dir(self) -> bool:
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketCredentials:
    """What opens one bucket at its provider. ``credentials`` is not part of the repr."""

    bucket_id: str
    provider: Bucket.Provider
    credentials: Mapping[str, str] = field(repr=False)
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistentBucketCredentials:
    """Long-lived credentials for a set of buckets."""

    id: str
    owner: str
    name: str | None
    read_only: bool
    cluster_name: str
    credentials: list[BucketCredentials]


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketUsage:
    """Space used by the blobs counted so far."""

    total_bytes: int
    object_count: int

    def _repr_html_(self) -> str:
        row = (self.object_count, bytes_text(self.total_bytes))
        return html_table("usage", ("blobs", "bytes"), [row])


_BUCKET_HEAD = ("bucket", "project", "provider", "created", "kind")
_ENTRY_HEAD = ("key", "bytes", "modified")
