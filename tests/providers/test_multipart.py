"""Uploads in parts on a real store: what is sent, what is left when they fail, and resuming."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from neuro_sdk import (
    AuthorizationError,
    Bucket,
    BucketCredentials,
    BucketHandle,
    Client,
    LocalFileChanged,
    StorageError,
    StorageTimeout,
    StorageUnavailable,
    TransferConfig,
)
from neuro_sdk._platform.seaweedfs import SeaweedFSServer
from neuro_sdk.progress import StorageProgressStep as Step
from tests.recording import FileRecorder
from tests.servers.proxy import Faults, FaultyProxy, Seen
from tests.servers.s3 import s3_client

MIB = 1 << 20
SIZE = 22 * MIB + 17
PARTS = 5
LIMITS = TransferConfig(timeout=2, retries=1, part_size=5 * MIB, window=2)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where records of uploads lie."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "neuro_sdk" / "uploads"


@pytest.fixture
def transfer() -> TransferConfig:
    return LIMITS


@pytest.fixture
async def box(box: BucketHandle, watched: FaultyProxy) -> BucketHandle:
    """With the blob ``large``, whose credentials are there."""
    await box.put_blob("large", b"before")
    watched.seen.clear()
    return box


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(os.urandom(SIZE))
    return path


@asynccontextmanager
async def root(box: BucketHandle, seaweedfs: SeaweedFSServer) -> AsyncIterator[tuple[Any, str]]:
    """A client that sees all, and the store's name of the bucket."""
    name = (await box.request_tmp_credentials()).credentials["bucket_name"]
    keys = (seaweedfs.endpoint, seaweedfs.access_key, seaweedfs.secret_key)
    async with s3_client(*keys) as s3:
        yield s3, name


async def uploads(box: BucketHandle, seaweedfs: SeaweedFSServer) -> list[str]:
    """The uploads that the store has not forgotten."""
    async with root(box, seaweedfs) as (s3, name):
        answer = await s3.list_multipart_uploads(Bucket=name)
        return [each["UploadId"] for each in answer.get("Uploads", ())]


async def body_of(box: BucketHandle, key: str = "large") -> bytes:
    return b"".join([piece async for piece in box.fetch_blob(key)])


def is_part(*numbers: int) -> Callable[[Seen], bool]:
    """Whether a request sends one of these parts, or any."""

    def applies(seen: Seen) -> bool:
        if "partNumber=" not in seen.target:
            return False
        return not numbers or any(f"partNumber={number}&" in seen.target for number in numbers)

    return applies


def is_finish(seen: Seen) -> bool:
    return seen.method == "POST" and "uploadId=" in seen.target


def steps_of(recorder: FileRecorder) -> list[int]:
    """The bytes of each step."""
    return [event.current for event in recorder.of("step") if isinstance(event, Step)]


