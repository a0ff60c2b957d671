"""Buckets, credentials and URLs as the API document calls them, at every store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from neuro_sdk import (
    AsyncStream,
    AuthorizationError,
    BlobNotFound,
    Bucket,
    BucketHandle,
    BucketNotEmpty,
    BucketNotFound,
    BucketUsage,
    Client,
    ConfigError,
    IllegalArgumentError,
    InvalidName,
    NameTaken,
    NeuroError,
    ResourceNotFound,
    TransferConfig,
)
from neuro_sdk._providers.services import opener

from ..trees import make_tree, read_tree
from .stores import Store, needs


async def names(buckets: AsyncStream[Bucket]) -> list[str | None]:
    return [bucket.name async for bucket in buckets]


async def text(url: URL) -> tuple[int, bytes]:
    """What a bare HTTP client gets."""
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.read()


class TestBuckets:
    async def test_create_get_list_rm(self, anywhere: Client) -> None:
        buckets = anywhere.buckets
        before = datetime.now(UTC)
        made = await buckets.create("first")
        assert (made.name, made.owner) == ("first", anywhere.username)
        assert made.cluster_name == anywhere.cluster_name
        assert made.org_name == anywhere.config.org_name
        assert made.project_name == anywhere.config.project_name
        assert before - timedelta(seconds=2) <= made.created_at <= datetime.now(UTC)
        assert isinstance(made.provider, Bucket.Provider)
        assert not made.imported
        assert not made.public
        assert made.uri.scheme == "blob"
        nameless = await buckets.create(None)
        assert nameless.name is None
        assert nameless.uri.name == nameless.id
        for name in (made.name, made.id):
            assert name is not None
            assert await buckets.get(name) == made
            assert await buckets.get(bucket_id_or_name=name, cluster_name=None) == made
        async with buckets.list() as listed:
            assert [bucket async for bucket in listed] == [made, nameless]
        found = []
        async for bucket in buckets.list(cluster_name=anywhere.cluster_name):
            found.append(bucket)
        assert found == [made, nameless]
        await buckets.rm("first")
        await buckets.rm(nameless.id)
        assert await names(buckets.list()) == []
        with pytest.raises(BucketNotFound):
            await buckets.get("first")
        with pytest.raises(ResourceNotFound):
            await buckets.rm("first")

    async def test_names(self, anywhere: Client) -> None:
        await anywhere.buckets.create("same")
        with pytest.raises(NameTaken):
            await anywhere.buckets.create("same")
        for wrong in ("", "ab", "Upper", "1st", "a" * 41, "a.b", "a/b", "\u00e9\u00e9\u00e9"):
            with pytest.raises(InvalidName):
                await anywhere.buckets.create(wrong)
        assert await names(anywhere.buckets.list()) == ["same"]

    async def test_a_bucket_with_blobs_is_kept_unless_forced(
        self, anywhere: Client, store: Store
    ) -> None:
        needs(store, "force")
        await anywhere.buckets.create("box")
        await anywhere.buckets.put_blob("box", "a/b", b"x")
        with pytest.raises(BucketNotEmpty) as caught:
            await anywhere.buckets.rm("box")
        assert caught.value.bucket == "box"
        assert (await anywhere.buckets.head_blob("box", "a/b")).size == 1
        await anywhere.buckets.rm("box", force=True)
        with pytest.raises(BucketNotFound):
            await anywhere.buckets.head_blob("box", "a/b")
        await anywhere.buckets.create("box")
        assert [entry async for entry in anywhere.buckets.list_blobs("blob:box")] == []

    async def test_orgs_and_projects_are_places_of_their_own(self, anywhere: Client) -> None:
        buckets = anywhere.buckets
        here = await buckets.create("same")
        other_org = await buckets.create("same", org_name="lab")
        other_project = await buckets.create("same", project_name="vision")
        assert other_org.org_name == "lab"
        assert other_project.project_name == "vision"
        assert len({here.id, other_org.id, other_project.id}) == 3
        assert await buckets.get("same") == here
        assert await buckets.get("same", org_name="lab") == other_org
        assert await buckets.get("same", project_name="vision") == other_project
        assert await buckets.get("same", bucket_owner="vision") == other_project
        assert await names(buckets.list(org_name="lab")) == ["same"]
        with pytest.raises(IllegalArgumentError):
            await buckets.get("same", bucket_owner="vision", project_name="vision")
        for bucket in (here, other_org, other_project):
            await buckets.put_blob(bucket.id, "key", bucket.id.encode())
        for bucket in (here, other_org, other_project):
            (entry,) = [entry async for entry in buckets.list_blobs(bucket.uri)]
            assert entry.uri == bucket.uri / "key"
            assert [entry.key async for entry in buckets.list_blobs(entry.uri)] == ["key"]
            pieces = buckets.fetch_blob(bucket.id, "key")
            assert [piece async for piece in pieces] == [bucket.id.encode()]

    async def test_within(self, anywhere: Client) -> None:
        view = anywhere.within(org="lab", project="vision")
        made = await view.buckets.create("there")
        assert (made.org_name, made.project_name) == ("lab", "vision")
        await view.buckets.put_blob("there", "key", b"x")
        assert [entry.key async for entry in view.buckets.list_blobs("blob:there")] == ["key"]
        with pytest.raises(BucketNotFound):
            await anywhere.buckets.get("there")
        assert await anywhere.buckets.get("there", org_name="lab", project_name="vision") == made
        uri = str(made.uri)
        assert [entry.key async for entry in anywhere.buckets.list_blobs(uri)] == ["key"]
        async with view.buckets.open("there") as handle:
            assert (await handle.head_blob("key")).size == 1
        assert anywhere.config.org_name != "lab"

    async def test_another_cluster_is_never_answered_by_this_one(self, anywhere: Client) -> None:
        await anywhere.buckets.create("box")
        for view in (anywhere.within(cluster="mars"), anywhere):
            cluster = None if view is not anywhere else "mars"
            with pytest.raises(ConfigError, match="mars"):
                await view.buckets.get("box", cluster)
            with pytest.raises(ConfigError, match="mars"):
                await view.buckets.put_blob("box", "key", b"x", cluster)
        with pytest.raises(ConfigError, match="mars"):
            await anywhere.buckets.blob_is_dir("blob://mars/default-org/alice/box/key")

    async def test_public_access(self, anywhere: Client, store: Store) -> None:
        needs(store, "public access")
        await anywhere.buckets.create("box")
        assert (await anywhere.buckets.set_public_access("box", True)).public
        assert (await anywhere.buckets.get("box")).public
        assert not (await anywhere.buckets.set_public_access("box", public_access=False)).public

    async def test_temporary_credentials_open_the_bucket(self, box: BucketHandle) -> None:
        await box.put_blob("key", b"12345")
        credentials = await box.request_tmp_credentials()
        assert credentials.bucket_id == box.bucket.id
        assert credentials.provider == box.bucket.provider
        provider = opener(TransferConfig())(box.bucket, credentials)
        assert (await provider.head("key")).size == 5
        await provider.close()


class TestUsage:
    async def test_partial_sums_and_the_whole_last(
        self, anywhere: Client, box: BucketHandle
    ) -> None:
        async with anywhere.buckets.get_disk_usage("box") as usage:
            assert [part async for part in usage] == [BucketUsage(total_bytes=0, object_count=0)]
        slots = asyncio.Semaphore(16)

        async def put(number: int) -> None:
            async with slots:
                await box.put_blob(f"{number % 9}/{number}", b"x" * (number % 3))

        await asyncio.gather(*[put(number) for number in range(1203)])
        parts = []
        async for part in anywhere.buckets.get_disk_usage("box"):
            parts.append(part)
        assert len(parts) > 1
        assert parts[-1] == BucketUsage(total_bytes=1203, object_count=1203)
        counts = [(part.object_count, part.total_bytes) for part in parts]
        assert counts == sorted(counts)


class TestSignedUrls:
    async def test_a_bare_client_gets_the_blob(
        self, anywhere: Client, box: BucketHandle, store: Store
    ) -> None:
        needs(store, "signed urls")
        for key in ("folder/file.bin", "a b+c%20?&#\u00e9\U0001f600", "empty"):
            body = b"" if key == "empty" else key.encode() * 1000
            await box.put_blob(key, body)
            uri = box.bucket.blob_url(key)
            for url in (
                await anywhere.buckets.make_signed_url(uri),
                await anywhere.buckets.make_signed_url(str(uri), expires_in_seconds=60),
                await box.make_signed_url(key, 60),
            ):
                assert isinstance(url, URL)
                assert await text(url) == (200, body)

    async def test_before_the_blob_and_after_it(
        self, anywhere: Client, box: BucketHandle, store: Store
    ) -> None:
        needs(store, "signed urls")
        url = await anywhere.buckets.make_signed_url("blob:box/later")
        assert (await text(url))[0] == 404
        await box.put_blob("later", b"here")
        assert await text(url) == (200, b"here")
        await box.delete_blob("later")
        assert (await text(url))[0] == 404

    async def test_another_key_or_time_is_not_opened_by_it(
        self, anywhere: Client, box: BucketHandle, store: Store
    ) -> None:
        needs(store, "access control")
        needs(store, "signed urls")
        await box.put_blob("mine", b"x")
        await box.put_blob("other", b"secret")
        url = await anywhere.buckets.make_signed_url("blob:box/mine")
        status, body = await text(URL(str(url).replace("mine", "other"), encoded=True))
        assert status == 403
        assert b"secret" not in body
        for wrong in (0, -1, 7 * 24 * 3600 + 1):
            with pytest.raises(IllegalArgumentError):
                await anywhere.buckets.make_signed_url("blob:box/mine", wrong)

    async def test_it_ends(self, anywhere: Client, box: BucketHandle, store: Store) -> None:
        needs(store, "access control")
        needs(store, "signed urls")
        await box.put_blob("mine", b"x")
        url = await anywhere.buckets.make_signed_url("blob:box/mine", expires_in_seconds=1)
        deadline = asyncio.get_running_loop().time() + 15
        while (await text(url))[0] == 200:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.2)
        assert (await text(url))[0] in (401, 403)


class TestPersistentCredentials:
    async def test_round_trip(self, anywhere: Client, store: Store) -> None:
        needs(store, "credentials")
        buckets = anywhere.buckets
        one, two = await buckets.create("one"), await buckets.create("two")
        made = await buckets.persistent_credentials_create(
            bucket_ids=[one.id, two.id], name="keys", read_only=False
        )
        assert (made.name, made.owner, made.read_only) == ("keys", anywhere.username, False)
        assert made.cluster_name == anywhere.cluster_name
        assert isinstance(made.credentials, list)
        assert [part.bucket_id for part in made.credentials] == [one.id, two.id]
        nameless = await buckets.persistent_credentials_create(iter([one.id]), None, True)
        assert nameless.read_only
        async with buckets.persistent_credentials_list() as listed:
            assert {part.id async for part in listed} == {made.id, nameless.id}
        assert [part.id async for part in buckets.persistent_credentials_list()] == [
            made.id,
            nameless.id,
        ]
        for name in ("keys", made.id):
            assert await buckets.persistent_credentials_get(name) == made
        with pytest.raises(NameTaken):
            await buckets.persistent_credentials_create([one.id], "keys")
        await buckets.persistent_credentials_rm("keys")
        await buckets.persistent_credentials_rm(nameless.id)
        assert [part async for part in buckets.persistent_credentials_list()] == []
        for verb in (buckets.persistent_credentials_get, buckets.persistent_credentials_rm):
            with pytest.raises(ResourceNotFound):
                await verb("keys")

    async def test_what_they_open(self, anywhere: Client, store: Store) -> None:
        needs(store, "credentials")
        needs(store, "access control")
        bucket = await anywhere.buckets.create("box")
        await anywhere.buckets.put_blob("box", "key", b"12345")
        for read_only in (True, False):
            made = await anywhere.buckets.persistent_credentials_create(
                [bucket.id], read_only=read_only
            )
            provider = opener(TransferConfig())(bucket, made.credentials[0])
            assert (await provider.head("key")).size == 5
            if read_only:
                attempts: list[Callable[[], Coroutine[Any, Any, None]]] = [
                    partial(provider.put, "key", b"other"),
                    partial(provider.delete, "key"),
                    partial(provider.copy, "key", "copy"),
                ]
                for attempt in attempts:
                    with pytest.raises(AuthorizationError) as caught:
                        await attempt()
                    assert caught.value.bucket == "box"
            else:
                await provider.put("more", b"x")
            await provider.close()
        assert [entry.key async for entry in anywhere.buckets.list_blobs("blob:box")] == [
            "key",
            "more",
        ]

    async def test_wrong_arguments(self, anywhere: Client, store: Store) -> None:
        needs(store, "credentials")
        bucket = await anywhere.buckets.create("box")
        create = anywhere.buckets.persistent_credentials_create
        with pytest.raises(TypeError):
            await create(bucket.id, "keys")
        with pytest.raises(IllegalArgumentError):
            await create([], "keys")
        with pytest.raises(BucketNotFound):
            await create(["bucket-none"], "keys")
        with pytest.raises(InvalidName):
            await create([bucket.id], "No good")
        assert [part async for part in anywhere.buckets.persistent_credentials_list()] == []


class TestImportedFolder:
    """A folder of this machine as a bucket."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return make_tree(tmp_path / "mine", {"a.txt": b"a", "d/b": b"bb", "empty/": b""})

    async def test_it_is_read_and_written_and_stays(self, client: Client, folder: Path) -> None:
        bucket = await client.buckets.import_external(
            provider=Bucket.Provider.LOCAL,
            provider_bucket_name="mine",
            credentials={"root": str(folder)},
            name="imported",
        )
        assert bucket.imported
        assert bucket.provider is Bucket.Provider.LOCAL
        assert await client.buckets.get("imported") == bucket
        entries = client.buckets.list_blobs("blob:imported", recursive=True)
        assert {entry.key: entry.size async for entry in entries} == {"a.txt": 1, "d/b": 2}
        await client.buckets.put_blob("imported", "new/c", b"ccc")
        assert read_tree(folder / "new") == {"c": b"ccc"}
        await client.buckets.rm("imported")
        assert (folder / "d" / "b").read_bytes() == b"bb"
        assert (folder / "new" / "c").read_bytes() == b"ccc"
        with pytest.raises(BucketNotFound):
            await client.buckets.head_blob("imported", "a.txt")

    async def test_a_folder_that_is_lost_is_said_to_be(self, client: Client, folder: Path) -> None:
        bucket = await client.buckets.import_external(
            Bucket.Provider.LOCAL, "mine", {"root": str(folder)}, "imported"
        )
        assert (await client.buckets.head_blob("imported", "a.txt")).size == 1
        folder.rename(folder.with_name("away"))
        for attempt in (
            client.buckets.head_blob("imported", "a.txt"),
            client.buckets.put_blob("imported", "x", b"x"),
            client.buckets.delete_blob("imported", "a.txt"),
            anext(client.buckets.list_blobs("blob:imported")),
            anext(client.buckets.fetch_blob(bucket.id, "a.txt")),
        ):
            with pytest.raises(BucketNotFound) as caught:
                await attempt
            assert caught.value.bucket == "imported"
        assert not folder.exists()

    @pytest.mark.parametrize(
        "credentials", [{}, {"root": ""}, {"root": "relative"}, {"root": "/no/such/folder"}]
    )
    async def test_wrong_credentials(self, client: Client, credentials: dict[str, str]) -> None:
        with pytest.raises(NeuroError, match="root"):
            await client.buckets.import_external(
                Bucket.Provider.LOCAL, "mine", credentials, "imported"
            )
        assert await names(client.buckets.list()) == []

    async def test_a_missing_blob_of_it(self, client: Client, folder: Path) -> None:
        await client.buckets.import_external(
            Bucket.Provider.LOCAL, "mine", {"root": str(folder)}, "imported"
        )
        for key in ("gone", "empty", "d", "a.txt/x"):
            with pytest.raises(BlobNotFound):
                await client.buckets.head_blob("imported", key)
