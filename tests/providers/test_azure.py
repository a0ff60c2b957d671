"""What Azure's provider asks by itself: looks, listings and copies."""

from __future__ import annotations

import asyncio
import base64
import traceback
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import neuro_sdk
from neuro_sdk import (
    Bucket,
    BucketCredentials,
    BucketHandle,
    ConfigError,
    StorageUnavailable,
    TransferConfig,
)
from neuro_sdk._core import azure as signatures
from neuro_sdk._core.models import BucketEntry
from neuro_sdk._providers import azure
from neuro_sdk._providers.azure import AzureAccess, azure_access
from neuro_sdk._providers.lease import LeasedProvider
from neuro_sdk._providers.services import opener
from neuro_sdk._providers.stat import Stat
from neuro_sdk.cli.azurite import AzuriteServer
from neuro_sdk.protocols import Provider

from ..servers.proxy import Faults, FaultyProxy

MIB = 1 << 20
KEY = base64.b64encode(b"0123456789").decode()
BUCKET = Bucket(
    id=f"bucket-{uuid.uuid4()}",
    owner="ann",
    name="mine",
    provider=Bucket.Provider.AZURE,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    cluster_name="c",
)
FIELDS = {
    "bucket_name": "box",
    "storage_endpoint": "https://lab7.blob.core.windows.net/",
    "credential": KEY,
}


@pytest.fixture
async def box(
    azurite: AzuriteServer, home: Path, limits: TransferConfig
) -> AsyncIterator[BucketHandle]:
    home.mkdir()
    await asyncio.to_thread(azurite.save, home / "store.toml")
    async with neuro_sdk.local(home, transfer=limits) as client:
        await client.buckets.create("box")
        yield await client.buckets.open("box")


async def granted(box: BucketHandle, **fields: str) -> BucketCredentials:
    given = await box.request_tmp_credentials()
    return BucketCredentials(
        bucket_id=given.bucket_id,
        provider=given.provider,
        credentials={**given.credentials, **fields},
    )


async def read(provider: Provider, key: str) -> bytes:
    return b"".join([piece async for piece in provider.fetch(key)])


async def listed(provider: Provider) -> list[BucketEntry]:
    return [entry async for page in provider.pages(recursive=True) for entry in page]


class TestFields:
    def test_a_key_and_the_account_in_the_host(self) -> None:
        access = azure_access(BUCKET, FIELDS)
        assert access.options == {
            "endpoint": "https://lab7.blob.core.windows.net",
            "container": "box",
            "account_name": "lab7",
            "account_key": KEY,
        }
        assert access.https
        assert KEY not in repr(access)

    def test_a_signature_is_preferred_and_may_begin_with_a_question_mark(self) -> None:
        access = azure_access(BUCKET, {**FIELDS, "sas_token": "?sv=1&sig=secret"})
        assert access.options["sas_token"] == "sv=1&sig=secret"
        assert "account_key" not in access.options
        assert "secret" not in repr(access)

    def test_an_account_in_the_path_or_by_name(self) -> None:
        at = {**FIELDS, "storage_endpoint": "http://127.0.0.1:1/lab7"}
        assert azure_access(BUCKET, at).account == "lab7"
        at = {**FIELDS, "storage_endpoint": "https://files.example", "account_name": "lab8"}
        assert azure_access(BUCKET, at).account == "lab8"

    @pytest.mark.parametrize(
        ("fields", "word"),
        [
            ({"bucket_name": ""}, "bucket_name"),
            ({"storage_endpoint": ""}, "storage_endpoint"),
            ({"storage_endpoint": "lab7"}, "storage_endpoint"),
            ({"storage_endpoint": "https://files.example"}, "account_name"),
            ({"storage_endpoint": "http://localhost:10000"}, "account_name"),
            ({"credential": ""}, "sas_token"),
            ({"credential": "secret!"}, "credential"),
        ],
    )
    def test_what_is_wrong_is_named(self, fields: dict[str, str], word: str) -> None:
        with pytest.raises(ConfigError, match=word) as caught:
            azure_access(BUCKET, {**FIELDS, **fields})
        assert "secret" not in str(caught.value)


class TestTimes:
    async def test_when_a_blob_was_made_is_told(self, box: BucketHandle) -> None:
        before = datetime.now(UTC) - timedelta(seconds=2)
        await box.put_blob("a/b", b"x")
        blob = await box.head_blob("a/b")
        assert blob.created_at is not None
        assert before <= blob.created_at <= datetime.now(UTC) + timedelta(seconds=2)
        (entry,) = [entry async for entry in box.list_blobs(recursive=True)]
        assert entry == blob


class TestUploads:
    async def test_what_is_not_whole_is_nowhere(self, box: BucketHandle) -> None:
        async def broken() -> AsyncIterator[bytes]:
            for _ in range(5):
                yield bytes(5 * MIB)
                async for entry in box.list_blobs():
                    assert entry.key == "old"
            raise ZeroDivisionError

        await box.put_blob("old", b"old")
        for key in ("old", "new"):
            with pytest.raises(ZeroDivisionError):
                await box.put_blob(key, broken())
        provider = await box._opened()
        assert [entry.key for entry in await listed(provider)] == ["old"]
        assert await read(provider, "old") == b"old"


