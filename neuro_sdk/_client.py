"""``Client``: builds everything and owns every lifetime."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

from ._aio import Lifetime, Opening
from ._buckets import Buckets
from ._core.config import ClientConfig, TransferConfig
from ._core.uri import LocalPath, local_path
from ._platform.own_store import serve_own_store
from ._platform.service import EmbeddedPlatform
from ._providers.opendal import check_process
from ._providers.services import opener
from ._settings import default_home, find_platform, local_config, local_home
from ._transfer.disk import Disk
from .protocols import ControlPlane

__all__ = ["Client", "get", "local", "serve_store"]

_REST = 0.01  # seconds; the native threads hand over what they still hold


class Client:
    """A platform, opened by :func:`neuro_sdk.local` or :func:`neuro_sdk.get`.

    Use it on one event loop at a time, in the process that opened it, and close it.
    """

    def __init__(
        self,
        config: ClientConfig,
        control: ControlPlane,
        transfer: TransferConfig,
    ) -> None:
        self._config = config
        self._lifetime = Lifetime()
        self._control = control
        self._disk = Disk(transfer.concurrency)
        self._root: Client | None = None  # the one that a view came from, kept alive
        self._buckets = Buckets(
            control, opener(transfer), config.scope, self._disk, transfer, self._lifetime
        )

    def __repr__(self) -> str:
        state = "closed" if self._lifetime.closed else "open"
        return f"<Client of {self._config.platform!r}, {state}>"

    @property
    def buckets(self) -> Buckets:
        """The buckets of the platform and the blobs in them."""
        return self._buckets

    @property
    def config(self) -> ClientConfig:
        """Who the client is and where it looks unless told otherwise."""
        return self._config

    @property
    def username(self) -> str:
        """Name of the user."""
        return self._config.username

    @property
    def cluster_name(self) -> str:
        """The cluster that calls use when they name none."""
        return self._config.cluster_name

    def within(
        self, *, cluster: str | None = None, org: str | None = None, project: str | None = None
    ) -> Client:
        """This client with other defaults; it lives and closes with the one it came from."""
        view = object.__new__(Client)
        view.__dict__.update(self.__dict__)
        view._root = self._root or self
        view._config = replace(
            self._config,
            cluster_name=cluster or self._config.cluster_name,
            org_name=org or self._config.org_name,
            project_name=project or self._config.project_name,
        )
        view._buckets = self._buckets._within(view._config.scope)
        return view

    async def __aenter__(self) -> Self:
        self._lifetime.check()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of everything; calls under way raise ClientClosed, signed local URLs end.

        Closing twice is no error, nor is it in a forked child, where there is nothing to close.
        """
        if self._lifetime.closed or self._lifetime.inherited or self._root is not None:
            return
        await self._lifetime.end()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(asyncio.sleep, _REST)
            stack.callback(self._disk.close)
            stack.push_async_callback(self._control.close)
            stack.push_async_callback(self._buckets._close)

    def __del__(self) -> None:
        lifetime = getattr(self, "_lifetime", None)
        if lifetime is None or lifetime.closed or lifetime.inherited:
            return
        if self._root is None:
            warnings.warn(f"{self!r} was never closed", ResourceWarning, source=self, stacklevel=2)


async def _open_local(
    home: Path, profile: str | None, transfer: TransferConfig | None, store: Path | None = None
) -> Client:
    check_process()
    config = local_config(home, profile)
    transfer = transfer or TransferConfig()
    platform = await EmbeddedPlatform.open(
        home=home, config=config, open_provider=opener(transfer), store_file=store
    )
    return Client(config, platform, transfer)


def local(
    path: LocalPath | None = None,
    *,
    store: LocalPath | None = None,
    transfer: TransferConfig | None = None,
) -> Opening[Client]:
    """Open the embedded platform in this process: no server, no login.

    Its registry lives under *path*, by default in the user's data folder, and so do the blobs
    of its buckets, unless *store* or the file ``store.toml`` in *path* describes a store at S3,
    Azure or Google to keep them at. Use it as ``async with neuro_sdk.local() as client`` or
    ``client = await neuro_sdk.local()``.
    """
    home = default_home() if path is None else local_path(path)
    store_file = None if store is None else local_path(store)
    return Opening(lambda: _open_local(home, None, transfer, store_file))


def get(profile: str | None = None, *, transfer: TransferConfig | None = None) -> Opening[Client]:
    """Open the platform that the environment or the profile file names.

    ``NEURO_SDK_PLATFORM`` wins over the profile file unless *profile* is given. Raises
    ConfigError with the next step when nothing is configured; it never falls back to the disk.
    """

    async def opened() -> Client:
        platform, name = await asyncio.to_thread(find_platform, profile)
        return await _open_local(local_home(platform), name, transfer)

    return Opening(opened)


@asynccontextmanager
async def serve_store(
    path: LocalPath | None = None, *, port: int | None = None
) -> AsyncIterator[str]:
    """Run SeaweedFS for the embedded platform at *path*; gives the endpoint of its S3.

    Until the block is left it answers on the loopback address, at *port* or that of the last
    time. From then on ``neuro_sdk.local(path)`` makes its buckets there, with real access
    control. Needs the extra ``seaweedfs``. Raises ConfigError if the platform keeps its
    buckets at another store.
    """
    home = default_home() if path is None else local_path(path)
    async with serve_own_store(home, port=port) as server:
        yield server.endpoint
