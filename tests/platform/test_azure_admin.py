"""The administration of an Azure account: what its signatures and settings really allow."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from azure.core import exceptions as vendor
from azure.storage.blob import (
    BlobSasPermissions,
    ContainerSasPermissions,
    generate_blob_sas,
    generate_container_sas,
)
from pydantic import SecretStr, ValidationError
from yarl import URL

from neuro_sdk import Bucket, BucketCredentials, TransferConfig, errors
from neuro_sdk._core import azure
from neuro_sdk._platform.admin import Place
from neuro_sdk._platform.admin.azure import AzureAdmin, AzureClusterConfig
from neuro_sdk._platform.admin.azure_calls import CODES, FAILURES, Acl
from neuro_sdk._platform.cluster import read_cluster
from neuro_sdk._providers.services import open_provider
from neuro_sdk.cli.azurite import AzuriteServer
from neuro_sdk.protocols import Provider

from ..servers.proxy import Faults, FaultyProxy

OpenProxy = Callable[[str], FaultyProxy]
KEY = base64.b64encode(b"0123456789").decode()


def configured(server: AzuriteServer, endpoint: str | None = None) -> AzureClusterConfig:
    return AzureClusterConfig(
        provider=Bucket.Provider.AZURE,
        account_name=server.account_name,
        account_key=SecretStr(server.account_key),
        storage_endpoint=endpoint or server.endpoint,
    )


@asynccontextmanager
async def opened(config: AzureClusterConfig) -> AsyncIterator[AzureAdmin]:
    admin = await AzureAdmin.open(config)
    try:
        yield admin
    finally:
        await admin.close()


@pytest.fixture
async def admin(azurite: AzuriteServer) -> AsyncIterator[AzureAdmin]:
    async with opened(configured(azurite)) as admin:
        yield admin


@pytest.fixture
async def place(admin: AzureAdmin) -> AsyncIterator[Place]:
    place = await made(admin)
    yield place
    await admin.delete(place, force=True)


def a_bucket(name: str = "photos", **fields: Any) -> Bucket:
    given = {
        "id": f"bucket-{uuid4()}",
        "owner": "ann",
        "name": name,
        "provider": Bucket.Provider.AZURE,
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "cluster_name": "c",
        "org_name": "acme",
        "project_name": "vision",
    }
    return Bucket(**{**given, **fields})


async def made(admin: AzureAdmin, **fields: Any) -> Place:
    bucket = a_bucket(**fields)
    return Place(bucket=bucket, name=await admin.create(bucket))


@asynccontextmanager
async def opened_by(place: Place, opening: Mapping[str, str]) -> AsyncIterator[Provider]:
    credentials = BucketCredentials(
        bucket_id=place.bucket.id, provider=Bucket.Provider.AZURE, credentials=opening
    )
    provider = open_provider(place.bucket, credentials, transfer=TransferConfig(retries=0))
    try:
        yield provider
    finally:
        await provider.close()


@asynccontextmanager
async def writer(admin: AzureAdmin, place: Place) -> AsyncIterator[Provider]:
    async with opened_by(place, await admin.credentials(place, read_only=False)) as provider:
        yield provider


async def read(provider: Provider, key: str) -> bytes:
    return b"".join([piece async for piece in provider.fetch(key)])


async def keys(provider: Provider) -> list[str]:
    return [entry.key async for page in provider.pages(recursive=True) for entry in page]


async def get(url: URL | str, method: str = "GET", **options: Any) -> tuple[int, bytes]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, **options) as answer,
    ):
        return answer.status, await answer.read()


async def policies_of(admin: AzureAdmin, place: Place) -> tuple[set[str], bool]:
    seen: list[Acl] = []
    await admin._calls.change_acl(place.name, seen.append, about="it")
    return set(seen[0].policies), seen[0].public


class TestConfig:
    def test_it_shows_no_secret_and_knows_the_public_cloud(self) -> None:
        config = AzureClusterConfig(
            provider=Bucket.Provider.AZURE, account_name="lab7", account_key=SecretStr(KEY)
        )
        assert KEY not in f"{config!r} {config}"
        assert config.endpoint == "https://lab7.blob.core.windows.net"

    @pytest.mark.parametrize(
        ("fields", "word"),
        [
            ({"account_name": "No"}, "account_name"),
            ({"account_key": SecretStr("hidden!")}, "account_key"),
            ({"account_key": SecretStr("")}, "account_key"),
            ({"storage_endpoint": "host:1"}, "storage_endpoint"),
            ({"storage_endpoint": "http://u:p@h"}, "storage_endpoint"),
            ({"storage_endpoint": "http://h/?sig=hidden"}, "storage_endpoint"),
            ({"key": "1"}, "key"),
        ],
    )
    def test_what_is_wrong_is_named(self, fields: dict[str, Any], word: str) -> None:
        given = {"account_name": "lab7", "account_key": SecretStr(KEY), **fields}
        with pytest.raises(ValidationError, match=word) as raised:
            AzureClusterConfig(provider=Bucket.Provider.AZURE, **given)
        assert "hidden" not in str(raised.value)

    def test_the_key_may_come_from_a_file_or_the_environment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "store.toml"
        path.write_text('provider = "azure"\naccount_name = "lab7"\naccount_key_file = "key"\n')
        with pytest.raises(errors.ConfigError, match="account_key_file"):
            read_cluster(path)
        (tmp_path / "key").write_text(f"{KEY}\n")
        found = read_cluster(path)
        assert isinstance(found, AzureClusterConfig)
        assert found.account_key.get_secret_value() == KEY
        other = base64.b64encode(b"other").decode()
        monkeypatch.setenv("NEURO_SDK_STORE_ACCOUNT_KEY", other)
        found = read_cluster(path)
        assert isinstance(found, AzureClusterConfig)
        assert found.account_key.get_secret_value() == other

    def test_every_error_of_the_package_has_a_row(self) -> None:
        raised = {
            kind
            for kind in vars(vendor).values()
            if isinstance(kind, type) and issubclass(kind, vendor.AzureError)
        }
        for kind in raised - {vendor.HttpResponseError}:
            assert any(issubclass(kind, row[0]) for row in FAILURES), kind
        codes = [code for codes in CODES.values() for code in codes]
        assert len(codes) == len(set(codes))


class TestSignatures:
    """Ours are those that Microsoft's own package makes."""

    UNTIL = datetime(2030, 5, 6, 7, 8, 9, tzinfo=UTC)

    def same(self, ours: str, theirs: str) -> None:
        version = URL(f"?{theirs}", encoded=True).query["sv"]
        wanted = dict(URL(f"?{theirs}", encoded=True).query)
        found = dict(URL(f"?{ours}", encoded=True).query)
        assert version != azure.API_VERSION or found["sig"] == wanted["sig"]
        assert {**found, "sv": "", "sig": ""} == {**wanted, "sv": "", "sig": ""}

    def test_of_a_container(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            "azure.storage.blob._shared_access_signature.X_MS_VERSION", azure.API_VERSION
        )
        monkeypatch.setattr(
            "azure.storage.blob._shared.shared_access_signature.X_MS_VERSION", azure.API_VERSION
        )
        theirs = generate_container_sas(
            "lab7",
            "box",
            KEY,
            permission=ContainerSasPermissions.from_string("rwdl"),
            expiry=self.UNTIL,
            protocol="https",
        )
        ours = azure.container_sas(
            "lab7", KEY, "box", permissions=azure.READ_WRITE, until=self.UNTIL, https=True
        )
        self.same(ours, theirs)
        theirs = generate_container_sas("lab7", "box", KEY, policy_id="role")
        self.same(azure.policy_sas("lab7", KEY, "box", "role", https=False), theirs)

    def test_of_a_blob(self) -> None:
        key = "a b/%20?#&+é"
        theirs = generate_blob_sas(
            "lab7",
            "box",
            key,
            account_key=KEY,
            permission=BlobSasPermissions.from_string("r"),
            expiry=self.UNTIL,
        )
        ours = azure.blob_sas("lab7", KEY, "box", key, until=self.UNTIL, https=False)
        self.same(ours, theirs)

    def test_a_part_of_a_second_is_not_lost(self) -> None:
        until = self.UNTIL - timedelta(microseconds=1)
        token = azure.blob_sas("lab7", KEY, "box", "a", until=until, https=False)
        assert "se=2030-05-06T07%3A08%3A09Z" in token


