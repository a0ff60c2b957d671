"""Trees and files both ways: the same bytes, true progress, folders that come back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from yarl import URL

from neuro_sdk import (
    BlobIsADirectory,
    BlobNotADirectory,
    BlobNotFound,
    BucketHandle,
    Client,
    InvalidKey,
    LocalIsADirectory,
    LocalNotADirectory,
    LocalNotFound,
    NeuroError,
    StorageProgressComplete,
    StorageProgressStart,
    StorageProgressStep,
    TransferConfig,
)

from ..contracts.stores import Store
from ..recording import FileRecorder, TreeRecorder, check_events
from ..trees import make_tree, read_tree, small_files

MIB = 1 << 20


@pytest.fixture
def limits() -> TransferConfig:
    """Parts as small as Amazon's may be."""
    return TransferConfig(part_size=5 * MIB, window=2)


async def keys_of(box: BucketHandle) -> list[str]:
    return [entry.key async for entry in box.list_blobs(recursive=True, limit=None)]


async def read(box: BucketHandle, key: str) -> bytes:
    return b"".join([piece async for piece in box.fetch_blob(key)])


class TestThousandFiles:
    async def test_both_ways_with_true_events(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path, store: Store
    ) -> None:
        files = small_files(1000 if store.name == "local" else 300)
        make_tree(tmp_path / "from", files)
        up, down = TreeRecorder(), TreeRecorder()
        await anywhere.buckets.upload_dir(
            URL(f"file://{tmp_path}/from"), URL("blob:box/tree/"), progress=up
        )
        assert sorted(await keys_of(box)) == sorted(f"tree/{name}" for name in files)
        await anywhere.buckets.download_dir(
            src=URL("blob:box/tree"), dst=URL(f"file://{tmp_path}/to"), progress=down
        )
        assert read_tree(tmp_path / "to") == files
        folders = {"", *(name[: at + 1] for name in files for at, c in enumerate(name) if c == "/")}
        steps = sum(1 for data in files.values() if data)
        for recorder in (up, down):
            counts = check_events(recorder.events)
            assert counts == {
                "start": len(files),
                "step": steps,
                "complete": len(files),
                "enterdir": len(folders),
                "leavedir": len(folders),
            }
            assert recorder.threads == {threading.get_ident()}
            assert recorder.kinds[0] == "enterdir"
            assert recorder.kinds[-1] == "leavedir"
        tree = box.bucket.uri / "tree"
        assert {
            (event.src, event.dst, event.size)
            for event in up.of("start")
            if isinstance(event, StorageProgressStart)
        } == {
            (URL(f"file://{tmp_path}/from/{name}"), tree / name, len(data))
            for name, data in files.items()
        }
        assert {
            (event.src, event.dst)
            for event in down.of("complete")
            if isinstance(event, StorageProgressComplete)
        } == {(tree / name, URL(f"file://{tmp_path}/to/{name}")) for name in files}


