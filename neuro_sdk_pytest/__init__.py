"""pytest fixtures that give a blob store of their own to the tests of a program.

pytest loads this module in every run where the package is installed, so it stands beside
``neuro_sdk`` and imports it when a fixture is asked for. The clients work with pytest-asyncio in
both of its modes and with the plugin of anyio, on asyncio.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest

if TYPE_CHECKING:
    from neuro_sdk import BucketHandle, Client

    _Opened = tuple[Client, BucketHandle | None]

__all__ = [
    "blob_bucket",
    "blob_client",
    "blob_home",
    "blob_seaweedfs",
    "blob_seaweedfs_bucket",
    "blob_seaweedfs_client",
]

F = TypeVar("F", bound=Callable[..., Any])

_BUCKET = "test-bucket"
_STOP_SECONDS = 60


@pytest.fixture
def blob_home(tmp_path: Path) -> Path:
    """The folder of this test's embedded platform; fsspec takes it as ``path``."""
    return tmp_path / "blobs"


@pytest.fixture
def blob_client(request: pytest.FixtureRequest) -> Client:
    """A client on the empty embedded platform in ``blob_home``."""
    return _opened_by(request, "_blob_local")[0]


@pytest.fixture
def blob_bucket(request: pytest.FixtureRequest) -> BucketHandle:
    """The new, empty bucket ``test-bucket`` of ``blob_client``."""
    return _made(_opened_by(request, "_blob_local")[1])


@pytest.fixture(scope="session")
def blob_seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A SeaweedFS, one for the whole session: the file that ``neuro_sdk.local(store=...)`` takes.

    Needs the extra ``seaweedfs``.
    """
    import neuro_sdk

    home = tmp_path_factory.mktemp("blob-seaweedfs")
    with _in_thread(neuro_sdk.serve_store(home)):
        yield home / "store.toml"


@pytest.fixture
def blob_seaweedfs_client(request: pytest.FixtureRequest) -> Client:
    """A client on an empty embedded platform that keeps its buckets at ``blob_seaweedfs``."""
    return _opened_by(request, "_blob_at_seaweedfs")[0]


@pytest.fixture
def blob_seaweedfs_bucket(request: pytest.FixtureRequest) -> BucketHandle:
    """The new, empty bucket ``test-bucket`` of ``blob_seaweedfs_client``."""
    return _made(_opened_by(request, "_blob_at_seaweedfs")[1])


# A client belongs to an event loop, so whoever runs the test has to run these.


def _asyncio_fixture(function: F) -> F:
    try:
        import pytest_asyncio
    except ModuleNotFoundError:
        made: Any = pytest.fixture(function)
    else:
        made = pytest_asyncio.fixture(function)
    return cast("F", made)


def _opened_by(request: pytest.FixtureRequest, name: str) -> _Opened:
    if "anyio_backend" in request.fixturenames:
        backend = request.getfixturevalue("anyio_backend_name")
        if backend != "asyncio":
            pytest.fail(
                f"neuro_sdk runs on asyncio, not on {backend}; define the fixture anyio_backend "
                "to return 'asyncio'"
            )
        plugin = "anyio"
    elif request.config.pluginmanager.has_plugin("asyncio"):
        plugin = "asyncio"
    else:
        pytest.fail("a client for a test needs pytest-asyncio, or anyio and its mark on the test")
    opened: _Opened = request.getfixturevalue(f"{name}_by_{plugin}")
    return opened


def _made(bucket: BucketHandle | None) -> BucketHandle:
    if bucket is None:
        pytest.fail("name the fixture of the bucket among the parameters of the test")
    return bucket


@asynccontextmanager
async def _opened(
    request: pytest.FixtureRequest, home: Path, store: Path | None, asked: str
) -> AsyncIterator[_Opened]:
    """A client, and a bucket if the fixture *asked* is; at a *store* no bucket is left behind."""
    import neuro_sdk

    async with neuro_sdk.local(home, store=store) as client:
        bucket = None
        if asked in request.fixturenames:
            await client.buckets.create(_BUCKET)
            bucket = await client.buckets.open(_BUCKET)
        yield client, bucket
        if store is not None:
            async with client.buckets.list() as buckets:
                left = [one.id async for one in buckets]
            for one in left:
                await client.buckets.rm(one, force=True)


@pytest.fixture
async def _blob_local_by_anyio(
    request: pytest.FixtureRequest, blob_home: Path
) -> AsyncIterator[_Opened]:
    async with _opened(request, blob_home, None, "blob_bucket") as opened:
        yield opened


@_asyncio_fixture
async def _blob_local_by_asyncio(
    request: pytest.FixtureRequest, blob_home: Path
) -> AsyncIterator[_Opened]:
    async with _opened(request, blob_home, None, "blob_bucket") as opened:
        yield opened


@pytest.fixture
async def _blob_at_seaweedfs_by_anyio(
    request: pytest.FixtureRequest, tmp_path: Path, blob_seaweedfs: Path
) -> AsyncIterator[_Opened]:
    home = tmp_path / "blobs-at-seaweedfs"
    async with _opened(request, home, blob_seaweedfs, "blob_seaweedfs_bucket") as opened:
        yield opened


@_asyncio_fixture
async def _blob_at_seaweedfs_by_asyncio(
    request: pytest.FixtureRequest, tmp_path: Path, blob_seaweedfs: Path
) -> AsyncIterator[_Opened]:
    home = tmp_path / "blobs-at-seaweedfs"
    async with _opened(request, home, blob_seaweedfs, "blob_seaweedfs_bucket") as opened:
        yield opened


@contextmanager
def _in_thread(server: AbstractAsyncContextManager[Any]) -> Iterator[None]:
    """Run *server* on an event loop of its own while the block lasts."""
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        end = asyncio.Event()
        try:
            async with server:
                started.set_result((asyncio.get_running_loop(), end))
                await end.wait()
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(
        target=lambda: asyncio.run(serve()), name="blob-seaweedfs", daemon=True
    )
    thread.start()
    try:
        loop, end = started.result()
        yield
    finally:
        if started.done() and started.exception() is None:
            loop.call_soon_threadsafe(end.set)
        thread.join(_STOP_SECONDS)
