"""Blobs and trees from place to place at the stores: whole, of one version, and never lost."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest

from neuro_sdk import (
    BlobChanged,
    BlobIsADirectory,
    BlobNotADirectory,
    BlobNotFound,
    BlobObject,
    Bucket,
    BucketHandle,
    Client,
    IllegalArgumentError,
    InvalidKey,
    KeyConflict,
    NeuroError,
    NotSupportedError,
    StorageError,
    StorageTimeout,
    TransferConfig,
    TransferError,
)
from neuro_sdk._core.versions import content_tag
from neuro_sdk.protocols import Provider

from ..contracts.stores import Store, imported, needs
from ..doubles import Front, Watching, buckets_behind
from ..recording import FileRecorder, TreeRecorder, check_events

MIB = 1 << 20
LARGE = random.Random("large").randbytes(12 * MIB + 7)

TREE = {
    "logs/a": b"a",
    "logs/b c/d+e%20f?.txt": b"odd",
    "logs/deep/er/e\u0301": b"nfd",
    "logs/zero": b"",
    "logs/empty/": b"",
    "logs.json": b"not below",
    "logs2/b": b"nor this",
}


@pytest.fixture
def limits() -> TransferConfig:
    """Parts as small as Amazon's may be."""
    return TransferConfig(part_size=5 * MIB, window=2)


@pytest.fixture
async def elsewhere(
    request: pytest.FixtureRequest, anywhere: Client, store: Store, tmp_path: Path
) -> BucketHandle:
    """A bucket at another provider: a folder of this machine where that can be."""
    if "local folders" in store.lacks:
        await imported(Bucket.Provider.MINIO, "moto", "elsewhere")(request, anywhere)
        return await anywhere.buckets.open("elsewhere")
    (tmp_path / "elsewhere").mkdir()
    await anywhere.buckets.import_external(
        Bucket.Provider.LOCAL, "elsewhere", {"root": str(tmp_path / "elsewhere")}, name="elsewhere"
    )
    return await anywhere.buckets.open("elsewhere")


async def contents(box: BucketHandle) -> dict[str, bytes]:
    keys = [entry.key async for entry in box.list_blobs(recursive=True, limit=None)]
    return {key: b"" if key.endswith("/") else await read(box, key) for key in keys}


async def read(box: BucketHandle, key: str) -> bytes:
    return b"".join([piece async for piece in box.fetch_blob(key)])


async def fill(box: BucketHandle, blobs: dict[str, bytes]) -> None:
    for key, body in blobs.items():
        await box.put_blob(key, body)


class TestBlob:
    @pytest.mark.parametrize("body", [b"", b"small", LARGE], ids=len)
    async def test_within_a_bucket(self, anywhere: Client, box: BucketHandle, body: bytes) -> None:
        await fill(box, {"a b/c%20?": body, "old": b"what was there"})
        recorder = FileRecorder()
        await anywhere.buckets.copy_blob("blob:box/a b/c%2520?", "blob:box/old", progress=recorder)
        await box.copy_blob("a b/c%20?", "new/\u00fc")
        assert await contents(box) == {"a b/c%20?": body, "old": body, "new/\u00fc": body}
        assert recorder.kinds[0] == "start"
        assert recorder.kinds[-1] == "complete"
        assert {event.dst for event in recorder.events} == {box.bucket.blob_url("old")}  # type: ignore[union-attr]

    @pytest.mark.parametrize("body", [b"", b"small", LARGE], ids=len)
    async def test_between_providers_both_ways(
        self, anywhere: Client, box: BucketHandle, elsewhere: BucketHandle, body: bytes
    ) -> None:
        await box.put_blob("a", body)
        recorder = FileRecorder()
        await anywhere.buckets.copy_blob("blob:box/a", "blob:elsewhere/d/b", progress=recorder)
        await elsewhere.copy_blob("d/b", "back", to=box)
        assert await contents(elsewhere) == {"d/b": body}
        assert await contents(box) == {"a": body, "back": body}
        kinds = recorder.kinds
        assert (kinds[0], kinds[-1]) == ("start", "complete")
        assert set(kinds[1:-1]) == ({"step"} if body else set())

    async def test_move(self, anywhere: Client, box: BucketHandle, elsewhere: BucketHandle) -> None:
        await fill(box, {"a": b"1", "b": b"2"})
        await box.move_blob("a", "c")
        await anywhere.buckets.move_blob("blob:box/c", "blob:box/b")
        assert await contents(box) == {"b": b"1"}
        await box.put_blob("large", LARGE)
        await anywhere.buckets.move_blob("blob:box/large", "blob:elsewhere/x/large")
        await box.move_blob("b", "b", to=elsewhere)
        assert await contents(box) == {}
        assert await contents(elsewhere) == {"b": b"1", "x/large": LARGE}

    @pytest.mark.parametrize("verb", ["copy_blob", "move_blob"])
    async def test_refusals_touch_nothing(self, box: BucketHandle, verb: str) -> None:
        await fill(box, {"dir/a": b"a", "x2": b"2"})
        refused: list[tuple[str, str, type[NeuroError]]] = [
            ("gone", "x", BlobNotFound),
            ("dir", "x", BlobNotFound),
            ("dir/", "x", BlobIsADirectory),
            ("", "x", BlobIsADirectory),
            ("dir/a", "", BlobIsADirectory),
            ("dir/a", "x/", BlobIsADirectory),
            ("dir/a", "x//y", InvalidKey),
            ("../a", "x", InvalidKey),
            ("dir/a", "dir/a", IllegalArgumentError),
        ]
        for src, dst, error in refused:
            with pytest.raises(error) as caught:
                await getattr(box, verb)(src, dst)
            assert caught.value.bucket == "box"
            assert caught.value.key in (src, dst)
            assert await contents(box) == {"dir/a": b"a", "x2": b"2"}, (src, dst)

    async def test_what_cannot_be_beside_stays_and_so_does_the_source(
        self, box: BucketHandle, store: Store
    ) -> None:
        if "blob beside folder" not in store.lacks:
            pytest.skip("this store holds both")
        blobs = {"a": b"a", "folder/x": b"x"}
        await fill(box, blobs)
        for new in ("folder", "folder/x/y"):
            with pytest.raises(KeyConflict):
                await box.move_blob("a", new)
        assert await contents(box) == blobs


