"""The stores on which one suite runs, and by name what some of them cannot do.

A store joins with an entry in ``STORES``: a name, how to open a client whose new buckets live
at it, how a client gets the bucket ``box`` there, and which capabilities it lacks, each with the
reason. The fixtures ``store``, ``anywhere`` (an open client) and ``box`` (a new bucket) then run
every test that asks for them at it too.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import neuro_sdk
from neuro_sdk import Bucket, Client, TransferConfig
from neuro_sdk._core.roles import EVERYWHERE, Role
from neuro_sdk.cli.azurite import AzuriteServer

from ..platform.serving import served_team, write_profile
from ..servers.fake_gcs import FakeGcs
from ..servers.s3 import s3_client

__all__ = [
    "CAPABILITIES",
    "ENGINES",
    "PROVIDERS",
    "STORES",
    "Store",
    "each",
    "imported",
    "needs",
    "reasons",
    "table",
]

CAPABILITIES: Mapping[str, str] = {
    "creation": "makes buckets, besides those that are imported",
    "local folders": "opens folders of this machine as buckets beside its own",
    "own rules": "is opened by the name that it is known by, and so by the rules made for it",
    "blob beside folder": "holds the blobs a and a/b at once",
    "blob beside marker": "holds the blob a and the directory marker a/ at once",
    "long segments": "takes more than 255 bytes between two slashes of a key",
    "control characters": "takes keys with characters that XML 1.0 cannot hold",
    "backslash": "takes keys with a backslash",
    "leading star": "takes keys that begin with a star",
    "trailing dots": "takes keys with a dot before a slash or at their end",
    "many segments": "takes as many slashes in a key as it has room for",
    "signed urls": "signs URLs that a bare HTTP client can GET",
    "credentials": "gives lasting credentials to some buckets",
    "access control": "keeps out who has no right, or whose right has ended",
    "public access": "lets anybody read a bucket, and stops it",
    "force": "removes a bucket with all its blobs",
}

OpenStore = Callable[
    [pytest.FixtureRequest, Path, TransferConfig], AbstractAsyncContextManager[Client]
]


MakeBox = Callable[[pytest.FixtureRequest, Client], Awaitable[Bucket]]


async def _create_box(request: pytest.FixtureRequest, client: Client) -> Bucket:
    return await client.buckets.create("box")


@dataclass(frozen=True)
class Store:
    """One entry; functions get the request, so that they can ask for the fixture of a server."""

    name: str
    open: OpenStore
    make_box: MakeBox = _create_box
    lacks: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.lacks.keys() <= CAPABILITIES.keys()


@asynccontextmanager
async def _open_local(
    request: pytest.FixtureRequest, home: Path, transfer: TransferConfig
) -> AsyncIterator[Client]:
    async with neuro_sdk.local(home, transfer=transfer) as client:
        yield client


def _s3(provider: str, fixture: str, extra: str = "") -> OpenStore:
    """Opens the embedded platform with its buckets at the server that *fixture* starts."""

    @asynccontextmanager
    async def open_store(
        request: pytest.FixtureRequest, home: Path, transfer: TransferConfig
    ) -> AsyncIterator[Client]:
        server = request.getfixturevalue(fixture)
        home.mkdir(parents=True, exist_ok=True)
        (home / "store.toml").write_text(
            f'provider = "{provider}"\nendpoint_url = "{server.endpoint}"\n'
            f'access_key_id = "{server.access_key}"\n'
            f'secret_access_key = "{server.secret_key}"\n{extra}'
        )
        async with neuro_sdk.local(home, transfer=transfer) as client:
            yield client

    return open_store


def imported(provider: Bucket.Provider, fixture: str, name: str = "box") -> MakeBox:
    """Makes a bucket by other means than ours and imports it as *provider*, called *name*."""

    async def make_box(request: pytest.FixtureRequest, client: Client) -> Bucket:
        server = request.getfixturevalue(fixture)
        there = f"imported-{uuid.uuid4()}"
        keys = (server.endpoint, server.access_key, server.secret_key)
        async with s3_client(*keys) as s3:
            await s3.create_bucket(Bucket=there)
        return await client.buckets.import_external(
            provider,
            there,
            credentials=dict(
                zip(("endpoint_url", "access_key_id", "secret_access_key"), keys, strict=True)
            ),
            name=name,
        )

    return make_box


@asynccontextmanager
async def _open_served(
    request: pytest.FixtureRequest, home: Path, transfer: TransferConfig
) -> AsyncIterator[Client]:
    """A platform over HTTP: a server of ours on a real socket, with SeaweedFS behind it."""
    async with served_team(home, request.getfixturevalue("seaweedfs")) as team:
        token = await team.token("alice", (EVERYWHERE, Role.OWNER))
        monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
        monkeypatch.setenv("NEURO_SDK_CONFIG", str(write_profile(home, team.api, token)))
        async with neuro_sdk.get("team", transfer=transfer) as client:
            yield client


@asynccontextmanager
async def _open_azure(
    request: pytest.FixtureRequest, home: Path, transfer: TransferConfig
) -> AsyncIterator[Client]:
    server: AzuriteServer = request.getfixturevalue("azurite")
    home.mkdir(parents=True, exist_ok=True)
    await asyncio.to_thread(server.save, home / "store.toml")
    async with neuro_sdk.local(home, transfer=transfer) as client:
        yield client


@asynccontextmanager
async def _open_gcs(
    request: pytest.FixtureRequest, home: Path, transfer: TransferConfig
) -> AsyncIterator[Client]:
    server: FakeGcs = request.getfixturevalue("fake_gcs")
    home.mkdir(parents=True, exist_ok=True)
    (home / "store.toml").write_text(
        f'provider = "gcp"\nendpoint_url = "{server.endpoint}"\n'
        f'project = "{server.project}"\nkey_data = "{server.key_data}"\n'
    )
    async with neuro_sdk.local(home, transfer=transfer) as client:
        yield client


_XML = "its listings are XML 1.0, which cannot hold them"
_MOTO = "moto lets everybody in"

STORES: tuple[Store, ...] = (
    Store(
        "local",
        _open_local,
        lacks={
            "blob beside folder": "a disk cannot have a file and a folder of one name",
            "long segments": "names on a disk have at most 255 bytes",
        },
    ),
    Store(
        "seaweedfs",
        _s3("seaweedfs", "seaweedfs"),
        lacks={
            "blob beside marker": "the marker would take the place of the blob",
            "long segments": "SeaweedFS keeps names of at most 255 bytes",
            "control characters": _XML,
            "backslash": "SeaweedFS refuses it",
            "leading star": "its policies do not match it",
        },
    ),
    Store(
        "seaweedfs as minio",
        _open_local,
        imported(Bucket.Provider.MINIO, "seaweedfs"),
        lacks={
            "creation": "its buckets are imported",
            "own rules": "nothing says that the store is SeaweedFS",
            "long segments": "SeaweedFS keeps names of at most 255 bytes",
            "control characters": _XML,
            "backslash": "SeaweedFS refuses it",
        },
    ),
    Store(
        "over http",
        _open_served,
        lacks={
            "local folders": "a server does not see what its clients have",
            "blob beside marker": "the marker would take the place of the blob",
            "long segments": "SeaweedFS keeps names of at most 255 bytes",
            "control characters": _XML,
            "backslash": "SeaweedFS refuses it",
            "leading star": "its policies do not match it",
        },
    ),
    Store(
        "moto as aws",
        _s3("aws", "moto", 'role_arn = "arn:aws:iam::123456789012:role/buckets"\n'),
        lacks={"control characters": _XML, "access control": _MOTO},
    ),
    Store(
        "moto as minio",
        _s3("minio", "moto"),
        lacks={
            "control characters": _XML,
            "access control": _MOTO,
            "credentials": "MinIO makes users by a protocol of its own",
        },
    ),
    Store(
        "azurite",
        _open_azure,
        lacks={
            "control characters": "Azure does not allow them",
            "backslash": "Azure takes it for a slash",
            "trailing dots": "Azure cuts them off",
            "many segments": "Azure allows 254",
        },
    ),
    Store(
        "fake-gcs-server",
        _open_gcs,
        lacks={
            "access control": "fake-gcs-server lets everybody in",
            "credentials": "they are service accounts, which it does not make",
            "public access": "fake-gcs-server knows no policies",
        },
    ),
)

PROVIDERS = tuple(store for store in STORES if store.name != "moto as minio")
"""Those that differ in their bytes; how MinIO makes its buckets is not a matter of these."""

ENGINES = tuple(
    store
    for store in PROVIDERS
    if store.name not in ("seaweedfs as minio", "over http", "moto as aws")
)
"""Those that differ in their engine: the others open that of ``seaweedfs`` in another way."""


def each(stores: Sequence[Store]) -> Any:
    """The fixture ``store``: these in turn."""

    @pytest.fixture(params=stores, ids=lambda store: store.name)
    def store(request: pytest.FixtureRequest) -> Store:
        chosen: Store = request.param
        return chosen

    return store


def needs(store: Store, capability: str) -> None:
    """Skip the test, naming the store and the reason, where the store lacks *capability*."""
    assert capability in CAPABILITIES, f"no capability is called {capability!r}"
    if capability in store.lacks:
        pytest.skip(f"{store.name}: {store.lacks[capability]}")


def table() -> str:
    """What each store can do, as a Markdown table."""
    rows = [["", *(store.name for store in STORES)], ["---"] * (len(STORES) + 1)]
    for capability, meaning in CAPABILITIES.items():
        lacking = ["no" if capability in store.lacks else "yes" for store in STORES]
        rows.append([meaning, *lacking])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def reasons() -> str:
    """Why a store cannot do what it cannot, as a Markdown list."""
    return "".join(
        f"- {store.name}, {capability}: {reason}\n"
        for store in STORES
        for capability, reason in store.lacks.items()
    )


if __name__ == "__main__":
    print(table())
    print(reasons())