class TestCreateAndDelete:
    async def test_a_lost_answer_does_no_harm(
        self, azurite: AzuriteServer, proxy: OpenProxy
    ) -> None:
        before = proxy(azurite.endpoint.rpartition("/")[0])
        endpoint = f"{before.endpoint}/{azurite.account_name}"
        async with opened(configured(azurite, endpoint)) as admin:
            before.faults = Faults(lose=True, times=1)
            place = await made(admin)
            async with writer(admin, place) as provider:
                await provider.put("a", b"x")
            before.faults = Faults(lose=True, times=1)
            await admin.delete(place, force=True)

    async def test_it_is_refused_while_blobs_remain(self, admin: AzureAdmin) -> None:
        place = await made(admin)
        async with writer(admin, place) as provider:
            await provider.put("a/b/c", b"x")
            with pytest.raises(errors.BucketNotEmpty, match="photos"):
                await admin.delete(place, force=False)
            assert await read(provider, "a/b/c") == b"x"
            await provider.delete("a/b/c")
            for force in (False, False, True):
                await admin.delete(place, force=force)
            for attempt in (provider.head("a"), provider.put("a", b"x")):
                with pytest.raises(errors.BucketNotFound):
                    await attempt
            with pytest.raises(errors.BucketNotFound):
                await keys(provider)

    async def test_wrong_keys_and_no_server_are_told_without_secrets(
        self, azurite: AzuriteServer
    ) -> None:
        config = configured(azurite)
        wrong = config.model_copy(update={"account_key": SecretStr(KEY)})
        async with opened(wrong) as admin:
            with pytest.raises(errors.AuthError) as caught:
                await admin.create(a_bucket())
            assert KEY not in str(caught.value)
        async with opened(configured(azurite, "http://127.0.0.1:9/lab7")) as admin:
            with pytest.raises(errors.StorageUnavailable) as unreachable:
                await admin.create(a_bucket())
            assert unreachable.value.bucket == "photos"