class TestRoundTrip:
    TREE = {
        "a": b"a",
        "b c/d+e%20f?.txt": b"odd",
        "b c/\u00e9/e\u0301": b"nfd",
        "big/large": bytes(range(256)) * 48 * 1024,
        "big/exactly one part": b"x" * 5 * MIB,
        "empty/": b"",
        "far/empty/er/": b"",
        "zero": b"",
        ".hidden/.file": b"h",
    }

    @pytest.mark.parametrize("prefix", ["", "/", "/deep/er", "/deep/er/"])
    async def test_a_tree_comes_back_as_it_was(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path, prefix: str
    ) -> None:
        make_tree(tmp_path / "from", self.TREE)
        up, down = TreeRecorder(), TreeRecorder()
        await anywhere.buckets.upload_dir(tmp_path / "from", f"blob:box{prefix}", progress=up)
        start = prefix.strip("/") + "/" if prefix.strip("/") else ""
        assert sorted(await keys_of(box)) == sorted(start + name for name in self.TREE)
        await anywhere.buckets.download_dir(
            f"blob:box{prefix}", str(tmp_path / "to" / "new"), progress=down
        )
        assert read_tree(tmp_path / "to" / "new") == self.TREE
        counts = [check_events(recorder.events) for recorder in (up, down)]
        for count in counts:
            del count["step"]  # as many as the store gives pieces
        assert counts[0] == counts[1]
        assert counts[0]["complete"] == 7

    async def test_a_large_file_has_cumulative_steps(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        body = bytes(range(256)) * 48 * 1024  # 12 MiB
        (tmp_path / "from").write_bytes(body)
        up, down = FileRecorder(), FileRecorder()
        src, dst = URL(f"file://{tmp_path}/from"), box.bucket.uri / "folder" / "file.bin"
        await anywhere.buckets.upload_file(src, URL("blob:box/folder/file.bin"), progress=up)
        assert await read(box, "folder/file.bin") == body
        await anywhere.buckets.download_file(dst, tmp_path / "x" / "to", progress=down)
        assert (tmp_path / "x" / "to").read_bytes() == body
        assert [path.name for path in (tmp_path / "x").iterdir()] == ["to"]
        for recorder in (up, down):
            first, *steps, last = recorder.events
            assert isinstance(first, StorageProgressStart)
            assert isinstance(last, StorageProgressComplete)
            assert first.size == last.size == len(body)
            done = [event.current for event in steps if isinstance(event, StorageProgressStep)]
            assert len(done) == len(steps) >= 2
            assert done == sorted(set(done))
            assert done[-1] == len(body)
            assert recorder.threads == {threading.get_ident()}
        assert (up.events[0].src, up.events[0].dst) == (src, dst)  # type: ignore[union-attr]

    @pytest.mark.parametrize("size", [0, 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1])
    async def test_files_at_the_edges_of_a_part(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path, size: int
    ) -> None:
        (tmp_path / "from").write_bytes(b"\1" * size)
        recorder = FileRecorder()
        await anywhere.buckets.upload_file(tmp_path / "from", "blob:box/key", progress=recorder)
        assert recorder.kinds[0] == "start"
        assert recorder.kinds[-1] == "complete"
        assert recorder.kinds.count("step") == -(-size // (5 * MIB))
        assert (await box.head_blob("key")).size == size
        (tmp_path / "to").write_bytes(b"what was there")
        await anywhere.buckets.download_file("blob:box/key", tmp_path / "to")
        assert (tmp_path / "to").read_bytes() == b"\1" * size

    async def test_an_empty_tree(self, anywhere: Client, box: BucketHandle, tmp_path: Path) -> None:
        (tmp_path / "from").mkdir()
        recorder = TreeRecorder()
        await anywhere.buckets.upload_dir(tmp_path / "from", "blob:box/x", progress=recorder)
        assert check_events(recorder.events) == {"enterdir": 1, "leavedir": 1}
        assert await keys_of(box) == ["x/"]
        await anywhere.buckets.download_dir("blob:box/x", tmp_path / "to")
        assert read_tree(tmp_path / "to") == {}
        await anywhere.buckets.upload_dir(tmp_path / "from", "blob:box")
        assert await keys_of(box) == ["x/"]

    async def test_an_empty_bucket_is_an_empty_folder(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        await anywhere.buckets.download_dir("blob:box", tmp_path / "to")
        assert (tmp_path / "to").is_dir()

    async def test_a_folder_beside_a_longer_name(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        for key in ("logs/a", "logs.json", "logs2/b", "logs-x", "log"):
            await box.put_blob(key, b"x")
        await anywhere.buckets.download_dir("blob:box/logs", tmp_path / "to")
        assert read_tree(tmp_path / "to") == {"a": b"x"}

    async def test_what_is_there_already_stays_beside_the_new(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        make_tree(tmp_path / "from", {"new": b"1", "both": b"2"})
        make_tree(tmp_path / "to", {"both": b"old and longer", "mine": b"3", "d/mine": b"4"})
        await box.put_blob("tree/theirs", b"5")
        await box.put_blob("tree/both", b"old")
        await anywhere.buckets.upload_dir(tmp_path / "from", "blob:box/tree")
        await anywhere.buckets.download_dir("blob:box/tree", tmp_path / "to")
        assert read_tree(tmp_path / "to") == {
            "new": b"1",
            "both": b"2",
            "mine": b"3",
            "d/mine": b"4",
            "theirs": b"5",
        }


class TestRefusals:
    """What cannot be meant, with nothing done."""

    @pytest.fixture
    async def check(self, box: BucketHandle, tmp_path: Path) -> Callable[[], object]:
        make_tree(tmp_path / "tree", {"file": b"x", "folder/file": b"x"})
        await box.put_blob("blob", b"x")
        await box.put_blob("folder/blob", b"x")
        before = read_tree(tmp_path / "tree")

        async def unchanged() -> None:
            assert await keys_of(box) == ["blob", "folder/blob"]
            assert read_tree(tmp_path / "tree") == before

        return unchanged

    @pytest.mark.parametrize(
        ("verb", "src", "dst", "error"),
        [
            ("upload_file", "gone", "blob:box/x", LocalNotFound),
            ("upload_file", "gone/er", "blob:box/x", LocalNotFound),
            ("upload_file", "file/x", "blob:box/x", LocalNotADirectory),
            ("upload_file", "folder", "blob:box/x", LocalIsADirectory),
            ("upload_file", "file", "blob:box", BlobIsADirectory),
            ("upload_file", "file", "blob:box/x/", BlobIsADirectory),
            ("upload_file", "file", "blob:box/a//b", InvalidKey),
            ("upload_dir", "gone", "blob:box/x", LocalNotFound),
            ("upload_dir", "file", "blob:box/x", LocalNotADirectory),
            ("upload_dir", "folder", "blob:box/a//b", InvalidKey),
            ("upload_dir", "folder", "blob:box/../b", InvalidKey),
            ("download_file", "blob:box/gone", "x", BlobNotFound),
            ("download_file", "blob:box/folder", "x", BlobNotFound),
            ("download_file", "blob:box", "x", BlobIsADirectory),
            ("download_file", "blob:box/folder/", "x", BlobIsADirectory),
            ("download_file", "blob:box/blob", "folder", LocalIsADirectory),
            ("download_file", "blob:box/blob", "file/x", LocalNotADirectory),
            ("download_file", "blob:box/blob", "file/x/y", LocalNotADirectory),
            ("download_dir", "blob:box/gone", "x", BlobNotFound),
            ("download_dir", "blob:box/blob", "x", BlobNotADirectory),
            ("download_dir", "blob:box/blob/", "x", BlobNotADirectory),
            ("download_dir", "blob:box/folder", "file", LocalNotADirectory),
            ("download_dir", "blob:box/folder", "file/x", LocalNotADirectory),
        ],
    )
    async def test_it_is_named(
        self,
        anywhere: Client,
        tmp_path: Path,
        check: Callable[[], object],
        verb: str,
        src: str,
        dst: str,
        error: type[NeuroError],
    ) -> None:
        local = [place for place in (src, dst) if not place.startswith("blob:")]
        places = {place: tmp_path / "tree" / place for place in local}
        with pytest.raises(error) as caught:
            await getattr(anywhere.buckets, verb)(places.get(src, src), places.get(dst, dst))
        if issubclass(error, OSError) and "Local" in error.__name__:
            assert str(tmp_path / "tree") in str(caught.value)
        else:
            assert caught.value.bucket == "box"
            assert caught.value.key is not None
        outcome = check()
        assert outcome is not None
        await outcome  # type: ignore[misc]

    async def test_a_broken_link_is_no_folder_to_download_to(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        await box.put_blob("folder/blob", b"x")
        (tmp_path / "link").symlink_to("nowhere")
        with pytest.raises(LocalNotADirectory):
            await anywhere.buckets.download_dir("blob:box/folder", tmp_path / "link")
        assert not (tmp_path / "nowhere").exists()

    async def test_a_link_to_a_folder_is_one(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        await box.put_blob("folder/sub/blob", b"x")
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        await anywhere.buckets.download_dir("blob:box/folder", tmp_path / "link")
        assert read_tree(tmp_path / "real") == {"sub/blob": b"x"}
