"""Which files of a tree are moved: the caller's filter and ignore files, both ways."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from neuro_sdk import BucketHandle, Client, IllegalArgumentError

from ..recording import TreeRecorder, check_events
from ..trees import make_tree, read_tree


async def keys_of(box: BucketHandle) -> set[str]:
    return {entry.key async for entry in box.list_blobs(recursive=True)}


def without(*names: str) -> tuple[Callable[[str], Awaitable[bool]], list[str]]:
    """A filter that turns these paths down, and what it was asked."""
    asked: list[str] = []

    async def wanted(path: str) -> bool:
        asked.append(path)
        return path not in names

    return wanted, asked


class TestFilter:
    TREE = {
        "a": b"a",
        "drop": b"x",
        "dropped/deep/x": b"x",
        "dropped/y": b"x",
        "kept/drop": b"k",
        "kept/z": b"z",
        "empty/": b"",
    }

    async def test_of_an_upload(self, box: BucketHandle, tmp_path: Path) -> None:
        root = make_tree(tmp_path / "from", self.TREE)
        wanted, asked = without("drop", "dropped/", "empty/")
        recorder = TreeRecorder()
        await box.upload_dir(root, "t", filter=wanted, progress=recorder)
        assert await keys_of(box) == {"t/a", "t/kept/drop", "t/kept/z"}
        assert sorted(asked) == ["a", "drop", "dropped/", "empty/", "kept/", "kept/drop", "kept/z"]
        counts = check_events(recorder.events)
        assert (counts["complete"], counts["enterdir"], counts["fail"]) == (3, 2, 0)

    async def test_of_a_download(self, box: BucketHandle, tmp_path: Path) -> None:
        await box.upload_dir(make_tree(tmp_path / "from", self.TREE), "t")
        wanted, asked = without("drop", "dropped/", "empty/")
        recorder = TreeRecorder()
        await box.download_dir("t", tmp_path / "to", filter=wanted, progress=recorder)
        assert read_tree(tmp_path / "to") == {"a": b"a", "kept/drop": b"k", "kept/z": b"z"}
        assert sorted(asked) == ["a", "drop", "dropped/", "empty/", "kept/", "kept/drop", "kept/z"]
        counts = check_events(recorder.events)
        assert (counts["complete"], counts["enterdir"], counts["fail"]) == (3, 2, 0)

    async def test_that_takes_nothing(self, box: BucketHandle, tmp_path: Path) -> None:
        root = make_tree(tmp_path / "from", self.TREE)

        async def nothing(_: str) -> bool:
            return False

        await box.upload_dir(root, "t", filter=nothing)
        assert await keys_of(box) == set()
        await box.upload_dir(root, "t")
        await box.download_dir("t", tmp_path / "to", filter=nothing)
        assert read_tree(tmp_path / "to") == {}


class TestIgnoreFiles:
    """Local: they are read on this disk, and do not matter to the store."""

    @pytest.fixture
    async def bucket(self, client: Client) -> BucketHandle:
        await client.buckets.create("box")
        return await client.buckets.open("box")

    async def up(
        self,
        bucket: BucketHandle,
        root: Path,
        *,
        names: frozenset[str] = frozenset({".gitignore"}),
        filter_: Callable[[str], Awaitable[bool]] | None = None,
    ) -> set[str]:
        await bucket.blob_rm("", recursive=True)
        await bucket.upload_dir(root, ignore_file_names=names, filter=filter_)
        return await keys_of(bucket)

    async def test_rules_of_the_folder_of_those_below_and_of_those_above(
        self, bucket: BucketHandle, tmp_path: Path
    ) -> None:
        make_tree(
            tmp_path / "above",
            {
                ".gitignore": b"*.above\n/project/only-here\n",
                "project/.gitignore": b"*.log\nbuild/\n!keep.log\n/top\n",
                "project/a.above": b"",
                "project/a.log": b"",
                "project/keep.log": b"",
                "project/only-here": b"",
                "project/top": b"",
                "project/build/x": b"",
                "project/sub/.gitignore": b"!b.log\nlocal\n",
                "project/sub/b.log": b"",
                "project/sub/c.log": b"",
                "project/sub/local": b"",
                "project/sub/top": b"",
                "project/sub/only-here": b"",
                "project/sub/build/x": b"",
                "project/sub/deep/b.above": b"",
                "project/sub/deep/fine": b"",
            },
        )
        assert await self.up(bucket, tmp_path / "above" / "project") == {
            ".gitignore",
            "keep.log",
            "sub/.gitignore",
            "sub/b.log",
            "sub/top",
            "sub/only-here",
            "sub/deep/fine",
        }

    async def test_none_is_read_unless_named(self, bucket: BucketHandle, tmp_path: Path) -> None:
        files = {".gitignore": b"*", ".other": b"a\n", "a": b"", "b": b""}
        root = make_tree(tmp_path / "from", files)
        everything = {".gitignore", ".other", "a", "b"}
        assert await self.up(bucket, root, names=frozenset()) == everything
        assert await self.up(bucket, root, names=frozenset({".none"})) == everything
        assert await self.up(bucket, root, names=frozenset({".other"})) == everything - {"a"}
        assert await self.up(bucket, root, names=frozenset({".other", ".gitignore"})) == set()

    async def test_the_filter_cannot_be_overridden(
        self, bucket: BucketHandle, tmp_path: Path
    ) -> None:
        root = make_tree(
            tmp_path / "from",
            {".gitignore": b"*.log\n!secret\n!private/\n!b.log\n", "secret": b"", "private/x": b""}
            | {"a.log": b"", "b.log": b"", "c": b""},
        )
        wanted, _ = without("secret", "private/", "b.log")
        assert await self.up(bucket, root, filter_=wanted) == {".gitignore", "c"}

    async def test_a_dropped_folder_is_not_entered(
        self, bucket: BucketHandle, tmp_path: Path
    ) -> None:
        root = make_tree(
            tmp_path / "from",
            {".gitignore": b"node_modules/\n!node_modules/keep\n", "node_modules/keep": b""}
            | {"node_modules/.gitignore": b"!keep\n", "a": b""},
        )
        (root / "node_modules" / "broken").symlink_to("nowhere")  # would fail if it were seen
        wanted, asked = without()
        assert await self.up(bucket, root, filter_=wanted) == {".gitignore", "a"}
        assert not [path for path in asked if path.startswith("node_modules/") and path[13:]]

    async def test_a_folder_of_ignored_things_is_no_empty_folder(
        self, bucket: BucketHandle, tmp_path: Path
    ) -> None:
        root = make_tree(tmp_path / "from", {".gitignore": b"*.log\n", "d/a.log": b"", "e/": b""})
        assert await self.up(bucket, root) == {".gitignore", "e/"}

    async def test_odd_ignore_files(self, bucket: BucketHandle, tmp_path: Path) -> None:
        root = make_tree(
            tmp_path / "from",
            {
                ".gitignore": b"\xef\xbb\xbffirst\r\n# comment\r\n\r\nlast.\xff\r\n[bad\n\\\nend",
                "first": b"",
                "end": b"",
                "other": b"",
                "sub/.gitignore/": b"",
                "sub/x": b"",
            },
        )
        assert await self.up(bucket, root) == {".gitignore", "other", "sub/.gitignore/", "sub/x"}

    async def test_wrong_names(self, bucket: BucketHandle, tmp_path: Path) -> None:
        for names in ({""}, {"a/b"}):
            with pytest.raises(IllegalArgumentError):
                await bucket.upload_dir(tmp_path, ignore_file_names=names)
        with pytest.raises(TypeError):
            await bucket.upload_dir(tmp_path, ignore_file_names=".gitignore")  # type: ignore[arg-type]