class TestCredentials:
    async def test_they_have_the_fields_of_the_platform(
        self, admin: AzureAdmin, place: Place, azurite: AzuriteServer
    ) -> None:
        given = await admin.credentials(place, read_only=False)
        assert set(given) == {
            "bucket_name",
            "storage_endpoint",
            "account_name",
            "sas_token",
            "expiry",
        }
        left = datetime.fromisoformat(given["expiry"]) - datetime.now(UTC)
        assert timedelta(minutes=59) < left <= timedelta(hours=1)
        assert azurite.account_key not in repr(given)

    async def test_readers_only_read(self, admin: AzureAdmin, place: Place) -> None:
        async with writer(admin, place) as provider:
            await provider.put("a", b"x")
        given = await admin.credentials(place, read_only=True)
        async with opened_by(place, given) as provider:
            assert await read(provider, "a") == b"x"
            assert await keys(provider) == ["a"]
            for attempt in (
                provider.put("a", b"y"),
                provider.put("new", b"y"),
                provider.delete("a"),
                provider.copy("a", "b"),
            ):
                with pytest.raises(errors.AuthorizationError):
                    await attempt
            assert await read(provider, "a") == b"x"

    async def test_they_open_no_other_container(self, admin: AzureAdmin, place: Place) -> None:
        other = await made(admin)
        given = {**await admin.credentials(place, read_only=False), "bucket_name": other.name}
        async with opened_by(other, given) as provider:
            for attempt in (
                provider.head("a"),
                provider.put("a", b"x"),
                provider.delete("a"),
                keys(provider),
            ):
                with pytest.raises(errors.AuthError):
                    await attempt
        await admin.delete(other, force=False)

    async def test_one_that_has_ended_opens_nothing(self, admin: AzureAdmin, place: Place) -> None:
        access = admin._calls.access
        token = azure.container_sas(
            access.account,
            access.key,
            place.name,
            permissions=azure.READ_WRITE,
            until=datetime.now(UTC) - timedelta(minutes=1),
            https=False,
        )
        given = {**await admin.credentials(place, read_only=False), "sas_token": token}
        async with opened_by(place, given) as provider:
            for attempt in (provider.head("a"), provider.put("a", b"x"), provider.copy("a", "b")):
                with pytest.raises(errors.AuthError) as caught:
                    await attempt
                assert "sig=" not in str(caught.value).replace("sig=***", "")


