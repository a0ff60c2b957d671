"""One client for the three eras of the protocol: what it asks, and what it makes of answers."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from aiohttp import web

from neuro_sdk import (
    BucketNotEmpty,
    BucketNotFound,
    ConfigError,
    IllegalArgumentError,
    NameTaken,
    NotSupportedError,
    PlatformError,
    TransferConfig,
)
from neuro_sdk._control.opening import open_http
from neuro_sdk._control.plane import HTTPControlPlane
from neuro_sdk._core.config import Target
from neuro_sdk._core.models import Bucket
from neuro_sdk._core.secret import Hidden
from neuro_sdk._core.uri import Scope
from neuro_sdk._platform.seaweedfs import SeaweedFSServer

from ..platform.serving import OPEN
from ..servers.s3 import s3_client
from .upstream import Era, Upstream, running

# {"identity": "alice"}
TOKEN = "e30.eyJpZGVudGl0eSI6ICJhbGljZSJ9.c2ln"
LIMITS = TransferConfig(timeout=10, retries=2)


@pytest.fixture(params=[*Era], ids=lambda era: era.name.lower())
async def upstream(request: pytest.FixtureRequest) -> AsyncIterator[Upstream]:
    async with running(request.param) as server:
        yield server


@pytest.fixture
async def plane(upstream: Upstream) -> AsyncIterator[HTTPControlPlane]:
    target = Target(platform=str(upstream.api), token=Hidden(TOKEN))
    opened = await open_http(target, LIMITS, OPEN)
    yield opened
    await opened.close()


def last_query(upstream: Upstream) -> dict[str, str]:
    return upstream.seen[-1][2]


class TestEveryEra:
    async def test_who_and_where(self, upstream: Upstream, plane: HTTPControlPlane) -> None:
        config = plane.config
        assert (config.username, config.cluster_name) == ("alice", "one")
        if upstream.era is Era.OWNER:
            assert (config.org_name, config.project_name) == (None, None)
        else:
            assert (config.org_name, config.project_name) == ("acme", "vision")
        assert upstream.tokens == {f"Bearer {TOKEN}"}

    async def test_a_bucket_is_made_found_listed_and_removed(
        self, upstream: Upstream, plane: HTTPControlPlane
    ) -> None:
        scope = plane.config.scope
        made = await plane.create_bucket("photos", scope)
        assert (made.name, made.owner, made.cluster_name) == ("photos", "alice", "one")
        with pytest.raises(NameTaken):
            await plane.create_bucket("photos", scope)
        for address in ("photos", made.id):
            assert await plane.get_bucket(address, scope) == made
        assert [bucket async for bucket in plane.list_buckets(scope)] == [made]
        assert (await plane.set_public(made, True)).public
        assert (await plane.sign_url(made, "a", 60)).host == "store.example"

    async def test_a_missing_one(self, upstream: Upstream, plane: HTTPControlPlane) -> None:
        scope = plane.config.scope
        for address in ("missing", "bucket-00000000-0000-4000-8000-000000000000", "a/b", ".."):
            with pytest.raises(BucketNotFound) as caught:
                await plane.get_bucket(address, scope)
            assert caught.value.bucket == address

    async def test_an_owner(self, upstream: Upstream, plane: HTTPControlPlane) -> None:
        bob = {"owner": "bob"} if upstream.era is Era.OWNER else {"project_name": "bob"}
        theirs = upstream.add("theirs", **bob)
        scope = dataclasses.replace(plane.config.scope, project_name=None, owner="bob")
        assert (await plane.get_bucket("theirs", scope)).id == theirs["id"]
        assert "project_name" not in last_query(upstream)
        assert last_query(upstream)["owner"] == "bob"

    async def test_owner_and_project_are_never_asked_together(
        self, upstream: Upstream, plane: HTTPControlPlane
    ) -> None:
        both = dataclasses.replace(plane.config.scope, project_name="vision", owner="bob")
        before = len(upstream.seen)
        with pytest.raises(IllegalArgumentError):
            await plane.get_bucket("photos", both)
        assert len(upstream.seen) == before

    async def test_another_clusters_bucket_is_asked_there(
        self, upstream: Upstream, plane: HTTPControlPlane
    ) -> None:
        upstream.credentials = {"bucket_name": "x", "access_key_id": "a", "nothing": None, "n": 1}
        made = upstream.add("photos")
        scope = dataclasses.replace(plane.config.scope, cluster_name="two")
        bucket = await plane.get_bucket("photos", scope)
        assert bucket.cluster_name == "two"
        opened = await plane.bucket_credentials(bucket)
        assert dict(opened.credentials) == {"bucket_name": "x", "access_key_id": "a", "n": "1"}
        assert [path for _, path, _ in upstream.seen] == [
            "/api/v1/two/buckets/buckets/photos",
            f"/api/v1/two/buckets/buckets/{made['id']}/make_tmp_credentials",
        ]
        with pytest.raises(ConfigError, match=r"'three'.*'one', 'two'"):
            await plane.get_bucket("photos", dataclasses.replace(scope, cluster_name="three"))

    async def test_fields_may_be_missing_and_providers_unknown(
        self, upstream: Upstream, plane: HTTPControlPlane
    ) -> None:
        upstream.buckets.append({"id": "bucket-1", "provider": "emc_ecs", "public": None})
        upstream.add("new", provider="holographic", created_at="2026-11-21T04:10:27.5Z")
        for bucket in upstream.buckets:
            bucket.setdefault("project_name", "vision")
        first, second = [bucket async for bucket in plane.list_buckets(plane.config.scope)]
        assert (first.name, first.owner, first.public, first.imported) == (None, "", False, False)
        assert first.created_at == datetime.fromtimestamp(0, UTC)
        assert str(second.provider) == "holographic"
        assert not second.provider.known
        assert second.created_at == datetime(2026, 11, 21, 4, 10, 27, 500000, UTC)

    async def test_a_folder_of_the_server_is_not_opened_here(
        self, upstream: Upstream, plane: HTTPControlPlane
    ) -> None:
        upstream.credentials = {"bucket_name": "x", "root": "/"}
        upstream.add("photos", provider="local")
        bucket = await plane.get_bucket("photos", plane.config.scope)
        with pytest.raises(NotSupportedError, match="its own machine"):
            await plane.bucket_credentials(bucket)


class TestQueries:
    async def test_what_is_asked(self, upstream: Upstream, plane: HTTPControlPlane) -> None:
        upstream.add("photos")
        full = {"org_name": "acme", "project_name": "vision"}
        scope = plane.config.scope
        [bucket async for bucket in plane.list_buckets(scope)]
        assert last_query(upstream) == ({} if upstream.era is Era.OWNER else full)
        await plane.get_bucket("photos", scope)
        assert last_query(upstream) == ({} if upstream.era is Era.OWNER else full)

    async def test_a_project_is_an_owner_to_servers_without_projects(self) -> None:
        async with running(Era.OWNER) as upstream:
            upstream.add("theirs", owner="bob")
            upstream.add("ours")
            target = Target(platform=str(upstream.api), token=Hidden(TOKEN))
            plane = await open_http(target, LIMITS, OPEN)
            # As blob://one/bob/theirs/key is taken apart.
            scope = Scope(cluster_name="one", project_name="bob")
            assert (await plane.get_bucket("theirs", scope)).owner == "bob"
            assert last_query(upstream) == {"owner": "bob"}
            assert str((await plane.get_bucket("theirs", scope)).uri) == "blob://one/bob/theirs"
            with pytest.raises(BucketNotFound):
                await plane.get_bucket("ours", scope)
            await plane.close()

    async def test_what_was_not_asked_for_is_not_found(self) -> None:
        """A server that ignores the project answers with the caller's own bucket."""
        async with running(Era.ORG_PROJECT) as upstream:
            mine = upstream.add("photos", project_name="vision")
            target = Target(platform=str(upstream.api), token=Hidden(TOKEN))
            plane = await open_http(target, LIMITS, OPEN)
            upstream.answer = lambda _request: web.json_response(mine)
            other = dataclasses.replace(plane.config.scope, project_name="sound")
            with pytest.raises(BucketNotFound):
                await plane.get_bucket("photos", other)
            assert (await plane.get_bucket(mine["id"], other)).id == mine["id"]
            await plane.close()


