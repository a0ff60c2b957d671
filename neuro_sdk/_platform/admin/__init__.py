"""What a platform does at a provider on behalf of its buckets; one module per kind of store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from yarl import URL

from ..._core.models import Bucket

__all__ = ["BucketAdmin", "ImportAdmin", "Place"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A bucket and where its blobs lie.

    ``name`` is the provider's own name of the bucket. ``credentials`` are those of an imported
    bucket; None where the admin's own rights count.
    """

    bucket: Bucket
    name: str
    credentials: Mapping[str, str] | None = field(default=None, repr=False)


class ImportAdmin(Protocol):
    """What is done for the imported buckets of one kind of store, by their own credentials."""

    async def check_import(self, place: Place) -> None:
        """Raise IllegalArgumentError, naming the field, if the credentials cannot be right."""

    async def set_public(self, place: Place, public: bool) -> None:
        """Let anybody read the blobs, or stop it."""

    async def sign_url(self, place: Place, key: str, expires_in: int) -> URL:
        """A URL that anybody can GET for *expires_in* seconds."""


class BucketAdmin(Protocol):
    """The administration of a store with the rights of the platform.

    A role is a lasting identity at the store; its name is unique and given by the platform.
    """

    async def create(self, bucket: Bucket) -> str:
        """Make an empty bucket at the provider; the answer is the provider's name for it."""

    async def delete(self, place: Place, *, force: bool) -> None:
        """Take the bucket away at once; a missing one counts as success.

        Raises BucketNotEmpty while blobs remain, unless *force*; then all of them stay.
        """

    async def purge(self, place: Place) -> None:
        """Free what ``delete`` put aside; called once the bucket is forgotten."""

    async def credentials(self, place: Place, *, read_only: bool) -> Mapping[str, str]:
        """What opens the bucket for a while."""

    async def set_public(self, place: Place, public: bool) -> None:
        """Let anybody read the blobs, or stop it."""

    async def sign_url(self, place: Place, key: str, expires_in: int) -> URL:
        """A URL that anybody can GET for *expires_in* seconds."""

    async def create_role(
        self, role: str, places: Sequence[Place], *, read_only: bool
    ) -> Mapping[str, Mapping[str, str]]:
        """Make a role that opens these buckets; the answer holds credentials by bucket id."""

    async def narrow_role(self, role: str, places: Sequence[Place], *, read_only: bool) -> None:
        """Leave the role no rights but those on *places*."""

    async def delete_role(self, role: str, places: Sequence[Place] = ()) -> None:
        """Remove the role; its credentials stop working. A missing one counts as success.

        *places* are the buckets that it opens and that are there still.
        """

    async def close(self) -> None:
        """Let go of connections."""
