"""Buckets at S3 stores: what the administration says, and what the store then enforces.

SeaweedFS enforces everything; moto knows Amazon's further requests and enforces nothing.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError
from yarl import URL

from neuro_sdk import errors
from neuro_sdk._core.models import Bucket
from neuro_sdk._platform import seaweedfs as serving
from neuro_sdk._platform.admin import BucketAdmin, Place, s3_calls
from neuro_sdk._platform.admin.names import bucket_name
from neuro_sdk._platform.admin.s3 import S3Admin, S3ClusterConfig
from neuro_sdk._platform.admin.s3_imports import S3Imports
from neuro_sdk._platform.admin.s3_policies import public_policy
from neuro_sdk._platform.seaweedfs import SeaweedFSServer, run_seaweedfs

from ..servers.moto import MotoServer
from ..servers.proxy import Faults, FaultyProxy
from ..servers.s3 import s3_client

OpenProxy = Callable[[str], FaultyProxy]
SEAWEEDFS, AWS, MINIO = Bucket.Provider.SEAWEEDFS, Bucket.Provider.AWS, Bucket.Provider.MINIO
ROLE_ARN = "arn:aws:iam::123456789012:role/platform"


def a_bucket(name: str | None = "photos", **fields: Any) -> Bucket:
    return Bucket(
        **{
            "id": f"bucket-{uuid4()}",
            "owner": "alice",
            "name": name,
            "provider": SEAWEEDFS,
            "created_at": datetime.now(UTC),
            "cluster_name": "home",
            "org_name": "acme",
            "project_name": "vision",
            **fields,
        }
    )


def configured(
    server: SeaweedFSServer | MotoServer, provider: Bucket.Provider = SEAWEEDFS, **fields: Any
) -> S3ClusterConfig:
    return S3ClusterConfig(
        **{
            "provider": provider,
            "endpoint_url": server.endpoint,
            "access_key_id": server.access_key,
            "secret_access_key": SecretStr(server.secret_key),
            "role_arn": ROLE_ARN if provider is AWS else None,
            **fields,
        }
    )


@asynccontextmanager
async def opened(config: S3ClusterConfig) -> AsyncIterator[S3Admin]:
    admin = await S3Admin.open(config)
    try:
        yield admin
    finally:
        await admin.close()


@pytest.fixture
async def admin(seaweedfs: SeaweedFSServer) -> AsyncIterator[S3Admin]:
    async with opened(configured(seaweedfs)) as admin:
        yield admin


@pytest.fixture
async def aws(moto: MotoServer) -> AsyncIterator[S3Admin]:
    async with opened(configured(moto, AWS)) as admin:
        yield admin


@pytest.fixture(params=["seaweedfs", "moto"])
async def either(request: pytest.FixtureRequest) -> AsyncIterator[S3Admin]:
    provider = AWS if request.param == "moto" else SEAWEEDFS
    async with opened(configured(request.getfixturevalue(request.param), provider)) as admin:
        yield admin


@pytest.fixture
async def root(seaweedfs: SeaweedFSServer) -> AsyncIterator[Any]:
    async with s3_client(seaweedfs.endpoint, seaweedfs.access_key, seaweedfs.secret_key) as s3:
        yield s3


@pytest.fixture
async def place(admin: S3Admin) -> AsyncIterator[Place]:
    place = await made(admin)
    yield place
    await admin.delete(place, force=True)


async def made(admin: BucketAdmin, **fields: Any) -> Place:
    bucket = a_bucket(**fields)
    return Place(bucket=bucket, name=await admin.create(bucket))


@asynccontextmanager
async def client_of(opened: Mapping[str, str]) -> AsyncIterator[Any]:
    async with s3_client(
        opened["endpoint_url"],
        opened["access_key_id"],
        opened["secret_access_key"],
        opened.get("session_token"),
    ) as s3:
        yield s3


async def code(request: Awaitable[object]) -> str:
    """The code that a request is refused with."""
    with pytest.raises(ClientError) as raised:
        await request
    return str(raised.value.response["Error"]["Code"])


async def get(url: URL | str, method: str = "GET") -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as session, session.request(method, url) as answer:
        return answer.status, await answer.read()


async def read(s3: Any, place: Place, key: str) -> bytes:
    answer = await s3.get_object(Bucket=place.name, Key=key)
    body: bytes = await answer["Body"].read()
    return body


async def handle_an_upload(s3: Any, bucket: str) -> None:
    upload = {"Bucket": bucket, "Key": "big"}
    upload["UploadId"] = (await s3.create_multipart_upload(**upload))["UploadId"]
    await s3.upload_part(**upload, PartNumber=1, Body=b"x")
    assert len((await s3.list_parts(**upload))["Parts"]) == 1
    assert len((await s3.list_multipart_uploads(Bucket=bucket))["Uploads"]) == 1
    await s3.abort_multipart_upload(**upload)


class TestNames:
    @given(
        org=st.none() | st.text(max_size=40),
        project=st.text(max_size=40),
        name=st.none() | st.from_regex(r"[a-z][a-z0-9_-]{2,39}", fullmatch=True),
    )
    def test_they_are_always_valid(self, org: str | None, project: str, name: str | None) -> None:
        made = bucket_name(a_bucket(name, org_name=org, project_name=project))
        assert re.fullmatch(r"neuro-pl-[0-9a-f]{10}[a-z0-9-]*[a-z0-9]", made)
        assert len(made) <= 57

    def test_they_say_whose_the_bucket_is_and_never_come_twice(self) -> None:
        bucket = a_bucket("my_photos")
        first, second = bucket_name(bucket), bucket_name(bucket)
        assert "-acme-vision-myphotos" in first
        assert first != second


class TestConfig:
    def test_it_shows_no_secret(self) -> None:
        config = S3ClusterConfig(
            provider=SEAWEEDFS,
            endpoint_url="http://127.0.0.1:8333/",
            access_key_id="AK",
            secret_access_key=SecretStr("hidden"),
        )
        assert "hidden" not in f"{config!r} {config}"
        assert config.endpoint_url == "http://127.0.0.1:8333"

    @pytest.mark.parametrize(
        ("fields", "word"),
        [
            ({"provider": "aws"}, "role_arn"),
            ({"provider": "minio"}, "endpoint_url"),
            ({"provider": "azure", "endpoint_url": "http://h"}, "provider"),
            ({"provider": "seaweedfs", "endpoint_url": "h:8333"}, "endpoint_url"),
            ({"provider": "seaweedfs", "endpoint_url": "http://h/path"}, "endpoint_url"),
            ({"provider": "seaweedfs", "endpoint_url": "http://u:p@h"}, "endpoint_url"),
            ({"provider": "seaweedfs", "endpoint_url": "http://h", "keys": 1}, "keys"),
        ],
    )
    def test_what_is_wrong_is_named(self, fields: dict[str, Any], word: str) -> None:
        with pytest.raises(ValidationError, match=word) as raised:
            S3ClusterConfig(access_key_id="AK", secret_access_key=SecretStr("hidden"), **fields)
        assert "hidden" not in str(raised.value)


class TestCreate:
    async def test_browsers_may_use_it_and_forgotten_uploads_end(
        self, place: Place, root: Any
    ) -> None:
        cors = (await root.get_bucket_cors(Bucket=place.name))["CORSRules"][0]
        assert cors["AllowedOrigins"] == ["*"]
        assert cors["ExposeHeaders"] == ["ETag"]
        rules = await root.get_bucket_lifecycle_configuration(Bucket=place.name)
        assert rules["Rules"][0]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}

    async def test_a_lost_answer_does_no_harm(
        self, seaweedfs: SeaweedFSServer, proxy: OpenProxy, root: Any
    ) -> None:
        before = proxy(seaweedfs.endpoint)
        async with opened(configured(seaweedfs, endpoint_url=before.endpoint)) as admin:
            before.faults = Faults(lose=True, times=1)
            place = await made(admin)
            assert [seen.status for seen in before.seen][-4:] == [200, 409, 200, 200]
            await root.head_bucket(Bucket=place.name)
            await admin.delete(place, force=False)

    async def test_a_half_made_bucket_is_taken_away(
        self, seaweedfs: SeaweedFSServer, proxy: OpenProxy, root: Any
    ) -> None:
        before = proxy(seaweedfs.endpoint)
        async with opened(configured(seaweedfs, endpoint_url=before.endpoint)) as admin:
            before.faults = Faults(
                refuse=1, status=403, applies=lambda seen: "lifecycle" in seen.target
            )
            with pytest.raises(errors.NeuroError):
                await admin.create(a_bucket("halfmade"))
        names = [bucket["Name"] for bucket in (await root.list_buckets())["Buckets"]]
        assert not [name for name in names if "halfmade" in name]

    async def test_amazon_is_told_the_region(self, moto: MotoServer) -> None:
        async with opened(configured(moto, AWS, region_name="eu-west-1")) as admin:
            place = await made(admin, provider=AWS)
            assert (await admin.credentials(place, read_only=True))["region_name"] == "eu-west-1"
        async with s3_client(moto.endpoint, moto.access_key, moto.secret_key) as s3:
            found = await s3.get_bucket_location(Bucket=place.name)
            assert found["LocationConstraint"] == "eu-west-1"
            rules = await s3.get_bucket_lifecycle_configuration(Bucket=place.name)
            assert rules["Rules"][0]["Status"] == "Enabled"


class TestCredentials:
    async def test_writers_read_write_and_handle_uploads(
        self, admin: S3Admin, place: Place
    ) -> None:
        opened = await admin.credentials(place, read_only=False)
        bucket = place.name
        async with client_of(opened) as s3:
            await s3.put_object(Bucket=bucket, Key="a/b", Body=b"x")
            assert await read(s3, place, "a/b") == b"x"
            assert (await s3.list_objects_v2(Bucket=bucket))["KeyCount"] == 1
            await s3.get_bucket_location(Bucket=bucket)
            await handle_an_upload(s3, bucket)
            await s3.delete_object(Bucket=bucket, Key="a/b")
            assert (await s3.list_objects_v2(Bucket=bucket))["KeyCount"] == 0
            assert await code(s3.delete_bucket(Bucket=bucket)) == "AccessDenied"
            assert await code(s3.put_bucket_policy(Bucket=bucket, Policy="{}")) == "AccessDenied"

    async def test_readers_only_read(self, admin: S3Admin, place: Place, root: Any) -> None:
        bucket = place.name
        await root.put_object(Bucket=bucket, Key="a", Body=b"x")
        async with client_of(await admin.credentials(place, read_only=True)) as s3:
            assert await read(s3, place, "a") == b"x"
            assert (await s3.list_objects_v2(Bucket=bucket))["KeyCount"] == 1
            for refused in (
                s3.put_object(Bucket=bucket, Key="a", Body=b"y"),
                s3.put_object(Bucket=bucket, Key="new", Body=b"y"),
                s3.delete_object(Bucket=bucket, Key="a"),
                s3.create_multipart_upload(Bucket=bucket, Key="a"),
                s3.copy_object(Bucket=bucket, Key="b", CopySource=f"{bucket}/a"),
            ):
                assert await code(refused) == "AccessDenied"
            answer = await s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}]})
            assert [error["Code"] for error in answer["Errors"]] == ["AccessDenied"]
        assert await read(root, place, "a") == b"x"

    async def test_they_open_no_other_bucket(self, admin: S3Admin, place: Place, root: Any) -> None:
        other = await made(admin)
        await root.put_object(Bucket=other.name, Key="a", Body=b"x")
        async with client_of(await admin.credentials(place, read_only=False)) as s3:
            for refused in (
                s3.get_object(Bucket=other.name, Key="a"),
                s3.put_object(Bucket=other.name, Key="a", Body=b"y"),
                s3.delete_object(Bucket=other.name, Key="a"),
                s3.list_objects_v2(Bucket=other.name),
                s3.create_bucket(Bucket=f"{other.name}x"),
            ):
                assert await code(refused) == "AccessDenied"
            names = [bucket["Name"] for bucket in (await s3.list_buckets())["Buckets"]]
            assert other.name not in names
        await admin.delete(other, force=True)

    async def test_they_have_the_fields_of_the_platform(self, either: S3Admin) -> None:
        place = await made(either)
        opened = await either.credentials(place, read_only=False)
        assert set(opened) == {
            "bucket_name",
            "region_name",
            "endpoint_url",
            "access_key_id",
            "secret_access_key",
            "session_token",
            "expiration",
        }
        assert opened["bucket_name"] == place.name
        assert opened["expiration"].endswith("+00:00")
        left = datetime.fromisoformat(opened["expiration"]) - datetime.now(UTC)
        assert timedelta(minutes=59) < left <= timedelta(minutes=60, seconds=5)
        async with client_of(opened) as s3:
            await s3.put_object(Bucket=place.name, Key="a", Body=b"x")
        await either.delete(place, force=True)


class TestRoles:
    async def test_a_role_opens_its_buckets_until_it_is_narrowed_and_removed(
        self, admin: S3Admin, place: Place
    ) -> None:
        other, role = await made(admin), f"bucket-credentials-{uuid4()}"
        made_for = await admin.create_role(role, [place, other], read_only=False)
        assert set(made_for) == {place.bucket.id, other.bucket.id}
        keys = {opened["access_key_id"] for opened in made_for.values()}
        assert len(keys) == 1
        assert not {"session_token", "expiration"} & set(made_for[other.bucket.id])
        async with client_of(made_for[place.bucket.id]) as s3:
            for each in (place, other):
                await s3.put_object(Bucket=each.name, Key="a", Body=b"x")
                await handle_an_upload(s3, each.name)
                assert await code(s3.delete_bucket(Bucket=each.name)) == "AccessDenied"
            await admin.narrow_role(role, [place], read_only=False)
            await s3.put_object(Bucket=place.name, Key="a", Body=b"y")
            assert await code(s3.get_object(Bucket=other.name, Key="a")) == "AccessDenied"
            await admin.delete_role(role)
            assert await code(s3.get_object(Bucket=place.name, Key="a")) == "InvalidAccessKeyId"
        await admin.delete_role(role)
        await admin.delete(other, force=True)

    async def test_a_role_that_reads_only_reads(
        self, admin: S3Admin, place: Place, root: Any
    ) -> None:
        await root.put_object(Bucket=place.name, Key="a", Body=b"x")
        role = f"bucket-credentials-{uuid4()}"
        made_for = await admin.create_role(role, [place], read_only=True)
        async with client_of(made_for[place.bucket.id]) as s3:
            assert await read(s3, place, "a") == b"x"
            for refused in (
                s3.put_object(Bucket=place.name, Key="a", Body=b"y"),
                s3.delete_object(Bucket=place.name, Key="a"),
            ):
                assert await code(refused) == "AccessDenied"
        await admin.delete_role(role)

    async def test_nothing_stays_of_a_role_at_amazon(self, aws: S3Admin, moto: MotoServer) -> None:
        place, role = await made(aws), f"bucket-credentials-{uuid4()}"
        await aws.create_role(role, [place], read_only=False)
        calls = aws._calls
        assert len((await calls.iam("list_user_policies", UserName=role) or {})["PolicyNames"]) == 1
        await aws.delete_role(role)
        assert await calls.iam("get_user", tolerate=("NoSuchEntity",), UserName=role) is None
        await aws.delete_role(role)

    async def test_a_role_that_cannot_be_made_leaves_nothing(
        self, seaweedfs: SeaweedFSServer, proxy: OpenProxy, place: Place
    ) -> None:
        before, role = proxy(seaweedfs.endpoint), f"bucket-credentials-{uuid4()}"
        async with opened(configured(seaweedfs, endpoint_url=before.endpoint)) as admin:
            third = len(before.seen) + 3  # after the user and its policy comes the key
            before.faults = Faults(
                refuse=1, status=403, applies=lambda _seen: len(before.seen) == third
            )
            with pytest.raises(errors.StorageUnavailable):
                await admin.create_role(role, [place], read_only=False)
            found = await admin._calls.iam("get_user", tolerate=("NoSuchEntity",), UserName=role)
            assert found is None

    async def test_minio_has_none(self, moto: MotoServer) -> None:
        async with opened(configured(moto, MINIO)) as admin:
            place = await made(admin, provider=MINIO)
            assert (await admin.credentials(place, read_only=True))["session_token"]
            with pytest.raises(errors.NotSupportedError, match="MinIO"):
                await admin.create_role("role", [place], read_only=False)
            await admin.delete_role("role")
            await admin.delete(place, force=False)


class TestPublic:
    async def test_anybody_reads_a_public_bucket_and_no_other(
        self, admin: S3Admin, place: Place, root: Any, seaweedfs: SeaweedFSServer
    ) -> None:
        await root.put_object(Bucket=place.name, Key="a", Body=b"x")
        url = f"{seaweedfs.endpoint}/{place.name}/a"
        assert (await get(url))[0] == 403
        for _ in range(2):
            await admin.set_public(place, True)
            assert await get(url) == (200, b"x")
            assert (await get(url, "DELETE"))[0] == 403
            assert (await get(url, "PUT"))[0] == 403
        for _ in range(2):
            await admin.set_public(place, False)
            assert (await get(url))[0] == 403
        assert await code(root.get_bucket_policy(Bucket=place.name)) == "NoSuchBucketPolicy"

    async def test_statements_of_others_stay(
        self, admin: S3Admin, place: Place, root: Any, seaweedfs: SeaweedFSServer
    ) -> None:
        for key in ("shown/a", "b"):
            await root.put_object(Bucket=place.name, Key=key, Body=b"x")
        foreign = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{place.name}/shown/*",
        }
        policy = {"Version": "2012-10-17", "Statement": [foreign]}
        await root.put_bucket_policy(Bucket=place.name, Policy=json.dumps(policy))
        url = f"{seaweedfs.endpoint}/{place.name}"

        async def statuses() -> list[int]:
            return [(await get(f"{url}/{key}"))[0] for key in ("shown/a", "b")]

        assert await statuses() == [200, 403]
        await admin.set_public(place, True)
        assert await statuses() == [200, 200]
        await admin.set_public(place, False)
        assert await statuses() == [200, 403]
        found = await root.get_bucket_policy(Bucket=place.name)
        assert json.loads(found["Policy"])["Statement"] == [foreign]

    def test_a_policy_is_edited_as_text(self) -> None:
        foreign = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}
        found = json.dumps({"Id": "theirs", "Version": "2012-10-17", "Statement": foreign})
        public = public_policy(found, "b", public=True)
        assert public is not None
        sids = [each.get("Sid") for each in json.loads(public)["Statement"]]
        assert sids == [None, "neuro-public-access-list", "neuro-public-access-read"]
        assert public_policy(public, "b", public=True) == public
        private = public_policy(public, "b", public=False)
        assert private is not None
        assert json.loads(private) == {**json.loads(found), "Statement": [foreign]}
        assert public_policy(None, "b", public=False) is None
        assert public_policy(public_policy(None, "b", public=True), "b", public=False) is None

    async def test_amazon_s_block_is_lifted_and_put_back(
        self, aws: S3Admin, moto: MotoServer
    ) -> None:
        place = await made(aws)
        async with s3_client(moto.endpoint, moto.access_key, moto.secret_key) as s3:
            for _ in range(2):
                await aws.set_public(place, False)
                block = await s3.get_public_access_block(Bucket=place.name)
                assert all(block["PublicAccessBlockConfiguration"].values())
                await aws.set_public(place, True)
                missing = "NoSuchPublicAccessBlockConfiguration"
                assert await code(s3.get_public_access_block(Bucket=place.name)) == missing


class TestSignedURLs:
    async def test_anybody_gets_the_blob_until_the_time_is_up(
        self, admin: S3Admin, place: Place, root: Any
    ) -> None:
        key = "a b/ü?#&+%20.txt"
        await root.put_object(Bucket=place.name, Key=key, Body=b"x")
        short = await admin.sign_url(place, key, 2)
        signed_at = asyncio.get_running_loop().time()
        url = await admin.sign_url(place, key, 60)
        assert url.query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
        assert await get(short) == (200, b"x")
        assert await get(url) == (200, b"x")
        for method in ("PUT", "DELETE"):
            assert (await get(url, method))[0] == 403
        other = URL(str(url).replace("20.txt", "21.txt"), encoded=True)
        assert (await get(other))[0] == 403
        await asyncio.sleep(signed_at + 3.1 - asyncio.get_running_loop().time())
        assert (await get(short))[0] == 403
        assert await get(url) == (200, b"x")

    async def test_the_key_need_not_exist(self, admin: S3Admin, place: Place) -> None:
        assert (await get(await admin.sign_url(place, "missing", 604_800)))[0] == 404

    @pytest.mark.parametrize("expires_in", [0, -1, 604_801, 1.5, True, "60"])
    async def test_impossible_times_are_refused(self, aws: S3Admin, expires_in: Any) -> None:
        with pytest.raises(errors.IllegalArgumentError, match="expires_in"):
            await aws.sign_url(Place(bucket=a_bucket(), name="b"), "a", expires_in)

    async def test_they_lead_to_the_public_endpoint(
        self, seaweedfs: SeaweedFSServer, proxy: OpenProxy
    ) -> None:
        public = proxy(seaweedfs.endpoint)
        config = configured(seaweedfs, public_endpoint_url=public.endpoint)
        async with opened(config) as admin:
            place = await made(admin)
            await admin.set_public(place, False)
            given = await admin.credentials(place, read_only=False)
            assert public.seen == []
            assert given["endpoint_url"] == public.endpoint
            async with client_of(given) as s3:
                await s3.put_object(Bucket=place.name, Key="a", Body=b"x")
            url = await admin.sign_url(place, "a", 60)
            assert (url.host, url.port) == ("127.0.0.1", URL(public.endpoint).port)
            assert await get(url) == (200, b"x")
            await admin.delete(place, force=True)


class TestDelete:
    async def test_it_is_refused_while_blobs_remain(self, either: S3Admin) -> None:
        place = await made(either)
        async with client_of(await either.credentials(place, read_only=False)) as s3:
            await s3.put_object(Bucket=place.name, Key="a/b/c", Body=b"x")
            with pytest.raises(errors.BucketNotEmpty, match="photos"):
                await either.delete(place, force=False)
            assert await read(s3, place, "a/b/c") == b"x"
            await s3.delete_object(Bucket=place.name, Key="a/b/c")
            await either.delete(place, force=False)
            await either.delete(place, force=False)
            await either.delete(place, force=True)
            await either.purge(place)

    async def test_a_store_that_would_delete_blobs_is_not_asked_to(
        self, seaweedfs: SeaweedFSServer, proxy: OpenProxy, place: Place, root: Any
    ) -> None:
        await root.put_object(Bucket=place.name, Key="a", Body=b"x")
        before = proxy(seaweedfs.endpoint)
        async with opened(configured(seaweedfs, endpoint_url=before.endpoint)) as admin:
            with pytest.raises(errors.BucketNotEmpty):
                await admin.delete(place, force=False)
        assert before.count("DELETE") == 0

    async def test_force_removes_all_blobs_and_uploads(
        self, admin: S3Admin, root: Any, seaweedfs: SeaweedFSServer
    ) -> None:
        place = await made(admin)
        slots = asyncio.Semaphore(10)

        async def put(number: int) -> None:
            async with slots:
                await root.put_object(Bucket=place.name, Key=f"{number % 7}/{number}", Body=b"x")

        await asyncio.gather(*(put(number) for number in range(1010)))
        upload = await root.create_multipart_upload(Bucket=place.name, Key="big")
        await root.upload_part(
            Bucket=place.name, Key="big", UploadId=upload["UploadId"], PartNumber=1, Body=b"x"
        )
        await admin.delete(place, force=True)
        assert await code(root.head_bucket(Bucket=place.name)) == "404"

    async def test_force_takes_few_requests(self, moto: MotoServer, proxy: OpenProxy) -> None:
        before = proxy(moto.endpoint)
        async with opened(configured(moto, AWS, endpoint_url=before.endpoint)) as admin:
            place = await made(admin)
            async with client_of(await admin.credentials(place, read_only=False)) as s3:
                for key in ("a", "b", "\x01"):
                    await s3.put_object(Bucket=place.name, Key=key, Body=b"x")
            before.forget()
            await admin.delete(place, force=True)
        assert before.counts() == {
            "GET list-type": 2,
            "DELETE": 2,  # of the key that XML cannot hold, and of the bucket
            "POST delete": 1,
            "GET uploads": 1,
        }

    async def test_a_blob_that_cannot_be_removed_is_named(
        self, admin: S3Admin, place: Place, root: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await root.put_object(Bucket=place.name, Key="a", Body=b"x")
        limited = await admin.credentials(place, read_only=True)
        async with opened(config_of(admin)) as other:
            calls = await other._calls.sibling(access_of(limited), services=("s3",))
            monkeypatch.setattr(other, "_calls", calls)
            with pytest.raises(errors.StorageError, match="AccessDenied") as raised:
                await other.delete(place, force=True)
            assert (raised.value.bucket, raised.value.key) == ("photos", "a")
        assert await read(root, place, "a") == b"x"


def config_of(admin: S3Admin) -> S3ClusterConfig:
    return admin._config


def access_of(opened: Mapping[str, str]) -> s3_calls.Access:
    return s3_calls.Access(
        endpoint_url=opened["endpoint_url"],
        region_name=opened["region_name"],
        access_key_id=opened["access_key_id"],
        secret_access_key=opened["secret_access_key"],
        session_token=opened.get("session_token"),
    )


class TestImported:
    async def test_its_own_credentials_count(
        self, admin: S3Admin, place: Place, root: Any, seaweedfs: SeaweedFSServer
    ) -> None:
        await root.put_object(Bucket=place.name, Key="a", Body=b"x")
        keys = {
            "access_key_id": seaweedfs.access_key,
            "secret_access_key": seaweedfs.secret_key,
            "endpoint_url": seaweedfs.endpoint,
        }
        imported = Place(bucket=a_bucket(imported=True), name=place.name, credentials=keys)
        imports = S3Imports(Bucket.Provider.MINIO)
        await imports.check_import(imported)
        assert await get(await imports.sign_url(imported, "a", 60)) == (200, b"x")
        await imports.set_public(imported, True)
        assert await get(f"{seaweedfs.endpoint}/{place.name}/a") == (200, b"x")
        await imports.set_public(imported, False)
        wrong = Place(
            bucket=imported.bucket, name=place.name, credentials={**keys, "access_key_id": "NO"}
        )
        with pytest.raises(errors.AuthenticationError):
            await imports.set_public(wrong, True)
        reader = await admin.credentials(place, read_only=True)
        limited = Place(bucket=imported.bucket, name=place.name, credentials=reader)
        with pytest.raises(errors.AuthorizationError):
            await imports.set_public(limited, True)

    async def test_no_url_outlives_the_credentials_that_sign_it(
        self, admin: S3Admin, place: Place
    ) -> None:
        keys = dict(await admin.credentials(place, read_only=True))
        imports = S3Imports(Bucket.Provider.SEAWEEDFS)
        imported = Place(bucket=a_bucket(), name=place.name, credentials=keys)
        assert (await get(await imports.sign_url(imported, "missing", 3500)))[0] in (403, 404)
        with pytest.raises(errors.IllegalArgumentError, match="expires_in must be at most 3"):
            await imports.sign_url(imported, "a", 3601)
        del keys["expiration"]
        with pytest.raises(errors.NotSupportedError, match="expiration"):
            await imports.sign_url(imported, "a", 1)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("access_key_id", None),
            ("secret_access_key", ""),
            ("endpoint_url", None),
            ("endpoint_url", "store.example"),
            ("expiration", "tomorrow"),
        ],
    )
    async def test_what_cannot_be_right_is_named(self, field: str, value: str | None) -> None:
        keys: dict[str, Any] = {
            "access_key_id": "A",
            "secret_access_key": "hidden",
            "endpoint_url": "http://h",
        }
        changed = {**keys, field: value} if value is not None else {**keys}
        if value is None:
            del changed[field]
        place = Place(bucket=a_bucket(), name="b", credentials=changed)
        with pytest.raises(errors.IllegalArgumentError, match=f"'{field}'") as raised:
            await S3Imports(Bucket.Provider.SEAWEEDFS).check_import(place)
        assert "hidden" not in str(raised.value)


class TestErrors:
    async def test_a_wrong_secret_is_told_from_missing_rights(
        self, seaweedfs: SeaweedFSServer
    ) -> None:
        secret = "wrong-" + "s" * 30
        config = configured(seaweedfs, secret_access_key=SecretStr(secret))
        with pytest.raises(errors.AuthenticationError, match="SignatureDoesNotMatch") as raised:
            await S3Admin.open(config)
        assert secret not in str(raised.value)

    async def test_a_store_that_is_away_is_unavailable(self, seaweedfs: SeaweedFSServer) -> None:
        with pytest.raises(errors.StorageUnavailable):
            await S3Admin.open(configured(seaweedfs, endpoint_url="http://127.0.0.1:9"))

    async def test_a_missing_bucket_is_said_to_be_missing(self, admin: S3Admin) -> None:
        with pytest.raises(errors.BucketNotFound, match="photos"):
            await admin.set_public(Place(bucket=a_bucket(), name="nowhere"), True)

    async def test_a_busy_store_is_asked_again_and_then_unavailable(
        self, moto: MotoServer, proxy: OpenProxy
    ) -> None:
        before = proxy(moto.endpoint)
        async with opened(configured(moto, AWS, endpoint_url=before.endpoint)) as admin:
            before.faults = Faults(refuse=1)
            with pytest.raises(errors.StorageUnavailable, match="SlowDown"):
                await admin.create(a_bucket())
        assert len(before.seen) == 3

    async def test_a_store_that_stalls_is_a_timeout(
        self, moto: MotoServer, proxy: OpenProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = proxy(moto.endpoint)
        async with opened(configured(moto, AWS, endpoint_url=before.endpoint)) as admin:
            monkeypatch.setattr(s3_calls, "_CALL_SECONDS", 0.3)
            before.faults = Faults(delay=20)
            with pytest.raises(errors.StorageTimeout, match="in time"):
                await admin.create(a_bucket())

    async def test_each_read_has_its_limit_too(
        self, moto: MotoServer, proxy: OpenProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(s3_calls, "_READ_SECONDS", 0.2)
        before = proxy(moto.endpoint)
        async with opened(configured(moto, AWS, endpoint_url=before.endpoint)) as admin:
            before.faults = Faults(delay=20, applies=lambda _seen: True)
            with pytest.raises(errors.StorageTimeout):
                await admin.credentials(Place(bucket=a_bucket(), name="b"), read_only=True)
        assert len(before.seen) == 3

    @pytest.mark.parametrize(
        ("kind", "refusal"),
        [(kind, code) for kind, codes in s3_calls.CODES.items() for code in sorted(codes)]
        + [(errors.StorageError, "NobodyKnows")],
    )
    def test_every_code_has_its_error(
        self, kind: type[errors.NeuroError], refusal: str, moto: MotoServer
    ) -> None:
        access = s3_calls.Access(
            endpoint_url=None,
            region_name="r",
            access_key_id="A",
            secret_access_key="hidden",
            session_token="token",
        )
        assert "hidden" not in repr(access)
        assert "token'" not in repr(access)
        calls = s3_calls.Calls(None, access)
        answer = {"Error": {"Code": refusal, "Message": "not with hidden and token"}}
        with pytest.raises(kind) as raised, calls._errors("asking", "photos"):
            raise ClientError(answer, "Ask")
        assert type(raised.value) is kind
        assert refusal in str(raised.value)
        assert "hidden" not in str(raised.value)


async def test_nothing_of_this_machine_is_asked(
    moto: MotoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / ".aws" / "config"
    broken.parent.mkdir()
    broken.write_text("this is [no configuration")
    (tmp_path / ".aws" / "models").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in {
        "AWS_ACCESS_KEY_ID": "SURPRISE",
        "AWS_CA_BUNDLE": "/nowhere",
        "AWS_CONFIG_FILE": str(broken),
        "AWS_DEFAULTS_MODE": "surprise",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
        "AWS_MAX_ATTEMPTS": "surprise",
        "AWS_PROFILE": "surprise",
        "AWS_REGION": "surprise",
        "AWS_DEFAULT_REGION": "surprise",
        "AWS_SESSION_TOKEN": "surprise",
        "AWS_SHARED_CREDENTIALS_FILE": str(broken),
        "AWS_USE_FIPS_ENDPOINT": "true",
    }.items():
        monkeypatch.setenv(name, value)
    async with opened(configured(moto, AWS)) as admin:
        place = await made(admin)
        url = await admin.sign_url(place, "a", 60)
        assert "SURPRISE" not in str(url)
        assert "surprise" not in str(url)
        assert (await admin.credentials(place, read_only=True))["region_name"] == "us-east-1"
        await admin.delete(place, force=False)
    real = S3ClusterConfig(
        provider=AWS,
        region_name="eu-west-1",
        access_key_id="AK",
        secret_access_key=SecretStr("s"),
        role_arn=ROLE_ARN,
    )
    async with opened(real) as admin:
        url = await admin.sign_url(Place(bucket=a_bucket(), name="b-1"), "a", 60)
        assert url.host == "b-1.s3.eu-west-1.amazonaws.com"
        assert admin._signer.endpoint_url == "https://s3.eu-west-1.amazonaws.com"


class TestSeaweedFSAsOthersRunIt:
    """Its IAM can be closed; then its administrator needs a policy from a file."""

    @pytest.fixture
    def closed(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        extra: list[str] = []
        command = serving._command

        def changed(*args: Any) -> list[str]:
            closed = [
                "-s3.iam.readOnly=true" if part == "-s3.iam.readOnly=false" else part
                for part in command(*args)
            ]
            return [*closed, *extra]

        monkeypatch.setattr(serving, "_command", changed)
        return extra

    async def test_without_a_policy_it_says_what_to_do(
        self, closed: list[str], tmp_path: Path
    ) -> None:
        async with run_seaweedfs(tmp_path) as server:
            with pytest.raises(errors.ConfigError, match="readOnly"):
                await S3Admin.open(configured(server))

    async def test_with_a_policy_it_works(self, closed: list[str], tmp_path: Path) -> None:
        # The keys in its environment are those of another administrator, who has no policy.
        keys: dict[str, Any] = {"access_key_id": "PLATFORM", "secret_access_key": "from-the-file"}
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        policy = {"Version": "2012-10-17", "Statement": [everything]}
        identity = {
            "name": "platform",
            "credentials": [{"accessKey": "PLATFORM", "secretKey": "from-the-file"}],
            "actions": ["Admin"],
            "policyNames": ["everything"],
        }
        config = {
            "identities": [identity],
            "policies": [{"name": "everything", "content": json.dumps(policy)}],
        }
        path = tmp_path / "s3.json"
        path.write_text(json.dumps(config))
        closed.append(f"-s3.config={path}")
        async with (
            run_seaweedfs(tmp_path) as server,
            opened(configured(server, SEAWEEDFS, **keys)) as admin,
        ):
            place = await made(admin)
            async with client_of(await admin.credentials(place, read_only=False)) as s3:
                await s3.put_object(Bucket=place.name, Key="a", Body=b"x")
            with pytest.raises(errors.AuthorizationError):
                await admin.create_role("role", [place], read_only=False)