class TestRoles:
    async def test_a_role_opens_its_containers_until_it_is_removed(
        self, admin: AzureAdmin, place: Place
    ) -> None:
        other, role = await made(admin), f"bucket-credentials-{uuid4()}"
        made_for = await admin.create_role(role, [place, other], read_only=False)
        assert set(made_for) == {place.bucket.id, other.bucket.id}
        assert "expiry" not in made_for[place.bucket.id]
        for each in (place, other):
            async with opened_by(each, made_for[each.bucket.id]) as provider:
                await provider.put("a", b"x")
                assert await read(provider, "a") == b"x"
        await admin.delete_role(role, [place, other])
        for each in (place, other):
            async with opened_by(each, made_for[each.bucket.id]) as provider:
                with pytest.raises(errors.AuthError):
                    await provider.head("a")
        await admin.delete_role(role, [place, other])
        await admin.delete(other, force=True)
        await admin.delete_role(role, [other])

    async def test_a_role_that_reads_only_reads(self, admin: AzureAdmin, place: Place) -> None:
        async with writer(admin, place) as provider:
            await provider.put("a", b"x")
        role = f"bucket-credentials-{uuid4()}"
        made_for = await admin.create_role(role, [place], read_only=True)
        async with opened_by(place, made_for[place.bucket.id]) as provider:
            assert await read(provider, "a") == b"x"
            for attempt in (provider.put("a", b"y"), provider.delete("a")):
                with pytest.raises(errors.AuthorizationError):
                    await attempt

    async def test_the_sixth_is_refused_and_leaves_nothing(
        self, admin: AzureAdmin, place: Place
    ) -> None:
        free = await made(admin)
        roles = [f"bucket-credentials-{uuid4()}" for _ in range(6)]
        for role in roles[:5]:
            await admin.create_role(role, [place], read_only=True)
        with pytest.raises(errors.ConflictError, match="5 stored access policies") as caught:
            await admin.create_role(roles[5], [free, place], read_only=True)
        assert caught.value.bucket == "photos"
        assert await policies_of(admin, place) == (set(roles[:5]), False)
        assert await policies_of(admin, free) == (set(), False)
        await admin.narrow_role(roles[0], [place], read_only=False)
        await admin.delete_role(roles[0], [place])
        await admin.create_role(roles[5], [place], read_only=True)
        await admin.delete(free, force=False)

    async def test_changes_at_once_are_all_kept(
        self, admin: AzureAdmin, place: Place, azurite: AzuriteServer
    ) -> None:
        roles = [f"bucket-credentials-{uuid4()}" for _ in range(4)]
        async with opened(configured(azurite)) as beside:
            await asyncio.gather(
                admin.set_public(place, True),
                *(
                    (admin, beside)[number % 2].create_role(role, [place], read_only=True)
                    for number, role in enumerate(roles)
                ),
            )
        assert await policies_of(admin, place) == (set(roles), True)


class TestPublic:
    async def test_on_and_off_and_policies_stay(
        self, admin: AzureAdmin, place: Place, azurite: AzuriteServer
    ) -> None:
        async with writer(admin, place) as provider:
            await provider.put("a", b"x")
        url = f"{azurite.endpoint}/{place.name}/a"
        role = f"bucket-credentials-{uuid4()}"
        made_for = await admin.create_role(role, [place], read_only=True)
        assert (await get(url))[0] >= 400
        for public in (True, True, False, False, True):
            await admin.set_public(place, public)
            status, body = await get(url)
            assert (status, body) == (200, b"x") if public else status >= 400
            assert (await get(url, "PUT", headers={"x-ms-blob-type": "BlockBlob"}))[0] >= 400
            assert (await get(url, "DELETE"))[0] >= 400
            async with opened_by(place, made_for[place.bucket.id]) as provider:
                assert await read(provider, "a") == b"x"
        await admin.narrow_role(role, [place], read_only=True)
        assert await policies_of(admin, place) == ({role}, True)


