"""The administration of a project at Google Cloud Storage."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import aiohttp
import pytest
from google.auth import downscoped
from pydantic import SecretStr, ValidationError
from yarl import URL

from neuro_sdk import Bucket, errors
from neuro_sdk._platform.admin import Place, gcs_calls
from neuro_sdk._platform.admin.gcs import GcsAdmin, GcsClusterConfig
from neuro_sdk._platform.admin.gcs_calls import public_bindings
from neuro_sdk._platform.cluster import read_cluster

from ..servers.fake_gcs import FakeGcs, service_account_key
from ..servers.google_tokens import GoogleTokens, google_tokens

GCP = Bucket.Provider.GCP


@asynccontextmanager
async def opened(config: GcsClusterConfig) -> AsyncIterator[GcsAdmin]:
    admin = await GcsAdmin.open(config)
    try:
        yield admin
    finally:
        await admin.close()


def configured(server: FakeGcs, key_data: str | None = None) -> GcsClusterConfig:
    return GcsClusterConfig(
        provider=GCP,
        project=server.project,
        endpoint_url=server.endpoint,
        key_data=None if key_data is None else SecretStr(key_data),
    )


@pytest.fixture
async def admin(fake_gcs: FakeGcs) -> AsyncIterator[GcsAdmin]:
    async with opened(configured(fake_gcs, fake_gcs.key_data)) as admin:
        yield admin


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleTokens]:
    with google_tokens() as tokens:
        monkeypatch.setattr(downscoped, "_STS_TOKEN_URL_PATTERN", tokens.url)
        yield tokens


@pytest.fixture
async def google(tokens: GoogleTokens) -> AsyncIterator[GcsAdmin]:
    """As at Google's own, but for where tokens come from."""
    key = SecretStr(service_account_key(tokens.url))
    async with opened(GcsClusterConfig(provider=GCP, project="p", key_data=key)) as admin:
        yield admin


def a_bucket(name: str = "photos", **fields: Any) -> Bucket:
    given: dict[str, Any] = {
        "id": f"bucket-{uuid4()}",
        "owner": "ann",
        "name": name,
        "provider": GCP,
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "cluster_name": "c",
        "org_name": "acme",
        "project_name": "vision",
    }
    return Bucket(**{**given, **fields})


async def made(admin: GcsAdmin) -> Place:
    bucket = a_bucket()
    return Place(bucket=bucket, name=await admin.create(bucket))


async def put(server: FakeGcs, place: Place, key: str) -> None:
    url = f"{server.endpoint}/upload/storage/v1/b/{place.name}/o?uploadType=media&name="
    status, _ = await http("POST", url + quote(key, safe=""), data=b"x")
    assert status == 200


async def http(method: str, url: URL | str, **options: Any) -> tuple[int, bytes]:
    if isinstance(url, str):
        url = URL(url, encoded=True)
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, **options) as answer,
    ):
        return answer.status, await answer.read()