class TestRemoval:
    """Other platforms remove a bucket with all its blobs: the client looks first."""

    @pytest.fixture
    async def there(
        self, upstream: Upstream, seaweedfs: SeaweedFSServer
    ) -> tuple[SeaweedFSServer, str]:
        name = f"upstream-{upstream.era.value}-{id(upstream)}"
        access = (seaweedfs.endpoint, seaweedfs.access_key, seaweedfs.secret_key)
        async with s3_client(*access) as s3:
            await s3.create_bucket(Bucket=name)
            await s3.put_object(Bucket=name, Key="deep/a", Body=b"data")
        upstream.credentials = {
            "bucket_name": name,
            "endpoint_url": access[0],
            "access_key_id": access[1],
            "secret_access_key": access[2],
        }
        return seaweedfs, name

    async def test_one_with_blobs_stays(
        self, upstream: Upstream, plane: HTTPControlPlane, there: tuple[SeaweedFSServer, str]
    ) -> None:
        upstream.add("photos")
        bucket = await plane.get_bucket("photos", plane.config.scope)
        with pytest.raises(BucketNotEmpty):
            await plane.delete_bucket(bucket)
        assert len(upstream.buckets) == 1
        await plane.delete_bucket(bucket, force=True)
        assert upstream.buckets == []
        server, name = there
        async with s3_client(server.endpoint, server.access_key, server.secret_key) as s3:
            assert "Contents" not in await s3.list_objects_v2(Bucket=name)
        with pytest.raises(BucketNotFound):
            await plane.delete_bucket(bucket)

    async def test_an_import_is_only_forgotten(
        self, upstream: Upstream, plane: HTTPControlPlane, there: tuple[SeaweedFSServer, str]
    ) -> None:
        upstream.add("photos", imported=True)
        await plane.delete_bucket(await plane.get_bucket("photos", plane.config.scope), force=True)
        assert upstream.buckets == []
        server, name = there
        async with s3_client(server.endpoint, server.access_key, server.secret_key) as s3:
            listed = await s3.list_objects_v2(Bucket=name)
        assert [entry["Key"] for entry in listed["Contents"]] == ["deep/a"]


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {"clusters": "x", "authorized": True},
        {"clusters": [{}], "authorized": True},
        {"clusters": [{"name": "one", "buckets_url": "ftp://x"}], "authorized": True},
        {"clusters": [{"name": "one", "buckets_url": 1}], "authorized": True},
        {"clusters": [], "projects": [{"name": "x"}], "authorized": True},
    ],
)
async def test_a_config_that_makes_no_sense(answer: object) -> None:
    async with running(Era.ORG_PROJECT) as upstream:
        upstream.config = answer  # type: ignore[assignment]
        if not answer:
            upstream.default_config = lambda: answer  # type: ignore[method-assign,assignment,return-value]
        target = Target(platform=str(upstream.api), token=Hidden(TOKEN))
        with pytest.raises(PlatformError):
            await open_http(target, LIMITS, OPEN)


def test_a_bucket_remembers_no_provider_that_it_does_not_know() -> None:
    assert not Bucket.Provider("emc_ecs").known