class TestSignedURLs:
    async def test_they_only_get_and_end_when_they_say(
        self, admin: AzureAdmin, place: Place
    ) -> None:
        key = "a b/ü?#&+%20.txt"
        async with writer(admin, place) as provider:
            await provider.put(key, b"x")
        long = await admin.sign_url(place, key, 60)
        asked = datetime.now(UTC)
        short = await admin.sign_url(place, key, 2)
        assert await get(short) == (200, b"x")
        assert await get(long) == (200, b"x")
        assert short.query["sp"] == "r"
        ends = datetime.fromisoformat(short.query["se"])
        assert timedelta(seconds=2) <= ends - asked <= timedelta(seconds=4)
        for url in (short, long):
            for method, headers in (
                ("PUT", {"x-ms-blob-type": "BlockBlob"}),
                ("DELETE", {}),
                ("PUT", {"x-ms-copy-source": str(url)}),
            ):
                status, _ = await get(url, method, headers=headers, data=b"")
                assert status == 403, method
        listing = URL(str(long).partition("/a%20b")[0] + "?" + long.raw_query_string, encoded=True)
        assert (await get(listing % {"restype": "container", "comp": "list"}))[0] >= 400
        other = URL(str(long).replace("20.txt", "21.txt"), encoded=True)
        assert (await get(other))[0] == 403
        await asyncio.sleep((ends - datetime.now(UTC)).total_seconds() + 0.1)
        assert (await get(short))[0] == 403
        assert await get(long) == (200, b"x")

    async def test_the_key_need_not_exist(self, admin: AzureAdmin, place: Place) -> None:
        assert (await get(await admin.sign_url(place, "missing", 604_800)))[0] == 404


class TestImported:
    async def test_with_a_key_it_signs_and_can_be_public(
        self, admin: AzureAdmin, place: Place, azurite: AzuriteServer
    ) -> None:
        given = {"storage_endpoint": azurite.endpoint, "credential": azurite.account_key}
        imported = Place(bucket=a_bucket(imported=True), name=place.name, credentials=given)
        await admin.check_import(imported)
        async with opened_by(imported, {**given, "bucket_name": place.name}) as provider:
            await provider.put("a", b"x")
            await provider.copy("a", "b")
            assert await keys(provider) == ["a", "b"]
            assert (await provider.head("b")).size == 1
        assert await get(await admin.sign_url(imported, "a", 60)) == (200, b"x")
        await admin.set_public(imported, True)
        assert await policies_of(admin, place) == (set(), True)
        assert azurite.account_key not in repr(imported)

    async def test_with_a_signature_it_opens_and_the_rest_is_refused(
        self, admin: AzureAdmin, place: Place
    ) -> None:
        given = dict(await admin.credentials(place, read_only=False))
        del given["expiry"], given["account_name"]
        given["sas_token"] = f"?{given['sas_token']}"
        imported = Place(bucket=a_bucket(imported=True), name=place.name, credentials=given)
        await admin.check_import(imported)
        async with opened_by(imported, given) as provider:
            await provider.put("a", b"x")
            assert await read(provider, "a") == b"x"
        for refused in (admin.sign_url(imported, "a", 60), admin.set_public(imported, True)):
            with pytest.raises(errors.NotSupportedError, match="credential"):
                await refused

    @pytest.mark.parametrize(
        ("fields", "word"),
        [
            ({}, "storage_endpoint"),
            ({"storage_endpoint": "h"}, "storage_endpoint"),
            ({"storage_endpoint": "http://h", "sas_token": "s"}, "account_name"),
            ({"storage_endpoint": "http://h/lab7"}, "sas_token"),
            ({"storage_endpoint": "http://h/lab7", "credential": "!"}, "credential"),
        ],
    )
    async def test_what_is_wrong_is_named(
        self, admin: AzureAdmin, fields: dict[str, str], word: str
    ) -> None:
        with pytest.raises(errors.IllegalArgumentError, match=word):
            await admin.check_import(Place(bucket=a_bucket(), name="box", credentials=fields))
