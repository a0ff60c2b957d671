"""update and continue_: what is skipped, appended to, taken up, and what is copied whole."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import neuro_sdk
from neuro_sdk import (
    BlobChanged,
    BlobObject,
    BucketHandle,
    Buckets,
    Client,
    StorageUnavailable,
    TransferConfig,
    TransferError,
)
from neuro_sdk.protocols import Provider

from ..doubles import Front, Watching, buckets_behind
from ..recording import FileRecorder, TreeRecorder, check_events
from ..trees import hidden_files, make_tree, read_tree, set_time

KIB = 1 << 10
PART = 64 * KIB
OVERLAP = 64 * KIB
HOUR = timedelta(hours=1)


@pytest.fixture
def limits() -> TransferConfig:
    """Parts so small that a download of a few hundred KiB leaves a part behind."""
    return TransferConfig(part_size=PART, window=2)


@pytest.fixture
def watched(anywhere: Client) -> tuple[Buckets, list[Watching]]:
    """The buckets with what they ask of their provider."""
    watching: list[Watching] = []

    def watch(provider: Provider) -> Provider:
        watching.append(Watching(provider))
        return watching[-1]

    return buckets_behind(anywhere, watch), watching


def body_of(size: int, salt: int = 0) -> bytes:
    return b"".join(b"%015d\n" % (number + salt) for number in range(-(-size // 16)))[:size]


async def moment(box: BucketHandle, key: str) -> datetime:
    modified = (await box.head_blob(key)).modified_at
    assert modified is not None
    return modified


class TestUpdateUpload:
    async def test_only_what_is_newer_or_missing(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        for key in ("older", "newer", "same"):
            await box.put_blob(f"t/{key}", b"blob")
        root = make_tree(
            tmp_path / "from",
            {"older": b"1", "newer": b"22", "same": b"333", "missing": b"4", "empty/": b""},
        )
        blob = await moment(box, "t/older")
        set_time(root / "older", blob - HOUR)
        set_time(root / "newer", blob + HOUR)
        set_time(root / "same", await moment(box, "t/same"))
        recorder = TreeRecorder()
        await anywhere.buckets.upload_dir(root, "blob:box/t", update=True, progress=recorder)
        assert check_events(recorder.events)["complete"] == 2
        sizes = {e.key: e.size async for e in box.list_blobs("t/", recursive=True)}
        assert sizes == {
            "t/older": 4,
            "t/newer": 2,
            "t/same": 4,
            "t/missing": 1,
            "t/empty/": 0,
        }
        again = TreeRecorder()
        set_time(root / "newer", blob - HOUR)
        set_time(root / "missing", blob - HOUR)
        await anywhere.buckets.upload_dir(root, "blob:box/t", update=True, progress=again)
        assert set(check_events(again.events)) == {"enterdir", "leavedir"}

    async def test_one_file(self, anywhere: Client, box: BucketHandle, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"first")
        upload = anywhere.buckets.upload_file
        recorder = FileRecorder()
        await upload(tmp_path / "file", "blob:box/key", update=True, progress=recorder)
        assert recorder.kinds == ["start", "step", "complete"]
        (tmp_path / "file").write_bytes(b"other")
        set_time(tmp_path / "file", await moment(box, "key") - HOUR)
        recorder = FileRecorder()
        await upload(tmp_path / "file", "blob:box/key", update=True, progress=recorder)
        assert recorder.events == []
        assert b"".join([piece async for piece in box.fetch_blob("key")]) == b"first"
        set_time(tmp_path / "file", datetime.now(UTC) + HOUR)
        await upload(tmp_path / "file", "blob:box/key", update=True)
        assert b"".join([piece async for piece in box.fetch_blob("key")]) == b"other"

    async def test_a_sorted_listing_is_joined_with_a_walk_however_either_sorts(
        self, watched: tuple[Buckets, list[Watching]], box: BucketHandle, tmp_path: Path
    ) -> None:
        names = ["a", "a!", "a-b/c", "a.txt", "a0", "aa/b", "ab/", "b/a b", "b/a/b", "b/a0", "b!"]
        names += ["\uff21", "\U0001f600", "\u00e9/x", "z/" * 30 + "z"]
        root = make_tree(tmp_path / "from", {name: b"" for name in names if name != "a"})
        buckets, watching = watched
        await buckets.upload_dir(root, "blob:box/t")
        (provider,) = watching
        assert sorted(provider.of("put")) == sorted(f"t/{name}" for name in names if name != "a")
        for path in root.rglob("*"):
            set_time(path, datetime.now(UTC) - HOUR)
        provider.calls.clear()
        await buckets.upload_dir(root, "blob:box/t", update=True)
        assert provider.calls == [("list", "t/")]


class TestUpdateDownload:
    async def test_only_what_is_newer_or_missing(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        for key in ("older", "newer", "missing", "longer"):
            await box.put_blob(f"t/{key}", b"blob")
        blob = await moment(box, "t/newer")
        root = make_tree(tmp_path / "to", {"older": b"1", "newer": b"22", "longer": b"333333"})
        set_time(root / "older", blob - HOUR)
        set_time(root / "newer", blob + HOUR)
        set_time(root / "longer", blob + HOUR)
        recorder = TreeRecorder()
        await anywhere.buckets.download_dir("blob:box/t", root, update=True, progress=recorder)
        assert check_events(recorder.events)["complete"] == 2
        assert read_tree(root) == {
            "older": b"blob",
            "newer": b"22",
            "missing": b"blob",
            "longer": b"333333",
        }

    async def test_within_the_second_of_a_store_that_rounds_it_is_copied(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        await box.put_blob("key", b"blob")
        (tmp_path / "to").write_bytes(b"file")
        grain = (await box._opened()).grain
        if grain:
            set_time(tmp_path / "to", await moment(box, "key") + grain / 2)
            await anywhere.buckets.download_file("blob:box/key", tmp_path / "to", update=True)
            assert (tmp_path / "to").read_bytes() == b"blob"
        (tmp_path / "to").write_bytes(b"file")
        set_time(tmp_path / "to", await moment(box, "key") + grain)
        await anywhere.buckets.download_file("blob:box/key", tmp_path / "to", update=True)
        assert (tmp_path / "to").read_bytes() == b"file"


class TestContinue:
    """A file at the destination that is newer than the blob."""

    SIZE = 300 * KIB

    async def run(
        self,
        watched: tuple[Buckets, list[Watching]],
        box: BucketHandle,
        target: Path,
        there: bytes,
        *,
        age: timedelta = HOUR,
        update: bool = False,
        whole: bool = False,
    ) -> int:
        """Continue *there* to the blob; how many bytes were asked of the store."""
        buckets, watching = watched
        await box.put_blob("t/key", body_of(self.SIZE))
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(there)
        set_time(target, await moment(box, "t/key") + age)
        fetched = sum(provider.fetched for provider in watching)
        recorder = TreeRecorder()
        if whole:
            await buckets.download_dir(
                "blob:box/t", target.parent, continue_=True, update=update, progress=recorder
            )
            check_events(recorder.events)
        else:
            await buckets.download_file(
                "blob:box/t/key", target, continue_=True, update=update, progress=recorder
            )
        assert hidden_files(target.parent) == []
        return sum(provider.fetched for provider in watching) - fetched

    @pytest.mark.parametrize("whole", [False, True])
    @pytest.mark.parametrize("update", [False, True])
    async def test_a_beginning_is_finished(
        self,
        watched: tuple[Buckets, list[Watching]],
        box: BucketHandle,
        tmp_path: Path,
        update: bool,
        whole: bool,
    ) -> None:
        for there in (1, 100, 64 * KIB, 64 * KIB + 1, 200 * KIB, 300 * KIB - 1):
            target = tmp_path / f"{there}" / "key"
            fetched = await self.run(
                watched, box, target, body_of(self.SIZE)[:there], update=update, whole=whole
            )
            assert target.read_bytes() == body_of(self.SIZE), there
            assert fetched == self.SIZE - there + min(there, OVERLAP), there

    @pytest.mark.parametrize("there", [5, 64 * KIB, 200 * KIB])
    @pytest.mark.parametrize("where", ["start of the last part", "end"])
    async def test_what_is_no_beginning_is_replaced(
        self,
        watched: tuple[Buckets, list[Watching]],
        box: BucketHandle,
        tmp_path: Path,
        there: int,
        where: str,
    ) -> None:
        wrong = bytearray(body_of(self.SIZE)[:there])
        wrong[-1 if where == "end" else -min(there, OVERLAP)] ^= 1
        await self.run(watched, box, tmp_path / "key", bytes(wrong))
        assert (tmp_path / "key").read_bytes() == body_of(self.SIZE)

    async def test_equal_size_is_left(
        self, watched: tuple[Buckets, list[Watching]], box: BucketHandle, tmp_path: Path
    ) -> None:
        fetched = await self.run(watched, box, tmp_path / "key", b"x" * self.SIZE)
        assert fetched == 0
        assert (tmp_path / "key").read_bytes() == b"x" * self.SIZE

    @pytest.mark.parametrize(
        ("there", "age"),
        [
            (body_of(SIZE + 1), HOUR),  # longer
            (body_of(SIZE)[:1000], -HOUR),  # older
            (body_of(SIZE), -HOUR),
            (b"", HOUR),
        ],
    )
    async def test_all_else_is_copied_whole(
        self,
        watched: tuple[Buckets, list[Watching]],
        box: BucketHandle,
        tmp_path: Path,
        there: bytes,
        age: timedelta,
    ) -> None:
        fetched = await self.run(watched, box, tmp_path / "key", there, age=age)
        assert (tmp_path / "key").read_bytes() == body_of(self.SIZE)
        assert fetched == self.SIZE

    async def test_an_append_that_fails_leaves_a_beginning_of_one_version(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        body = body_of(self.SIZE)
        await box.put_blob("key", body)
        (tmp_path / "key").write_bytes(body[:1000])
        set_time(tmp_path / "key", await moment(box, "key") + HOUR)
        buckets = buckets_behind(anywhere, lambda provider: Breaking(provider, 150 * KIB))
        with pytest.raises(StorageUnavailable):
            await buckets.download_file("blob:box/key", tmp_path / "key", continue_=True)
        left = (tmp_path / "key").read_bytes()
        assert len(left) >= 1000
        assert body.startswith(left)


class Breaking(Front):
    """Its fetches break off at some byte, with an error or in silence for ever."""

    def __init__(self, inner: Provider, after: int, stuck: asyncio.Event | None = None) -> None:
        super().__init__(inner)
        self._after = after
        self._stuck = stuck

    async def fetch(
        self,
        key: str,
        offset: int = 0,
        length: int | None = None,
        *,
        known: BlobObject | None = None,
    ) -> AsyncGenerator[bytes, None]:
        left = max(0, self._after - offset)
        async with aclosing(super().fetch(key, offset, length, known=known)) as pieces:
            async for piece in pieces:
                yield piece[:left]
                left -= len(piece)
                if left <= 0:
                    if self._stuck is not None:
                        self._stuck.set()
                        await asyncio.Event().wait()
                    raise StorageUnavailable("planted", bucket="box", key=key)


class TestTakenUp:
    """What an interrupted download of ours has left beside the destination."""

    SIZE = 300 * KIB

    async def interrupt(
        self, anywhere: Client, target: Path, how: str = "cancel", after: int = 200 * KIB
    ) -> None:
        """Download ``box/key`` to *target* and break it off."""
        stuck = asyncio.Event() if how == "cancel" else None
        buckets = buckets_behind(anywhere, lambda provider: Breaking(provider, after, stuck))
        download = asyncio.create_task(buckets.download_file("blob:box/key", target))
        if stuck is not None:
            await stuck.wait()
            async with asyncio.timeout(20):  # what was fetched before is written meanwhile
                while not any(  # noqa: ASYNC110
                    (target.parent / name).stat().st_size >= after - after % (64 * KIB)
                    for name in hidden_files(target.parent)
                ):
                    await asyncio.sleep(0.005)
            download.cancel()
            with pytest.raises(asyncio.CancelledError):
                await download
        else:
            with pytest.raises(StorageUnavailable):
                await download
        assert not target.exists()

    @pytest.mark.parametrize("how", ["cancel", "error"])
    async def test_only_the_rest_is_read(
        self,
        anywhere: Client,
        watched: tuple[Buckets, list[Watching]],
        box: BucketHandle,
        tmp_path: Path,
        how: str,
    ) -> None:
        await box.put_blob("key", body_of(self.SIZE))
        target = tmp_path / "to" / "key"
        await self.interrupt(anywhere, target, how)
        left = max((tmp_path / "to" / name).stat().st_size for name in hidden_files(target.parent))
        assert left >= 128 * KIB
        buckets, watching = watched
        recorder = FileRecorder()
        await buckets.download_file("blob:box/key", target, continue_=True, progress=recorder)
        assert target.read_bytes() == body_of(self.SIZE)
        assert watching[0].fetched == self.SIZE - left + OVERLAP
        assert recorder.kinds[0] == "start"
        assert recorder.kinds[-1] == "complete"
        assert read_tree(target.parent).keys() == {"key"}

    async def test_in_a_tree(
        self,
        anywhere: Client,
        watched: tuple[Buckets, list[Watching]],
        box: BucketHandle,
        tmp_path: Path,
    ) -> None:
        await box.put_blob("key", body_of(self.SIZE))
        await box.put_blob("d/other", b"x")
        await self.interrupt(anywhere, tmp_path / "to" / "key")
        buckets, watching = watched
        await buckets.download_dir("blob:box", tmp_path / "to", continue_=True)
        assert read_tree(tmp_path / "to") == {"key": body_of(self.SIZE), "d/other": b"x"}
        assert watching[0].fetched < self.SIZE - 128 * KIB + OVERLAP + 2

    async def test_another_version_starts_over(
        self,
        anywhere: Client,
        watched: tuple[Buckets, list[Watching]],
        box: BucketHandle,
        tmp_path: Path,
    ) -> None:
        await box.put_blob("key", body_of(self.SIZE))
        await self.interrupt(anywhere, tmp_path / "to" / "key")
        other = body_of(self.SIZE, salt=7)
        await box.put_blob("key", other)
        buckets, watching = watched
        await buckets.download_file("blob:box/key", tmp_path / "to" / "key", continue_=True)
        assert read_tree(tmp_path / "to") == {"key": other}
        assert watching[0].fetched == self.SIZE

    async def test_without_the_flag_it_starts_over(
        self,
        anywhere: Client,
        watched: tuple[Buckets, list[Watching]],
        box: BucketHandle,
        tmp_path: Path,
    ) -> None:
        await box.put_blob("key", body_of(self.SIZE))
        await self.interrupt(anywhere, tmp_path / "to" / "key")
        buckets, watching = watched
        await buckets.download_file("blob:box/key", tmp_path / "to" / "key")
        assert read_tree(tmp_path / "to") == {"key": body_of(self.SIZE)}
        assert watching[0].fetched == self.SIZE

    async def test_one_that_was_spoilt_is_not_believed(
        self,
        anywhere: Client,
        watched: tuple[Buckets, list[Watching]],
        box: BucketHandle,
        tmp_path: Path,
    ) -> None:
        await box.put_blob("key", body_of(self.SIZE))
        await self.interrupt(anywhere, tmp_path / "to" / "key")
        for name in hidden_files(tmp_path / "to"):
            path = tmp_path / "to" / name
            if path.stat().st_size > KIB:
                path.write_bytes(b"x" * path.stat().st_size)
        buckets, _ = watched
        await buckets.download_file("blob:box/key", tmp_path / "to" / "key", continue_=True)
        assert read_tree(tmp_path / "to") == {"key": body_of(self.SIZE)}

    async def test_one_that_another_process_is_writing_is_not_touched(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        await box.put_blob("key", body_of(self.SIZE))
        target = tmp_path / "to" / "key"
        await self.interrupt(anywhere, target)
        (part,) = [name for name in hidden_files(target.parent) if name.endswith(".part")]
        before = (target.parent / part).read_bytes()
        with open(target.parent / part, "rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            await anywhere.buckets.download_file("blob:box/key", target, continue_=True)
            assert target.read_bytes() == body_of(self.SIZE)
            assert (target.parent / part).read_bytes() == before
            await anywhere.buckets.download_file("blob:box/key", target)
            assert (target.parent / part).read_bytes() == before
            assert os.fstat(file.fileno()).st_nlink == 1

    async def test_two_downloads_to_one_place_at_once(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        await box.put_blob("key", body_of(self.SIZE))
        target = tmp_path / "to" / "key"
        download = anywhere.buckets.download_file
        await asyncio.gather(*[download("blob:box/key", target, continue_=True) for _ in range(4)])
        assert read_tree(target.parent) == {"key": body_of(self.SIZE)}

    async def test_it_is_no_part_of_a_tree_that_goes_up(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        await box.put_blob("key", body_of(self.SIZE))
        await self.interrupt(anywhere, tmp_path / "to" / "key")
        assert hidden_files(tmp_path / "to")
        make_tree(tmp_path / "to", {"mine": b"x"})
        await anywhere.buckets.upload_dir(tmp_path / "to", "blob:box/up")
        keys = [entry.key async for entry in box.list_blobs("up", recursive=True)]
        assert keys == ["up/mine"]

    async def test_a_blob_replaced_under_way_is_told_and_leaves_no_mixture(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        size = 24 << 20
        await box.put_blob("key", b"a" * size)
        (tmp_path / "key").write_bytes(b"before")
        replacing: list[asyncio.Task[None]] = []

        class Replacing(Front):
            async def fetch(
                self,
                key: str,
                offset: int = 0,
                length: int | None = None,
                *,
                known: BlobObject | None = None,
            ) -> AsyncGenerator[bytes, None]:
                async for piece in super().fetch(key, offset, length, known=known):
                    yield piece
                    if not replacing:
                        put = self.inner.put(key, b"b" * size)
                        replacing.append(asyncio.ensure_future(put))
                        await asyncio.shield(replacing[0])

        buckets = buckets_behind(anywhere, Replacing)
        with suppress(BlobChanged):
            await buckets.download_file("blob:box/key", tmp_path / "key", continue_=True)
        await replacing[0]
        assert (tmp_path / "key").read_bytes() in (b"before", b"a" * size, b"b" * size)
        await buckets.download_file("blob:box/key", tmp_path / "key")
        assert (tmp_path / "key").read_bytes() == b"b" * size


async def test_a_client_of_another_process_takes_it_up(
    home: Path, limits: TransferConfig, tmp_path: Path
) -> None:
    """Local: the tag of a version outlives the client that saw it."""
    taken = TestTakenUp()
    async with neuro_sdk.local(home, transfer=limits) as client:
        await client.buckets.create("box")
        await client.buckets.put_blob("box", "key", body_of(taken.SIZE))
        await taken.interrupt(client, tmp_path / "key")
    watching: list[Watching] = []

    def watch(provider: Provider) -> Provider:
        watching.append(Watching(provider))
        return watching[-1]

    async with neuro_sdk.local(home, transfer=limits) as client:
        buckets = buckets_behind(client, watch)
        await buckets.download_file("blob:box/key", tmp_path / "key", continue_=True)
    assert (tmp_path / "key").read_bytes() == body_of(taken.SIZE)
    assert watching[0].fetched < taken.SIZE - 128 * KIB + OVERLAP + 1


async def test_one_bad_blob_of_a_tree_is_reported_and_the_rest_is_done(
    anywhere: Client, box: BucketHandle, tmp_path: Path
) -> None:
    for key in ("t/a", "t/bad", "t/c"):
        await box.put_blob(key, b"x")

    class Lying(Front):
        async def fetch(
            self,
            key: str,
            offset: int = 0,
            length: int | None = None,
            *,
            known: BlobObject | None = None,
        ) -> AsyncGenerator[bytes, None]:
            async for piece in super().fetch(key, offset, length, known=known):
                yield piece[:-1] if key == "t/bad" else piece

    recorder = TreeRecorder()
    with pytest.raises(TransferError) as caught:
        await buckets_behind(anywhere, Lying).download_dir(
            "blob:box/t", tmp_path / "to", progress=recorder
        )
    assert [path for path, _ in caught.value.failures] == ["bad"]
    assert (caught.value.failed, caught.value.done) == (1, 2)
    assert read_tree(tmp_path / "to") == {"a": b"x", "c": b"x"}
    counts: Callable[[str], int] = recorder.kinds.count
    assert (counts("fail"), counts("complete")) == (1, 2)
