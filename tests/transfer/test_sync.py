"""Synchronisation both ways, and its seat belt: what must never be removed."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuro_sdk import (
    AbstractDeleteProgress,
    BlobNotADirectory,
    BlobNotFound,
    BucketEntry,
    BucketHandle,
    Client,
    DeletionRefused,
    IllegalArgumentError,
    LocalNotADirectory,
    LocalNotFound,
    NeuroError,
    StorageError,
    StorageProgressDelete,
    TransferConfig,
    TransferError,
)
from neuro_sdk._core.plan import Action, Side
from neuro_sdk._transfer.disk import Disk, to_side
from neuro_sdk._transfer.protected import Protected
from neuro_sdk._transfer.surplus import present, unlink_many
from neuro_sdk._transfer.walk import Kind, walk
from neuro_sdk.protocols import Likely

from ..conftest import Lifted
from ..doubles import Front, buckets_behind
from ..recording import TreeRecorder, check_events
from ..trees import make_tree, read_tree, set_time

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
KEPT = {"logs.json": b"not below", "logs2/b": b"nor this", "log": b"x", "logs-x": b"y"}


@pytest.fixture
def limits() -> TransferConfig:
    return TransferConfig(concurrency=4)


async def read(box: BucketHandle, key: str) -> bytes:
    return b"".join([piece async for piece in box.fetch_blob(key)])


async def contents(box: BucketHandle) -> dict[str, bytes]:
    keys = [entry.key async for entry in box.list_blobs(recursive=True, limit=None)]
    return {key: b"" if key.endswith("/") else await read(box, key) for key in keys}


async def fill(box: BucketHandle, blobs: dict[str, bytes], prefix: str = "") -> None:
    for key, body in blobs.items():
        await box.put_blob(prefix + key, body)


def old(root: Path) -> Path:
    """The files of *root* long before any blob."""
    for path in root.rglob("*"):
        if path.is_file():
            set_time(path, LONG_AGO)
    return root


def later(root: Path) -> None:
    """The files of *root* after the second that stores round to."""
    for path in root.rglob("*"):
        if path.is_file():
            set_time(path, datetime.now(UTC) + timedelta(hours=1))


class Removals(TreeRecorder, AbstractDeleteProgress):
    """Keeps what is removed apart from the other events."""

    def __init__(self) -> None:
        super().__init__()
        self.removed: list[str] = []

    def delete(self, data: StorageProgressDelete) -> None:
        self.removed.append(data.uri.name)


class TestUp:
    async def test_a_mirror(self, anywhere: Client, box: BucketHandle, tmp_path: Path) -> None:
        tree = {"a": b"1", "d/b c%20": b"2", "d/e/f": b"3", "empty/": b"", "zero": b""}
        root = old(make_tree(tmp_path / "from", tree))
        await fill(box, KEPT)
        await fill(box, {"a": b"0", "gone": b"x", "d/gone/far": b"x", "d/gone/": b""}, "logs/")
        await anywhere.buckets.sync_up(root, "blob:box/logs")
        both = {f"logs/{key}": body for key, body in tree.items()}
        extras = {"logs/gone": b"x", "logs/d/gone/far": b"x", "logs/d/gone/": b""}
        # One byte long and not older: as in every comparison of sizes and times.
        assert await contents(box) == KEPT | both | extras | {"logs/a": b"0"}
        recorder = Removals()
        (root / "a").write_bytes(b"11")
        await anywhere.buckets.sync_up(root, "blob:box/logs", delete=True, progress=recorder)
        assert await contents(box) == KEPT | both | {"logs/a": b"11"}
        assert sorted(recorder.removed) == ["", "far", "gone"]
        assert check_events(recorder.events)["complete"] == 1

    @pytest.mark.parametrize("prefix", ["", "logs"])
    async def test_again_does_nothing(self, box: BucketHandle, tmp_path: Path, prefix: str) -> None:
        root = old(make_tree(tmp_path / "from", {"a": b"1", "d/b": b"2", "e/": b""}))
        await box.sync_up(root, prefix, delete=True)
        before = await contents(box)
        recorder = Removals()
        await box.sync_up(root, prefix, delete=True, progress=recorder)
        assert await contents(box) == before
        assert check_events(recorder.events)["start"] == 0
        assert recorder.removed == []

    async def test_what_differs_in_size_is_sent_though_it_is_older(
        self, box: BucketHandle, tmp_path: Path
    ) -> None:
        root = old(make_tree(tmp_path / "from", {"a": b"whole"}))
        await box.put_blob("a", b"cut")
        await box.upload_dir(root, update=True)
        assert await read(box, "a") == b"cut"
        await box.sync_up(root)
        assert await read(box, "a") == b"whole"

    @pytest.mark.parametrize(
        ("tree", "max_delete"),
        [
            ({}, 1000),
            ({"empty/": b"", "d/e/": b""}, None),
            ({"a": b"1"}, 2),
            ({"a": b"1"}, 0),
        ],
    )
    async def test_refused_with_nothing_touched(
        self, box: BucketHandle, tmp_path: Path, tree: dict[str, bytes], max_delete: int | None
    ) -> None:
        root = make_tree(tmp_path / "from", tree)
        blobs = {"logs/x": b"1", "logs/y": b"2", "logs/z": b"3"} | KEPT
        await fill(box, blobs)
        recorder = Removals()
        with pytest.raises(DeletionRefused) as caught:
            await box.sync_up(root, "logs", delete=True, max_delete=max_delete, progress=recorder)
        assert caught.value.bucket == "box"
        assert caught.value.key == "logs/"
        assert await contents(box) == blobs
        assert recorder.events == []
        assert recorder.removed == []

    async def test_as_many_as_allowed(self, box: BucketHandle, tmp_path: Path) -> None:
        root = make_tree(tmp_path / "from", {"a": b"1"})
        await fill(box, {"logs/x": b"1", "logs/y": b"2"} | KEPT)
        await box.sync_up(root, "logs", delete=True, max_delete=2)
        assert await contents(box) == {"logs/a": b"1"} | KEPT

    @pytest.mark.parametrize(
        ("src", "options", "error"),
        [
            ("gone", {"delete": True}, LocalNotFound),
            ("file", {"delete": True}, LocalNotADirectory),
            ("", {"delete": True, "max_delete": -1}, IllegalArgumentError),
        ],
    )
    async def test_no_source(
        self,
        box: BucketHandle,
        tmp_path: Path,
        src: str,
        options: dict[str, int],
        error: type[NeuroError],
    ) -> None:
        make_tree(tmp_path / "from", {"file": b"1"})
        await fill(box, KEPT)
        with pytest.raises(error):
            await box.sync_up(tmp_path / "from" / src, "", **options)  # type: ignore[arg-type]
        assert await contents(box) == KEPT

    async def test_nothing_is_removed_after_a_failure(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        root = make_tree(tmp_path / "from", {"a": b"1", "bad": b"2"})
        await box.put_blob("logs/extra", b"x")

        class Failing(Front):
            async def put(self, key: str, body: object) -> None:
                if key.endswith("bad"):
                    raise StorageError("planted", key=key)
                await self.inner.put(key, body)  # type: ignore[arg-type]

        with pytest.raises(TransferError, match="nothing was removed") as caught:
            await buckets_behind(anywhere, Failing).sync_up(root, "blob:box/logs", delete=True)
        assert [path for path, _ in caught.value.failures] == ["bad"]
        assert await contents(box) == {"logs/a": b"1", "logs/extra": b"x"}
        (root / "link").symlink_to("nowhere")
        with pytest.raises(TransferError, match="nothing was removed"):
            await box.sync_up(root, "logs", delete=True)
        assert "logs/extra" in await contents(box)

    async def test_what_is_excluded_is_protected(self, box: BucketHandle, tmp_path: Path) -> None:
        tree = {
            ".gitignore": b"*.tmp\n/build/\n",
            "d/.gitignore": b"!keep.tmp\nsecret\n",
            "d/a": b"1",
            "x.tmp": b"not sent",
        }
        root = make_tree(tmp_path / "from", tree)
        excluded = {
            "y.tmp": b"by the root",
            "d/z.tmp": b"by the root, below",
            "build/lib/a": b"a folder",
            "d/secret/deep": b"by the folder",
            "no/a/b": b"by the filter",
        }
        extras = {"d/keep.tmp": b"taken in again", "d/build/x": b"another", "old": b"x"}
        await fill(box, excluded | extras, "logs/")

        async def wanted(path: str) -> bool:
            return path != "no/"

        names = {".gitignore"}
        await box.sync_up(root, "logs", delete=True, filter=wanted, ignore_file_names=names)
        sent = {key: tree[key] for key in (".gitignore", "d/.gitignore", "d/a")}
        assert await contents(box) == {f"logs/{key}": v for key, v in (sent | excluded).items()}

    async def test_a_file_that_came_meanwhile_keeps_its_blob(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path, lifted: Lifted
    ) -> None:
        root = make_tree(tmp_path / "from", {"a": b"1"})
        await fill(box, {"late": b"blob", "later": b"blob", "gone": b"x"})
        late = {"late": b"file", "later": b""}

        class Slow(Front):
            async def put(self, key: str, body: object) -> None:
                await self.inner.put(key, body)  # type: ignore[arg-type]
                with lifted():
                    make_tree(root, late)

        await buckets_behind(anywhere, Slow).sync_up(root, "blob:box", delete=True)
        assert (await contents(box)).keys() == {"a", "late", "later"}

    async def test_a_source_that_is_emptied_meanwhile(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path, lifted: Lifted
    ) -> None:
        root = make_tree(tmp_path / "from", {"a": b"1"})
        blobs = {"a": b"1", "b": b"2"}
        await fill(box, blobs)

        class Unmounted(Front):
            async def pages(
                self,
                prefix: str = "",
                *,
                recursive: bool = False,
                most: int | None = None,
                likely: Likely | None = None,
            ) -> AsyncGenerator[Sequence[BucketEntry], None]:
                with lifted():
                    (root / "a").unlink(missing_ok=True)
                listing = self.inner.pages(prefix, recursive=recursive, most=most, likely=likely)
                async for page in listing:
                    yield page

        with pytest.raises(DeletionRefused):
            await buckets_behind(anywhere, Unmounted).sync_up(root, "blob:box", delete=True)
        assert await contents(box) == blobs

    async def test_more_than_one_batch(self, client: Client, tmp_path: Path) -> None:
        await client.buckets.create("box")
        box = await client.buckets.open("box")
        root = make_tree(tmp_path / "from", {"a": b"1"})
        for number in range(1100):
            await box.put_blob(f"{number % 7}/{number}", b"")
        with pytest.raises(DeletionRefused, match="more than 1000"):
            await box.sync_up(root, delete=True)
        await box.sync_up(root, delete=True, max_delete=None)
        assert await contents(box) == {"a": b"1"}


class TestDown:
    async def test_a_mirror(self, anywhere: Client, box: BucketHandle, tmp_path: Path) -> None:
        tree = {"a": b"1", "d/b c%20": b"2", "d/e/f": b"3", "empty/": b"", "zero": b""}
        await fill(box, tree, "logs/")
        await fill(box, KEPT)
        root = make_tree(tmp_path / "to", {"gone": b"x", "d/gone/far": b"x", "a": b"00"})
        await anywhere.buckets.sync_down("blob:box/logs", root)
        assert read_tree(root) == tree | {"gone": b"x", "d/gone/far": b"x"}
        recorder = Removals()
        later(root)
        (root / "a").write_bytes(b"000")
        await anywhere.buckets.sync_down("blob:box/logs/", root, delete=True, progress=recorder)
        assert read_tree(root) == tree
        assert not (root / "d/gone").exists()
        assert sorted(recorder.removed) == ["far", "gone"]
        assert check_events(recorder.events)["complete"] == 1

    async def test_there_and_back(self, box: BucketHandle, tmp_path: Path) -> None:
        tree = {"a": b"1", "a-b/x": b"2", "a b": b"3", "a/": b"", "d/b": b"4", "d.x": b"5"}
        tree.pop("a/")
        root = old(make_tree(tmp_path / "from", tree))
        await box.sync_up(root, "t", delete=True)
        await box.sync_down("t", tmp_path / "to", delete=True)
        assert read_tree(tmp_path / "to") == tree
        later(tmp_path / "to")
        recorder = Removals()
        await box.sync_down("t", tmp_path / "to", delete=True, progress=recorder)
        assert check_events(recorder.events)["start"] == 0
        assert recorder.removed == []

    @pytest.mark.parametrize(
        ("blobs", "prefix", "max_delete", "error"),
        [
            ({}, "", 1000, DeletionRefused),
            ({"logs/d/": b""}, "logs", None, DeletionRefused),
            ({"logs/a": b"1"}, "logs", 2, DeletionRefused),
            ({"logs/a": b"1"}, "", 2, DeletionRefused),
            ({"logs/a": b"1"}, "log", None, BlobNotFound),
            ({"logs": b"1"}, "logs", None, BlobNotADirectory),
            ({"logs/a": b"1"}, "logs", -1, IllegalArgumentError),
        ],
    )
    async def test_refused_with_nothing_touched(
        self,
        box: BucketHandle,
        tmp_path: Path,
        blobs: dict[str, bytes],
        prefix: str,
        max_delete: int | None,
        error: type[NeuroError],
    ) -> None:
        tree = {"x": b"1", "y": b"2", "d/z": b"3"}
        root = make_tree(tmp_path / "to", tree)
        await fill(box, blobs)
        recorder = Removals()
        with pytest.raises(error):
            await box.sync_down(prefix, root, delete=True, max_delete=max_delete, progress=recorder)
        assert read_tree(root) == tree
        assert recorder.events == []
        assert recorder.removed == []

    async def test_nothing_is_removed_after_a_failure(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        class Failing(Front):
            def fetch(self, key: str, *args: object, **kwargs: object) -> AsyncGenerator[bytes]:
                if key.endswith("bad"):
                    raise StorageError("planted", key=key)
                return self.inner.fetch(key, *args, **kwargs)  # type: ignore[arg-type]

        await fill(box, {"a": b"1", "bad": b"2"})
        root = make_tree(tmp_path / "to", {"extra": b"x"})
        with pytest.raises(TransferError, match="nothing was removed"):
            await buckets_behind(anywhere, Failing).sync_down("blob:box", root, delete=True)
        assert read_tree(root) == {"a": b"1", "extra": b"x"}

    async def test_what_is_excluded_is_protected(self, box: BucketHandle, tmp_path: Path) -> None:
        await fill(box, {"a": b"1", "no/b": b"not wanted"})
        mine = {
            ".gitignore": b"*.log\n/out/\n",
            "x.log": b"mine",
            "out/deep/er": b"mine",
            "no/mine": b"mine",
        }
        root = make_tree(tmp_path / "to", mine | {"extra": b"x", "d/out/y": b"x"})

        async def wanted(path: str) -> bool:
            return path not in ("no/", ".gitignore")

        await box.sync_down("", root, delete=True, filter=wanted, ignore_file_names={".gitignore"})
        assert read_tree(root) == mine | {"a": b"1"}

    async def test_links_and_what_they_lead_to_stay(
        self, box: BucketHandle, tmp_path: Path
    ) -> None:
        await box.put_blob("a", b"1")
        outside = make_tree(tmp_path / "outside", {"dear": b"1", "d/dear": b"2"})
        root = make_tree(tmp_path / "to", {"extra": b"x"})
        (root / "folder").symlink_to(outside)
        (root / "file").symlink_to(outside / "dear")
        (root / "broken").symlink_to("nowhere")
        os.mkfifo(root / "pipe")
        await box.sync_down("", root, delete=True)
        assert read_tree(outside) == {"dear": b"1", "d/dear": b"2"}
        assert sorted(path.name for path in root.iterdir()) == [
            "a",
            "broken",
            "file",
            "folder",
            "pipe",
        ]

    async def test_a_listing_out_of_order_removes_nothing_that_is_listed(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        class Backwards(Front):
            async def pages(
                self,
                prefix: str = "",
                *,
                recursive: bool = False,
                most: int | None = None,
                likely: Likely | None = None,
            ) -> AsyncGenerator[Sequence[BucketEntry], None]:
                listing = self.inner.pages(prefix, recursive=recursive, most=most, likely=likely)
                pages = [page async for page in listing]
                for page in reversed(pages):
                    yield page[::-1]

        tree = {f"{name}/{number}": b"x" for name in "abc" for number in range(5)}
        await fill(box, tree)
        root = make_tree(tmp_path / "to", tree | {"b/extra": b"x"})
        await buckets_behind(anywhere, Backwards).sync_down("blob:box", root, delete=True)
        assert read_tree(root) == tree

    async def test_a_disk_that_gives_names_twice(
        self, box: BucketHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # As some do while others write to a folder.
        scandir = os.scandir

        @contextmanager
        def twice(path: str) -> Iterator[list[os.DirEntry[str]]]:
            with scandir(path) as entries:
                yield [entry for found in entries for entry in (found, found)]

        tree = {"a": b"1", "b/c": b"2", "b/d": b"3"}
        await fill(box, tree)
        root = make_tree(tmp_path / "to", tree | {"b/extra": b"x"})
        with monkeypatch.context() as patched:
            patched.setattr(os, "scandir", twice)
            plan = await box.plan_sync_down("", root, delete=True)
            await box.sync_down("", root, delete=True)
        assert [step.path for step in plan.of(Action.REMOVE)] == ["b/extra"]
        assert read_tree(root) == tree

    async def test_a_disk_that_ignores_case(
        self, box: BucketHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Nothing here mounts such a disk; what it answers is what matters.
        monkeypatch.setattr("neuro_sdk._transfer.download.ignores_case", lambda folder: True)
        await fill(box, {"Readme": b"1", "d\u00e9/x": b"2"})
        root = make_tree(tmp_path / "to", {"README": b"1", "de\u0301/X": b"2", "extra": b"x"})
        await box.sync_down("", root, delete=True)
        assert {"README", "de\u0301/X"} <= read_tree(root).keys()
        assert "extra" not in read_tree(root)


class TestOnTheDisk:
    def test_only_what_is_surely_missing_is(self, tmp_path: Path) -> None:
        make_tree(tmp_path, {"a": b"", "d/b": b"", "e/": b""})
        (tmp_path / "link").symlink_to("a")
        paths = [
            "a",
            "a/",
            "d",
            "d/",
            "d/b",
            "e/",
            "link",
            "a/b",
            "gone",
            "x" * 300,
            "a\0b",
            "../a",
        ]
        assert present(str(tmp_path), paths) == {"a", "d/", "d/b", "e/", "link"}

    def test_what_cannot_be_looked_at_is_no_answer(self, tmp_path: Path) -> None:
        (tmp_path / "loop").symlink_to("loop")
        with pytest.raises(OSError, match="symbolic links"):
            present(str(tmp_path), ["loop/b"])

    def test_what_changed_stays(self, tmp_path: Path) -> None:
        root = make_tree(tmp_path / "root", {"a": b"1", "d/b": b"2", "d/c": b"3", "e/f": b"4"})
        sides = {path: to_side((root / path).stat()) for path in ("a", "d/b", "d/c", "e/f")}
        (root / "d/b").write_bytes(b"changed")
        shutil.move(root / "e", tmp_path / "elsewhere")
        (root / "e").symlink_to(tmp_path / "elsewhere")
        failed = unlink_many(str(root), sides | {"gone": Side(1, None)})
        assert failed.keys() == {"d/b", "e/f"}
        assert read_tree(root) == {"d/b": b"changed"}
        assert (tmp_path / "elsewhere/f").read_bytes() == b"4"


NAMES = st.sampled_from(["a", "b", "a.tmp", "b.tmp", "build", "keep"])
TREES = st.sets(st.lists(NAMES, min_size=1, max_size=3).map("/".join), min_size=1, max_size=8)
LINES = st.lists(
    st.sampled_from(["*.tmp", "!keep", "build/", "/a", "a/b", "keep", "!*.tmp", "**/b"]),
    max_size=3,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(paths=TREES, above=LINES, below=LINES, filtered=st.none() | NAMES)
async def test_protection_and_walk_agree(
    tmp_path_factory: pytest.TempPathFactory,
    paths: set[str],
    above: Sequence[str],
    below: Sequence[str],
    filtered: str | None,
) -> None:
    """What a walk leaves out is protected, and nothing else is, whether it is there or not."""
    root = tmp_path_factory.mktemp("root")
    files = {p for p in paths if not any(other.startswith(f"{p}/") for other in paths)}
    rules = {".ignore": "\n".join(above).encode(), "a/.ignore": "\n".join(below).encode()}
    if "a" in files:
        rules.pop("a/.ignore")
    make_tree(root, dict.fromkeys(files, b"") | rules)

    async def wanted(path: str) -> bool:
        return path.rstrip("/").rpartition("/")[2] != filtered

    filter_: Callable[[str], Awaitable[bool]] = wanted
    disk = Disk(1)
    try:
        names = frozenset({".ignore"})
        kept = {
            found.path
            async for page in walk(disk, root, filter_=filter_, ignore_file_names=names)
            for found in page
            if found.kind is Kind.FILE
        }
        protected = Protected(disk, root, filter_, names)
        everything = sorted(files | rules.keys())
        assert {path for path in everything if not await protected.excludes(path)} == kept
    finally:
        disk.close()
        shutil.rmtree(root)