async def chunks(body: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


class TestWhatIsSent:
    async def test_a_file(self, box: BucketHandle, watched: FaultyProxy, file: Path) -> None:
        recorder = FileRecorder()
        await box.upload_file(file, "large", progress=recorder)
        assert watched.counts() == {
            "POST uploads": 1,
            "PUT partNumber uploadId": PARTS,
            "POST uploadId": 1,
        }
        assert watched.received - SIZE < 5000
        assert await body_of(box) == file.read_bytes()
        steps = steps_of(recorder)
        assert steps == sorted(steps)
        assert steps[-1] == SIZE
        assert len(steps) == PARTS

    @pytest.mark.parametrize("size", [64 << 10, 3 * MIB + 1, 7 * MIB, SIZE])
    async def test_a_stream(self, box: BucketHandle, watched: FaultyProxy, size: int) -> None:
        body = random.Random(size).randbytes(SIZE)
        await box.put_blob("large", chunks(body, size))
        assert watched.counts()["PUT partNumber uploadId"] == PARTS
        assert await body_of(box) == body

    @pytest.mark.parametrize("size", [0, 1, 5 * MIB])
    async def test_what_fits_into_a_part_is_one_request(
        self, box: BucketHandle, watched: FaultyProxy, tmp_path: Path, size: int
    ) -> None:
        body = os.urandom(size)
        (tmp_path / "one").write_bytes(body)
        await box.upload_file(tmp_path / "one", "large")
        assert watched.counts() == {"PUT": 1}
        await box.put_blob("large", chunks(body, MIB))
        assert watched.counts() == {"PUT": 2}
        assert await body_of(box) == body

    async def test_a_body_that_does_not_fit_its_checksum_is_refused(
        self, box: BucketHandle, seaweedfs: SeaweedFSServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("neuro_sdk._providers.s3_verbs.crc32c", lambda _: "AAAAAA==")
        with pytest.raises(StorageError, match="BadDigest"):
            await box.put_blob("large", chunks(bytes(SIZE), MIB))
        assert await uploads(box, seaweedfs) == []
        assert await body_of(box) == b"before"

    async def test_each_part_has_the_credentials_of_its_moment(
        self,
        client: Client,
        box: BucketHandle,
        file: Path,
        monkeypatch: pytest.MonkeyPatch,
        watched: FaultyProxy,
    ) -> None:
        control = client.buckets._control
        whole = control.bucket_credentials
        issued = 0

        async def short(bucket: Bucket) -> BucketCredentials:
            nonlocal issued
            issued += 1
            credentials = await whole(bucket)
            ends = datetime.now(UTC) + timedelta(seconds=0.2)
            raw = {**credentials.credentials, "expiration": ends.isoformat()}
            return replace(credentials, credentials=raw)

        monkeypatch.setattr(control, "bucket_credentials", short)
        async with client.buckets.open("box") as fresh:
            _, opened = client.buckets._providers.popitem()
            await opened.close()
            watched.faults = Faults(delay=0.2, applies=is_part())
            await fresh.upload_file(file, "large")
            assert issued >= 3
            await fresh.put_blob("stream", chunks(file.read_bytes(), 9 * MIB))
            assert issued >= 5
        watched.faults = Faults()
        assert await body_of(box) == await body_of(box, "stream") == file.read_bytes()


class TestFailures:
    @pytest.mark.parametrize("way", ["file", "stream"])
    @pytest.mark.parametrize("status", [403, 500])
    async def test_nothing_is_left_of_one_that_fails(
        self,
        box: BucketHandle,
        watched: FaultyProxy,
        seaweedfs: SeaweedFSServer,
        file: Path,
        way: str,
        status: int,
    ) -> None:
        watched.faults = Faults(refuse=1.0, status=status, applies=is_part(3))
        with pytest.raises((AuthorizationError, StorageUnavailable)):
            if way == "file":
                await box.upload_file(file, "large")
            else:
                await box.put_blob("large", chunks(file.read_bytes(), MIB))
        assert await uploads(box, seaweedfs) == []
        assert await body_of(box) == b"before"

    async def test_nothing_is_left_of_one_that_is_cancelled(
        self, box: BucketHandle, watched: FaultyProxy, seaweedfs: SeaweedFSServer, file: Path
    ) -> None:
        chance = random.Random(1)
        watched.faults = Faults(delay=0.02)
        cancelled = 0
        for _ in range(12):
            task = asyncio.create_task(box.upload_file(file, "large"))
            await asyncio.sleep(chance.uniform(0, 0.25))
            task.cancel()
            (end,) = await asyncio.gather(task, return_exceptions=True)
            cancelled += isinstance(end, asyncio.CancelledError)
            assert end is None or isinstance(end, asyncio.CancelledError)
            assert await uploads(box, seaweedfs) == []
            assert await body_of(box) in (b"before", file.read_bytes())
        assert cancelled

    async def test_a_caller_whose_stream_fails(
        self, box: BucketHandle, seaweedfs: SeaweedFSServer
    ) -> None:
        async def failing() -> AsyncIterator[bytes]:
            for _ in range(12):
                yield bytes(MIB)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await box.put_blob("large", failing())
        assert await uploads(box, seaweedfs) == []
        assert await body_of(box) == b"before"

    async def test_a_file_that_changes(
        self, box: BucketHandle, watched: FaultyProxy, seaweedfs: SeaweedFSServer, file: Path
    ) -> None:
        def touch(_: Seen) -> bool:
            os.utime(file, (1, 1))
            return False

        watched.faults = Faults(refuse=1.0, applies=touch)
        for resume in (False, True):
            os.utime(file, (2, 2))
            with pytest.raises(LocalFileChanged):
                await box.upload_file(file, "large", resume=resume)
            assert await uploads(box, seaweedfs) == []
        assert await body_of(box) == b"before"

    async def test_overload_is_waited_out(
        self, box: BucketHandle, watched: FaultyProxy, file: Path
    ) -> None:
        watched.faults = Faults(refuse=1.0, times=1, applies=is_part(2))
        await box.upload_file(file, "large")
        assert await body_of(box) == file.read_bytes()

    @pytest.mark.parametrize("which", [is_finish, is_part(2)], ids=["finish", "part"])
    async def test_a_lost_answer(
        self,
        box: BucketHandle,
        watched: FaultyProxy,
        seaweedfs: SeaweedFSServer,
        file: Path,
        which: Callable[[Seen], bool],
    ) -> None:
        watched.faults = Faults(lose=True, times=1, applies=which)
        await box.upload_file(file, "large")
        assert await body_of(box) == file.read_bytes()
        assert await uploads(box, seaweedfs) == []

    async def test_a_store_that_does_not_answer(
        self, box: BucketHandle, watched: FaultyProxy, seaweedfs: SeaweedFSServer, file: Path
    ) -> None:
        watched.faults = Faults(delay=30, applies=is_part(2))
        async with asyncio.timeout(20):
            with pytest.raises(StorageTimeout, match="no answer within 2 seconds"):
                await box.upload_file(file, "large")
        watched.faults = Faults()
        assert await uploads(box, seaweedfs) == []
        assert await body_of(box) == b"before"


def recorded(state: Path) -> int:
    """How many parts the record has: what was under way when another failed may be in it or not."""
    (record,) = state.iterdir()
    parts = record.read_bytes().count(b"\n") - 1
    assert 0 < parts < PARTS
    return parts


class TestResume:
    async def broken(
        self, box: BucketHandle, watched: FaultyProxy, file: Path, part: int = 4
    ) -> None:
        watched.faults = Faults(refuse=1.0, status=403, applies=is_part(part))
        with pytest.raises(AuthorizationError):
            await box.upload_file(file, "large", resume=True)
        watched.faults = Faults()
        watched.seen.clear()

    async def test_only_the_rest_is_sent(
        self,
        box: BucketHandle,
        watched: FaultyProxy,
        seaweedfs: SeaweedFSServer,
        file: Path,
        state: Path,
    ) -> None:
        await self.broken(box, watched, file)
        assert len(await uploads(box, seaweedfs)) == 1
        (record,) = state.iterdir()
        assert record.stat().st_mode & 0o77 == 0
        rest = PARTS - recorded(state)
        recorder = FileRecorder()
        await box.upload_file(file, "large", resume=True, progress=recorder)
        assert await body_of(box) == file.read_bytes()
        assert watched.count(kind="PUT partNumber uploadId") == rest
        assert watched.count(kind="POST uploads") == 0
        assert steps_of(recorder)[-1] == SIZE
        assert await uploads(box, seaweedfs) == []
        assert list(state.iterdir()) == []

    async def test_another_content_starts_over(
        self,
        box: BucketHandle,
        watched: FaultyProxy,
        seaweedfs: SeaweedFSServer,
        file: Path,
        state: Path,
    ) -> None:
        await self.broken(box, watched, file)
        file.write_bytes(os.urandom(SIZE))
        os.utime(file, (3, 3))
        await box.upload_file(file, "large", resume=True)
        assert await body_of(box) == file.read_bytes()
        assert await uploads(box, seaweedfs) == []
        assert list(state.iterdir()) == []

    async def test_the_same_time_and_size_are_not_believed(
        self, box: BucketHandle, watched: FaultyProxy, file: Path
    ) -> None:
        os.utime(file, (3, 3))
        await self.broken(box, watched, file)
        file.write_bytes(os.urandom(SIZE))
        os.utime(file, (3, 3))
        await box.upload_file(file, "large", resume=True)
        assert watched.count(kind="PUT partNumber uploadId") == PARTS
        assert await body_of(box) == file.read_bytes()

    async def test_what_the_store_has_forgotten_starts_over(
        self, box: BucketHandle, watched: FaultyProxy, seaweedfs: SeaweedFSServer, file: Path
    ) -> None:
        await self.broken(box, watched, file)
        async with root(box, seaweedfs) as (s3, name):
            (upload,) = await uploads(box, seaweedfs)
            await s3.abort_multipart_upload(Bucket=name, Key="large", UploadId=upload)
        await box.upload_file(file, "large", resume=True)
        assert await body_of(box) == file.read_bytes()

    async def test_a_record_that_was_cut_off_is_used_as_far_as_it_goes(
        self, box: BucketHandle, watched: FaultyProxy, file: Path, state: Path
    ) -> None:
        await self.broken(box, watched, file)
        (record,) = state.iterdir()
        record.write_bytes(record.read_bytes()[:-5])
        rest = PARTS - recorded(state)
        await box.upload_file(file, "large", resume=True)
        assert 1 < watched.count(kind="PUT partNumber uploadId") == rest < PARTS
        assert await body_of(box) == file.read_bytes()

    @pytest.mark.parametrize("text", ["", "x", "{}\n", '{"upload": 1}\n', "[]\n", "\0\n\n"])
    async def test_a_record_that_is_none_is_not_believed(
        self, box: BucketHandle, watched: FaultyProxy, file: Path, state: Path, text: str
    ) -> None:
        await self.broken(box, watched, file)
        (record,) = state.iterdir()
        record.write_text(text)
        await box.upload_file(file, "large", resume=True)
        assert await body_of(box) == file.read_bytes()

    async def test_a_tree(
        self, box: BucketHandle, watched: FaultyProxy, tmp_path: Path, file: Path, state: Path
    ) -> None:
        folder = tmp_path / "tree"
        folder.mkdir()
        file.rename(folder / "large")
        (folder / "small").write_bytes(b"x")
        watched.faults = Faults(refuse=1.0, status=403, applies=is_part(4))
        with pytest.raises(AuthorizationError):
            await box.upload_dir(folder, "t", resume=True)
        watched.faults = Faults()
        watched.seen.clear()
        rest = PARTS - recorded(state)
        await box.upload_dir(folder, "t", resume=True)
        assert watched.count(kind="PUT partNumber uploadId") == rest
        assert await body_of(box, "t/large") == (folder / "large").read_bytes()
