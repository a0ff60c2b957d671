"""Leases: renewed in time, once for all, and once more when the store says so."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from neuro_sdk import (
    AuthenticationError,
    AuthorizationError,
    BlobNotFound,
    Bucket,
    BucketCredentials,
    ConfigError,
    StorageError,
)
from neuro_sdk._aio import each, sized
from neuro_sdk._core.expiry import expiry_of, renewal_time
from neuro_sdk._core.models import BlobObject, BucketEntry
from neuro_sdk._providers.lease import LeasedProvider
from neuro_sdk._providers.local import LocalProvider
from neuro_sdk.protocols import Likely

BUCKET = Bucket(
    id=f"bucket-{uuid.uuid4()}",
    owner="ann",
    name="lent",
    provider=Bucket.Provider.LOCAL,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    cluster_name="local",
)


class Guarded(LocalProvider):
    """A real local bucket that refuses credentials as a store does: by asking ``refuse``."""

    def __init__(self, root: Path, refuse: Callable[[str], Exception | None]) -> None:
        super().__init__(BUCKET, str(root))
        self._refuse = refuse

    def _admit(self, what: str) -> None:
        error = self._refuse(what)
        if error is not None:
            raise error

    async def head(self, key: str) -> BlobObject:
        self._admit("head")
        return await super().head(key)

    async def put(self, key: str, body: bytes | AsyncIterator[bytes]) -> None:
        self._admit("put")
        await super().put(key, body)

    async def pages(
        self,
        prefix: str = "",
        *,
        recursive: bool = False,
        most: int | None = None,
        likely: Likely | None = None,
    ) -> AsyncGenerator[Sequence[BucketEntry], None]:
        listing = super().pages(prefix, recursive=recursive, most=most, likely=likely)
        async for page in sized(listing, 3):
            self._admit("list")
            yield page


class Issuer:
    """Hands out credentials that live *life* seconds on a clock of its own."""

    def __init__(self, root: Path, life: float | None) -> None:
        self.now = 1_800_000_000.0
        self.issued = 0
        self.revoked = 0
        self.delay = 0.0
        self.error: Callable[[str], Exception] = lambda what: AuthenticationError(f"no {what}")
        self._root = root
        self._life = life

    async def credentials(self) -> BucketCredentials:
        await asyncio.sleep(self.delay)
        self.issued += 1
        raw = {"root": str(self._root), "serial": str(self.issued)}
        if self._life is not None:
            raw["expiration"] = datetime.fromtimestamp(self.now + self._life, UTC).isoformat()
        return BucketCredentials(bucket_id=BUCKET.id, provider=BUCKET.provider, credentials=raw)

    def open(self, bucket: Bucket, credentials: BucketCredentials) -> Guarded:
        serial = int(credentials.credentials["serial"])

        def refuse(what: str) -> Exception | None:
            return self.error(what) if serial <= self.revoked else None

        return Guarded(self._root, refuse)

    def lease(self) -> LeasedProvider:
        return LeasedProvider(BUCKET, self.credentials, self.open, clock=lambda: self.now)


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path, 3600)


async def test_one_credential_serves_until_it_is_time(issuer: Issuer) -> None:
    lease = issuer.lease()
    await lease.put("a", b"1")
    issuer.now += 2900
    await lease.head("a")
    assert issuer.issued == 1
    issuer.now += 200  # less than ten minutes are left
    await lease.head("a")
    await lease.head("a")
    assert issuer.issued == 2


async def test_lasting_credentials_are_asked_for_once(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path, None)
    lease = issuer.lease()
    await lease.put("a", b"1")
    issuer.now += 10**9
    await lease.head("a")
    assert issuer.issued == 1


async def test_concurrent_callers_share_one_renewal(issuer: Issuer) -> None:
    lease = await issuer.lease().open()
    await lease.put("a", b"1")
    issuer.now += 3500
    issuer.delay = 0.05
    await asyncio.gather(*(lease.head("a") for _ in range(50)))
    assert issuer.issued == 2


async def test_concurrent_first_callers_share_one_request(issuer: Issuer) -> None:
    issuer.delay = 0.05
    lease = issuer.lease()
    await asyncio.gather(*(lease.put(f"k{n}", b"1") for n in range(20)))
    assert issuer.issued == 1


async def test_expired_by_the_word_of_the_store_is_renewed_once(issuer: Issuer) -> None:
    lease = issuer.lease()
    await lease.put("a", b"1")
    issuer.revoked = 1
    await asyncio.gather(*(lease.head("a") for _ in range(20)))
    assert issuer.issued == 2
    await lease.put("b", b"2")
    assert issuer.issued == 2


async def test_a_refusal_that_stays_is_raised_after_one_renewal(issuer: Issuer) -> None:
    lease = await issuer.lease().open()
    issuer.revoked = 10**9
    with pytest.raises(AuthenticationError):
        await lease.head("a")
    assert issuer.issued == 2


async def test_refusal_without_a_reason_renews_old_credentials_only(issuer: Issuer) -> None:
    lease = await issuer.lease().open()
    await lease.put("a", b"1")
    issuer.error = lambda what: AuthorizationError(f"no {what}")
    issuer.revoked = 1
    with pytest.raises(AuthorizationError):
        await lease.head("a")
    assert issuer.issued == 1
    issuer.now += 60
    await lease.head("a")
    assert issuer.issued == 2


async def test_other_errors_do_not_renew(issuer: Issuer) -> None:
    lease = await issuer.lease().open()
    with pytest.raises(BlobNotFound):
        await lease.head("missing")
    assert issuer.issued == 1


async def test_listing_goes_on_where_the_credentials_ended(issuer: Issuer) -> None:
    lease = await issuer.lease().open()
    keys = [f"k{n:02}" for n in range(10)]
    for key in keys:
        await lease.put(key, b"")
    seen = []
    async for entry in each(lease.pages(recursive=True)):
        seen.append(entry.key)
        if len(seen) == 4:
            issuer.revoked = 1
    assert seen == keys
    assert issuer.issued == 2


async def test_listing_whose_place_is_gone_says_so(issuer: Issuer) -> None:
    lease = await issuer.lease().open()
    for n in range(10):
        await lease.put(f"k{n:02}", b"")

    async def list_and_remove() -> None:
        async for entry in each(lease.pages(recursive=True)):
            if entry.key == "k05":
                await lease.delete("k05")
                issuer.revoked = 1

    with pytest.raises(StorageError, match="list again"):
        await list_and_remove()
    assert issuer.issued == 2


async def test_listing_that_is_always_refused_ends(issuer: Issuer) -> None:
    lease = await issuer.lease().open()
    await lease.put("a", b"")
    issuer.revoked = 10**9
    with pytest.raises(AuthenticationError):
        _ = [page async for page in lease.pages()]
    assert issuer.issued == 2


async def test_reading_goes_on_with_the_version_it_began(issuer: Issuer) -> None:
    lease = await issuer.lease().open()
    await lease.put("a", b"0123456789")
    issuer.revoked = 1
    assert b"".join([piece async for piece in lease.fetch("a", 3, 4)]) == b"3456"
    assert issuer.issued == 2


@pytest.mark.parametrize("field", ["expiration", "expiry", "expire_time"])
@pytest.mark.parametrize(
    "text", ["2026-11-21T05:10:28+00:00", "2026-11-21T05:10:28.000000+00:00", "2026-11-21T05:10:28"]
)
def test_every_form_of_expiry_is_understood(field: str, text: str) -> None:
    assert expiry_of({field: text}) == datetime(2026, 11, 21, 5, 10, 28, tzinfo=UTC)


def test_an_expiry_that_is_no_time_names_its_field() -> None:
    with pytest.raises(ConfigError, match="'expiry'"):
        expiry_of({"expiry": "soon"})
    assert expiry_of({"access_key_id": "k"}) is None


@pytest.mark.parametrize(("life", "after"), [(3600, 3000), (900, 675), (2, 1.5), (86400, 85800)])
def test_renewal_is_ten_minutes_before_the_end_or_a_quarter_of_a_short_life(
    life: float, after: float
) -> None:
    assert renewal_time(1000.0, 1000.0 + life) == 1000.0 + after
