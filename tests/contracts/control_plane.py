"""What every control plane must do: subclass, give the fixtures, and the rules are tried."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from neuro_sdk._core.models import Bucket
from neuro_sdk._core.uri import Scope
from neuro_sdk.errors import (
    BlobNotFound,
    BucketNotEmpty,
    BucketNotFound,
    ConfigError,
    IllegalArgumentError,
    InvalidKey,
    InvalidName,
    NameTaken,
    NeuroError,
    NotSupportedError,
)
from neuro_sdk.protocols import ControlPlane, OpenProvider, Provider

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
AWS = {"access_key_id": "AKIA", "secret_access_key": "s3cr3t", "region_name": "eu-west-1"}


async def blobs_of(plane: ControlPlane, bucket: Bucket, open_provider: OpenProvider) -> Provider:
    return open_provider(bucket, await plane.bucket_credentials(bucket))


async def put(plane: ControlPlane, bucket: Bucket, open_provider: OpenProvider, *keys: str) -> None:
    provider = await blobs_of(plane, bucket, open_provider)
    for key in keys:
        await provider.put(key, b"" if key.endswith("/") else key.encode())
    await provider.close()


async def read(plane: ControlPlane, bucket: Bucket, open_provider: OpenProvider, key: str) -> bytes:
    provider = await blobs_of(plane, bucket, open_provider)
    try:
        return b"".join([chunk async for chunk in provider.fetch(key)])
    finally:
        await provider.close()


@dataclasses.dataclass(frozen=True)
class Outside:
    """A bucket that exists at a provider, with the blob ``a`` that holds ``mine``."""

    provider: Bucket.Provider
    name: str
    credentials: dict[str, str]


MakeOutside = Callable[[], Awaitable[Outside]]


async def import_outside(
    plane: ControlPlane, scope: Scope, outside: Outside, name: str | None = None
) -> Bucket:
    return await plane.import_bucket(
        name,
        scope,
        provider=outside.provider,
        provider_bucket_name=outside.name,
        credentials=outside.credentials,
    )


class ControlPlaneContract:
    """Subclasses give ``plane``, empty, ``scope``, one it serves, and ``open_provider``."""

    @pytest.fixture
    def plane(self) -> ControlPlane:
        raise NotImplementedError

    @pytest.fixture
    def scope(self) -> Scope:
        raise NotImplementedError

    @pytest.fixture
    def open_provider(self) -> OpenProvider:
        raise NotImplementedError

    @pytest.fixture
    def outside(self, tmp_path: Path) -> MakeOutside:
        """Makes a bucket that the plane can import: a folder, unless a subclass says otherwise."""

        async def make() -> Outside:
            folder = tmp_path / f"mine-{uuid.uuid4()}"
            folder.mkdir()
            (folder / "a").write_bytes(b"mine")
            return Outside(Bucket.Provider.LOCAL, "mine", {"root": str(folder)})

        return make

    @pytest.fixture
    def other(self, scope: Scope) -> Scope:
        return dataclasses.replace(scope, project_name="elsewhere")


class BucketsContract(ControlPlaneContract):
    async def test_a_made_bucket_is_found(self, plane: ControlPlane, scope: Scope) -> None:
        made = await plane.create_bucket("photos", scope)
        assert re.fullmatch(f"bucket-{UUID}", made.id)
        assert (made.name, made.imported, made.public) == ("photos", False, False)
        assert (made.cluster_name, made.org_name) == (scope.cluster_name, scope.org_name)
        assert made.project_name == scope.project_name
        assert made.provider.known
        assert made.created_at.utcoffset() == timedelta(0)
        assert abs(made.created_at - datetime.now(UTC)) < timedelta(minutes=1)
        assert await plane.get_bucket("photos", scope) == made
        assert await plane.get_bucket(made.id, scope) == made
        assert [bucket async for bucket in plane.list_buckets(scope)] == [made]

    async def test_nameless_buckets_live_side_by_side(
        self, plane: ControlPlane, scope: Scope
    ) -> None:
        made = {(await plane.create_bucket(None, scope)).id for _ in range(3)}
        assert {bucket.id async for bucket in plane.list_buckets(scope)} == made
        for bucket_id in made:
            assert (await plane.get_bucket(bucket_id, scope)).name is None

    async def test_a_name_is_taken_once(self, plane: ControlPlane, scope: Scope) -> None:
        made = await plane.create_bucket("photos", scope)
        with pytest.raises(NameTaken):
            await plane.create_bucket("photos", scope)
        assert await plane.get_bucket("photos", scope) == made

    async def test_one_of_many_at_once_gets_the_name(
        self, plane: ControlPlane, scope: Scope
    ) -> None:
        tries = [plane.create_bucket("photos", scope) for _ in range(8)]
        results = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(isinstance(result, Bucket) for result in results) == 1
        assert sum(isinstance(result, NameTaken) for result in results) == 7
        assert len([bucket async for bucket in plane.list_buckets(scope)]) == 1

    @pytest.mark.parametrize(
        "name", ["", "ab", "a" * 41, "1abc", "Abc", "a.b.c", "abc\n", "été", "a b", "-abc", "a/b"]
    )
    async def test_a_name_against_the_rule_is_refused(
        self, plane: ControlPlane, scope: Scope, name: str
    ) -> None:
        with pytest.raises(InvalidName):
            await plane.create_bucket(name, scope)
        assert [bucket async for bucket in plane.list_buckets(scope)] == []

    @pytest.mark.parametrize("name", ["abc", "a" * 40, "a--b", "a_b", "ab-", "a12"])
    async def test_a_name_within_the_rule_is_kept(
        self, plane: ControlPlane, scope: Scope, name: str
    ) -> None:
        assert (await plane.create_bucket(name, scope)).name == name
        assert (await plane.get_bucket(name, scope)).name == name

    async def test_projects_do_not_see_each_other(
        self, plane: ControlPlane, scope: Scope, other: Scope
    ) -> None:
        here = await plane.create_bucket("photos", scope)
        there = await plane.create_bucket("photos", other)
        assert here.id != there.id
        assert (await plane.get_bucket("photos", scope)).id == here.id
        assert (await plane.get_bucket("photos", other)).id == there.id
        assert [bucket.id async for bucket in plane.list_buckets(other)] == [there.id]
        assert (await plane.get_bucket(here.id, other)).id == here.id  # an id is found anywhere

    async def test_an_owner_is_the_project_of_that_name(
        self, plane: ControlPlane, scope: Scope, other: Scope
    ) -> None:
        made = await plane.create_bucket("photos", other)
        by_owner = dataclasses.replace(scope, project_name=None, owner="elsewhere")
        assert await plane.get_bucket("photos", by_owner) == made

    async def test_owner_and_project_together_are_refused(
        self, plane: ControlPlane, scope: Scope
    ) -> None:
        both = dataclasses.replace(scope, owner="somebody")
        with pytest.raises(IllegalArgumentError):
            await plane.get_bucket("photos", both)
        with pytest.raises(IllegalArgumentError):
            await plane.create_bucket("photos", both)
        with pytest.raises(IllegalArgumentError):
            [bucket async for bucket in plane.list_buckets(both)]

    async def test_what_the_scope_leaves_out_is_filled_in(
        self, plane: ControlPlane, scope: Scope
    ) -> None:
        made = await plane.create_bucket("photos", scope)
        bare = Scope(cluster_name=scope.cluster_name)
        assert await plane.get_bucket("photos", bare) == made

    async def test_another_cluster_is_named_in_the_error(
        self, plane: ControlPlane, scope: Scope
    ) -> None:
        made = await plane.create_bucket("photos", scope)
        far = dataclasses.replace(scope, cluster_name="nowhere-land")
        calls = [
            plane.get_bucket(made.id, far),
            plane.create_bucket("photos", far),
            plane.delete_bucket(dataclasses.replace(made, cluster_name="nowhere-land")),
            plane.get_credentials("some", "nowhere-land"),
        ]
        for call in calls:
            with pytest.raises(ConfigError, match="nowhere-land"):
                await call
        assert await plane.get_bucket(made.id, scope) == made

    @pytest.mark.parametrize("name", ["photos", "", "bucket-", "'; DROP TABLE buckets; --", "%"])
    async def test_an_unknown_bucket_is_not_found(
        self, plane: ControlPlane, scope: Scope, name: str
    ) -> None:
        await plane.create_bucket(None, scope)
        await plane.create_bucket("other", scope)
        with pytest.raises(BucketNotFound):
            await plane.get_bucket(name, scope)

    async def test_a_removed_bucket_is_gone_and_its_name_free(
        self, plane: ControlPlane, scope: Scope
    ) -> None:
        made = await plane.create_bucket("photos", scope)
        await plane.delete_bucket(made)
        for lost in (plane.get_bucket("photos", scope), plane.get_bucket(made.id, scope)):
            with pytest.raises(BucketNotFound):
                await lost
        for late in (
            plane.delete_bucket(made),
            plane.delete_bucket(made, force=True),
            plane.set_public(made, True),
            plane.sign_url(made, "a", 60),
        ):
            with pytest.raises(BucketNotFound):
                await late
        with pytest.raises(BucketNotFound):
            await plane.bucket_credentials(made)
        assert (await plane.create_bucket("photos", scope)).id != made.id

    @pytest.mark.parametrize("key", ["a", "deep/er/a", "empty/"])
    async def test_a_bucket_with_a_blob_stays(
        self, plane: ControlPlane, scope: Scope, open_provider: OpenProvider, key: str
    ) -> None:
        made = await plane.create_bucket("photos", scope)
        await put(plane, made, open_provider, key)
        with pytest.raises(BucketNotEmpty):
            await plane.delete_bucket(made)
        assert await plane.get_bucket("photos", scope) == made
        provider = await blobs_of(plane, made, open_provider)
        assert (await provider.head(key)).key == key
        await provider.put("more", b"data")  # still usable
        await provider.close()

    async def test_a_bucket_whose_blobs_are_gone_goes(
        self, plane: ControlPlane, scope: Scope, open_provider: OpenProvider
    ) -> None:
        made = await plane.create_bucket("photos", scope)
        await put(plane, made, open_provider, "a", "deep/er/b", "empty/")
        provider = await blobs_of(plane, made, open_provider)
        await provider.delete_many(["a", "deep/er/b", "empty/"])
        await provider.close()
        await plane.delete_bucket(made)
        assert [bucket async for bucket in plane.list_buckets(scope)] == []

    async def test_force_takes_the_blobs_too(
        self, plane: ControlPlane, scope: Scope, open_provider: OpenProvider
    ) -> None:
        made = await plane.create_bucket("photos", scope)
        await put(plane, made, open_provider, "a", "deep/er/b")
        provider = await blobs_of(plane, made, open_provider)
        await plane.delete_bucket(made, force=True)
        with pytest.raises(NeuroError):
            await provider.head("a")
        await provider.close()
        assert [bucket async for bucket in plane.list_buckets(scope)] == []

    async def test_removal_touches_no_other_bucket(
        self, plane: ControlPlane, scope: Scope, open_provider: OpenProvider
    ) -> None:
        kept = await plane.create_bucket("logs2", scope)
        await put(plane, kept, open_provider, "a")
        made = await plane.create_bucket("logs", scope)
        await plane.delete_bucket(made, force=True)
        assert await read(plane, kept, open_provider, "a") == b"a"

    async def test_public_is_kept(self, plane: ControlPlane, scope: Scope) -> None:
        made = await plane.create_bucket("photos", scope)
        for public in (True, True, False, False):
            changed = await plane.set_public(made, public)
            assert changed == dataclasses.replace(made, public=public)
            assert await plane.get_bucket("photos", scope) == changed


class ImportContract(ControlPlaneContract):
    async def test_an_imported_bucket_opens_with_what_was_given(
        self, plane: ControlPlane, scope: Scope
    ) -> None:
        made = await plane.import_bucket(
            "mine",
            scope,
            provider=Bucket.Provider.AWS,
            provider_bucket_name="their-bucket",
            credentials=AWS,
        )
        assert made.imported
        assert made.provider is Bucket.Provider.AWS
        assert await plane.get_bucket("mine", scope) == made
        opened = await plane.bucket_credentials(made)
        assert dict(opened.credentials) == {**AWS, "bucket_name": "their-bucket"}
        assert (opened.bucket_id, opened.provider) == (made.id, made.provider)
        assert "s3cr3t" not in repr(opened) + repr(made)

    async def test_the_blobs_of_an_imported_bucket_stay(
        self,
        plane: ControlPlane,
        scope: Scope,
        open_provider: OpenProvider,
        outside: MakeOutside,
    ) -> None:
        mine = await outside()
        for force in (False, True):
            made = await import_outside(plane, scope, mine, "mine")
            assert await read(plane, made, open_provider, "a") == b"mine"
            await plane.delete_bucket(made, force=force)
            with pytest.raises(BucketNotFound):
                await plane.get_bucket("mine", scope)
        again = await import_outside(plane, scope, mine, "mine")
        assert await read(plane, again, open_provider, "a") == b"mine"

    async def test_a_name_is_taken_by_import_too(
        self, plane: ControlPlane, scope: Scope, outside: MakeOutside
    ) -> None:
        made = await plane.create_bucket("photos", scope)
        with pytest.raises(NameTaken):
            await import_outside(plane, scope, await outside(), "photos")
        assert [bucket async for bucket in plane.list_buckets(scope)] == [made]

    async def test_an_import_signs_and_can_be_public(
        self, plane: ControlPlane, scope: Scope, outside: MakeOutside
    ) -> None:
        made = await import_outside(plane, scope, await outside())
        assert (await plane.set_public(made, True)).public
        url = await plane.sign_url(made, "a", 60)
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            assert await response.read() == b"mine"

    async def test_a_provider_of_the_future_is_refused_by_name(
        self, plane: ControlPlane, scope: Scope
    ) -> None:
        with pytest.raises(NotSupportedError, match="holographic"):
            await plane.import_bucket(
                None,
                scope,
                provider=Bucket.Provider("holographic"),
                provider_bucket_name="mine",
                credentials=AWS,
            )

    @pytest.mark.parametrize("name", ["", "  "])
    async def test_the_providers_name_is_needed(
        self, plane: ControlPlane, scope: Scope, name: str
    ) -> None:
        with pytest.raises(IllegalArgumentError, match="provider_bucket_name"):
            await plane.import_bucket(
                None, scope, provider=Bucket.Provider.AWS, provider_bucket_name=name, credentials={}
            )

    @pytest.mark.parametrize("credentials", [{"a": 1}, {1: "a"}, {"a": None}, ["a"], "root"])
    async def test_credentials_are_text(
        self, plane: ControlPlane, scope: Scope, credentials: object
    ) -> None:
        with pytest.raises(IllegalArgumentError, match="credentials"):
            await plane.import_bucket(
                None,
                scope,
                provider=Bucket.Provider.AWS,
                provider_bucket_name="mine",
                credentials=credentials,  # type: ignore[arg-type]
            )


class FoldersContract(ControlPlaneContract):
    """For a plane on the same machine as its caller."""

    async def test_a_folder_must_be_there(
        self, plane: ControlPlane, scope: Scope, tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()
        wrong = [{}, {"root": "rel"}, {"root": ""}, {"root": str(tmp_path / "no")}]
        for credentials in [*wrong, {"root": str(tmp_path / "file")}, {"root": "/\0"}]:
            with pytest.raises(IllegalArgumentError, match="root"):
                await plane.import_bucket(
                    None,
                    scope,
                    provider=Bucket.Provider.LOCAL,
                    provider_bucket_name="mine",
                    credentials=credentials,
                )
        assert [bucket async for bucket in plane.list_buckets(scope)] == []


class CredentialsContract(ControlPlaneContract):
    async def test_a_bucket_opens(
        self, plane: ControlPlane, scope: Scope, open_provider: OpenProvider
    ) -> None:
        made = await plane.create_bucket(None, scope)
        opened = await plane.bucket_credentials(made)
        assert (opened.bucket_id, opened.provider) == (made.id, made.provider)
        assert opened.read_only is False
        assert opened.credentials["bucket_name"]
        await put(plane, made, open_provider, "a")
        assert await read(plane, made, open_provider, "a") == b"a"

    async def test_made_credentials_are_found_and_open(
        self, plane: ControlPlane, scope: Scope, open_provider: OpenProvider
    ) -> None:
        buckets = [await plane.create_bucket(None, scope) for _ in range(3)]
        ids = [bucket.id for bucket in reversed(buckets)]
        cluster = scope.cluster_name
        made = await plane.create_credentials("ci-job", ids, read_only=False, cluster_name=cluster)
        assert re.fullmatch(f"bucket-credentials-{UUID}", made.id)
        assert (made.name, made.read_only, made.cluster_name) == ("ci-job", False, cluster)
        assert [one.bucket_id for one in made.credentials] == ids
        assert await plane.get_credentials("ci-job", cluster) == made
        assert await plane.get_credentials(made.id, cluster) == made
        assert [one async for one in plane.list_credentials(cluster)] == [made]
        provider = open_provider(buckets[-1], made.credentials[0])
        await provider.put("a", b"data")
        await provider.close()
        assert await read(plane, buckets[-1], open_provider, "a") == b"data"

    async def test_read_only_credentials_only_read(
        self, plane: ControlPlane, scope: Scope, open_provider: OpenProvider
    ) -> None:
        bucket = await plane.create_bucket(None, scope)
        await put(plane, bucket, open_provider, "a")
        made = await plane.create_credentials(
            None, [bucket.id], read_only=True, cluster_name=scope.cluster_name
        )
        assert made.read_only
        assert made.credentials[0].read_only
        provider = open_provider(bucket, made.credentials[0])
        assert (await provider.head("a")).size == 1
        with pytest.raises(PermissionError):
            await provider.put("a", b"changed")
        await provider.close()
        assert await read(plane, bucket, open_provider, "a") == b"a"

    async def test_an_id_twice_counts_once(self, plane: ControlPlane, scope: Scope) -> None:
        bucket = await plane.create_bucket(None, scope)
        made = await plane.create_credentials(
            None, [bucket.id, bucket.id], read_only=False, cluster_name=scope.cluster_name
        )
        assert [one.bucket_id for one in made.credentials] == [bucket.id]

    async def test_what_cannot_be_made_leaves_nothing(
        self, plane: ControlPlane, scope: Scope, outside: MakeOutside
    ) -> None:
        bucket = await plane.create_bucket("photos", scope)
        imported = await import_outside(plane, scope, await outside())
        cluster = scope.cluster_name

        async def refused(error: type[Exception], name: str | None, ids: list[str]) -> None:
            with pytest.raises(error):
                await plane.create_credentials(name, ids, read_only=False, cluster_name=cluster)

        await refused(IllegalArgumentError, None, [])
        await refused(BucketNotFound, None, [bucket.id, "bucket-of-nobody"])
        await refused(BucketNotFound, None, ["photos"])
        await refused(IllegalArgumentError, None, [bucket.id, imported.id])
        await refused(InvalidName, "X", [bucket.id])
        assert [one async for one in plane.list_credentials(cluster)] == []

    async def test_a_name_is_taken_once(self, plane: ControlPlane, scope: Scope) -> None:
        bucket = await plane.create_bucket(None, scope)
        cluster = scope.cluster_name
        made = await plane.create_credentials(
            "ci-job", [bucket.id], read_only=False, cluster_name=cluster
        )
        with pytest.raises(NameTaken):
            await plane.create_credentials(
                "ci-job", [bucket.id], read_only=True, cluster_name=cluster
            )
        for _ in range(2):
            await plane.create_credentials(None, [bucket.id], read_only=True, cluster_name=cluster)
        assert await plane.get_credentials("ci-job", cluster) == made
        assert len([one async for one in plane.list_credentials(cluster)]) == 3

    async def test_removed_credentials_are_gone(self, plane: ControlPlane, scope: Scope) -> None:
        bucket = await plane.create_bucket(None, scope)
        cluster = scope.cluster_name
        for by_name in (True, False):
            made = await plane.create_credentials(
                "ci-job", [bucket.id], read_only=False, cluster_name=cluster
            )
            address = "ci-job" if by_name else made.id
            await plane.delete_credentials(address, cluster)
            with pytest.raises(BucketNotFound):
                await plane.get_credentials(made.id, cluster)
            with pytest.raises(BucketNotFound):
                await plane.delete_credentials(address, cluster)
        assert (await plane.get_bucket(bucket.id, scope)) == bucket

    async def test_a_removed_bucket_leaves_its_credentials(
        self, plane: ControlPlane, scope: Scope
    ) -> None:
        cluster = scope.cluster_name
        first, second = [await plane.create_bucket(None, scope) for _ in range(2)]
        both = await plane.create_credentials(
            "both", [first.id, second.id], read_only=False, cluster_name=cluster
        )
        await plane.create_credentials("one", [first.id], read_only=False, cluster_name=cluster)
        await plane.delete_bucket(first)
        left = [one async for one in plane.list_credentials(cluster)]
        assert left == [dataclasses.replace(both, credentials=both.credentials[1:])]
        with pytest.raises(BucketNotFound):
            await plane.get_credentials("one", cluster)
        await plane.delete_bucket(second)
        assert [one async for one in plane.list_credentials(cluster)] == []

    async def test_a_bucket_that_stays_keeps_its_credentials(
        self, plane: ControlPlane, scope: Scope, open_provider: OpenProvider
    ) -> None:
        bucket = await plane.create_bucket(None, scope)
        await put(plane, bucket, open_provider, "a")
        made = await plane.create_credentials(
            None, [bucket.id], read_only=False, cluster_name=scope.cluster_name
        )
        with pytest.raises(BucketNotEmpty):
            await plane.delete_bucket(bucket)
        assert await plane.get_credentials(made.id, scope.cluster_name) == made


class LinksContract(ControlPlaneContract):
    async def test_anybody_can_get_a_signed_url(
        self, plane: ControlPlane, scope: Scope, open_provider: OpenProvider
    ) -> None:
        bucket = await plane.create_bucket(None, scope)
        await put(plane, bucket, open_provider, "deep/a b%20?#+ü.txt")
        url = await plane.sign_url(bucket, "deep/a b%20?#+ü.txt", 60)
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            assert response.status == 200
            assert await response.read() == "deep/a b%20?#+ü.txt".encode()

    async def test_the_key_need_not_exist(
        self, plane: ControlPlane, scope: Scope, open_provider: OpenProvider
    ) -> None:
        bucket = await plane.create_bucket(None, scope)
        url = await plane.sign_url(bucket, "later", 60)
        async with aiohttp.ClientSession() as session:
            async with session.get(url) as response:
                assert response.status == 404
            await put(plane, bucket, open_provider, "later")
            async with session.get(url) as response:
                assert await response.read() == b"later"

    @pytest.mark.parametrize("seconds", [0, -1, 604801, 1.5, True, None, "60"])
    async def test_the_time_has_bounds(
        self, plane: ControlPlane, scope: Scope, seconds: object
    ) -> None:
        bucket = await plane.create_bucket(None, scope)
        with pytest.raises(IllegalArgumentError, match="expires_in"):
            await plane.sign_url(bucket, "a", seconds)  # type: ignore[arg-type]
        for allowed in (1, 604800):
            await plane.sign_url(bucket, "a", allowed)

    @pytest.mark.parametrize("key", ["", "/a", "a//b", "../a", "a/./b", "a/", " a", "a\ud800"])
    async def test_a_key_that_cannot_be_kept_is_refused(
        self, plane: ControlPlane, scope: Scope, key: str
    ) -> None:
        bucket = await plane.create_bucket(None, scope)
        with pytest.raises(InvalidKey):
            await plane.sign_url(bucket, key, 60)

    async def test_closing_twice_does_no_harm(
        self, plane: ControlPlane, scope: Scope, open_provider: OpenProvider
    ) -> None:
        bucket = await plane.create_bucket(None, scope)
        provider = await blobs_of(plane, bucket, open_provider)
        with pytest.raises(BlobNotFound):
            await provider.head("a")
        await provider.close()
        await plane.sign_url(bucket, "a", 60)
        await plane.close()
        await plane.close()
