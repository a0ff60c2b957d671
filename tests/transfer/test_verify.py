"""verify=True: what was stored is read again, and what is wrong does not pass."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from neuro_sdk import (
    BlobObject,
    BucketHandle,
    Client,
    LocalFileChanged,
    StorageProgressStep,
    TransferConfig,
    TransferError,
    VerificationFailed,
)
from neuro_sdk.protocols import Provider

from ..conftest import Lifted
from ..doubles import Front, Watching, buckets_behind
from ..recording import FileRecorder, TreeRecorder, check_events
from ..trees import make_tree, read_tree

MIB = 1 << 20
LARGE = random.Random("verify").randbytes(12 * MIB + 3)
TREE = {"a": b"1", "d/large": LARGE, "d/b": b"22", "empty/": b"", "zero": b""}


@pytest.fixture
def limits() -> TransferConfig:
    """Parts as small as Amazon's may be."""
    return TransferConfig(part_size=5 * MIB, window=2)


class Flips(Front):
    """Stores, or gives, one bit other than it was, in the blobs whose names say so."""

    def __init__(self, inner: Provider, *, storing: bool) -> None:
        super().__init__(inner)
        self._storing = storing
        self._given = False

    @property
    def multipart(self) -> None:
        """Parts would pass by what is flipped here."""

    async def put(self, key: str, body: bytes | AsyncIterator[bytes]) -> None:
        if self._storing and "bad" in key:
            body = flipped(body) if isinstance(body, bytes) else stream_of(body)
        await self.inner.put(key, body)

    async def fetch(
        self,
        key: str,
        offset: int = 0,
        length: int | None = None,
        *,
        known: BlobObject | None = None,
    ) -> AsyncGenerator[bytes, None]:
        async with aclosing(self.inner.fetch(key, offset, length, known=known)) as pieces:
            async for piece in pieces:
                wrong = "bad" in key and not (self._storing or self._given)
                self._given |= wrong  # once; what is read after that is what is there
                yield flipped(piece) if wrong else piece


def flipped(body: bytes) -> bytes:
    return bytes([body[0] ^ 1]) + body[1:]


