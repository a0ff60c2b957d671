"""The servers as fixtures: one of each for a test process, a proxy for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from neuro_sdk._platform.seaweedfs import SeaweedFSServer
from neuro_sdk.cli.azurite import AzuriteServer

from .azurite import azurite_server
from .background import in_background
from .certificates import make_certificate
from .fake_gcs import FakeGcs, fake_gcs_server
from .moto import MotoServer, moto_server
from .postgres import postgres_binaries, postgres_server
from .proxy import FaultyProxy
from .seaweedfs import seaweedfs_server, store_file


@pytest.fixture(scope="session", autouse=True)
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Botocore reads whom it trusts anew for each client; here one authority, not 140.

    The servers of the tests that it asks do without TLS.
    """
    folder = tmp_path_factory.mktemp("authority")
    make_certificate(folder / "authority.pem", folder / "key.pem")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aiobotocore.httpsession.get_cert_path", lambda _: folder / "authority.pem")
        yield


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFSServer]:
    """A real S3 store with access control."""
    with seaweedfs_server(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    """Amazon's answers without its access control."""
    with moto_server(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL, where the system has one."""
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    with postgres_server(binaries) as url:
        yield url


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzuriteServer]:
    """A storage account of Azure with its access control."""
    with azurite_server(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture(scope="session")
def fake_gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeGcs]:
    """Google's answers without its access control."""
    with fake_gcs_server(tmp_path_factory.mktemp("fake-gcs")) as server:
        yield server


@pytest.fixture
def proxy() -> Iterator[Callable[[str], FaultyProxy]]:
    """Call it with the endpoint of a store to get a counting and faulty proxy before it."""
    with ExitStack() as stack:
        yield lambda upstream: stack.enter_context(in_background(FaultyProxy(upstream).running()))


@pytest.fixture
def watched(seaweedfs: SeaweedFSServer, proxy: Callable[[str], FaultyProxy]) -> FaultyProxy:
    """A proxy before SeaweedFS."""
    return proxy(seaweedfs.endpoint)


@pytest.fixture
def watched_store(tmp_path: Path, seaweedfs: SeaweedFSServer, watched: FaultyProxy) -> Path:
    """The file that has an embedded platform make its buckets at SeaweedFS behind ``watched``."""
    return store_file(tmp_path / "watched.toml", seaweedfs, watched.endpoint)
