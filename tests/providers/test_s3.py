"""S3 for real: how many requests each verb costs, what passes on the wire, and credentials."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import neuro_sdk
from neuro_sdk import (
    AuthenticationError,
    AuthorizationError,
    BlobNotFound,
    Bucket,
    BucketCredentials,
    BucketHandle,
    Client,
    IllegalArgumentError,
    StorageTimeout,
    StorageUnavailable,
)
from tests.contracts.stores import imported
from tests.servers.proxy import Faults, FaultyProxy, Seen


def tree(folder: Path, files: int) -> Path:
    for number in range(files):
        path = folder / f"d{number % 10}" / f"e{number % 3}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(50 + number % 7))
    # Older than any blob by more than the second that stores round to.
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - 100, time.time() - 100))
    return folder


def same(left: Path, right: Path) -> bool:
    def read(folder: Path) -> dict[str, bytes]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    return read(left) == read(right)


class TestBudgets:
    async def test_small_verbs(self, box: BucketHandle, watched: FaultyProxy) -> None:
        watched.seen.clear()
        await box.put_blob("a", b"cold")
        # Credentials, then the blob.
        assert len(watched.seen) <= 3
        watched.seen.clear()
        await box.put_blob("a/b c?#%", b"small")
        assert watched.counts() == {"PUT": 1}
        watched.seen.clear()
        await box.head_blob("a/b c?#%")
        assert watched.counts() == {"HEAD": 1}
        watched.seen.clear()
        assert b"".join([piece async for piece in box.fetch_blob("a/b c?#%")]) == b"small"
        assert watched.counts() == {"GET": 1}
        watched.seen.clear()
        with pytest.raises(BlobNotFound):
            await _all(box.fetch_blob("nothing"))
        assert watched.counts() == {"GET": 1}
        watched.seen.clear()
        await box.delete_blob("a")
        assert watched.counts() == {"DELETE": 1}

    async def test_a_large_blob_is_looked_at_and_from_then_on_first(
        self, box: BucketHandle, watched: FaultyProxy
    ) -> None:
        body = os.urandom(4 << 20)
        await box.put_blob("large", body)
        for counts in ({"GET": 2, "HEAD": 1}, {"GET": 1, "HEAD": 1}):
            watched.seen.clear()
            assert b"".join(await _all(box.fetch_blob("large"))) == body
            assert watched.counts() == counts

    async def test_a_cancelled_fetch_does_not_wait_for_a_store_that_stalls(
        self, box: BucketHandle, watched: FaultyProxy
    ) -> None:
        await box.put_blob("a", b"small")
        watched.faults = Faults(stall_after=0, applies=lambda seen: seen.method == "GET")
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await _all(box.fetch_blob("a"))
        assert time.monotonic() - began < 3

    async def test_cold_head_costs_three_at_most(
        self, tmp_path: Path, watched_store: Path, box: BucketHandle, watched: FaultyProxy
    ) -> None:
        await box.put_blob("a", b"1")
        async with neuro_sdk.local(tmp_path / "home", store=watched_store) as other:
            watched.seen.clear()
            await other.buckets.head_blob("box", "a")
            assert len(watched.seen) <= 3

    async def test_a_tree_of_1000(
        self, box: BucketHandle, watched: FaultyProxy, tmp_path: Path
    ) -> None:
        source = tree(tmp_path / "source", 1000)
        watched.seen.clear()
        await box.upload_dir(source, "tree")
        assert watched.count("PUT") == 1000
        assert len(watched.seen) <= 1005
        watched.seen.clear()
        await box.upload_dir(source, "tree", update=True)
        assert len(watched.seen) <= 5, watched.counts()
        await asyncio.sleep(1.1)  # a file as old as a blob, by times in whole seconds, is no newer
        watched.seen.clear()
        await box.download_dir("tree", tmp_path / "copy")
        assert watched.count("GET", kind="GET") == 1000
        assert len(watched.seen) <= 1005
        assert same(source, tmp_path / "copy")
        watched.seen.clear()
        await box.download_dir("tree", tmp_path / "copy", update=True)
        assert len(watched.seen) <= 5, watched.counts()
        watched.seen.clear()
        await box.blob_rm("tree", recursive=True)
        assert len(watched.seen) <= 5, watched.counts()
        assert watched.count(kind="POST delete") == 3
        assert [entry async for entry in box.list_blobs()] == []

    async def test_listing_takes_a_request_for_each_1000(
        self, box: BucketHandle, watched: FaultyProxy
    ) -> None:
        async def put(numbers: range) -> None:
            for number in numbers:
                await box.put_blob(f"k{number:04}", b"")

        await asyncio.gather(*(put(range(start, 2100, 32)) for start in range(32)))
        watched.seen.clear()
        keys = [entry.key async for entry in box.list_blobs(recursive=True)]
        assert keys == [f"k{number:04}" for number in range(2100)]
        assert watched.counts() == {"GET list-type": 3}

    @pytest.mark.parametrize(
        ("folders", "wasted"),
        [
            ([f"d{number}" for number in range(9)], 0),
            # In another order than the store's, which sorts by folders.
            (["a", "a b", "a&b", "a-b", "a.b/c", "a/b", "A", "é", "🎈"], 3),
        ],
        ids=["plain", "strange"],
    )
    async def test_an_update_asks_for_pages_side_by_side(
        self,
        box: BucketHandle,
        watched: FaultyProxy,
        tmp_path: Path,
        folders: list[str],
        wasted: int,
    ) -> None:
        source = tmp_path / "source"
        for folder in folders:
            for number in range(320):
                path = source / folder / f"f{number}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"")
                os.utime(path, (time.time() - 100, time.time() - 100))
        await box.upload_dir(source, "tree")
        await asyncio.sleep(1.1)  # a file as old as a blob, by times in whole seconds, is no newer
        await box.download_dir("tree", tmp_path / "copy")
        assert same(source, tmp_path / "copy")
        watched.faults = Faults(delay=0.3)
        for up in (True, False):
            watched.seen.clear()
            if up:
                await box.upload_dir(source, "tree", update=True)
            else:
                await box.download_dir("tree", tmp_path / "copy", update=True)
            assert set(watched.counts()) == {"GET list-type"}
            after = ["start-after" in seen.target for seen in watched.seen]
            assert any(after) if wasted else after == [False, True, True, True]
            assert len(after) <= 4 + wasted

    async def test_large_blobs_move_in_parts(
        self, box: BucketHandle, watched: FaultyProxy, tmp_path: Path
    ) -> None:
        data = os.urandom((20 << 20) + 17)
        (tmp_path / "large").write_bytes(data)
        await box.put_blob("warm", b"")
        watched.seen.clear()
        await box.upload_file(tmp_path / "large", "large")
        counts = watched.counts()
        assert counts["PUT partNumber uploadId"] == 5
        assert counts["POST uploads"] == counts["POST uploadId"] == 1
        watched.seen.clear()
        await box.download_file("large", tmp_path / "copy")
        assert watched.counts() == {"GET": 5}
        assert (tmp_path / "copy").read_bytes() == data
        watched.seen.clear()
        pieces = [piece async for piece in box.fetch_blob("large", 7 << 20, length=100)]
        assert b"".join(pieces) == data[7 << 20 : (7 << 20) + 100]
        assert watched.sent < 2000


class TestCredentials:
    async def test_a_client_outlives_its_credentials(
        self,
        client: Client,
        box: BucketHandle,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The store's shortest life is fifteen minutes, so the platform says a shorter one.

        What it hands out then is taken for over after a second, again and again, in the middle
        of both transfers.
        """
        control = client.buckets._control
        issued: list[str] = []
        whole = control.bucket_credentials

        async def short(bucket: Bucket) -> BucketCredentials:
            credentials = await whole(bucket)
            raw = dict(credentials.credentials)
            raw["expiration"] = (datetime.now(UTC) + timedelta(seconds=0.4)).isoformat()
            issued.append(raw["access_key_id"])
            return replace(credentials, credentials=raw)

        monkeypatch.setattr(control, "bucket_credentials", short)
        source = tree(tmp_path / "source", 1000)
        await box.upload_dir(source, "tree")
        uploads = len(issued)
        await box.download_dir("tree", tmp_path / "copy")
        assert same(source, tmp_path / "copy")
        assert uploads >= 2
        assert len(issued) >= uploads + 1
        assert len(set(issued)) == len(issued)

    async def test_wrong_keys_are_told_from_missing_rights(
        self, client: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        await box.put_blob("a", b"1")
        credentials = await box.request_tmp_credentials()
        raw = dict(credentials.credentials)
        name = raw["bucket_name"]
        await client.buckets.import_external(
            Bucket.Provider.SEAWEEDFS,
            name,
            {**raw, "secret_access_key": "wrong-secret-key"},
            name="wrong",
        )
        with pytest.raises(AuthenticationError) as caught:
            await client.buckets.put_blob("wrong", "a", b"2")
        assert "wrong-secret-key" not in f"{caught.value!r} {caught.value} {caught.value.__cause__}"

        role = await client.buckets.persistent_credentials_create(
            [box.bucket.id], "reader", read_only=True
        )
        await client.buckets.import_external(
            Bucket.Provider.SEAWEEDFS, name, role.credentials[0].credentials, name="reader"
        )
        fetched = [piece async for piece in client.buckets.fetch_blob("reader", "a")]
        assert fetched == [b"1"]
        with pytest.raises(AuthorizationError):
            await client.buckets.put_blob("reader", "b", b"2")
        with pytest.raises(AuthorizationError):
            await client.buckets.delete_blob("reader", "a")
        with pytest.raises(AuthorizationError):
            await client.buckets.upload_dir(tree(tmp_path / "source", 20), "blob:reader/up")
        with pytest.raises(AuthorizationError):
            await client.buckets.upload_dir(tree(tmp_path / "source", 20), "blob:reader/up")
        await client.buckets.persistent_credentials_rm("reader")
        with pytest.raises(AuthenticationError):
            await _all(client.buckets.list_blobs("blob:reader"))

    async def test_a_credential_opens_its_own_bucket_only(
        self, client: Client, box: BucketHandle
    ) -> None:
        await box.put_blob("a", b"1")
        other = await client.buckets.create("other")
        mine = dict((await client.buckets.request_tmp_credentials("other")).credentials)
        theirs = (await box.request_tmp_credentials()).credentials["bucket_name"]
        await client.buckets.import_external(
            Bucket.Provider.SEAWEEDFS, theirs, {**mine, "bucket_name": theirs}, name="peek"
        )
        async with client.buckets.open("peek") as peek:
            for attempt in (
                peek.head_blob("a"),
                peek.put_blob("b", b""),
                peek.delete_blob("a"),
                _all(peek.list_blobs()),
                _all(peek.fetch_blob("a")),
            ):
                with pytest.raises(AuthorizationError):
                    await attempt
        await client.buckets.rm(other.id)


async def _all(stream: Any) -> list[Any]:
    return [item async for item in stream]


class TestTrouble:
    async def test_overload_is_waited_out(self, box: BucketHandle, watched: FaultyProxy) -> None:
        await box.put_blob("a", b"1")
        watched.faults = Faults(refuse=1.0, times=2)
        assert (await box.head_blob("a")).size == 1
        watched.faults = Faults(refuse=1.0, times=2, applies=lambda seen: seen.method == "POST")
        await box.put_blob("d/1", b"")
        await box.put_blob("d/2", b"")
        await box.blob_rm("d", recursive=True)
        assert [entry.key async for entry in box.list_blobs()] == ["a"]

    async def test_overload_that_stays_is_named(
        self, box: BucketHandle, watched: FaultyProxy
    ) -> None:
        await box.put_blob("a", b"1")
        watched.faults = Faults(refuse=1.0)
        for attempt in (box.put_blob("a", b"2"), box.head_blob("a"), box.blob_rm("a")):
            with pytest.raises(StorageUnavailable, match="box"):
                await attempt

    async def test_a_stalled_store_ends_in_an_error(
        self, box: BucketHandle, watched: FaultyProxy
    ) -> None:
        await box.put_blob("a", bytes(100_000))
        entry = await box.head_blob("a")
        watched.faults = Faults(stall_after=1000, applies=lambda seen: seen.method == "GET")
        since = time.monotonic()
        with pytest.raises(StorageTimeout):
            await _all(box.fetch_blob("a"))
        assert time.monotonic() - since < (2 + 5) * 3 + 30
        assert entry.size == 100_000

    async def test_a_cut_body_is_resumed(self, box: BucketHandle, watched: FaultyProxy) -> None:
        data = os.urandom(300_000)
        await box.put_blob("a", data)
        watched.faults = Faults(cut_after=100_000, times=2, applies=_is_get)
        assert b"".join(await _all(box.fetch_blob("a"))) == data

    async def test_a_store_that_is_not_there(self, client: Client) -> None:
        await client.buckets.import_external(
            Bucket.Provider.MINIO,
            "some-bucket",
            {"endpoint_url": "http://127.0.0.1:9", "access_key_id": "k", "secret_access_key": "s"},
            name="nowhere",
        )
        with pytest.raises(StorageUnavailable):
            await client.buckets.head_blob("nowhere", "a")
        with pytest.raises(StorageUnavailable):
            await client.buckets.blob_rm("blob:nowhere/a", recursive=True)

    async def test_missing_is_only_said_by_the_store(self, box: BucketHandle) -> None:
        with pytest.raises(BlobNotFound) as caught:
            await box.head_blob("a/missing")
        assert (caught.value.bucket, caught.value.key) == ("box", "a/missing")


def _is_get(seen: Seen) -> bool:
    return seen.kind == "GET"


async def test_open_stack_is_s3_with_an_endpoint(
    request: pytest.FixtureRequest, home: Path
) -> None:
    async with neuro_sdk.local(home) as client:
        made = await imported(Bucket.Provider.OPEN_STACK, "seaweedfs")(request, client)
        assert (made.provider, made.imported) == (Bucket.Provider.OPEN_STACK, True)
        async with client.buckets.open("box") as bucket:
            await bucket.put_blob("a/b c", b"x" * 1000)
            await bucket.put_blob("a/d", b"y")
            assert (await bucket.head_blob("a/b c")).size == 1000
            pieces = [piece async for piece in bucket.fetch_blob("a/b c", offset=10)]
            assert b"".join(pieces) == b"x" * 990
            entries = [entry.key async for entry in bucket.list_blobs("", recursive=True)]
            assert entries == ["a/b c", "a/d"]
            url = await bucket.make_signed_url("a/d", 60)
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                assert await answer.read() == b"y"
            await bucket.blob_rm("a", recursive=True)
            assert [entry async for entry in bucket.list_blobs("", recursive=True)] == []
        with pytest.raises(IllegalArgumentError, match="'endpoint_url'"):
            await client.buckets.import_external(
                Bucket.Provider.OPEN_STACK,
                "x",
                {"access_key_id": "a", "secret_access_key": "b"},
            )
