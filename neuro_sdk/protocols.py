"""The two contracts that engines meet: one bucket's bytes, and which buckets exist.

``tests/contracts`` holds the suite that every implementation passes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from yarl import URL

from ._core.keys import KeyRules
from ._core.models import (
    BlobObject,
    Bucket,
    BucketCredentials,
    BucketEntry,
    PersistentBucketCredentials,
)
from ._core.parts import PartLimits
from ._core.uri import Scope

if TYPE_CHECKING:
    from ._core.described import Capability, Metadata, PresignedRequest

__all__ = [
    "ControlPlane",
    "Direct",
    "Likely",
    "Multipart",
    "OpenProvider",
    "Provider",
    "Reading",
    "Service",
]


class Multipart(Protocol):
    """A store that takes a large blob in parts, which nobody sees before all are there.

    An upload is a text that the store gives out; it says nothing about who goes on with it, so
    that other credentials of the same bucket may.
    """

    @property
    def limits(self) -> PartLimits: ...

    async def begin(self, key: str) -> str:
        """Start an upload."""

    async def put_part(self, key: str, upload: str, number: int, body: Sequence[bytes]) -> str:
        """Send the part *number*, from 1 on; the answer is the tag that ``finish`` wants.

        A part sent again replaces the one before. ConflictError if the store knows no such
        upload.
        """

    def holds(self, tag: str, body: Sequence[bytes]) -> bool:
        """True if *tag* is that of a part with this *body*, as far as its checksum tells."""

    async def present(self, key: str, upload: str, tags: Mapping[int, str]) -> Mapping[int, str]:
        """Those of *tags* whose parts are there; ConflictError if there is no such upload."""

    async def finish(self, key: str, upload: str, tags: Mapping[int, str]) -> None:
        """Make the parts the blob, in the order of their numbers; an older one is replaced."""

    async def abort(self, key: str, upload: str) -> None:
        """Forget the parts; no such upload is no error."""


class Reading(Protocol):
    """Part of a blob on its way into memory of the caller."""

    def run(self, into: memoryview) -> None:
        """Fill *into*, which is as long as the part, in a thread; StorageError."""

    def cut(self) -> None:
        """Have ``run`` fail at once, from any thread."""


class Direct(Protocol):
    """Small blobs, and parts of large ones, by calls that block, for threads: they cost less so.

    Each call is one attempt and ends within seconds, so that whoever is cancelled can wait for
    it. What fails is done again by the ``Provider``, which repeats, renews and explains.
    """

    def put(self, key: str, body: bytes) -> None:
        """As ``Provider.put``."""

    def fetch(self, known: BlobObject) -> bytes:
        """All of the blob; BlobChanged if it is of another version."""

    def begin(self, key: str, told: Callable[[BlobObject], None]) -> Reading | None:
        """What reads the beginning of a blob that nobody has looked at; None as for ``read``.

        *told* hears what the blob is, in the thread, before its bytes come. They fill the memory
        or are all there are.
        """

    def read(self, known: BlobObject, offset: int, length: int) -> Reading | None:
        """What reads the part of the blob; None where the store is not read so.

        It may take longer than seconds, and be cut.
        """


Likely = Callable[[int], AsyncGenerator[str, None]]
"""Keys that are probably there, in their order and about so many others apart."""


class Provider(Protocol):
    """The bytes of one bucket.

    Keys have passed ``check_key`` with ``rules`` before they come here. Every method raises
    errors of ``neuro_sdk.errors`` only, with bucket and key.
    """

    @property
    def bucket(self) -> Bucket: ...

    @property
    def rules(self) -> KeyRules:
        """What this store adds to the common rules for keys."""

    @property
    def grain(self) -> timedelta:
        """How far the store rounds the times of blobs down."""

    @property
    def multipart(self) -> Multipart | None:
        """Uploads in parts, where the store has them."""

    @property
    def direct(self) -> Direct | None:
        """What threads may use just now, where there is such a thing; ask anew for each blob."""

    async def head(self, key: str) -> BlobObject:
        """The blob or directory marker at exactly *key*; BlobNotFound if there is none."""

    async def put(self, key: str, body: bytes | AsyncIterator[bytes]) -> None:
        """Create or replace the blob: it appears whole or, on any failure, not at all.

        A key that ends in ``/`` is a directory marker and takes the body ``b""`` only.
        """

    def fetch(
        self,
        key: str,
        offset: int = 0,
        length: int | None = None,
        *,
        known: BlobObject | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """The bytes from *offset* on, *length* at most, all of one version of the blob.

        An *offset* at or past the end gives nothing. *known* is the blob as a listing or
        ``head`` gave it: it saves the look, and a blob of another version raises BlobChanged.
        """

    async def fetch_small(self, key: str) -> bytes | None:
        """All of a blob that nobody has looked at, with one request, where it is small.

        BlobNotFound is the last word of the store. After None, for whatever reason, ``fetch``
        does it.
        """

    def pages(
        self,
        prefix: str = "",
        *,
        recursive: bool = False,
        most: int | None = None,
        likely: Likely | None = None,
    ) -> AsyncGenerator[Sequence[BucketEntry], None]:
        """The entries whose keys begin with the text *prefix*, some at a time, never none.

        With *most* only the first so many are wanted: where a page holds them the store is asked
        for no others, but they may come. With *likely* a store that lists from any key on may be
        asked for several pages at once; what is listed does not depend on it.

        Recursive: every blob and directory marker, in the order of their keys in UTF-8 or in
        that of their paths part by part; either way all of a directory comes in one run.
        Otherwise: the blobs up to the next ``/`` after the prefix, and one BlobCommonPrefix
        for all that lie below each such ``/``. Keys that cannot be addressed are listed too.
        """

    async def delete(self, key: str) -> None:
        """Remove the blob or marker at exactly *key*; nothing happens if there is none."""

    async def delete_many(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        """Remove up to 1,000 blobs; the answer names those that could not be, and why."""

    async def copy(self, source: str, target: str) -> None:
        """Copy a blob within the bucket, whole or not at all."""

    async def close(self) -> None:
        """Let go of what is held; nothing that was acknowledged depends on it."""


class Service(Protocol):
    """What a session needs of a place beside its ``Provider``."""

    async def capability(self) -> Capability:
        """What the place can do."""

    async def details(self, key: str) -> Metadata:
        """All that the store tells of the blob at exactly *key*; BlobNotFound."""

    async def presign(self, operation: str, key: str, expires_in: int) -> PresignedRequest:
        """Sign a request to ``stat``, ``read`` or ``write``, good for *expires_in* seconds.

        NotSupportedError where the store signs none.
        """


class ControlPlane(Protocol):
    """Which buckets exist, whose they are, and what opens them."""

    def list_buckets(self, scope: Scope) -> AsyncGenerator[Bucket, None]:
        """The buckets of the org and project that the caller may read."""

    async def create_bucket(self, name: str | None, scope: Scope) -> Bucket:
        """Make a bucket; NameTaken if the name is in use in this org and project."""

    async def import_bucket(
        self,
        name: str | None,
        scope: Scope,
        *,
        provider: Bucket.Provider,
        provider_bucket_name: str,
        credentials: Mapping[str, str],
    ) -> Bucket:
        """Record a bucket that exists at the provider; its blobs are never removed by us."""

    async def get_bucket(self, id_or_name: str, scope: Scope) -> Bucket:
        """By id anywhere in the cluster, else by name in the scope; BucketNotFound if neither."""

    async def delete_bucket(self, bucket: Bucket, *, force: bool = False) -> None:
        """Remove the bucket; BucketNotEmpty while blobs remain, unless *force*.

        Persistent credentials that name it are narrowed, or removed with their last bucket.
        The blobs of an imported bucket stay.
        """

    async def set_public(self, bucket: Bucket, public: bool) -> Bucket:
        """Let anybody read the blobs, or stop it."""

    async def bucket_credentials(self, bucket: Bucket) -> BucketCredentials:
        """What opens the bucket for this caller now."""

    async def sign_url(self, bucket: Bucket, key: str, expires_in: int) -> URL:
        """A URL that anybody can GET for *expires_in* seconds; the key need not exist."""

    def list_credentials(
        self, cluster_name: str
    ) -> AsyncGenerator[PersistentBucketCredentials, None]:
        """The caller's own persistent credentials."""

    async def create_credentials(
        self, name: str | None, bucket_ids: Sequence[str], *, read_only: bool, cluster_name: str
    ) -> PersistentBucketCredentials:
        """Make long-lived credentials for these buckets, none of them imported."""

    async def get_credentials(
        self, id_or_name: str, cluster_name: str
    ) -> PersistentBucketCredentials:
        """By id or name; BucketNotFound if neither."""

    async def delete_credentials(self, id_or_name: str, cluster_name: str) -> None:
        """Remove them; at the provider they stop working at once."""

    async def close(self) -> None:
        """Let go of connections and servers."""


OpenProvider = Callable[[Bucket, BucketCredentials], Provider]
"""Turns a bucket and its credentials into its bytes; does no I/O."""
