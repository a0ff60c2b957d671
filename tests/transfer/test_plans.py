"""Plans: they say what will happen, change nothing, and do just that or refuse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from neuro_sdk import (
    Action,
    BlobNotFound,
    BucketHandle,
    Client,
    ClientClosed,
    DeletionRefused,
    LocalNotFound,
    Plan,
    PlanOutdated,
    StorageProgressStart,
    TransferConfig,
    TransferError,
)
from neuro_sdk.protocols import Provider

from ..conftest import Lifted
from ..doubles import Watching, buckets_behind
from ..recording import DeleteRecorder, TreeRecorder, check_events
from ..trees import make_tree, read_tree, set_time

TREE = {"a": b"1", "d/b c%20": b"22", "d/e/f": b"333", "empty/": b"", "zero": b""}
BESIDE = {"logs.json": b"not below", "logs2/b": b"nor this"}
WRITING = {"put", "copy", "delete", "delete_many"}

Planned = dict[str, tuple[Action, int, str]]


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


def under(prefix: str, blobs: dict[str, bytes]) -> dict[str, bytes]:
    return {prefix + key: body for key, body in blobs.items()}


def actions(plan: Plan[Any]) -> dict[str, Action]:
    return {step.path: step.action for step in plan.steps}


def aged(root: Path, hours: int) -> Path:
    for path in root.rglob("*"):
        if path.is_file():
            set_time(path, datetime.now(UTC) + timedelta(hours=hours))
    return root


class TestUpload:
    async def test_says_it_and_does_it(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        root = make_tree(tmp_path / "from", TREE | {"x.tmp": b"t", ".ignore": b"*.tmp\n"})
        (root / "broken").symlink_to("nowhere")
        aged(root, -1)
        await box.put_blob("logs/a", b"1")
        watching: list[Watching] = []

        def watch(provider: Provider) -> Provider:
            watching.append(Watching(provider))
            return watching[-1]

        async def wanted(path: str) -> bool:
            return path != "d/e/"

        plan = await buckets_behind(anywhere, watch).plan_upload_dir(
            root, "blob:box/logs", update=True, filter=wanted, ignore_file_names={".ignore"}
        )
        assert not WRITING & {verb for verb, _ in watching[0].calls}
        assert actions(plan) == {
            "a": Action.SKIP,
            "d/b c%20": Action.COPY,
            "d/e/": Action.SKIP,
            "empty/": Action.COPY,
            "zero": Action.COPY,
            ".ignore": Action.COPY,
            "x.tmp": Action.SKIP,
            "broken": Action.FAIL,
        }
        reasons = {step.path: step.reason for step in plan.skipped}
        assert reasons == {
            "a": "the blob there is not older",
            "d/e/": "left out by the filter",
            "x.tmp": "left out by an ignore file",
        }
        assert (plan.files, plan.bytes, plan.requests) == (4, 2 + 6, 4)
        assert "leads nowhere" in plan.failing[0].reason
        assert str(root) in str(plan)
        assert str(box.bucket.uri / "logs") in str(plan)
        recorder = TreeRecorder()
        with pytest.raises(TransferError) as caught:
            await plan.apply(recorder)
        assert [path for path, _ in caught.value.failures] == ["broken"]
        assert check_events(recorder.events)["start"] == 3
        assert (await contents(box)).keys() == {
            "logs/.ignore",
            "logs/a",
            "logs/d/b c%20",
            "logs/empty/",
            "logs/zero",
        }

    async def test_it_decides_nothing_anew(self, box: BucketHandle, tmp_path: Path) -> None:
        root = aged(make_tree(tmp_path / "from", {"a": b"1", "b": b"2"}), -1)
        await box.put_blob("a", b"1")
        plan = await box.plan_upload_dir(root, update=True)
        await box.delete_blob("a")
        (root / "new").write_bytes(b"3")
        await plan.apply()
        assert await contents(box) == {"b": b"2"}

    async def test_a_source_that_changed(self, box: BucketHandle, tmp_path: Path) -> None:
        root = make_tree(tmp_path / "from", {"a": b"1", "d/b": b"2", "c": b"3"})
        plan = await box.plan_upload_dir(root)
        (root / "d/b").write_bytes(b"changed")
        (root / "c").unlink()
        with pytest.raises(PlanOutdated, match=r"'c', 'd/b': is not"):
            await plan.apply()
        assert await contents(box) == {}

    async def test_a_file_that_changes_while_it_is_applied(
        self, box: BucketHandle, tmp_path: Path, lifted: Lifted
    ) -> None:
        root = make_tree(tmp_path / "from", {f"{n:02}": b"x" for n in range(30)})
        plan = await box.plan_upload_dir(root)

        def change(event: object) -> None:
            if isinstance(event, StorageProgressStart):
                with lifted():
                    (root / "29").write_bytes(b"changed")

        with pytest.raises(TransferError) as caught:
            await plan.apply(TreeRecorder(change))
        assert [path for path, _ in caught.value.failures] == ["29"]
        assert (await contents(box)).keys() == {f"{n:02}" for n in range(29)}

    async def test_no_source(self, box: BucketHandle, tmp_path: Path) -> None:
        with pytest.raises(LocalNotFound):
            await box.plan_upload_dir(tmp_path / "gone")

    async def test_a_client_that_was_closed(self, client: Client, tmp_path: Path) -> None:
        await client.buckets.create("box")
        root = make_tree(tmp_path / "from", {"a": b"1"})
        plan = await client.buckets.plan_upload_dir(root, "blob:box")
        await client.close()
        with pytest.raises(ClientClosed):
            await plan.apply()


class TestDownload:
    async def test_says_it_and_does_it(
        self, anywhere: Client, box: BucketHandle, tmp_path: Path
    ) -> None:
        await fill(box, under("logs/", TREE) | BESIDE)
        plan = await anywhere.buckets.plan_download_dir("blob:box/logs", tmp_path / "to")
        assert not (tmp_path / "to").exists()
        assert set(actions(plan).values()) == {Action.COPY}
        assert (plan.files, plan.bytes) == (4, 6)
        recorder = TreeRecorder()
        await plan.apply(recorder)
        assert read_tree(tmp_path / "to") == TREE
        assert check_events(recorder.events)["complete"] == 4
        aged(tmp_path / "to", 1)
        plan = await anywhere.buckets.plan_download_dir(
            "blob:box/logs", tmp_path / "to", update=True
        )
        assert {step.reason for step in plan.skipped} == {"the file there is not older"}
        assert plan.files == 0

    @pytest.mark.parametrize("change", ["replaced", "removed"])
    async def test_a_source_that_changed(
        self, box: BucketHandle, tmp_path: Path, change: str
    ) -> None:
        await fill(box, {"t/a": b"1", "t/b": b"2"})
        plan = await box.plan_download_dir("t", tmp_path / "to")
        await box.put_blob("t/new", b"left for another plan")
        if change == "replaced":
            await box.put_blob("t/b", b"other")
        else:
            await box.delete_blob("t/b")
        with pytest.raises(PlanOutdated, match="'t/b'"):
            await plan.apply()
        assert not (tmp_path / "to").exists()
        with pytest.raises(BlobNotFound):
            await box.plan_download_dir("gone", tmp_path / "to")


class TestCopy:
    async def test_says_it_and_does_it(self, anywhere: Client, box: BucketHandle) -> None:
        blobs = under("logs/", TREE) | BESIDE
        await fill(box, blobs)
        plan = await anywhere.buckets.plan_copy_dir("blob:box/logs", "blob:box/new")
        assert await contents(box) == blobs
        assert (plan.files, plan.bytes) == (5, 6)
        await plan.apply()
        assert await contents(box) == blobs | under("new/", TREE)
        await box.put_blob("logs/a", b"replaced")
        with pytest.raises(PlanOutdated, match="'logs/a'"):
            await plan.apply()
        assert await read(box, "new/a") == b"1"


class TestRemoval:
    async def test_says_it_and_does_it(self, anywhere: Client, box: BucketHandle) -> None:
        await fill(box, under("logs/", TREE) | BESIDE)
        plan = await anywhere.buckets.plan_rm("blob:box/logs")
        assert actions(plan) == dict.fromkeys(under("logs/", TREE), Action.REMOVE)
        assert (plan.removed, plan.files) == (5, 0)
        await box.put_blob("logs/late", b"came since")
        recorder = DeleteRecorder()
        await plan.apply(recorder)
        assert len(recorder.events) == 5
        assert await contents(box) == BESIDE | {"logs/late": b"came since"}
        with pytest.raises(PlanOutdated):
            await plan.apply()

    async def test_a_single_blob_and_nothing(self, box: BucketHandle) -> None:
        await fill(box, {"a": b"1", "ab": b"2"})
        plan = await box.plan_rm("a")
        assert actions(plan) == {"a": Action.REMOVE}
        await box.put_blob("a", b"replaced")
        with pytest.raises(PlanOutdated, match="'a'"):
            await plan.apply()
        await (await box.plan_rm("a")).apply()
        assert await contents(box) == {"ab": b"2"}
        with pytest.raises(BlobNotFound):
            await box.plan_rm("gone")


class TestSync:
    async def test_up(self, anywhere: Client, box: BucketHandle, tmp_path: Path) -> None:
        root = aged(make_tree(tmp_path / "from", TREE), -1)
        blobs = under("logs/", {"a": b"1", "extra/x": b"xx", "y": b"y"}) | BESIDE
        await fill(box, blobs)
        plan = await anywhere.buckets.plan_sync_up(root, "blob:box/logs", delete=True)
        assert await contents(box) == blobs
        assert {path for path, action in actions(plan).items() if action is Action.REMOVE} == {
            "extra/x",
            "y",
        }
        assert [step.path for step in plan.skipped] == ["a"]
        assert (plan.files, plan.removed, plan.bytes) == (4, 2, 5)
        await plan.apply()
        assert await contents(box) == under("logs/", TREE) | BESIDE

    async def test_down(self, anywhere: Client, box: BucketHandle, tmp_path: Path) -> None:
        await fill(box, under("logs/", TREE) | BESIDE)
        mine = {"a": b"1", "extra/x": b"xx"}
        root = aged(make_tree(tmp_path / "to", mine), 1)
        plan = await anywhere.buckets.plan_sync_down("blob:box/logs", root, delete=True)
        assert read_tree(root) == mine
        assert [step.path for step in plan.of(Action.REMOVE)] == ["extra/x"]
        assert [step.path for step in plan.skipped] == ["a"]
        await plan.apply()
        assert read_tree(root) == TREE

    async def test_a_refusal_is_shown(self, box: BucketHandle, tmp_path: Path) -> None:
        root = make_tree(tmp_path / "tree", {"only/here": b"1", "and/here": b"2"})
        await fill(box, {"logs/a": b"1", "logs/b": b"2", "dir/": b""})
        plans = [
            await box.plan_sync_up(root, "logs", delete=True, max_delete=1),
            await box.plan_sync_up(make_tree(tmp_path / "e", {}), "logs", delete=True),
            await box.plan_sync_down("logs", root, delete=True, max_delete=1),
            await box.plan_sync_down("dir", root, delete=True),
        ]
        before = await contents(box), read_tree(root)
        for plan in plans:
            assert plan.removed == 2
            assert plan.refused is not None
            assert plan.refused in str(plan)
            with pytest.raises(DeletionRefused):
                await plan.apply()
        assert (await contents(box), read_tree(root)) == before

    @pytest.mark.parametrize(
        "change",
        ["a file changed", "a file came for an extra", "an extra was replaced"],
    )
    async def test_an_upload_that_is_outdated(
        self, box: BucketHandle, tmp_path: Path, change: str
    ) -> None:
        root = make_tree(tmp_path / "from", {"a": b"1"})
        await box.put_blob("extra", b"x")
        plan = await box.plan_sync_up(root, delete=True)
        if change == "a file changed":
            make_tree(root, {"a": b"22"})
        elif change == "a file came for an extra":
            make_tree(root, {"extra": b"x"})
        else:
            await box.put_blob("extra", b"dear")
        before = await contents(box)
        with pytest.raises(PlanOutdated):
            await plan.apply()
        assert await contents(box) == before

    async def test_a_download_that_is_outdated(self, box: BucketHandle, tmp_path: Path) -> None:
        await box.put_blob("t/a", b"1")
        root = make_tree(tmp_path / "to", {"extra": b"x"})
        plan = await box.plan_sync_down("t", root, delete=True)
        await box.put_blob("t/extra", b"came since")
        with pytest.raises(PlanOutdated, match="'t/extra'"):
            await plan.apply()
        assert read_tree(root) == {"extra": b"x"}
