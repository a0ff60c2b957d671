"""neuro_sdk.distributed on a real cluster of processes, with SeaweedFS behind."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import distributed
import pytest

import neuro_sdk
from neuro_sdk import (
    AbstractDeleteProgress,
    BucketHandle,
    Client,
    ClientStateError,
    ConfigError,
    DeletionRefused,
    IllegalArgumentError,
    LocalFileChanged,
    LocalNotFound,
    StorageProgressComplete,
    StorageProgressDelete,
    StorageProgressEnterDir,
    StorageProgressStart,
    TransferConfig,
    TransferError,
)
from neuro_sdk._core.roles import EVERYWHERE, Role
from neuro_sdk._platform.seaweedfs import SeaweedFSServer
from neuro_sdk.distributed import (
    copy_dir,
    download_dir,
    sync_down,
    sync_up,
    upload_dir,
)

from ..conftest import Lifted
from ..platform.serving import served_team, write_profile, write_store
from ..recording import Event, TreeRecorder, check_events
from ..transfer.test_plans import aged, contents, fill, under
from ..trees import hidden_files, make_tree, read_tree, small_files

TREE = {**small_files(30), "empty/": b"", "with space/ü%20": b"1" * 70_000, "zero": b""}
LOOPBACK: Any = {
    "host": "127.0.0.1",
    "dashboard_address": "127.0.0.1:0",
    "worker_dashboard_address": "127.0.0.1:0",
}
SLOW = TransferConfig(bandwidth=256 << 10)


@pytest.fixture(scope="module")
def profile_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The profile file of the workers; a test may write it later."""
    return tmp_path_factory.mktemp("profiles") / "config.toml"