class TestCopies:
    async def test_a_large_one_passes_through_and_is_of_one_version(
        self, box: BucketHandle, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(azure, "_LONGEST_COPY", MIB)
        body = bytes(range(256)) * (9 * MIB // 256)
        await box.put_blob("a", body)
        provider = await box._opened()
        await provider.copy("a", "b c/%20")
        assert await read(provider, "b c/%20") == body


class TestSignaturesEnd:
    async def test_they_are_renewed_in_the_middle_of_the_work(
        self, box: BucketHandle, azurite: AzuriteServer
    ) -> None:
        """Each lives a second or two, as the server sees it."""
        issued = []

        async def short() -> BucketCredentials:
            until = datetime.now(UTC) + timedelta(seconds=2)
            given = await granted(box)
            token = signatures.container_sas(
                azurite.account_name,
                azurite.account_key,
                given.credentials["bucket_name"],
                permissions=signatures.READ_WRITE,
                until=until,
                https=False,
            )
            issued.append(until)
            return await granted(box, sas_token=token, expiry=until.isoformat())

        provider = LeasedProvider(box.bucket, short, opener(TransferConfig(retries=0)))
        await provider.open()
        number = 0
        while len(issued) < 3:
            await provider.put(f"{number:05}", b"x")
            assert (await provider.head(f"{number:05}")).size == 1
            number += 1
        assert len(await listed(provider)) == number
        await provider.close()


class TestFaults:
    @pytest.fixture
    async def behind(
        self, box: BucketHandle, azurite: AzuriteServer, proxy: Callable[[str], FaultyProxy]
    ) -> AsyncIterator[tuple[Provider, FaultyProxy]]:
        before = proxy(azurite.endpoint.rpartition("/")[0])
        endpoint = f"{before.endpoint}/{azurite.account_name}"
        credentials = await granted(box, storage_endpoint=endpoint)
        provider = opener(TransferConfig(retries=3, timeout=5))(box.bucket, credentials)
        yield provider, before
        await provider.close()

    async def test_requests_are_repeated_and_then_given_up(
        self, behind: tuple[Provider, FaultyProxy]
    ) -> None:
        provider, before = behind
        await provider.put("a", b"x")
        verbs: list[Callable[[], object]] = [
            lambda: provider.head("a"),
            lambda: listed(provider),
            lambda: provider.copy("a", "b"),
            lambda: provider.delete("b"),
        ]
        for verb in verbs:
            for fault in ({"refuse": 1, "status": 503}, {"lose": True}):
                before.faults = Faults(**fault, times=2)
                await verb()  # type: ignore[misc]
        before.faults = Faults(refuse=1, status=503)
        for verb in verbs[:3]:
            with pytest.raises(StorageUnavailable):
                await verb()  # type: ignore[misc]

    async def test_a_look_and_a_listing_take_one_request(
        self, behind: tuple[Provider, FaultyProxy]
    ) -> None:
        provider, before = behind
        await provider.put("a", b"x")
        before.forget()
        await provider.head("a")
        await listed(provider)
        assert len(before.seen) == 2
        assert await read(provider, "a") == b"x"
        assert len(before.seen) == 4

    async def test_nothing_tells_the_signature(
        self, behind: tuple[Provider, FaultyProxy], box: BucketHandle
    ) -> None:
        provider, before = behind
        before.faults = Faults(lose=True)
        for verb in (provider.head("a"), listed(provider), provider.put("a", b"x")):
            with pytest.raises(StorageUnavailable) as caught:
                await verb
            told = "".join(traceback.format_exception(caught.value))
            assert "sig=" not in told.replace("sig=***", "")


class TestOrder:
    async def test_listings_are_in_the_order_of_utf_8(
        self, box: BucketHandle, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tails = ["", "\ue001", "\uff21", "\U0001f600", "z", "\uff21/\U0001f600", "\uff21/\uff21"]
        keys = {f"{head}{tail}x" for head in ("a/", "a", "\U0001f600/") for tail in tails}
        for key in keys:
            await box.put_blob(key, b"")
        provider = await box._opened()
        assert [entry.key for entry in await listed(provider)] == sorted(keys, key=str.encode)

    async def test_what_is_held_back_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(azure, "_MOST_HELD", 3)
        keys = [f"{a}{b}" for a in ("\U0001f600", "\uff21") for b in range(5)]

        class Fixed(azure.AzureEngine):
            async def _pages(
                self, prefix: str, recursive: bool, page: int | None
            ) -> AsyncGenerator[Sequence[Stat], None]:
                yield [*map(Stat, keys)]

        access = AzureAccess(container="box", endpoint="http://127.0.0.1:9/l", account="l", key=KEY)
        engine = Fixed(access, bucket="box", transfer=TransferConfig())
        found = [key async for page in engine.pages("", recursive=True) for key in page.keys]
        assert sorted(found) == sorted(keys)
