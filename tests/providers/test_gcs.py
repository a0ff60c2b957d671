"""What the provider for Google Cloud Storage asks by itself, and with which tokens."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from neuro_sdk import (
    AuthenticationError,
    BlobNotFound,
    Bucket,
    BucketCredentials,
    BucketNotFound,
    ConfigError,
    StorageUnavailable,
    TransferConfig,
)
from neuro_sdk._providers.gcs import gcs_access
from neuro_sdk._providers.services import opener
from neuro_sdk.protocols import Provider

from ..servers.fake_gcs import FakeGcs, service_account_key
from ..servers.google_tokens import GoogleTokens, google_tokens
from ..servers.proxy import Faults, FaultyProxy

MIB = 1 << 20
BUCKET = Bucket(
    id=f"bucket-{uuid.uuid4()}",
    owner="ann",
    name="mine",
    provider=Bucket.Provider.GCP,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    cluster_name="c",
)


def provider_of(**fields: str) -> Provider:
    credentials = BucketCredentials(
        bucket_id=BUCKET.id, provider=Bucket.Provider.GCP, credentials=fields
    )
    transfer = TransferConfig(retries=2, timeout=10, part_size=8 * MIB)
    return opener(transfer)(BUCKET, credentials)


@pytest.fixture
async def name(fake_gcs: FakeGcs) -> str:
    """A new bucket at the server."""
    name = f"box-{uuid.uuid4().hex}"
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{fake_gcs.endpoint}/storage/v1/b?project=p", json={"name": name}) as made,
    ):
        assert made.status == 200
    return name


@pytest.fixture
async def provider(fake_gcs: FakeGcs, name: str) -> AsyncIterator[Provider]:
    provider = provider_of(bucket_name=name, endpoint_url=fake_gcs.endpoint, anonymous="true")
    yield provider
    await provider.close()


@pytest.fixture
def tokens() -> Iterator[GoogleTokens]:
    with google_tokens() as tokens:
        yield tokens


async def read(provider: Provider, key: str) -> bytes:
    return b"".join([piece async for piece in provider.fetch(key)])


class TestFields:
    def test_a_token_and_google_s_own_endpoint(self) -> None:
        access = gcs_access(BUCKET, {"bucket_name": "box", "access_token": "secret"})
        assert access.endpoint == "https://storage.googleapis.com"
        assert access.options(access.token) == {
            "bucket": "box",
            "endpoint": "https://storage.googleapis.com",
            "disable_config_load": "true",
            "disable_vm_metadata": "true",
            "token": "secret",
        }
        assert "secret" not in repr(access)

    def test_a_key_is_not_shown(self) -> None:
        key = service_account_key("https://oauth2.googleapis.com/token")
        access = gcs_access(BUCKET, {"bucket_name": "box", "key_data": key})
        assert access.key is not None
        assert "PRIVATE" not in repr(access)
        as_it_is = base64.b64decode(key).decode()
        assert gcs_access(BUCKET, {"bucket_name": "box", "key_data": as_it_is}) == access

    @pytest.mark.parametrize(
        ("fields", "word"),
        [
            ({}, "access_token"),
            ({"key_data": "secret"}, "key_data"),
            ({"key_data": "c2VjcmV0"}, "key_data"),
            ({"key_data": '{"client_email": "secret"}'}, "private_key"),
            ({"access_token": "t", "bucket_name": ""}, "bucket_name"),
            ({"access_token": "t", "endpoint_url": "h"}, "endpoint_url"),
            ({"access_token": "t", "endpoint_url": "http://h/path"}, "endpoint_url"),
        ],
    )
    def test_what_is_wrong_is_named(self, fields: dict[str, str], word: str) -> None:
        with pytest.raises(ConfigError, match=word) as caught:
            gcs_access(BUCKET, {"bucket_name": "box", **fields})
        assert "secret" not in str(caught.value)


class TestTokens:
    async def test_a_key_gets_tokens_and_new_ones_before_they_end(
        self, fake_gcs: FakeGcs, name: str, tokens: GoogleTokens, proxy: Callable[..., FaultyProxy]
    ) -> None:
        before = proxy(fake_gcs.endpoint)
        provider = provider_of(
            bucket_name=name,
            endpoint_url=before.endpoint,
            key_data=service_account_key(tokens.url),
        )
        await provider.put("a", b"x")
        assert await read(provider, "a") == b"x"
        await provider.copy("a", "b")
        assert tokens.issued == ["token-0"]
        tokens.life = 300  # which is too short to be kept
        provider._engine._keys._until = 0.0  # type: ignore[attr-defined]
        for number in range(1, 4):
            await provider.put("a", b"y")
            assert tokens.issued[-1] == f"token-{number}"
        assert await read(provider, "b") == b"x"
        await provider.close()

    async def test_a_key_that_is_refused(
        self, fake_gcs: FakeGcs, name: str, tokens: GoogleTokens
    ) -> None:
        tokens.refuse = True
        provider = provider_of(
            bucket_name=name,
            endpoint_url=fake_gcs.endpoint,
            key_data=service_account_key(tokens.url),
        )
        for verb in (provider.head("a"), provider.put("a", b"x"), read(provider, "a")):
            with pytest.raises(AuthenticationError) as caught:
                await verb
            assert "PRIVATE" not in str(caught.value)
        await provider.close()

    async def test_a_private_key_that_is_none(self, fake_gcs: FakeGcs, name: str) -> None:
        key = json.loads(base64.b64decode(service_account_key("http://127.0.0.1:9/token")))
        provider = provider_of(
            bucket_name=name,
            endpoint_url=fake_gcs.endpoint,
            key_data=json.dumps({**key, "private_key": "secret"}),
        )
        with pytest.raises(ConfigError, match="private key") as caught:
            await provider.head("a")
        assert "secret" not in str(caught.value)
        await provider.close()


class TestBlobs:
    async def test_when_a_blob_was_made_is_told(self, provider: Provider) -> None:
        before = datetime.now(UTC) - timedelta(seconds=2)
        await provider.put("a/b", b"x")
        blob = await provider.head("a/b")
        assert blob.created_at is not None
        assert before <= blob.created_at <= datetime.now(UTC) + timedelta(seconds=2)

    @pytest.mark.parametrize("size", [0, 1, 8 * MIB, 8 * MIB + 1, 20 * MIB, 24 * MIB])
    async def test_uploads_in_parts(self, provider: Provider, size: int) -> None:
        body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, size, 3 * MIB):
                yield body[start : start + 3 * MIB]

        await provider.put("key", pieces())
        assert await read(provider, "key") == body

    async def test_a_bucket_that_is_gone(self, fake_gcs: FakeGcs) -> None:
        provider = provider_of(
            bucket_name="no-such-box", endpoint_url=fake_gcs.endpoint, anonymous="true"
        )
        with pytest.raises(BucketNotFound):
            assert [page async for page in provider.pages()] == []
        with pytest.raises(BlobNotFound):
            await provider.head("a")
        await provider.close()


class TestFaults:
    async def test_requests_are_repeated_and_then_given_up(
        self, fake_gcs: FakeGcs, name: str, proxy: Callable[..., FaultyProxy]
    ) -> None:
        before = proxy(fake_gcs.endpoint)
        provider = provider_of(bucket_name=name, endpoint_url=before.endpoint, access_token="t")
        await provider.put("a", b"x" * 1000)
        verbs: list[Callable[[], object]] = [
            lambda: provider.head("a"),
            lambda: read(provider, "a"),
            lambda: provider.copy("a", "b"),
        ]
        for verb in verbs:
            for fault in (
                Faults(refuse=1, status=503, times=2),
                Faults(lose=True, times=2),
                Faults(cut_after=10, times=2),
            ):
                before.faults = fault
                await verb()  # type: ignore[misc]
        before.faults = Faults(refuse=1, status=503)
        for verb in verbs:
            with pytest.raises(StorageUnavailable):
                await verb()  # type: ignore[misc]
        await provider.close()
