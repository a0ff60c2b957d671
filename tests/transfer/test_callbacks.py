"""Callbacks that raise, and transfers that are cancelled: nothing half done is left."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

import neuro_sdk
from neuro_sdk import (
    BlobNotFound,
    BucketHandle,
    Client,
    NeuroError,
    TransferConfig,
)

from ..doubles import Watching, buckets_behind
from ..recording import DeleteRecorder, Event, FileRecorder, TreeRecorder, kind_of
from ..trees import hidden_files, make_tree, read_tree

PART = 64 << 10
OpenFiles = Callable[[], dict[str, str]]

OLD = {"a": b"old a", "d/large": b"old" * PART, "d/small": b"old", "e/large": b"o" * 5 * PART}
NEW = {
    "a": b"new a!",
    "d/large": b"new" * 2 * PART,
    "d/small": b"new!",
    "e/large": b"n" * 6 * PART,
    "e/f/large": b"m" * 7 * PART,
    "only new": b"x" * PART,
    **{f"many/{number}": bytes(number * 300) for number in range(15)},
}


class Planted(Exception):
    """Raised by a callback of a test."""


class PlantedOfOurs(NeuroError):
    """Raised by a callback of a test, and of the tree that transfers handle."""


@pytest.fixture
def limits() -> TransferConfig:
    return TransferConfig(part_size=PART, window=2, concurrency=4)


@pytest.fixture
async def client(home: Path, limits: TransferConfig) -> AsyncIterator[Client]:
    """Local: what is under way is all on this machine, so that it can be looked for."""
    async with neuro_sdk.local(home, transfer=limits) as opened:
        await opened.buckets.create("box")
        yield opened


@pytest.fixture
async def bucket(client: Client) -> BucketHandle:
    return await client.buckets.open("box")


async def blobs(bucket: BucketHandle) -> dict[str, bytes]:
    return {
        entry.key: b"".join([piece async for piece in bucket.fetch_blob(entry.key)])
        async for entry in bucket.list_blobs(recursive=True)
    }


def check_whole(found: dict[str, bytes], start: str = "") -> int:
    """Each is old or new and none is gone; how many are new."""
    hidden = [name for name in found if "/.neuro-sdk-" in f"/{name}"]
    for name in hidden:
        del found[name]
    for name in OLD:
        assert start + name in found
    for name, data in found.items():
        assert data in (OLD.get(name[len(start) :]), NEW[name[len(start) :]]), name
    return sum(data == NEW[name[len(start) :]] for name, data in found.items())


def others() -> set[asyncio.Task[object]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


async def check_closed(open_files: OpenFiles, before: dict[str, str]) -> None:
    """Nothing is open that was not; the native threads close a moment later."""
    deadline = asyncio.get_running_loop().time() + 10
    while left := open_files().items() - before.items():
        assert asyncio.get_running_loop().time() < deadline, left
        gc.collect()
        await asyncio.sleep(0.01)


KINDS = ["start", "step", "complete", "enterdir", "leavedir", "fail"]


class TestRaising:
    @pytest.mark.parametrize("error", [Planted, PlantedOfOurs, BlobNotFound])
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("verb", ["upload", "download"])
    async def test_of_a_tree(
        self,
        bucket: BucketHandle,
        tmp_path: Path,
        open_files: OpenFiles,
        verb: str,
        kind: str,
        error: type[Exception],
    ) -> None:
        root = make_tree(tmp_path / "tree", NEW if verb == "upload" else OLD)
        await bucket.upload_dir(make_tree(tmp_path / "first", OLD if verb == "upload" else NEW))
        if kind == "fail":
            if verb == "upload":
                (root / "broken").symlink_to("nowhere")
            else:
                (root / "many" / "7" / "in the way").mkdir(parents=True)
        before = open_files()

        def then(event: Event) -> None:
            if kind_of(event) == kind:
                raise planted

        planted = error("planted")
        recorder = TreeRecorder(then)
        with pytest.raises(error) as caught:
            if verb == "upload":
                await bucket.upload_dir(root, progress=recorder)
            else:
                await bucket.download_dir("", root, progress=recorder)
        assert caught.value is planted
        assert recorder.kinds.count(kind) == 1, "it was called again after it had raised"
        assert not others()
        await check_closed(open_files, before)
        if verb == "upload":
            check_whole(await blobs(bucket))
        else:
            check_whole({n: d for n, d in read_tree(root).items() if not n.endswith("/")})

    @pytest.mark.parametrize("kind", ["start", "step", "complete"])
    async def test_of_a_file(self, bucket: BucketHandle, tmp_path: Path, kind: str) -> None:
        def then(event: Event) -> None:
            if kind_of(event) == kind:
                raise Planted

        (tmp_path / "new").write_bytes(b"n" * 3 * PART)
        await bucket.put_blob("key", b"old")
        with pytest.raises(Planted):
            await bucket.upload_file(tmp_path / "new", "key", progress=FileRecorder(then))
        wanted = b"n" * 3 * PART if kind == "complete" else b"old"
        assert await blobs(bucket) == {"key": wanted}

        await bucket.put_blob("key", b"m" * 4 * PART)
        (tmp_path / "old").write_bytes(b"old")
        with pytest.raises(Planted):
            await bucket.download_file("key", tmp_path / "old", progress=FileRecorder(then))
        wanted = b"m" * 4 * PART if kind == "complete" else b"old"
        assert (tmp_path / "old").read_bytes() == wanted
        assert not others()

    @pytest.mark.parametrize("error", [Planted, PlantedOfOurs, BlobNotFound])
    @pytest.mark.parametrize("at", ["a", "many/", "many/7"])
    async def test_filter(
        self, bucket: BucketHandle, tmp_path: Path, error: type[Exception], at: str
    ) -> None:
        async def wanted(path: str) -> bool:
            if path == at:
                raise planted
            return True

        planted = error("planted")
        root = make_tree(tmp_path / "tree", NEW)
        recorder = TreeRecorder()
        with pytest.raises(error) as caught:
            await bucket.upload_dir(root, filter=wanted, progress=recorder)
        assert caught.value is planted
        await bucket.upload_dir(root)
        with pytest.raises(error) as caught:
            await bucket.download_dir("", tmp_path / "to", filter=wanted, progress=recorder)
        assert caught.value is planted
        assert "fail" not in recorder.kinds
        assert not others()

    async def test_delete(self, bucket: BucketHandle, tmp_path: Path) -> None:
        await bucket.upload_dir(make_tree(tmp_path / "tree", NEW))

        def then(_: Event) -> None:
            raise PlantedOfOurs("planted")

        with pytest.raises(PlantedOfOurs):
            await bucket.blob_rm("many", recursive=True, progress=DeleteRecorder(then))
        assert not others()

    async def test_an_interrupt_is_let_through(self, bucket: BucketHandle, tmp_path: Path) -> None:
        class Stop(BaseException):
            """Not an Exception, as KeyboardInterrupt."""

        def then(event: Event) -> None:
            if kind_of(event) == "step":
                raise Stop

        root = make_tree(tmp_path / "tree", NEW)
        with pytest.raises(Stop):
            await bucket.upload_dir(root, progress=TreeRecorder(then))
        assert not others()


class TestCancelled:
    """At a random event, or after a random number of turns of the loop."""

    async def cancel(self, work: Callable[[TreeRecorder], Awaitable[None]], seed: int) -> bool:
        """Run *work* and cancel it; False if it was done before that."""
        chance = random.Random(seed)
        count = chance.randrange(40)
        turns = chance.randrange(6) if seed % 2 else 10**9

        def then(event: Event) -> None:
            nonlocal count
            count -= 1
            if count == 0 and turns > 5:
                task.cancel()

        async def run() -> None:
            await work(TreeRecorder(then))

        task = asyncio.create_task(run())
        if turns <= 5:
            for _ in range(chance.choice([0, 1, 2, 5, 10, 30, 100, 300])):
                await asyncio.sleep(0)
            await asyncio.sleep(chance.choice([0, 0.001, 0.005, 0.02]))
            task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        assert result is None or isinstance(result, asyncio.CancelledError)
        assert not others()
        return result is not None

    async def test_uploads(
        self, bucket: BucketHandle, tmp_path: Path, open_files: OpenFiles
    ) -> None:
        old, new = make_tree(tmp_path / "old", OLD), make_tree(tmp_path / "new", NEW)
        await bucket.upload_dir(old)
        before = open_files()
        cancelled, counts = 0, set()
        for seed in range(16):
            cancelled += await self.cancel(
                lambda recorder: bucket.upload_dir(new, progress=recorder), seed
            )
            await check_closed(open_files, before)
            found = await blobs(bucket)
            counts.add(check_whole(found))
            await bucket.blob_rm("", recursive=True)
            await bucket.upload_dir(old)
        assert cancelled > 5
        assert len(counts) > 2, "the moments were not so different"

    async def test_downloads(
        self, bucket: BucketHandle, tmp_path: Path, open_files: OpenFiles
    ) -> None:
        await bucket.upload_dir(make_tree(tmp_path / "new", NEW))
        before = open_files()
        cancelled, counts = 0, set()
        for seed in range(16):
            root = make_tree(tmp_path / f"to{seed}", OLD)
            cancelled += await self.cancel(
                lambda recorder, root=root: bucket.download_dir("", root, progress=recorder),  # type: ignore[misc]
                seed,
            )
            await check_closed(open_files, before)
            found = {n: d for n, d in read_tree(root).items() if not n.endswith("/")}
            counts.add(check_whole(found))
            await bucket.download_dir("", root, continue_=True)
            assert read_tree(root) == NEW
            assert hidden_files(root) == []
        assert cancelled > 5
        assert len(counts) > 2, "the moments were not so different"

    async def test_removals(self, bucket: BucketHandle, tmp_path: Path) -> None:
        new = make_tree(tmp_path / "new", NEW)
        for seed in range(6):
            await bucket.upload_dir(new)
            removal = asyncio.create_task(bucket.blob_rm("", recursive=True))
            for _ in range(seed * 3):
                await asyncio.sleep(0)
            removal.cancel()
            await asyncio.gather(removal, return_exceptions=True)
            assert not others()
            check = await blobs(bucket)
            assert all(NEW[name] == data for name, data in check.items())

    async def test_listings_end_with_a_transfer_that_ends_early(
        self, client: Client, bucket: BucketHandle, tmp_path: Path
    ) -> None:
        await bucket.upload_dir(make_tree(tmp_path / "new", NEW))
        watching: list[Watching] = []

        def watch(provider: object) -> Watching:
            watching.append(Watching(provider))  # type: ignore[arg-type]
            return watching[-1]

        buckets = buckets_behind(client, watch)

        def then(event: Event) -> None:
            if kind_of(event) == "start":
                raise Planted

        for work in (
            buckets.download_dir("blob:box", tmp_path / "to", progress=TreeRecorder(then)),
            buckets.upload_dir(
                tmp_path / "new", "blob:box/x", update=True, progress=TreeRecorder(then)
            ),
        ):
            with pytest.raises(Planted):
                await work
            assert watching[0].listings == 0
        async with buckets.get_disk_usage("box") as usage:
            async for _ in usage:
                break
        assert watching[0].listings == 0
        assert await buckets.blob_is_dir("blob:box/many")
        assert watching[0].listings == 0
        async with buckets.glob_blobs("blob:box/**") as entries:
            async for _ in entries:
                break
        assert watching[0].listings == 0