async def stream_of(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for piece in body:
        yield flipped(piece)


def flips(*, storing: bool) -> Callable[[Provider], Provider]:
    return lambda provider: Flips(provider, storing=storing)


class TestGood:
    async def test_both_ways(self, anywhere: Client, box: BucketHandle, tmp_path: Path) -> None:
        root = make_tree(tmp_path / "from", TREE)
        up, down = TreeRecorder(), TreeRecorder()
        await anywhere.buckets.upload_dir(root, "blob:box/t", verify=True, progress=up)
        await anywhere.buckets.download_dir(
            "blob:box/t", tmp_path / "to", verify=True, progress=down
        )
        assert read_tree(tmp_path / "to") == TREE
        assert check_events(up.events)["complete"] == check_events(down.events)["complete"] == 4
        one = FileRecorder()
        await anywhere.buckets.upload_file(
            root / "d/large", "blob:box/x", verify=True, progress=one
        )
        assert (one.kinds[0], one.kinds[-1]) == ("start", "complete")
        assert one.kinds.count("complete") == 1
        one = FileRecorder()
        await anywhere.buckets.download_file(
            "blob:box/x", tmp_path / "x", verify=True, progress=one
        )
        assert one.kinds.count("complete") == 1
        assert (tmp_path / "x").read_bytes() == LARGE

    async def test_in_synchronisations_and_plans(self, box: BucketHandle, tmp_path: Path) -> None:
        root = make_tree(tmp_path / "from", TREE)
        await box.sync_up(root, "t", verify=True)
        plan = await box.plan_download_dir("t", tmp_path / "to", verify=True)
        assert plan.requests >= (await box.plan_download_dir("t", tmp_path / "to")).requests
        await plan.apply()
        await box.sync_down("t", tmp_path / "again", verify=True, delete=True)
        assert read_tree(tmp_path / "to") == read_tree(tmp_path / "again") == TREE

    async def test_every_byte_is_read_again(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        (tmp_path / "from").write_bytes(LARGE)
        watching: list[Watching] = []

        def watch(provider: Provider) -> Provider:
            watching.append(Watching(provider))
            return watching[-1]

        buckets = buckets_behind(anywhere, watch)
        await buckets.upload_file(tmp_path / "from", "blob:box/large", verify=True)
        assert watching[0].fetched == len(LARGE)
        await buckets.upload_file(tmp_path / "from", "blob:box/large")
        assert watching[0].fetched == len(LARGE)


class TestBad:
    @pytest.mark.parametrize("body", [b"small", LARGE], ids=len)
    async def test_an_upload(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path, body: bytes
    ) -> None:
        (tmp_path / "from").write_bytes(body)
        buckets = buckets_behind(anywhere, flips(storing=True))
        await buckets.upload_file(tmp_path / "from", "blob:box/bad")
        recorder = FileRecorder()
        with pytest.raises(VerificationFailed, match="upload it again") as caught:
            await buckets.upload_file(
                tmp_path / "from", "blob:box/bad", verify=True, progress=recorder
            )
        assert (caught.value.bucket, caught.value.key) == ("box", "bad")
        assert "complete" not in recorder.kinds

    @pytest.mark.parametrize("body", [b"small", LARGE], ids=len)
    async def test_a_download(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path, body: bytes
    ) -> None:
        await box.put_blob("bad", body)
        buckets = buckets_behind(anywhere, flips(storing=False))
        recorder = FileRecorder()
        with pytest.raises(VerificationFailed, match="download it again") as caught:
            await buckets.download_file(
                "blob:box/bad", tmp_path / "to", verify=True, progress=recorder
            )
        assert (caught.value.bucket, caught.value.key) == ("box", "bad")
        assert "complete" not in recorder.kinds

    async def test_trees_name_it_and_do_the_rest(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        files = {"a": b"1", "bad": b"2", "c": b"3"}
        root = make_tree(tmp_path / "from", files)
        up = TreeRecorder()
        with pytest.raises(TransferError) as caught:
            await buckets_behind(anywhere, flips(storing=True)).upload_dir(
                root, "blob:box/t", verify=True, progress=up
            )
        assert [path for path, _ in caught.value.failures] == ["bad"]
        assert isinstance(caught.value.failures[0][1], VerificationFailed)
        counts = check_events(up.events)
        assert (counts["complete"], counts["fail"]) == (2, 1)
        await box.upload_dir(root, "t")
        down = TreeRecorder()
        with pytest.raises(TransferError) as caught:
            await buckets_behind(anywhere, flips(storing=False)).download_dir(
                "blob:box/t", tmp_path / "to", verify=True, progress=down
            )
        assert [path for path, _ in caught.value.failures] == ["bad"]
        assert check_events(down.events)["complete"] == 2

    async def test_a_synchronisation_removes_nothing_then(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        root = make_tree(tmp_path / "from", {"bad": b"2"})
        await box.put_blob("t/extra", b"x")
        with pytest.raises(TransferError, match="nothing was removed"):
            await buckets_behind(anywhere, flips(storing=True)).sync_up(
                root, "blob:box/t", verify=True, delete=True
            )
        assert (await box.head_blob("t/extra")).size == 1

    async def test_a_file_that_changes_before_it_is_verified(
        self, box: BucketHandle, tmp_path: Path, lifted: Lifted
    ) -> None:
        (tmp_path / "from").write_bytes(b"old")

        def change(event: object) -> None:
            if isinstance(event, StorageProgressStep):
                with lifted():
                    (tmp_path / "from").write_bytes(b"newer")

        with pytest.raises(LocalFileChanged):
            await box.upload_file(
                tmp_path / "from", "a", verify=True, progress=FileRecorder(change)
            )
