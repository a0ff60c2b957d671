"""What operations on trees cost in requests, counted before a real SeaweedFS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import neuro_sdk
from neuro_sdk import BucketHandle, Client, TransferConfig

from ..servers.proxy import FaultyProxy
from ..trees import make_tree, set_time

MIB = 1 << 20


@pytest.fixture
async def opened(tmp_path: Path, watched_store: Path) -> AsyncIterator[Client]:
    limits = TransferConfig(part_size=5 * MIB)
    async with neuro_sdk.local(tmp_path / "home", store=watched_store, transfer=limits) as client:
        yield client


@pytest.fixture
async def bucket(opened: Client) -> AsyncIterator[BucketHandle]:
    made = await opened.buckets.create("box")
    handle = await opened.buckets.open("box")
    await handle.put_blob("warm", b"")  # credentials are there from now on
    yield handle
    await opened.buckets.rm(made.id, force=True)


async def fill(bucket: BucketHandle, count: int) -> None:
    for number in range(count):
        await bucket.put_blob(f"from/d{number % 3}/{number}", b"%d" % number)


class TestCopy:
    async def test_of_a_blob(self, bucket: BucketHandle, watched: FaultyProxy) -> None:
        await bucket.put_blob("a", b"x" * MIB)
        watched.forget()
        await bucket.copy_blob("a", "b")
        assert watched.counts() == {"HEAD": 2, "PUT": 1}
        assert watched.received + watched.sent < 10_000, "the bytes stay at the store"
        watched.forget()
        await bucket.move_blob("a", "c")
        assert watched.counts() == {"HEAD": 5, "PUT": 1, "DELETE": 1}

    async def test_of_a_tree(self, bucket: BucketHandle, watched: FaultyProxy) -> None:
        await fill(bucket, 60)
        watched.forget()
        await bucket.copy_dir("from", "to")
        assert watched.counts() == {"GET list-type": 1, "HEAD": 60, "PUT": 60}
        watched.forget()
        await bucket.copy_dir("from", "to", update=True)
        assert watched.counts() == {"GET list-type": 2}

    async def test_between_buckets(
        self, opened: Client, bucket: BucketHandle, watched: FaultyProxy
    ) -> None:
        other = await opened.buckets.create("other")
        handle = await opened.buckets.open("other")
        await handle.put_blob("warm", b"")
        await fill(bucket, 30)
        watched.forget()
        await bucket.copy_dir("from", "to", to=handle)
        assert watched.counts() == {"GET list-type": 1, "GET": 30, "PUT": 30}
        await opened.buckets.rm(other.id, force=True)


class TestSync:
    async def test_up(self, bucket: BucketHandle, watched: FaultyProxy, tmp_path: Path) -> None:
        root = make_tree(tmp_path / "from", {f"d{n % 3}/{n}": b"x" for n in range(40)})
        for path in root.rglob("*"):
            set_time(path, datetime.now(UTC) - timedelta(hours=1))
        watched.forget()
        await bucket.sync_up(root, "t")
        assert watched.counts() == {"GET list-type": 1, "PUT": 40}
        for number in range(20):
            await bucket.put_blob(f"t/extra/{number}", b"x")
        watched.forget()
        await bucket.sync_up(root, "t", delete=True)
        assert watched.counts() == {"GET list-type": 2, "POST delete": 1}
        watched.forget()
        await bucket.sync_up(root, "t")
        assert watched.counts() == {"GET list-type": 1}

    async def test_down(self, bucket: BucketHandle, watched: FaultyProxy, tmp_path: Path) -> None:
        await fill(bucket, 40)
        watched.forget()
        await bucket.sync_down("from", tmp_path / "to")
        assert watched.counts() == {"GET list-type": 1, "GET": 40}
        root = make_tree(tmp_path / "to", {f"extra/{n}": b"x" for n in range(20)})
        for path in root.rglob("*"):
            set_time(path, datetime.now(UTC) + timedelta(hours=1))
        watched.forget()
        await bucket.sync_down("from", root, delete=True)
        assert watched.counts() == {"GET list-type": 3}
        assert not (root / "extra").exists()


class TestPlans:
    """An estimate that is right where nothing fails."""

    async def test_what_they_estimate_is_what_it_costs(
        self, bucket: BucketHandle, watched: FaultyProxy, tmp_path: Path
    ) -> None:
        large = {"large": b"x" * 12 * MIB}
        root = make_tree(tmp_path / "from", {f"d{n % 3}/{n}": b"x" for n in range(30)} | large)
        upload = await bucket.plan_upload_dir(root, "t")
        watched.forget()
        await upload.apply()
        assert upload.requests == len(watched.seen) == 30 + 5
        for plan, looking in (
            (await bucket.plan_copy_dir("t", "new"), 1),
            (await bucket.plan_download_dir("t", tmp_path / "to"), 1),
        ):
            watched.forget()
            await plan.apply()
            assert watched.count(kind="GET list-type") == plan.looking == looking
            assert plan.requests == len(watched.seen), watched.counts()
        removal = await bucket.plan_rm("t")
        watched.forget()
        await removal.apply()
        assert removal.requests == len(watched.seen) == 2

    async def test_a_plan_is_made_with_listings_alone(
        self, bucket: BucketHandle, watched: FaultyProxy, tmp_path: Path
    ) -> None:
        await fill(bucket, 30)
        root = make_tree(tmp_path / "from", {f"{n}": b"x" for n in range(30)})
        watched.forget()
        await bucket.plan_upload_dir(root, "from", update=True)
        await bucket.plan_sync_up(root, "from", delete=True)
        await bucket.plan_sync_down("from", tmp_path / "to", delete=True)
        await bucket.plan_copy_dir("from", "new", update=True)
        # Where there is no folder yet, no listing is asked what it has alone.
        assert watched.counts() == {"GET list-type": 1 + 2 + 1 + 2}


class TestVerify:
    async def test_what_reading_again_costs(
        self, bucket: BucketHandle, watched: FaultyProxy, tmp_path: Path
    ) -> None:
        root = make_tree(tmp_path / "from", {f"{n}": b"%d" % n for n in range(20)})
        plan = await bucket.plan_upload_dir(root, "t", verify=True)
        watched.forget()
        await plan.apply()
        assert watched.counts() == {"PUT": 20, "HEAD": 20, "GET": 20}
        assert plan.requests == 60
        watched.forget()
        await bucket.download_dir("t", tmp_path / "to", verify=True)
        # The tags are MD5s of the content, so the files alone are read again.
        assert watched.counts() == {"GET list-type": 1, "GET": 20}
