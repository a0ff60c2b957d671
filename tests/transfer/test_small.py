"""Small files, each in one go of a thread, and what becomes of those where that is not enough."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

import neuro_sdk
from neuro_sdk import (
    AuthenticationError,
    AuthorizationError,
    BlobChanged,
    BlobObject,
    Buckets,
    Client,
    LocalNotFound,
    StorageError,
    StorageTimeout,
    StorageUnavailable,
    TransferConfig,
    TransferError,
)
from neuro_sdk.protocols import Direct, Provider

from ..doubles import Watching, buckets_behind
from ..recording import TreeRecorder, check_events
from ..servers.proxy import Faults, FaultyProxy
from ..trees import make_tree, read_tree, small_files

LARGE = {"large": b"x" * 300_000, "sub/large": b"y" * 400_000}
FILES = {name: body or b"-" for name, body in small_files(150).items()}

Fail = Callable[[str], None]


class Hands:
    """Blocking calls for a bucket in a folder, which count and fail as they are told."""

    def __init__(self, provider: Provider, fail: Fail) -> None:
        self._root = Path(provider._root)  # type: ignore[attr-defined]
        self._fail = fail
        self._lock = threading.Lock()
        self.calls: list[str] = []
        self.at_once = self.peak = 0

    def _enter(self, key: str) -> None:
        with self._lock:
            self.calls.append(key)
            self.at_once += 1
            self.peak = max(self.peak, self.at_once)

    def put(self, key: str, body: bytes) -> None:
        self._enter(key)
        try:
            self._fail(key)
            path = self._root / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        finally:
            self.at_once -= 1

    def begin(self, key: str, told: Callable[[BlobObject], None]) -> None:
        return None

    def read(self, known: BlobObject, offset: int, length: int) -> None:
        return None

    def fetch(self, known: BlobObject) -> bytes:
        self._enter(known.key)
        try:
            self._fail(known.key)
            return (self._root / known.key).read_bytes()
        finally:
            self.at_once -= 1


class Handed(Watching):
    def __init__(self, inner: Provider, fail: Fail) -> None:
        super().__init__(inner)
        self.hands = Hands(inner, fail)

    @property
    def direct(self) -> Direct | None:
        return self.hands


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with neuro_sdk.local(tmp_path / "home") as client:
        await client.buckets.create("box")
        yield client


def handed(
    client: Client, fail: Fail = lambda _: None, **limits: int
) -> tuple[Buckets, Callable[[], Handed]]:
    made: list[Handed] = []

    def wrap(provider: Provider) -> Provider:
        made.append(Handed(provider, fail))
        return made[-1]

    return buckets_behind(client, wrap, transfer=TransferConfig(**limits)), lambda: made[-1]


async def stored(client: Client) -> dict[str, bytes]:
    found = {}
    async for entry in client.buckets.list_blobs("blob:box/", recursive=True, limit=None):
        pieces = [piece async for piece in client.buckets.fetch_blob("box", entry.key)]
        found[entry.key] = b"".join(pieces)
    return found


class TestBothWays:
    async def test_small_ones_go_so_and_large_ones_do_not(
        self, client: Client, tmp_path: Path
    ) -> None:
        files = FILES | LARGE
        root = make_tree(tmp_path / "from", files)
        buckets, provider = handed(client)
        up, down = TreeRecorder(), TreeRecorder()
        await buckets.upload_dir(root, "blob:box", progress=up)
        assert await stored(client) == files
        assert sorted(provider().hands.calls) == sorted(FILES)
        assert sorted(provider().of("put")) == sorted(LARGE)
        provider().hands.calls.clear()
        await buckets.download_dir("blob:box", tmp_path / "to", progress=down)
        assert read_tree(tmp_path / "to") == files
        assert sorted(provider().hands.calls) == sorted(FILES)
        assert sorted(provider().of("fetch")) == sorted(LARGE)
        for seen in (up, down):
            check_events(seen.events)
            assert len(seen.of("complete")) == len(files)

    async def test_plans_go_so_and_verified_transfers_do_not(
        self, client: Client, tmp_path: Path
    ) -> None:
        root = make_tree(tmp_path / "from", FILES)
        buckets, provider = handed(client)
        await (await buckets.plan_upload_dir(root, "blob:box")).apply()
        assert sorted(provider().hands.calls) == sorted(FILES)
        provider().hands.calls.clear()
        await buckets.upload_dir(root, "blob:box", verify=True)
        await buckets.download_dir("blob:box", tmp_path / "to", verify=True)
        assert provider().hands.calls == []
        assert read_tree(tmp_path / "to") == FILES

    async def test_a_file_that_is_not_as_it_was_planned_is_not_sent(
        self, client: Client, tmp_path: Path
    ) -> None:
        root = make_tree(tmp_path / "from", FILES)
        first, changed, *_ = sorted(FILES)

        def change(key: str) -> None:
            if key == first:
                (root / changed).write_bytes(b"changed meanwhile")

        buckets, provider = handed(client, change, concurrency=1)
        plan = await buckets.plan_upload_dir(root, "blob:box")
        with pytest.raises(TransferError) as caught:
            await plan.apply()
        assert [path for path, _ in caught.value.failures] == [changed]
        assert provider().hands.calls == sorted(FILES.keys() - {changed})

    @pytest.mark.parametrize("concurrency", [1, 2, 9])
    async def test_no_more_at_once_than_was_said(
        self, client: Client, tmp_path: Path, concurrency: int
    ) -> None:
        root = make_tree(tmp_path / "from", FILES)
        buckets, provider = handed(client, lambda _: time.sleep(0.001), concurrency=concurrency)
        await buckets.upload_dir(root, "blob:box")
        assert 1 <= provider().hands.peak <= concurrency
        assert await stored(client) == FILES


class TestTheLongWay:
    @pytest.mark.parametrize(
        "error",
        [AuthenticationError, BlobChanged, StorageError, StorageTimeout, StorageUnavailable],
    )
    async def test_what_the_store_does_not_do_at_once(
        self, client: Client, tmp_path: Path, error: type[Exception]
    ) -> None:
        root = make_tree(tmp_path / "from", FILES)
        refused = set(sorted(FILES)[::3])

        def fail(key: str) -> None:
            if key in refused:
                raise error("not now")

        buckets, provider = handed(client, fail)
        up, down = TreeRecorder(), TreeRecorder()
        await buckets.upload_dir(root, "blob:box", progress=up)
        assert await stored(client) == FILES
        assert set(provider().of("put")) == refused
        await buckets.download_dir("blob:box", tmp_path / "to", progress=down)
        assert read_tree(tmp_path / "to") == FILES
        assert set(provider().of("fetch")) == refused
        for seen in (up, down):
            check_events(seen.events)
            assert len(seen.of("complete")) == len(FILES)

    async def test_what_has_grown(self, client: Client, tmp_path: Path) -> None:
        root = make_tree(tmp_path / "from", FILES)
        first, grown, *_ = sorted(FILES)

        def grow(key: str) -> None:
            if key == first:
                (root / grown).write_bytes(b"z" * 2_000_000)

        buckets, provider = handed(client, grow, concurrency=1)
        await buckets.upload_dir(root, "blob:box")
        assert provider().of("put") == [grown]
        assert await stored(client) == FILES | {grown: b"z" * 2_000_000}

    async def test_what_is_wrong_here_is_not_tried_again(
        self, client: Client, tmp_path: Path
    ) -> None:
        root = make_tree(tmp_path / "from", FILES)
        first, gone, *_ = sorted(FILES)

        def remove(key: str) -> None:
            if key == first:
                (root / gone).unlink()

        buckets, provider = handed(client, remove, concurrency=1)
        with pytest.raises(TransferError) as caught:
            await buckets.upload_dir(root, "blob:box")
        ((path, error),) = caught.value.failures
        assert path == gone
        assert isinstance(error, LocalNotFound)
        assert repr(str(root / gone)) in str(error)
        assert provider().of("put") == []
        assert len(await stored(client)) == len(FILES) - 1

    async def test_what_nobody_may_ends_it(self, client: Client, tmp_path: Path) -> None:
        root = make_tree(tmp_path / "from", FILES)

        def fail(_: str) -> None:
            raise AuthorizationError("no")

        class Refusing(Handed):
            async def put(self, key: str, body: bytes | AsyncIterator[bytes]) -> None:
                raise AuthorizationError("no", key=key)

        buckets = buckets_behind(client, lambda provider: Refusing(provider, fail))
        with pytest.raises(AuthorizationError):
            await buckets.upload_dir(root, "blob:box")
        assert await stored(client) == {}


async def test_a_cancelled_call_waits_for_its_threads_and_begins_nothing_more(
    client: Client, tmp_path: Path
) -> None:
    root = make_tree(tmp_path / "from", FILES)
    gate = threading.Event()

    begun: list[str] = []

    def hold(key: str) -> None:
        begun.append(key)
        assert gate.wait(20)

    buckets, provider = handed(client, hold)
    task = asyncio.create_task(buckets.upload_dir(root, "blob:box"))
    began = 0
    for _ in range(5000):
        await asyncio.sleep(0.001)
        began = len(begun)
        if began == 64:
            break
    task.cancel()
    await asyncio.sleep(0.05)
    assert not task.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert provider().hands.at_once == 0
    assert len(provider().hands.calls) == began == 64
    assert len(await stored(client)) == 64


class TestARealStore:
    @pytest.fixture
    async def behind(
        self, tmp_path: Path, watched_store: Path, watched: FaultyProxy
    ) -> AsyncIterator[Client]:
        async with neuro_sdk.local(tmp_path / "other", store=watched_store) as client:
            made = await client.buckets.create("box")
            await client.buckets.put_blob("box", "warm", b"")
            watched.forget()
            yield client
            watched.forget()
            await client.buckets.rm(made.id, force=True)

    async def test_one_request_each(
        self, behind: Client, watched: FaultyProxy, tmp_path: Path
    ) -> None:
        root = make_tree(tmp_path / "from", FILES)
        await behind.buckets.upload_dir(root, "blob:box/t")
        assert watched.counts() == {"PUT": 150}
        watched.forget()
        await behind.buckets.download_dir("blob:box/t", tmp_path / "to")
        assert watched.counts() == {"GET list-type": 1, "GET": 150}
        assert read_tree(tmp_path / "to") == FILES

    async def test_a_storm_of_refusals(
        self, behind: Client, watched: FaultyProxy, tmp_path: Path
    ) -> None:
        files = {f"{number}": b"%d" % number for number in range(50)}
        root = make_tree(tmp_path / "from", files)
        watched.faults = Faults(refuse=0.3)
        await behind.buckets.upload_dir(root, "blob:box/t")
        await behind.buckets.download_dir("blob:box/t", tmp_path / "to")
        assert read_tree(tmp_path / "to") == files
        assert watched.count("PUT") > 50

    async def test_a_store_that_stalls_is_asked_with_longer_limits_then(
        self, behind: Client, watched: FaultyProxy, tmp_path: Path
    ) -> None:
        root = make_tree(tmp_path / "from", {"a": b"1", "b": b"2"})
        await behind.buckets.upload_dir(root, "blob:box/t")
        (provider,) = behind.buckets._providers.values()
        assert provider.direct is not None
        watched.faults = Faults(
            stall_after=0, times=2, applies=lambda seen: seen.kind == "GET" and "/t/" in seen.path
        )
        began = time.monotonic()
        await behind.buckets.download_dir("blob:box/t", tmp_path / "to")
        assert 5 <= time.monotonic() - began < 30
        assert read_tree(tmp_path / "to") == {"a": b"1", "b": b"2"}
        assert provider.direct is None
        watched.forget()
        await behind.buckets.download_dir("blob:box/t", tmp_path / "more")
        assert watched.counts() == {"GET list-type": 1, "GET": 2}
