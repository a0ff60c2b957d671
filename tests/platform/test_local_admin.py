"""Buckets on the disk: nothing is lost by a removal that was not forced."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from neuro_sdk._core.models import Bucket
from neuro_sdk._platform import sqlite
from neuro_sdk._platform.service import EmbeddedPlatform
from neuro_sdk.errors import (
    BucketNotEmpty,
    BucketNotFound,
    LocalError,
    NeuroError,
    StorageTimeout,
)
from neuro_sdk.protocols import Provider

from .opening import SCOPE, open_local, open_platform


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def blobs(home: Path) -> Path:
    return home / "blobs"


@pytest.fixture
async def platform(home: Path) -> AsyncIterator[EmbeddedPlatform]:
    async with open_platform(home) as platform:
        yield platform


@pytest.fixture
async def bucket(platform: EmbeddedPlatform) -> Bucket:
    return await platform.create_bucket("photos", SCOPE)


@pytest.fixture
def root(blobs: Path, bucket: Bucket) -> Path:
    return blobs / bucket.id


async def opened(platform: EmbeddedPlatform, bucket: Bucket) -> Provider:
    return open_local(bucket, await platform.bucket_credentials(bucket))


def hold(home: Path) -> sqlite3.Connection:
    database = sqlite3.connect(home / "registry.db")
    database.execute("BEGIN IMMEDIATE")
    return database


def left(blobs: Path) -> list[Path]:
    """What is on the disk but the empty files that bar removed buckets."""
    kept = [path for path in blobs.rglob("*") if path.name != ".trash"]
    return [path for path in kept if path.is_dir() or path.stat().st_size]


class TestRemoval:
    async def test_nothing_stays_on_the_disk(
        self, platform: EmbeddedPlatform, bucket: Bucket, root: Path, blobs: Path
    ) -> None:
        (root / "empty" / "er").mkdir(parents=True)
        (root / ".neuro-sdk" / "writing").mkdir(parents=True)
        (root / ".neuro-sdk" / "writing" / "left-over").write_bytes(b"part")
        await platform.delete_bucket(bucket)
        assert left(blobs) == []

    async def test_force_leaves_nothing_either(
        self, platform: EmbeddedPlatform, bucket: Bucket, root: Path, blobs: Path
    ) -> None:
        provider = await opened(platform, bucket)
        for number in range(20):
            await provider.put(f"deep/{number}", b"data")
        await provider.close()
        await platform.delete_bucket(bucket, force=True)
        assert left(blobs) == []

    @pytest.mark.parametrize(
        "path", ["a", "deep/er/a", "deep/.neuro-sdk-dir", "deep/.neuro-sdk/a", ".neuro-sdk-dir"]
    )
    async def test_any_file_counts(
        self, platform: EmbeddedPlatform, bucket: Bucket, root: Path, path: str
    ) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
        with pytest.raises(BucketNotEmpty, match="photos"):
            await platform.delete_bucket(bucket)
        assert (root / path).is_file()

    async def test_links_count_and_are_not_followed(
        self, platform: EmbeddedPlatform, bucket: Bucket, root: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "precious").touch()
        (root / "link").symlink_to(tmp_path / "mine")
        with pytest.raises(BucketNotEmpty):
            await platform.delete_bucket(bucket)
        await platform.delete_bucket(bucket, force=True)
        assert (tmp_path / "mine" / "precious").exists()

    async def test_a_deep_tree_goes(
        self, platform: EmbeddedPlatform, bucket: Bucket, root: Path
    ) -> None:
        deep = root.joinpath(*["d"] * 500)
        deep.mkdir(parents=True)
        (deep / "a").touch()
        with pytest.raises(BucketNotEmpty):
            await platform.delete_bucket(bucket)
        (deep / "a").unlink()
        await platform.delete_bucket(bucket)
        assert not root.is_dir()

    async def test_a_deep_tree_goes_by_force(
        self, platform: EmbeddedPlatform, bucket: Bucket, root: Path, blobs: Path
    ) -> None:
        deep = root.joinpath(*["d"] * 500)
        deep.mkdir(parents=True)
        (deep / "a").touch()
        await platform.delete_bucket(bucket, force=True)
        assert os.listdir(blobs / ".trash") == []

    async def test_a_blob_that_comes_last_is_kept(
        self,
        platform: EmbeddedPlatform,
        bucket: Bucket,
        root: Path,
        blobs: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        writing = root / ".neuro-sdk" / "writing"
        writing.mkdir(parents=True)
        (writing / "in-flight").write_bytes(b"part")
        rmdir = os.rmdir

        def late(path: str | Path, *, dir_fd: int | None = None) -> None:
            if Path(path) == root:
                (root / "late").write_bytes(b"data")
                writing.mkdir(parents=True)
                (writing / "new").write_bytes(b"part")
            rmdir(path, dir_fd=dir_fd)

        monkeypatch.setattr(os, "rmdir", late)
        with pytest.raises(BucketNotEmpty):
            await platform.delete_bucket(bucket)
        monkeypatch.undo()
        assert (root / "late").read_bytes() == b"data"
        assert sorted(os.listdir(writing)) == ["in-flight", "new"]
        assert sorted(os.listdir(blobs)) == [".trash", bucket.id]
        assert await platform.get_bucket("photos", SCOPE) == bucket

    @pytest.mark.parametrize("force", [False, True])
    async def test_writers_beside_a_removal_lose_nothing(
        self, platform: EmbeddedPlatform, blobs: Path, force: bool
    ) -> None:
        chance = random.Random(11)
        outcomes = set()
        for round_ in range(25):
            bucket = await platform.create_bucket(None, SCOPE)
            provider = await opened(platform, bucket)
            written: list[str] = []

            async def write(name: str, delay: float) -> None:
                await asyncio.sleep(delay)
                with contextlib.suppress(NeuroError, NotADirectoryError):
                    await provider.put(f"{name}/a", b"data")
                    written.append(name)

            writers = [
                asyncio.create_task(write(str(number), 0.5 if round_ == 1 else delay))
                for number, delay in enumerate(chance.uniform(0, 0.012) for _ in range(4))
            ]
            if round_ == 0:  # the writers are first for once, and in another round the last
                await asyncio.gather(*writers)
            elif round_ > 1:
                await asyncio.sleep(chance.uniform(0, 0.008))
            try:
                await platform.delete_bucket(bucket, force=force)
            except BucketNotEmpty:
                outcomes.add("refused")
                await asyncio.gather(*writers)
                for name in written:
                    assert (await provider.head(f"{name}/a")).size == 4
                assert (await platform.get_bucket(bucket.id, SCOPE)) == bucket
            else:
                outcomes.add("removed")
                await asyncio.gather(*writers)
                assert force or not written
                assert not list((blobs / bucket.id).rglob("a"))
            await provider.close()
        assert outcomes == ({"removed"} if force else {"removed", "refused"})


class TestCrashes:
    async def test_a_lost_folder_counts_as_removed(
        self, platform: EmbeddedPlatform, bucket: Bucket, root: Path
    ) -> None:
        root.rmdir()
        await platform.delete_bucket(bucket)
        with pytest.raises(BucketNotFound):
            await platform.get_bucket("photos", SCOPE)

    @pytest.mark.parametrize("first", [False, True])
    @pytest.mark.parametrize("second", [False, True])
    async def test_a_removal_cut_short_is_finished_by_another(
        self,
        platform: EmbeddedPlatform,
        home: Path,
        bucket: Bucket,
        root: Path,
        blobs: Path,
        monkeypatch: pytest.MonkeyPatch,
        first: bool,
        second: bool,
    ) -> None:
        (root / ".neuro-sdk").mkdir()
        (blobs / f"{bucket.id}.writes").mkdir()
        monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.1)
        async with open_platform(home) as hasty:
            with contextlib.closing(hold(home)), pytest.raises(StorageTimeout):
                await hasty.delete_bucket(bucket, force=first)
        provider = await opened(platform, bucket)
        with pytest.raises(BucketNotFound):
            await provider.put("a", b"data")
        await provider.close()
        await platform.delete_bucket(bucket, force=second)
        with pytest.raises(BucketNotFound):
            await platform.get_bucket(bucket.id, SCOPE)
        assert left(blobs) == []

    async def test_opening_sweeps_the_trash(self, home: Path, blobs: Path) -> None:
        async with open_platform(home):
            pass
        (blobs / ".trash" / "bucket-1.ff" / "deep").mkdir(parents=True)
        (blobs / ".trash" / "bucket-1.ff" / "deep" / "a").touch()
        async with open_platform(home):
            assert os.listdir(blobs / ".trash") == []

    @pytest.mark.parametrize("force", [False, True])
    async def test_the_trash_may_be_lost(
        self, platform: EmbeddedPlatform, bucket: Bucket, blobs: Path, force: bool
    ) -> None:
        (blobs / ".trash").rmdir()
        async with asyncio.timeout(10):
            await platform.delete_bucket(bucket, force=force)
        assert left(blobs) == []

    async def test_opening_sweeps_old_bars(self, home: Path, blobs: Path) -> None:
        async with open_platform(home) as platform:
            gone, kept = [await platform.create_bucket(None, SCOPE) for _ in range(2)]
            await platform.delete_bucket(gone)
        os.utime(blobs / gone.id, (0, 0))
        os.utime(blobs / kept.id, (0, 0))
        async with open_platform(home):
            assert sorted(os.listdir(blobs)) == [".trash", kept.id]

    async def test_a_bucket_that_cannot_be_recorded_leaves_no_folder(
        self, home: Path, blobs: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.1)
        async with open_platform(home) as hasty:
            with contextlib.closing(hold(home)), pytest.raises(StorageTimeout):
                await hasty.create_bucket(None, SCOPE)
        assert left(blobs) == []

    async def test_a_disk_that_says_no_is_named(
        self, platform: EmbeddedPlatform, blobs: Path
    ) -> None:
        (blobs / ".trash").rmdir()
        blobs.rmdir()
        with pytest.raises(LocalError, match="blobs"):
            await platform.create_bucket("photos", SCOPE)
        with pytest.raises(BucketNotFound):
            await platform.get_bucket("photos", SCOPE)