class Unable(Front):
    """A store that copies nothing by itself."""

    async def copy(self, source: str, target: str) -> None:
        raise NotSupportedError("this store cannot copy")


class TestMoveLosesNothing:
    """A source is removed only when what was stored is what was there."""

    async def test_one_blob_under_two_addresses(self, client: Client, tmp_path: Path) -> None:
        # The same folder, imported twice.
        (tmp_path / "folder").mkdir()
        for name in ("one", "two"):
            await client.buckets.import_external(
                Bucket.Provider.LOCAL, name, {"root": str(tmp_path / "folder")}, name=name
            )
        await client.buckets.put_blob("one", "key", b"only copy")
        with pytest.raises(IllegalArgumentError, match="may be the same blob"):
            await client.buckets.move_blob("blob:one/key", "blob:two/key")
        for prefix in ("", "/sub"):
            with pytest.raises(IllegalArgumentError, match="lies in the other"):
                await client.buckets.copy_dir("blob:one", f"blob:two{prefix}")
        await client.buckets.copy_blob("blob:one/key", "blob:two/key")
        assert not (tmp_path / "folder/sub").exists()
        assert (tmp_path / "folder/key").read_bytes() == b"only copy"

    @pytest.mark.parametrize("body", [b"small", LARGE], ids=len)
    async def test_a_store_that_cannot_copy(
        self, anywhere: Client, box: BucketHandle, body: bytes
    ) -> None:
        await box.put_blob("a", body)
        watching: list[Watching] = []

        def wrap(provider: Provider) -> Provider:
            watching.append(Watching(Unable(provider)))
            return watching[-1]

        buckets = buckets_behind(anywhere, wrap)
        await buckets.copy_blob("blob:box/a", "blob:box/b")
        assert watching[0].largest <= 5 * MIB
        await buckets.move_blob("blob:box/a", "blob:box/c")
        assert await contents(box) == {"b": body, "c": body}

    async def test_a_large_copy_that_takes_the_store_too_long(
        self, anywhere: Client, box: BucketHandle
    ) -> None:
        class Slow(Front):
            async def copy(self, source: str, target: str) -> None:
                raise StorageTimeout("no answer", key=source)

        await fill(box, {"large": LARGE, "small": b"s"})
        buckets = buckets_behind(anywhere, Slow)
        await buckets.copy_blob("blob:box/large", "blob:box/new")
        with pytest.raises(StorageTimeout):
            await buckets.copy_blob("blob:box/small", "blob:box/no")
        assert (await contents(box)) == {"large": LARGE, "small": b"s", "new": LARGE}

    async def test_a_copy_that_is_not_the_source(self, anywhere: Client, box: BucketHandle) -> None:
        class Lying(Front):
            async def copy(self, source: str, target: str) -> None:
                await self.inner.put(target, b"12x")

        class Short(Lying):
            async def copy(self, source: str, target: str) -> None:
                await self.inner.put(target, b"12")

        await box.put_blob("a", b"123")
        with pytest.raises(StorageError, match="the source stays"):
            await buckets_behind(anywhere, Short).move_blob("blob:box/a", "blob:box/b")
        assert await read(box, "a") == b"123"
        if content_tag((await box.head_blob("a")).etag):  # else only its size tells a copy
            with pytest.raises(StorageError, match="the source stays"):
                await buckets_behind(anywhere, Lying).move_blob("blob:box/a", "blob:box/b")
            assert await read(box, "a") == b"123"

    async def test_a_source_that_is_replaced_meanwhile(
        self, anywhere: Client, box: BucketHandle
    ) -> None:
        class Replaced(Front):
            async def copy(self, source: str, target: str) -> None:
                await self.inner.copy(source, target)
                await self.inner.put(source, b"new one")

        await box.put_blob("a", b"old one")
        with pytest.raises(BlobChanged):
            await buckets_behind(anywhere, Replaced).move_blob("blob:box/a", "blob:box/b")
        assert await contents(box) == {"a": b"new one", "b": b"old one"}

    @pytest.mark.parametrize("size", [100, len(LARGE)])
    async def test_a_read_that_breaks_off_publishes_nothing(
        self, anywhere: Client, box: BucketHandle, elsewhere: BucketHandle, size: int
    ) -> None:
        class Broken(Front):
            short = False

            async def fetch(
                self,
                key: str,
                offset: int = 0,
                length: int | None = None,
                *,
                known: BlobObject | None = None,
            ) -> AsyncGenerator[bytes, None]:
                yield LARGE[: size // 2]
                if not self.short:
                    raise StorageError("planted", key=key)

        class Short(Broken):
            short = True

        await box.put_blob("a", LARGE[:size])
        await elsewhere.put_blob("a", b"old")
        for double in (Broken, Short):
            buckets = buckets_behind(anywhere, double)
            with pytest.raises(StorageError, match=r"planted|of a blob of"):
                await buckets.move_blob("blob:box/a", "blob:elsewhere/a")
        assert await contents(elsewhere) == {"a": b"old"}
        assert await contents(box) == {"a": LARGE[:size]}


class TestTree:
    @pytest.mark.parametrize("end", ["", "/"])
    async def test_within_a_bucket(self, anywhere: Client, box: BucketHandle, end: str) -> None:
        await fill(box, TREE)
        recorder = TreeRecorder()
        await anywhere.buckets.copy_dir(
            f"blob:box/logs{end}", f"blob:box/new/place{end}", progress=recorder
        )
        copies = {
            f"new/place/{key.removeprefix('logs/')}": body
            for key, body in TREE.items()
            if key.startswith("logs/")
        }
        assert await contents(box) == TREE | copies
        counts = check_events(recorder.events)
        assert (counts["complete"], counts["fail"]) == (4, 0)

    async def test_a_whole_bucket_between_providers(
        self, anywhere: Client, box: BucketHandle, elsewhere: BucketHandle
    ) -> None:
        blobs = TREE | {"large": LARGE}
        await fill(box, blobs)
        await anywhere.buckets.copy_dir("blob:box", "blob:elsewhere")
        assert await contents(elsewhere) == blobs
        await elsewhere.copy_dir("logs", "again", to=box)
        assert (await contents(box)).keys() - blobs.keys() == {
            f"again/{key.removeprefix('logs/')}" for key in TREE if key.startswith("logs/")
        }

    async def test_refusals_touch_nothing(self, box: BucketHandle) -> None:
        await fill(box, TREE)
        refused: list[tuple[str, str, type[NeuroError]]] = [
            ("gone", "x", BlobNotFound),
            ("logs.json", "x", BlobNotADirectory),
            ("logs", "logs", IllegalArgumentError),
            ("logs/", "logs", IllegalArgumentError),
            ("logs", "logs/deep", IllegalArgumentError),
            ("logs/deep", "logs", IllegalArgumentError),
            ("", "x", IllegalArgumentError),
            ("logs", "", IllegalArgumentError),
            ("logs", "a//b", InvalidKey),
        ]
        for src, dst, error in refused:
            with pytest.raises(error) as caught:
                await box.copy_dir(src, dst)
            assert caught.value.bucket == "box"
            assert await contents(box) == TREE, (src, dst)

    async def test_update_and_filter(self, anywhere: Client, box: BucketHandle) -> None:
        await fill(box, {"from/a": b"1", "from/b": b"2", "from/no/c": b"3", "from/no/d/": b""})
        asked: list[str] = []

        async def wanted(path: str) -> bool:
            asked.append(path)
            return path != "no/"

        watching: list[Watching] = []

        def watch(provider: Provider) -> Provider:
            watching.append(Watching(provider))
            return watching[-1]

        buckets = buckets_behind(anywhere, watch)
        await buckets.copy_dir("blob:box/from", "blob:box/to", filter=wanted)
        assert sorted(asked) == ["a", "b", "no/"]
        assert {key for key in await contents(box) if key.startswith("to/")} == {"to/a", "to/b"}
        await box.put_blob("to/b", b"newer")
        await box.delete_blob("to/a")
        recorder = TreeRecorder()
        await buckets.copy_dir(
            "blob:box/from", "blob:box/to", update=True, filter=wanted, progress=recorder
        )
        assert check_events(recorder.events)["complete"] == 1
        assert await read(box, "to/b") == b"newer"
        assert await read(box, "to/a") == b"1"

    async def test_failures_are_named_and_the_rest_is_done(
        self, anywhere: Client, box: BucketHandle
    ) -> None:
        class Failing(Front):
            async def copy(self, source: str, target: str) -> None:
                if source.endswith("b"):
                    raise StorageError("planted", key=source)
                await self.inner.copy(source, target)

        await fill(box, {"from/a": b"1", "from/b": b"2", "from/c": b"3"})
        recorder = TreeRecorder()
        with pytest.raises(TransferError) as caught:
            await buckets_behind(anywhere, Failing).copy_dir(
                "blob:box/from", "blob:box/to", progress=recorder
            )
        assert [path for path, _ in caught.value.failures] == ["b"]
        assert caught.value.done == 2
        assert check_events(recorder.events)["fail"] == 1
        assert {key for key in await contents(box) if key.startswith("to/")} == {"to/a", "to/c"}

    async def test_what_the_target_cannot_hold_is_named(
        self, anywhere: Client, box: BucketHandle, elsewhere: BucketHandle, store: Store
    ) -> None:
        needs(store, "blob beside folder")
        needs(store, "local folders")
        await fill(box, {"t/a": b"1", "t/a/b": b"2", "t/c": b"3"})
        with pytest.raises(TransferError) as caught:
            await box.copy_dir("t", "", to=elsewhere)
        assert caught.value.failed == 1
        assert isinstance(caught.value.failures[0][1], KeyConflict)
        there = await contents(elsewhere)
        assert there["c"] == b"3"
        assert len(there) == 2
        assert len(await contents(box)) == 3

    async def test_calls_at_once(self, anywhere: Client, box: BucketHandle) -> None:
        for number in range(40):
            await box.put_blob(f"from/{number}", b"x")
        at_once = peak = 0

        class Counted(Front):
            async def copy(self, source: str, target: str) -> None:
                nonlocal at_once, peak
                at_once += 1
                peak = max(peak, at_once)
                try:
                    await self.inner.copy(source, target)
                finally:
                    at_once -= 1

        transfer = TransferConfig(concurrency=3)
        await buckets_behind(anywhere, Counted, transfer=transfer).copy_dir(
            "blob:box/from", "blob:box/to"
        )
        assert 1 < peak <= 3
        assert len(await contents(box)) == 80


async def test_an_endless_stream_of_pieces_is_never_held(
    anywhere: Client, box: BucketHandle, elsewhere: BucketHandle
) -> None:
    """What passes through the client passes in pieces, whatever the size of the blob."""
    held = most = 0

    class Pieces(Front):
        @property
        def multipart(self) -> None:
            """Parts would pass by what is counted here."""

        async def fetch(
            self,
            key: str,
            offset: int = 0,
            length: int | None = None,
            *,
            known: BlobObject | None = None,
        ) -> AsyncGenerator[bytes, None]:
            nonlocal held, most
            async for piece in self.inner.fetch(key, offset, length, known=known):
                held += len(piece)
                most = max(most, held)
                yield piece

        async def put(self, key: str, body: bytes | AsyncIterator[bytes]) -> None:
            nonlocal held

            async def counted(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
                nonlocal held
                async for piece in pieces:
                    yield piece
                    held -= len(piece)

            await self.inner.put(key, body if isinstance(body, bytes) else counted(body))

    await box.put_blob("a", LARGE * 3)
    await buckets_behind(anywhere, Pieces).copy_blob("blob:box/a", "blob:elsewhere/a")
    assert most <= 12 * MIB
    assert await read(elsewhere, "a") == LARGE * 3