@pytest.fixture(scope="module")
def processes(profile_file: Path) -> Iterator[distributed.LocalCluster]:
    """A cluster of two processes, in the folder and with the environment of now."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NEURO_SDK_CONFIG", str(profile_file))
        environment.setenv("PYTHONFAULTHANDLER", "1")
        with distributed.LocalCluster(n_workers=2, threads_per_worker=2, **LOOPBACK) as cluster:
            yield cluster


@pytest.fixture
def cluster(processes: distributed.LocalCluster) -> Iterator[distributed.Client]:
    """A client that lives in a thread of its own."""
    with distributed.Client(processes) as client:
        client.wait_for_workers(2)
        yield client


@asynccontextmanager
async def on_this_loop(
    processes: distributed.LocalCluster,
) -> AsyncIterator[distributed.Client]:
    address = processes.scheduler_address
    async with distributed.Client(address, asynchronous=True) as client:
        yield client


@pytest.fixture
async def box(home: Path, seaweedfs: SeaweedFSServer) -> AsyncIterator[BucketHandle]:
    """The bucket ``box`` of the platform in *home*, at SeaweedFS."""
    write_store(home, seaweedfs, "seaweedfs")
    async with neuro_sdk.local(home) as client:
        await client.buckets.create("box")
        yield await client.buckets.open("box")


class Both(TreeRecorder, AbstractDeleteProgress):
    """Hears of removals too, and keeps them apart."""

    def __init__(self) -> None:
        super().__init__()
        self.removed: list[str] = []

    def delete(self, data: StorageProgressDelete) -> None:
        self.removed.append(str(data.uri))


def under_way(cluster: distributed.Client) -> dict[str, int]:
    """How many tasks each worker does just now."""

    def look() -> int:
        from neuro_sdk.distributed import _tasks

        return len(_tasks._running)

    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(cluster.run, look)
        try:
            found: dict[str, int] = asked.result(60)
        except TimeoutError:
            nannies: Any = cluster.cluster
            for nanny in nannies.workers.values():
                os.kill(nanny.process.pid, signal.SIGABRT)  # it says where its threads are
            raise
    return found


def profiled(dask_worker: distributed.Worker) -> bool:
    """Whether the worker looks at its threads all the time."""
    return "profile" in dask_worker.periodic_callbacks


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - the scheduler has no event for it
            await asyncio.sleep(0.01)


async def test_there_and_back(
    processes: distributed.LocalCluster, box: BucketHandle, home: Path, tmp_path: Path
) -> None:
    root = make_tree(tmp_path / "from", TREE)
    async with on_this_loop(processes) as cluster:
        recorder = TreeRecorder()
        sent = await upload_dir(
            cluster, root, "blob:box/logs", path=home, progress=recorder, files_per_task=9
        )
        assert await contents(box) == under("logs/", TREE)
        size = sum(map(len, TREE.values()))
        assert (sent.copied, sent.skipped, sent.failed) == (len(TREE), 0, 0)
        assert (sent.bytes, sent.removed, sent.tasks) == (size, 0, 4)
        assert 0 < sent.seconds < 60
        counts = check_events(recorder.events)
        assert (counts["start"], counts["complete"]) == (len(TREE) - 1, len(TREE) - 1)

        again = await upload_dir(cluster, aged(root, -1), "blob:box/logs", path=home, update=True)
        assert (again.copied, again.skipped, again.tasks) == (0, len(TREE) - 1, 0)

        copied = await copy_dir(cluster, "blob:box/logs", "blob:box/new", path=home)
        assert copied.copied == len(TREE)
        assert await contents(box) == under("logs/", TREE) | under("new/", TREE)

        recorder = TreeRecorder()
        fetched = await download_dir(
            cluster, "blob:box/new", tmp_path / "to", path=home, progress=recorder, verify=True
        )
        assert fetched.bytes == size
        assert read_tree(tmp_path / "to") == TREE
        assert check_events(recorder.events)["complete"] == len(TREE) - 1


async def test_synchronisations_remove_last(
    cluster: distributed.Client, box: BucketHandle, home: Path, tmp_path: Path, lifted: Lifted
) -> None:
    root = aged(make_tree(tmp_path / "from", TREE), -1)
    await fill(box, {"logs/extra": b"x", "logs.json": b"not below"})
    both = Both()
    with pytest.raises(DeletionRefused):
        await sync_up(cluster, root, "blob:box/logs", path=home, delete=True, max_delete=0)
    assert await contents(box) == {"logs/extra": b"x", "logs.json": b"not below"}
    done = await sync_up(
        cluster, root, "blob:box/logs", path=home, delete=True, progress=both, files_per_task=12
    )
    assert (done.copied, done.removed) == (len(TREE), 1)
    assert both.removed == [str(box.bucket.blob_url("logs/extra"))]
    assert await contents(box) == under("logs/", TREE) | {"logs.json": b"not below"}
    check_events(both.events)

    # What fails at a worker leaves all that would be removed.
    (root / "zero").unlink()

    def change(event: Event) -> None:
        if isinstance(event, StorageProgressEnterDir):
            with lifted():
                (root / "b").write_bytes(b"changed since it was planned")

    (root / "a").write_bytes(b"1")
    (root / "b").write_bytes(b"1")
    with pytest.raises(TransferError, match="nothing was removed") as caught:
        await sync_up(
            cluster,
            root,
            "blob:box/logs",
            path=home,
            delete=True,
            progress=(recorder := TreeRecorder(change)),
        )
    assert [(path, type(e)) for path, e in caught.value.failures] == [("b", LocalFileChanged)]
    assert (caught.value.failed, caught.value.done) == (1, 1)
    assert check_events(recorder.events)["fail"] == 1
    assert {"logs/a", "logs/zero"} <= (await contents(box)).keys()

    mirror = make_tree(tmp_path / "mirror", {"extra/x": b"x"})
    done = await sync_down(cluster, "blob:box/logs", mirror, path=home, delete=True)
    assert (done.copied, done.removed) == (len(TREE), 1)
    assert read_tree(mirror) == {**TREE, "a": b"1"}


async def test_a_worker_that_is_killed(
    cluster: distributed.Client,
    box: BucketHandle,
    home: Path,
    tmp_path: Path,
) -> None:
    tree = {f"d{n % 5}/{n:03}": os.urandom(16_000) for n in range(80)}
    tree["large"] = os.urandom(600_000)
    root = make_tree(tmp_path / "from", tree)
    workers = cluster.run(os.getpid)
    victim = min(workers.values())
    complete = 0

    def kill(event: Event) -> None:
        nonlocal complete
        complete += isinstance(event, StorageProgressComplete)
        if complete == 20 and isinstance(event, StorageProgressComplete):
            os.kill(victim, signal.SIGKILL)

    recorder = TreeRecorder(kill)
    done = await upload_dir(
        cluster,
        root,
        "blob:box/t",
        path=home,
        transfer=SLOW,
        files_per_task=8,
        progress=recorder,
    )
    assert (done.copied, done.bytes) == (len(tree), sum(map(len, tree.values())))
    assert check_events(recorder.events)["complete"] == len(tree)
    assert await contents(box) == under("t/", tree)
    await asyncio.to_thread(cluster.wait_for_workers, 2)
    assert victim not in cluster.run(os.getpid).values()
    assert not any(cluster.run(profiled).values())
    assert not any(under_way(cluster).values())


async def test_a_file_that_the_workers_do_not_see(
    cluster: distributed.Client,
    box: BucketHandle,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # the workers stay where they are
    make_tree(tmp_path / "from", {"a": b"1", "d/b": b"2"})
    with pytest.raises(TransferError, match="2 could not be moved") as caught:
        await upload_dir(cluster, "/proc/self/cwd/from", "blob:box", path=home)
    assert {path for path, _ in caught.value.failures} == {"a", "d/b"}
    for _, error in caught.value.failures:
        assert isinstance(error, LocalNotFound)
        assert "tcp://" in str(error)
        assert "does not see the file '/proc/self/cwd/from/" in str(error)
    await fill(box, {"t/a": b"1"})
    with pytest.raises(ConfigError, match="does not see the folder '/proc/self/cwd/to'"):
        await download_dir(cluster, "blob:box/t", "/proc/self/cwd/to", path=home, retries=0)
    assert read_tree(tmp_path / "to") == {}


@pytest.mark.parametrize("how", ["a callback raises", "the caller is cancelled"])
async def test_what_ends_it_ends_the_tasks(
    cluster: distributed.Client, box: BucketHandle, home: Path, tmp_path: Path, how: str
) -> None:
    await fill(box, {f"t/{n:02}": os.urandom(100_000) for n in range(40)})
    began = asyncio.Event()

    def tell(event: Event) -> None:
        if isinstance(event, StorageProgressStart):
            if how == "a callback raises":
                raise ZeroDivisionError("of a callback")
            began.set()

    call = asyncio.create_task(
        download_dir(
            cluster,
            "blob:box/t",
            tmp_path / "to",
            path=home,
            transfer=SLOW,
            files_per_task=5,
            progress=TreeRecorder(tell),
        )
    )
    if how == "the caller is cancelled":
        await began.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    else:
        with pytest.raises(ZeroDivisionError, match="of a callback"):
            await call
    assert not any(under_way(cluster).values())
    there = read_tree(tmp_path / "to")
    await asyncio.sleep(0.5)
    assert read_tree(tmp_path / "to") == there
    assert len(there) < 40
    assert hidden_files(tmp_path / "to") == []


async def test_a_profile_of_the_workers_opens_a_platform_over_http(
    cluster: distributed.Client,
    profile_file: Path,
    seaweedfs: SeaweedFSServer,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = make_tree(tmp_path / "from", TREE)
    async with served_team(home, seaweedfs) as team:
        token = await team.token("alice", (EVERYWHERE, Role.OWNER))
        mine = write_profile(home, team.api, token)
        monkeypatch.setenv("NEURO_SDK_CONFIG", str(mine))
        async with neuro_sdk.get("team") as client:
            await client.buckets.create("box")
            # The workers have no such profile yet, so no task can do anything.
            with pytest.raises(ConfigError, match="team"):
                await upload_dir(cluster, root, "blob:box", profile="team", retries=0)
            profile_file.write_bytes(mine.read_bytes())
            done = await upload_dir(cluster, root, "blob:box/x", profile="team")
            assert done.copied == len(TREE)
            there = await contents(await client.buckets.open("box"))
            assert there == under("x/", TREE)


async def test_no_secret_is_in_the_graph(
    box: BucketHandle, home: Path, tmp_path: Path, seaweedfs: SeaweedFSServer
) -> None:
    root = make_tree(tmp_path / "from", {"a name to be found": b"1"})
    async with (
        distributed.LocalCluster(
            n_workers=0, processes=False, protocol="tcp://", asynchronous=True, **LOOPBACK
        ) as nobody,
        distributed.Client(nobody, asynchronous=True) as cluster,
    ):
        call = asyncio.create_task(upload_dir(cluster, root, "blob:box", path=home))
        scheduler = nobody.scheduler
        await until(lambda: bool(scheduler.tasks))
        (task,) = scheduler.tasks.values()
        graph = pickle.dumps(task.run_spec) + repr(task.run_spec).encode()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: not scheduler.tasks)
    for told in ("a name to be found", str(home)):
        assert told.encode() in graph
    credentials = await box.request_tmp_credentials()
    own = [v for k, v in credentials.credentials.items() if "secret" in k or "token" in k]
    assert own
    for secret in (*own, seaweedfs.secret_key):
        assert secret.encode() not in graph


async def test_what_makes_no_sense(
    processes: distributed.LocalCluster, client: Client, home: Path, tmp_path: Path
) -> None:
    await client.buckets.create("box")
    root = make_tree(tmp_path / "from", {"a": b"1"})
    async with on_this_loop(processes) as cluster:
        for options, problem in (
            ({"profile": "a", "path": home}, "not both"),
            ({"retries": -1}, "negative"),
            ({"files_per_task": 0}, "from 1 to 1000"),
            ({"files_per_task": 1001}, "from 1 to 1000"),
            ({"bytes_per_task": 0}, "at least 1"),
        ):
            with pytest.raises(IllegalArgumentError, match=problem):
                await upload_dir(cluster, root, "blob:box", **options)
        with pytest.raises(TypeError, match="file_per_task"):
            await upload_dir(cluster, root, "blob:box", file_per_task=1)  # type: ignore[call-arg]
    with pytest.raises(ClientStateError, match="closed"):
        await upload_dir(cluster, root, "blob:box", path=home)
    assert await contents(await client.buckets.open("box")) == {}


async def test_what_the_plan_says_cannot_be_done(
    cluster: distributed.Client, client: Client, home: Path, tmp_path: Path
) -> None:
    await client.buckets.create("box")
    root = make_tree(tmp_path / "from", {"d/a": b"1"})
    (root / "broken").symlink_to("nowhere")
    recorder = TreeRecorder()
    with pytest.raises(TransferError) as caught:
        await upload_dir(cluster, root, "blob:box", path=home, progress=recorder)
    assert [path for path, _ in caught.value.failures] == ["broken"]
    assert (caught.value.failed, caught.value.done) == (1, 1)
    assert check_events(recorder.events)["fail"] == 1
    assert await contents(await client.buckets.open("box")) == {"d/a": b"1"}
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