class TestConfig:
    def test_a_file_and_the_environment_give_the_key(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "store.toml"
        path.write_text('provider = "gcp"\nproject = "p"\nkey_file = "key.json"\n')
        data = service_account_key("http://127.0.0.1:9/token")
        (tmp_path / "key.json").write_bytes(base64.b64decode(data))
        found = read_cluster(path)
        assert isinstance(found, GcsClusterConfig)
        assert found.key_data is not None
        assert json.loads(found.key_data.get_secret_value())["project_id"] == "test-project"
        assert "PRIVATE" not in f"{found!r} {found}"
        monkeypatch.setenv("NEURO_SDK_STORE_KEY_DATA", data)
        assert read_cluster(path) == found

    @pytest.mark.parametrize(
        ("fields", "word"),
        [
            ({}, "key_file"),
            ({"key_data": "hidden"}, "key_data"),
            ({"key_data": '{"type": "hidden"}'}, "key_data"),
            ({"endpoint_url": "h:1"}, "endpoint_url"),
            ({"endpoint_url": "http://h/hidden"}, "endpoint_url"),
            ({"endpoint_url": "http://h", "keys": "1"}, "keys"),
            ({"endpoint_url": "http://h", "project": None}, "project"),
        ],
    )
    def test_what_is_wrong_is_named(self, fields: dict[str, Any], word: str) -> None:
        with pytest.raises(ValidationError, match=word) as caught:
            GcsClusterConfig(**{"provider": GCP, "project": "p", **fields})
        assert "hidden" not in str(caught.value)

    def test_without_the_package_what_to_install_is_told(self) -> None:
        script = (
            "import asyncio, sys\nsys.modules['google'] = None\n"
            "from neuro_sdk._platform.admin.gcs import GcsAdmin, GcsClusterConfig\n"
            "config = GcsClusterConfig(provider='gcp', project='p', endpoint_url='http://h')\n"
            "asyncio.run(GcsAdmin.open(config))\n"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert "pip install 'neuro-blob-sdk[gcs]'" in done.stderr


class TestDelete:
    async def test_it_is_refused_while_blobs_remain(
        self, admin: GcsAdmin, fake_gcs: FakeGcs
    ) -> None:
        place = await made(admin)
        await put(fake_gcs, place, "a/b")
        with pytest.raises(errors.BucketNotEmpty) as caught:
            await admin.delete(place, force=False)
        assert caught.value.bucket == "photos"
        await admin.delete(place, force=True)
        for force in (False, True):
            await admin.delete(place, force=force)

    async def test_force_removes_all_pages(self, admin: GcsAdmin, fake_gcs: FakeGcs) -> None:
        place = await made(admin)
        for number in range(30):
            await put(fake_gcs, place, f"{number % 3}/ü {number}?#%")
        await admin.delete(place, force=True)
        status, _ = await http("GET", f"{fake_gcs.endpoint}/storage/v1/b/{place.name}")
        assert status == 404

    async def test_no_server_is_no_missing_bucket(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gcs_calls, "_RETRY", gcs_calls._RETRY.with_timeout(0.5))
        config = GcsClusterConfig(provider=GCP, project="p", endpoint_url="http://127.0.0.1:9")
        async with opened(config) as admin:
            with pytest.raises(errors.StorageUnavailable) as caught:
                await admin.create(a_bucket())
            assert caught.value.bucket == "photos"


class TestCredentials:
    async def test_an_emulator_wants_none(self, admin: GcsAdmin, fake_gcs: FakeGcs) -> None:
        place = await made(admin)
        assert await admin.credentials(place, read_only=True) == {
            "bucket_name": place.name,
            "endpoint_url": fake_gcs.endpoint,
            "project": fake_gcs.project,
            "anonymous": "true",
        }

    @pytest.mark.parametrize("read_only", [True, False])
    async def test_google_gives_a_token_for_this_bucket_alone(
        self, google: GcsAdmin, tokens: GoogleTokens, read_only: bool
    ) -> None:
        place = Place(bucket=a_bucket(), name="neuro-pl-box")
        given = await google.credentials(place, read_only=read_only)
        assert set(given) == {"bucket_name", "project", "access_token", "expire_time"}
        assert given["access_token"] == tokens.issued[-1]
        left = datetime.fromisoformat(given["expire_time"]) - datetime.now(UTC)
        assert timedelta(minutes=59) < left <= timedelta(hours=1)
        (boundary,) = tokens.boundaries
        (rule,) = boundary["accessBoundary"]["accessBoundaryRules"]
        assert rule["availableResource"].endswith("/buckets/neuro-pl-box")
        role = "objectViewer" if read_only else "objectAdmin"
        assert rule["availablePermissions"] == [f"inRole:roles/storage.{role}"]

    async def test_a_key_that_is_refused(self, google: GcsAdmin, tokens: GoogleTokens) -> None:
        tokens.refuse = True
        with pytest.raises(errors.AuthenticationError) as caught:
            await google.credentials(Place(bucket=a_bucket(), name="b"), read_only=True)
        assert "PRIVATE" not in str(caught.value)

    async def test_lasting_ones_are_refused(self, admin: GcsAdmin) -> None:
        place = await made(admin)
        with pytest.raises(errors.NotSupportedError, match="service accounts") as caught:
            await admin.create_role("role", [place], read_only=True)
        assert caught.value.bucket == "photos"
        await admin.narrow_role("role", [place], read_only=True)
        await admin.delete_role("role", [place])


class TestSignedURLs:
    async def test_they_are_signed_and_open_the_blob(
        self, admin: GcsAdmin, fake_gcs: FakeGcs
    ) -> None:
        place, key = await made(admin), "a b/ü?#&+%20.txt"
        await put(fake_gcs, place, key)
        url = await admin.sign_url(place, key, 77)
        assert await http("GET", url) == (200, b"x")
        assert url.query["X-Goog-Algorithm"] == "GOOG4-RSA-SHA256"
        assert url.query["X-Goog-Expires"] == "77"
        assert "buckets%40test-project" in str(url)

    async def test_google_is_meant_where_no_endpoint_is_given(self, google: GcsAdmin) -> None:
        url = await google.sign_url(Place(bucket=a_bucket(), name="box"), "a", 60)
        assert str(url).startswith("https://storage.googleapis.com/box/a?X-Goog-")

    async def test_without_a_key_there_are_none(self, fake_gcs: FakeGcs) -> None:
        async with opened(configured(fake_gcs)) as admin:
            place = await made(admin)
            with pytest.raises(errors.NotSupportedError, match="key_file"):
                await admin.sign_url(place, "a", 60)

    @pytest.mark.parametrize("expires_in", [0, -1, 604_801, True, 1.5])
    async def test_impossible_times_are_refused(self, admin: GcsAdmin, expires_in: Any) -> None:
        with pytest.raises(errors.IllegalArgumentError, match="expires_in"):
            await admin.sign_url(Place(bucket=a_bucket(), name="b"), "a", expires_in)


class TestPublic:
    def test_others_keep_what_they_were_allowed(self) -> None:
        reader = "roles/storage.objectViewer"
        theirs: list[Mapping[str, Any]] = [
            {"role": "roles/storage.admin", "members": {"user:a"}},
            {"role": reader, "members": {"user:b"}},
            {"role": reader, "members": {"allUsers"}, "condition": {"expression": "x"}},
        ]
        shown = public_bindings(theirs, public=True)
        assert shown == [*theirs, {"role": reader, "members": {"allUsers"}}]
        assert public_bindings(shown, public=True) == shown
        assert public_bindings(shown, public=False) == theirs
        assert public_bindings([], public=False) == []

    async def test_an_emulator_without_policies_is_told_of(self, admin: GcsAdmin) -> None:
        place = await made(admin)
        for public in (True, False):
            with pytest.raises(errors.NotSupportedError, match="policies"):
                await admin.set_public(place, public)


class TestImported:
    async def test_with_a_key_it_signs(self, admin: GcsAdmin, fake_gcs: FakeGcs) -> None:
        place = await made(admin)
        await put(fake_gcs, place, "a")
        given = {"endpoint_url": fake_gcs.endpoint, "key_data": fake_gcs.key_data}
        imported = Place(bucket=a_bucket(imported=True), name=place.name, credentials=given)
        await admin.check_import(imported)
        assert await http("GET", await admin.sign_url(imported, "a", 60)) == (200, b"x")

    async def test_with_a_token_it_does_not(self, admin: GcsAdmin) -> None:
        given = {"access_token": "t"}
        imported = Place(bucket=a_bucket(imported=True), name="box", credentials=given)
        await admin.check_import(imported)
        for refused in (admin.sign_url(imported, "a", 60), admin.set_public(imported, True)):
            with pytest.raises(errors.NotSupportedError, match="key_data"):
                await refused

    @pytest.mark.parametrize(
        ("fields", "word"),
        [({}, "key_data"), ({"key_data": "?"}, "key_data"), ({"endpoint_url": "h"}, "endpoint")],
    )
    async def test_what_is_wrong_is_named(
        self, admin: GcsAdmin, fields: dict[str, str], word: str
    ) -> None:
        with pytest.raises(errors.IllegalArgumentError, match=word):
            await admin.check_import(Place(bucket=a_bucket(), name="box", credentials=fields))
