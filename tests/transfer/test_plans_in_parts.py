"""Parts of plans: applied apart, by whoever holds them, as often as one likes."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from neuro_sdk import (
    AbstractRecursiveFileProgress,
    Action,
    BucketHandle,
    Buckets,
    Client,
    DeletionRefused,
    IllegalArgumentError,
    LocalFileChanged,
    Plan,
    PlanOutdated,
    TransferConfig,
    TransferError,
)
from neuro_sdk.protocols import Provider

from ..doubles import Watching, buckets_behind
from ..recording import TreeRecorder, check_events
from ..trees import make_tree, read_tree
from .test_plans import BESIDE, TREE, WRITING, aged, contents, fill, under

MANY = {**TREE, **{f"d/{n:02}": bytes([n]) for n in range(30)}, "d/e/g h?": b"x", "x/y/": b""}


@pytest.fixture
def limits() -> TransferConfig:
    return TransferConfig(concurrency=4)


async def apply(
    buckets: Buckets,
    plan: Plan[AbstractRecursiveFileProgress],
    progress: AbstractRecursiveFileProgress | None = None,
) -> None:
    """The parts of *plan*, the last one first, as another process gets them."""
    parts = plan.split(max_files=4)
    assert len(parts) >= 8
    for part in reversed(parts):
        await buckets.apply(pickle.loads(pickle.dumps(part)), progress)


def watched(client: Client) -> tuple[Buckets, list[Watching]]:
    watching: list[Watching] = []

    def watch(provider: Provider) -> Provider:
        watching.append(Watching(provider))
        return watching[-1]

    return buckets_behind(client, watch), watching


async def test_an_upload(anywhere: Client, box: BucketHandle, tmp_path: Path) -> None:
    root = make_tree(tmp_path / "from", MANY)
    plan = await anywhere.buckets.plan_upload_dir(root, "blob:box/logs")
    recorder = TreeRecorder()
    await apply(anywhere.buckets, plan)
    assert await contents(box) == under("logs/", MANY)
    for part in plan.split(max_files=1000):
        await anywhere.buckets.apply(part, recorder)
    assert check_events(recorder.events)["complete"] == plan.files - 2
    assert {(e.src, e.dst) for e in recorder.of("complete")} == {  # type: ignore[union-attr]
        plan.urls(step.path) for step in plan.steps if not step.path.endswith("/")
    }


async def test_a_download(anywhere: Client, box: BucketHandle, tmp_path: Path) -> None:
    await fill(box, under("logs/", MANY) | BESIDE)
    plan = await anywhere.buckets.plan_download_dir("blob:box/logs", tmp_path / "to", verify=True)
    assert plan.folders == ("empty/", "x/y/")
    await apply(anywhere.buckets, plan)
    assert read_tree(tmp_path / "to") == MANY


async def test_a_copy(anywhere: Client, box: BucketHandle) -> None:
    blobs = under("logs/", MANY) | BESIDE
    await fill(box, blobs)
    plan = await anywhere.buckets.plan_copy_dir("blob:box/logs", "blob:box/new")
    await apply(anywhere.buckets, plan)
    assert await contents(box) == blobs | under("new/", MANY)


async def test_a_synchronisation_sends_nothing_twice_and_removes_last(
    anywhere: Client, box: BucketHandle, tmp_path: Path
) -> None:
    root = aged(make_tree(tmp_path / "from", MANY), -1)
    await fill(box, under("logs/", {"extra": b"x", "zero": b""}) | BESIDE)
    plan = await anywhere.buckets.plan_sync_up(root, "blob:box/logs", delete=True)
    await apply(anywhere.buckets, plan)
    both = under("logs/", {**MANY, "extra": b"x"}) | BESIDE
    assert await contents(box) == both
    buckets, watching = watched(anywhere)
    await apply(buckets, plan)
    assert not WRITING & {verb for verb, _ in watching[0].calls}
    await plan.apply_removals()
    del both["logs/extra"]
    assert await contents(box) == both

    down = aged(make_tree(tmp_path / "to", {"extra": b"x", "z": b"1"}), -1)
    plan = await anywhere.buckets.plan_sync_down("blob:box/logs", down, delete=True)
    await apply(anywhere.buckets, plan)
    await apply(anywhere.buckets, plan)
    assert read_tree(down) == {**MANY, "extra": b"x", "z": b"1"}
    await plan.apply_removals()
    assert read_tree(down) == MANY


async def test_a_part_that_is_outdated(client: Client, tmp_path: Path) -> None:
    root = make_tree(tmp_path / "from", {"a": b"1", "b": b"2", "c": b"3"})
    await client.buckets.create("other")
    one, other = (await client.buckets.plan_upload_dir(root, "blob:other/t")).split(max_files=2)
    (root / "b").write_bytes(b"changed")
    with pytest.raises(PlanOutdated) as caught:
        await client.buckets.apply(one)
    assert caught.value.paths == pickle.loads(pickle.dumps(caught.value)).paths == ("b",)
    await client.buckets.apply(other)
    there = await client.buckets.open("other")
    assert await contents(there) == {"t/c": b"3"}
    (part,) = (await client.buckets.plan_copy_dir("blob:other/t", "blob:other/u")).split()
    await client.buckets.put_blob("other", "t/c", b"replaced")
    with pytest.raises(PlanOutdated) as caught:
        await client.buckets.apply(part)
    assert caught.value.paths == ("c",)


@pytest.mark.parametrize("change", ["the source is empty", "a file came for an extra"])
async def test_removals_that_are_not_meant_any_more(
    client: Client, tmp_path: Path, change: str
) -> None:
    await client.buckets.create("box")
    box = await client.buckets.open("box")
    root = make_tree(tmp_path / "from", {"a": b"1"})
    await box.put_blob("extra", b"x")
    plan = await box.plan_sync_up(root, delete=True)
    error: type[Exception] = PlanOutdated
    if change == "the source is empty":
        (root / "a").unlink()
        error = DeletionRefused
    else:
        make_tree(root, {"extra": b"x"})
    with pytest.raises(error):
        await plan.apply_removals()
    assert await contents(box) == {"extra": b"x"}


async def test_what_is_no_part(client: Client, tmp_path: Path) -> None:
    await client.buckets.create("box")
    box = await client.buckets.open("box")
    await fill(box, {"t/a": b"1"})
    root = make_tree(tmp_path / "from", {"a": b"1", "extra": b"x"})
    (root / "broken").symlink_to("nowhere")
    plans: list[Plan[Any]] = [
        await box.plan_rm("t"),
        await box.plan_sync_down("t", root, delete=True),
        await box.plan_upload_dir(root),
    ]
    for plan in plans:
        with pytest.raises(IllegalArgumentError, match=r"plan\.split"):
            await client.buckets.apply(plan)
    assert plans[0].split() == ()
    with pytest.raises(IllegalArgumentError, match="no target"):
        plans[0].urls("a")
    assert await contents(box) == {"t/a": b"1"}


async def test_a_file_that_changes_while_a_part_is_applied(
    client: Client, tmp_path: Path, lifted: Any
) -> None:
    await client.buckets.create("box")
    root = make_tree(tmp_path / "from", {f"{n:03}": b"x" for n in range(300)})
    (part,) = (await client.buckets.plan_upload_dir(root, "blob:box")).split()
    assert {step.action for step in part.steps} == {Action.COPY}

    def change(_: object) -> None:
        with lifted():
            (root / "299").write_bytes(b"changed")

    with pytest.raises(TransferError) as caught:
        await client.buckets.apply(part, TreeRecorder(change))
    assert [(path, type(error)) for path, error in caught.value.failures] == [
        ("299", LocalFileChanged)
    ]
