"""What an upload finds on a disk: links, pipes, odd names, files that change meanwhile."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

import neuro_sdk
from neuro_sdk import (
    BucketHandle,
    Buckets,
    Client,
    InvalidKey,
    LocalError,
    LocalFileChanged,
    LocalNotFound,
    LocalPermissionDenied,
    StorageProgressFail,
    TransferConfig,
    TransferError,
)

from ..conftest import Lifted
from ..recording import Event, TreeRecorder, check_events, kind_of
from ..trees import make_tree

PART = 64 << 10


@pytest.fixture
async def bucket(home: Path) -> AsyncIterator[BucketHandle]:
    """The bucket ``box`` of a client that moves small parts, one file at a time."""
    limits = TransferConfig(part_size=PART, concurrency=1)
    async with neuro_sdk.local(home, transfer=limits) as client:
        await client.buckets.create("box")
        yield await client.buckets.open("box")


async def uploaded(bucket: BucketHandle) -> dict[str, bytes]:
    found = {}
    async for entry in bucket.list_blobs(recursive=True):
        found[entry.key] = (
            b"" if entry.is_dir() else b"".join([p async for p in bucket.fetch_blob(entry.key)])
        )
    return found


async def failing(bucket: BucketHandle, root: Path) -> dict[str, Exception]:
    """Upload and give what failed, by path; it is the same in events and error."""
    recorder = TreeRecorder()
    with pytest.raises(TransferError) as caught:
        await bucket.upload_dir(root, progress=recorder)
    counts = check_events(recorder.events)
    failures = dict(caught.value.failures)
    assert counts["fail"] == caught.value.failed == len(failures)
    assert counts["complete"] == caught.value.done
    messages = [e.message for e in recorder.of("fail") if isinstance(e, StorageProgressFail)]
    assert messages == [str(error) for error in failures.values()]
    assert caught.value.bucket == "box"
    str(caught.value).encode()
    return failures


class TestLinks:
    async def test_they_are_followed(self, bucket: BucketHandle, tmp_path: Path) -> None:
        root = make_tree(tmp_path / "from", {"real/file": b"x", "other": b"y"})
        make_tree(tmp_path / "away", {"z": b"z"})
        (root / "to file").symlink_to("other")
        (root / "to folder").symlink_to("real")
        (root / "to away").symlink_to(tmp_path / "away")
        await bucket.upload_dir(root)
        assert await uploaded(bucket) == {
            "other": b"y",
            "real/file": b"x",
            "to away/z": b"z",
            "to file": b"y",
            "to folder/file": b"x",
        }

    async def test_the_root_may_be_one(self, bucket: BucketHandle, tmp_path: Path) -> None:
        make_tree(tmp_path / "real", {"file": b"x"})
        (tmp_path / "link").symlink_to("real")
        await bucket.upload_dir(tmp_path / "link")
        await bucket.upload_file(tmp_path / "link" / "file", "again")
        assert await uploaded(bucket) == {"again": b"x", "file": b"x"}

    async def test_circles_and_links_to_nowhere_are_reported(
        self, bucket: BucketHandle, tmp_path: Path
    ) -> None:
        root = make_tree(tmp_path / "from", {"a/b/file": b"x", "z": b"z"})
        (root / "a" / "b" / "up").symlink_to("..")
        (root / "a" / "root").symlink_to(root)
        (root / "self").symlink_to("self")
        (root / "nowhere").symlink_to("missing")
        (root / "across").symlink_to("a/b")
        failures = await failing(bucket, root)
        assert failures.keys() == {
            "a/b/up/",
            "a/root/",
            "self",
            "nowhere",
            "across/up/b/",
            "across/up/root/",
        }
        assert all(isinstance(error, LocalError) for error in failures.values())
        assert await uploaded(bucket) == {"a/b/file": b"x", "across/file": b"x", "z": b"z"}


class TestKindsAndNames:
    async def test_pipes_and_sockets_are_reported_and_not_opened(
        self, bucket: BucketHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = make_tree(tmp_path / "from", {"file": b"x"})
        os.mkfifo(root / "pipe")
        monkeypatch.chdir(root)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("socket")
            failures = await failing(bucket, root)
        assert failures.keys() == {"pipe", "socket"}
        assert await uploaded(bucket) == {"file": b"x"}
        with pytest.raises(LocalError, match="regular"):
            await bucket.upload_file(root / "pipe", "pipe")

    async def test_names_that_no_key_can_be_are_reported(
        self, bucket: BucketHandle, tmp_path: Path
    ) -> None:
        root = make_tree(
            tmp_path / "from",
            {
                "ends ": b"x",
                "\u3000wide blank": b"x",
                "ok\u3000in the middle": b"x",
                "sub/ends ": b"x",
                "sub/.neuro-sdk-dir": b"x",
                ".neuro-sdk/x": b"x",
                "blank folder /x": b"x",
                "empty \u2003/": b"",
                "fine": b"x",
            },
        )
        with open(os.fsencode(root) + b"/bytes\xff\xfe", "wb") as file:
            file.write(b"x")
        os.mkdir(os.fsencode(root) + b"/folder\xff")
        failures = await failing(bucket, root)
        assert failures.keys() == {
            "ends ",
            "\u3000wide blank",
            "sub/ends ",
            "sub/.neuro-sdk-dir",
            ".neuro-sdk/x",
            "bytes\udcff\udcfe",
            "folder\udcff/",
        }
        assert all(isinstance(error, InvalidKey) for error in failures.values())
        assert await uploaded(bucket) == {
            "blank folder /x": b"x",
            "empty \u2003/": b"",
            "fine": b"x",
            "ok\u3000in the middle": b"x",
        }

    async def test_a_name_longer_than_keys_may_be(
        self, bucket: BucketHandle, tmp_path: Path
    ) -> None:
        deep = "/".join(["s" * 200] * 6)
        root = make_tree(tmp_path / "from", {deep: b"x", "fine": b"x"})
        failures = await failing(bucket, root)
        assert failures.keys() == {deep}
        assert await uploaded(bucket) == {"fine": b"x"}

    async def test_a_very_deep_tree(self, bucket: BucketHandle, tmp_path: Path) -> None:
        names = {"d/" * 500 + "x": b"x", "d/" * 250 + "y": b"y"}
        root = make_tree(tmp_path / "from", names)
        recorder = TreeRecorder()
        await bucket.upload_dir(root, progress=recorder)
        assert check_events(recorder.events)["complete"] == 2
        assert await uploaded(bucket) == names
        await bucket.download_dir("", tmp_path / "to")
        assert (tmp_path / "to" / ("d/" * 500 + "x")).read_bytes() == b"x"
        await bucket.blob_rm("", recursive=True)
        assert await uploaded(bucket) == {}

    @pytest.mark.skipif(os.getuid() == 0, reason="the administrator may read everything")
    async def test_what_may_not_be_read(self, bucket: BucketHandle, tmp_path: Path) -> None:
        root = make_tree(tmp_path / "from", {"secret": b"x", "locked/x": b"x", "fine": b"x"})
        (root / "secret").chmod(0)
        (root / "locked").chmod(0)
        try:
            failures = await failing(bucket, root)
        finally:
            (root / "locked").chmod(0o700)
        assert failures.keys() == {"secret", "locked/"}
        assert all(isinstance(error, LocalPermissionDenied) for error in failures.values())


class TestChanges:
    """A file of many parts that changes after the first of them."""

    def cut(path: Path) -> None:  # type: ignore[misc]
        os.truncate(path, 10)

    def grow(path: Path) -> None:  # type: ignore[misc]
        with path.open("ab") as file:
            file.write(b"more")

    def rewrite(path: Path) -> None:  # type: ignore[misc]
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.write(b"y" * size)
        os.utime(path, (1, 1))

    @pytest.mark.parametrize("change", [cut, grow, rewrite])
    async def test_nothing_is_published(
        self,
        bucket: BucketHandle,
        tmp_path: Path,
        lifted: Lifted,
        change: Callable[[Path], None],
    ) -> None:
        root = make_tree(tmp_path / "from", {"a": b"a", "large": b"x" * PART * 5, "z": b"z"})
        await bucket.put_blob("large", b"old")

        def then(event: Event) -> None:
            if kind_of(event) == "step" and event.src.name == "large" and not changed:  # type: ignore[union-attr]
                changed.append(True)
                with lifted():
                    change(root / "large")

        changed: list[bool] = []
        recorder = TreeRecorder(then)
        with pytest.raises(TransferError) as caught:
            await bucket.upload_dir(root, progress=recorder)
        ((path, error),) = caught.value.failures
        assert path == "large"
        assert isinstance(error, LocalFileChanged)
        assert str(root / "large") in str(error)
        assert await uploaded(bucket) == {"a": b"a", "large": b"old", "z": b"z"}
        counts = check_events(recorder.events)
        assert (counts["complete"], counts["fail"]) == (2, 1)

        changed.clear()
        (root / "large").write_bytes(b"x" * PART * 5)
        with pytest.raises(LocalFileChanged):
            await bucket.upload_file(root / "large", "large", progress=TreeRecorder(then))
        assert await uploaded(bucket) == {"a": b"a", "large": b"old", "z": b"z"}

    async def test_files_and_folders_that_vanish_after_they_were_seen(
        self, bucket: BucketHandle, tmp_path: Path, lifted: Lifted
    ) -> None:
        root = make_tree(
            tmp_path / "from", {"a": b"a", "b": b"b", "c/d": b"d", "e": b"e", "f/": b""}
        )

        def then(event: Event) -> None:
            if kind_of(event) == "start" and event.src.name == "a":  # type: ignore[union-attr]
                with lifted():
                    (root / "b").unlink()
                    (root / "c" / "d").unlink()
                    (root / "c").rmdir()

        with pytest.raises(TransferError) as caught:
            await bucket.upload_dir(root, progress=TreeRecorder(then))
        failures = dict(caught.value.failures)
        assert failures.keys() <= {"b", "c/", "c/d"}
        assert "b" in failures
        assert all(isinstance(error, LocalNotFound) for error in failures.values())
        assert await uploaded(bucket) == {"a": b"a", "e": b"e", "f/": b""}

    async def test_a_file_that_becomes_a_pipe(
        self, bucket: BucketHandle, tmp_path: Path, lifted: Lifted
    ) -> None:
        root = make_tree(tmp_path / "from", {"a": b"a", "b": b"b"})

        def then(event: Event) -> None:
            if kind_of(event) == "start" and event.src.name == "a":  # type: ignore[union-attr]
                with lifted():
                    (root / "b").unlink()
                    os.mkfifo(root / "b")

        with pytest.raises(TransferError) as caught:
            await bucket.upload_dir(root, progress=TreeRecorder(then))
        assert [path for path, _ in caught.value.failures] == ["b"]
        assert await uploaded(bucket) == {"a": b"a"}


@pytest.fixture
async def buckets(client: Client) -> Buckets:
    await client.buckets.create("box")
    return client.buckets


async def test_paths_in_all_their_forms(
    buckets: Buckets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "odd %20 ?#\u00e9"
    (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    handle = await buckets.open("box")
    forms: list[str | Path] = [
        tmp_path / name,
        str(tmp_path / name),
        name,
        Path(name),
        (tmp_path / name).as_uri(),
    ]
    for number, path in enumerate(forms):
        await handle.upload_file(path, str(number))
        assert (await handle.head_blob(str(number))).size == 1
        await handle.download_file(str(number), f"down/{number}")
        assert (tmp_path / "down" / str(number)).read_bytes() == b"x"
