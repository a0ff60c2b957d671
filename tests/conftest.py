"""Fixtures for all tests: a client on this machine, and a guard against blocking the loop."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from blockbuster import BlockBuster, BlockBusterFunction

import neuro_sdk
from neuro_sdk import BucketHandle, Client, TransferConfig

pytest.register_assert_rewrite("tests.contracts", "tests.recording", "tests.transfer")

from .contracts.stores import STORES, Store, each, needs, table  # noqa: E402

pytest_plugins = ["tests.servers.fixtures"]

# Python 3.11 before 3.11.9 stops for good if a thread ends while Dask's profiler looks at the
# threads (python/cpython#106883). Dask and its workers read this when they start.
os.environ["DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED"] = "false"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A run in the background of a shell ignores it, and so would the processes that tests stop.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what each store can do after a run that is not told to be quiet."""
    if config.get_verbosity() >= 0:
        terminalreporter.section("what each store can do")
        terminalreporter.write(table())


def pytest_collection_finish() -> None:
    """Spare the collector what stays to the end: it would look at it again in every test."""
    gc.collect()
    gc.freeze()


Lifted = Callable[[], AbstractContextManager[None]]
"""Lets what is called in its block wait, as a callback of a test that changes a file does."""

_MORE = ("os.open", "os.pread", "os.pwrite", "os.ftruncate", "os.utime", "os.truncate")


MAY_WAIT = (
    (
        "neuro_sdk/_core/uri.py",
        "_absolute",
        "asks for the working directory, where a path is relative; no disk is touched",
    ),
    ("neuro_sdk/fsspec/_base.py", "_absolute", "asks for the working directory too"),
    ("neuro_sdk/fsspec/_files.py", "_wait", "a file of the blocking kind, whose use waits"),
    ("neuro_sdk/_providers/opendal.py", "_rest", "runs at exit, when no loop is left"),
    ("neuro_sdk/drivers/config.py", "_read", "a small file, once, before anything is open"),
    ("neuro_sdk/drivers/loop.py", "run", "what code that is not async asks for is that it waits"),
    ("neuro_sdk/drivers/loop.py", "close", "as run: its callers are not async"),
    ("neuro_sdk/drivers/load/run.py", "run_load", "a script: it waits for its own threads"),
    ("neuro_sdk/drivers/s3/registry.py", "driver_names", "S3 drivers are not async"),
    ("neuro_sdk/drivers/s3/registry.py", "get_driver", "S3 drivers are not async"),
    ("neuro_sdk/cli/demo.py", "demo", "a script: nothing else runs on its loop"),
    ("neuro_sdk/_platform/seaweedfs.py", "_spawn", "starting a process waits anyway; once"),
    (
        "asyncpg/connect_utils.py",
        "_parse_connect_dsn_and_args",
        "looks for the user's password file and certificates; once a connection",
    ),
    ("neuro_sdk/cli/azurite.py", "_spawn", "starting a process waits anyway; once"),
    ("aiobotocore/client.py", "create_client", "reads data files of the package; once a store"),
    ("<frozen importlib._bootstrap>", "_find_and_load", "an import, the first time only"),
)
"""File, function, and why its calls may wait on the thread of the loop."""


@pytest.fixture(scope="session")
def blockbuster() -> BlockBuster:
    """What raises BlockingError when code of neuro_sdk waits on the thread of the event loop."""
    guard = BlockBuster("neuro_sdk")
    for name in _MORE:
        guard.functions[name] = BlockBusterFunction(None, name, scanned_modules="neuro_sdk")
    for file, function, _ in MAY_WAIT:
        for wrapped in guard.functions.values():
            wrapped.can_block_in(file, function)
    return guard


@pytest.fixture(autouse=True)
def guarded(blockbuster: BlockBuster) -> Iterator[None]:
    """Every test fails where the package blocks the event loop."""
    blockbuster.activate()
    try:
        yield
    finally:
        blockbuster.deactivate()


@pytest.fixture
def lifted(blockbuster: BlockBuster) -> Lifted:
    """``with lifted():`` around what a test itself does on the disk inside of a callback."""

    @contextmanager
    def lift() -> Iterator[None]:
        blockbuster.deactivate()
        try:
            yield
        finally:
            blockbuster.activate()

    return lift


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder for an embedded platform, which is not there yet."""
    return tmp_path / "home"


@pytest.fixture
async def client(home: Path) -> AsyncIterator[Client]:
    """The embedded platform in *home*, open."""
    async with neuro_sdk.local(home) as opened:
        yield opened


store = each(STORES)


@pytest.fixture
def limits() -> TransferConfig:
    """The bounds of ``anywhere``, with which 9 MiB are two parts; a module may have its own."""
    return TransferConfig(part_size=8 << 20)


@pytest.fixture
async def anywhere(
    store: Store, request: pytest.FixtureRequest, home: Path, limits: TransferConfig
) -> AsyncIterator[Client]:
    """A client whose new buckets live at the store, each store in turn."""
    if "box" not in request.fixturenames:
        needs(store, "creation")
    async with store.open(request, home, limits) as opened:
        yield opened


@pytest.fixture
async def box(store: Store, request: pytest.FixtureRequest, anywhere: Client) -> BucketHandle:
    """The new, empty bucket ``box`` at the store, each store in turn."""
    await store.make_box(request, anywhere)
    return await anywhere.buckets.open("box")


@pytest.fixture
def open_files() -> Callable[[], dict[str, str]]:
    """What this process has open just now, by number: sockets, pipes, files."""

    def look() -> dict[str, str]:
        found = {}
        for number in os.listdir("/proc/self/fd"):
            try:
                found[number] = os.readlink(f"/proc/self/fd/{number}")
            except FileNotFoundError:
                continue  # the one that listed them
        return found

    return look
