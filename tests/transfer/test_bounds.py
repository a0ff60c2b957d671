"""Tasks, open files, memory and requests are set by the configuration, not by the work."""

from __future__ import annotations

import asyncio
import os
import random
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

import neuro_sdk
from neuro_sdk import BucketHandle, Buckets, Client, ConfigError, TransferConfig
from neuro_sdk.protocols import Provider

from ..contracts.stores import Store
from ..doubles import Watching, buckets_behind
from ..trees import make_tree, small_files

MIB = 1 << 20


def behind(client: Client, transfer: TransferConfig) -> tuple[Buckets, list[Watching]]:
    watching: list[Watching] = []

    def watch(provider: Provider) -> Provider:
        watching.append(Watching(provider))
        return watching[-1]

    return buckets_behind(client, watch, transfer=transfer), watching


@pytest.mark.parametrize("concurrency", [1, 3, 16])
async def test_calls_and_tasks_at_once(
    anywhere: Client, box: BucketHandle, tmp_path: Path, concurrency: int
) -> None:
    root = make_tree(tmp_path / "from", small_files(120))
    buckets, watching = behind(anywhere, TransferConfig(concurrency=concurrency))
    tasks_before = len(asyncio.all_tasks())
    await buckets.upload_dir(root, "blob:box")
    (provider,) = watching
    assert len(provider.of("put")) == 120
    assert 1 <= provider.peak <= concurrency
    await buckets.download_dir("blob:box", tmp_path / "to")
    assert len(provider.of("fetch")) == 120
    assert provider.peak <= concurrency
    if concurrency > 1:
        assert provider.peak > 1, "nothing was concurrent"
    # One for each file under way, and what a store needs for each and for its connections.
    assert provider.tasks <= tasks_before + 3 * concurrency + 4


async def test_some_calls_with_bounds_of_their_own(
    anywhere: Client, box: BucketHandle, tmp_path: Path
) -> None:
    root = make_tree(tmp_path / "from", small_files(40))
    buckets, watching = behind(anywhere, TransferConfig(concurrency=9))
    await buckets.using(TransferConfig(concurrency=2)).upload_dir(root, "blob:box/a")
    (provider,) = watching  # which all share
    assert provider.peak == 2
    async with buckets.using(TransferConfig(concurrency=3)).open("box") as handle:
        await handle.upload_dir(root, "b")
        assert provider.peak == 3
        await handle.using(TransferConfig(concurrency=4)).upload_dir(root, "c")
        assert provider.peak == 4
    await buckets.upload_dir(root, "blob:box/d")
    assert 4 < provider.peak <= 9
    assert len(provider.of("put")) == 160
    with pytest.raises(ConfigError, match=r"TransferConfig\.timeout is set for a whole client"):
        buckets.using(TransferConfig(timeout=1))


async def test_the_fewest_requests(anywhere: Client, box: BucketHandle, tmp_path: Path) -> None:
    root = make_tree(tmp_path / "from", small_files(60))
    buckets, watching = behind(anywhere, TransferConfig())
    await buckets.upload_dir(root, "blob:box/t")
    (provider,) = watching
    assert {verb for verb, _ in provider.calls} == {"put"}
    provider.calls.clear()
    await buckets.download_dir("blob:box/t", tmp_path / "to")
    assert [call for call in provider.calls if call[0] != "fetch"] == [("list", "t/")]
    assert len(provider.of("fetch")) == 60
    provider.calls.clear()
    await buckets.download_file("blob:box/t/file0.bin", tmp_path / "one")
    assert [verb for verb, _ in provider.calls] == ["head", "fetch"]
    provider.calls.clear()
    await buckets.upload_file(tmp_path / "one", "blob:box/t/one")
    assert [verb for verb, _ in provider.calls] == ["put"]
    provider.calls.clear()
    await buckets.blob_rm("blob:box/t/one")
    assert len(provider.calls) <= 2
    provider.calls.clear()
    await buckets.blob_rm("blob:box/t", recursive=True)
    assert sorted(verb for verb, _ in provider.calls) in (
        ["delete_many", "head", "list"],
        ["delete_many", "list"],
    )
    provider.calls.clear()
    assert not await buckets.blob_is_dir("blob:box/t")
    assert len(provider.calls) == 1


class TestMemory:
    """Local: what Python holds; the store's own part is the same for all."""

    LIMITS = TransferConfig(part_size=MIB, window=2)

    @pytest.fixture
    async def bucket(self, home: Path) -> AsyncIterator[BucketHandle]:
        async with neuro_sdk.local(home, transfer=self.LIMITS) as client:
            await client.buckets.create("box")
            yield await client.buckets.open("box")

    @pytest.fixture
    def peak(self) -> Iterator[Callable[[], int]]:
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            yield lambda: tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()

    async def test_of_a_large_blob_all_ways(
        self, bucket: BucketHandle, tmp_path: Path, peak: Callable[[], int]
    ) -> None:
        size = 64 * MIB
        with (tmp_path / "large").open("wb") as file:
            for _ in range(64):
                file.write(random.randbytes(MIB))
        await bucket.upload_file(tmp_path / "large", "large")
        await bucket.download_file("large", tmp_path / "back")
        assert (tmp_path / "back").stat().st_size == size
        (tmp_path / "back").rename(tmp_path / "half")
        os.truncate(tmp_path / "half", size // 2)
        await bucket.download_file("large", tmp_path / "half", continue_=True)
        assert (tmp_path / "half").stat().st_size == size

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(64 * 16):
                yield b"x" * (MIB // 16)

        await bucket.put_blob("stream", chunks())
        seen = 0
        async for piece in bucket.fetch_blob("stream"):
            seen += len(piece)
        assert seen == size
        assert peak() < 16 * MIB

    async def test_of_a_long_listing(
        self, bucket: BucketHandle, tmp_path: Path, peak: Callable[[], int]
    ) -> None:
        root = make_tree(tmp_path / "from", {f"{n % 10}/{n:05}": b"" for n in range(800)})
        start = peak()
        await bucket.upload_dir(root)
        await bucket.download_dir("", tmp_path / "to", update=True)
        await bucket.upload_dir(root, update=True)
        await bucket.blob_rm("", recursive=True)
        assert peak() - start < 4 * MIB


async def test_open_files_do_not_grow(
    anywhere: Client,
    box: BucketHandle,
    tmp_path: Path,
    open_files: Callable[[], dict[str, str]],
    store: Store,
) -> None:
    root = make_tree(tmp_path / "from", small_files(40) | {"large": b"x" * 9 * MIB})
    await box.upload_dir(root)
    await box.download_dir("", tmp_path / "to")
    before = len(open_files())
    for _ in range(3):
        await box.upload_dir(root)
        await box.download_dir("", tmp_path / "to")
        async for _entry in box.list_blobs():
            break
    ours = (str(root), str(tmp_path / "to"))
    assert not [place for place in open_files().values() if place.startswith(ours)]
    if store.name == "local":  # the native threads close a moment later
        deadline = asyncio.get_running_loop().time() + 10
        while len(open_files()) > before:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.005)
