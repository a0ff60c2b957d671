"""``Client``: builds everything and owns every lifetime.

The platforms, the providers and the settings are imported where a client is opened: they stand
on large packages, and whoever imports neuro_sdk may open none, as ``neuro-sdk --help`` does.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ._aio import Lifetime, Opening
from ._buckets import Buckets
from ._config import Config
from ._core.config import ClientConfig, Target, TransferConfig
from ._core.uri import LocalPath, local_path
from ._lookups import Lookups
from ._transfer.disk import Disk
from .protocols import ControlPlane

if TYPE_CHECKING:
    from ._control.plane import HTTPControlPlane

__all__ = ["Client", "get", "local", "serve_store"]

_REST = 0.01  # seconds; the native threads hand over what they still hold
_LOOKUP_LIFE = 60.0  # seconds for which a platform over HTTP is not asked again for a bucket


class Client:
    """A platform, opened by :func:`neuro_sdk.local` or :func:`neuro_sdk.get`.

    Use it on one event loop at a time, in the process that opened it, and close it.
    """

    def __init__(
        self,
        config: ClientConfig,
        control: ControlPlane,
        transfer: TransferConfig,
        *,
        remote: HTTPControlPlane | None = None,
    ) -> None:
        self._lifetime = Lifetime()
        self._control = control
        self._remote = remote
        self._set_config(config)
        self._disk = Disk(transfer.concurrency)
        self._root: Client | None = None  # the one that a view came from, kept alive
        from ._providers.services import opener

        self._buckets = Buckets(
            control,
            opener(transfer),
            config.scope,
            self._disk,
            transfer,
            self._lifetime,
            lookups=Lookups(_LOOKUP_LIFE if remote is not None else 0),
        )

    def _set_config(self, config: ClientConfig) -> None:
        self._values = config
        discovered = None if self._remote is None else self._remote.discovered
        self._config = Config(config, discovered, self._switch)

    async def _switch(self, config: ClientConfig) -> None:
        self._lifetime.check()
        if self._root is None:
            if config.profile is not None:
                await asyncio.to_thread(_remember, config)
            if self._remote is not None:
                self._remote.config = config
        self._values = config
        self._buckets._look_in(config.scope)

    def __repr__(self) -> str:
        state = "closed" if self._lifetime.closed else "open"
        return f"<Client of {self._values.platform!r}, {state}>"

    @property
    def buckets(self) -> Buckets:
        """The buckets of the platform and the blobs in them."""
        return self._buckets

    @property
    def config(self) -> Config:
        """Who the client is and where it looks unless told otherwise, and how to switch."""
        return self._config

    @property
    def username(self) -> str:
        """Name of the user."""
        return self._values.username

    @property
    def cluster_name(self) -> str:
        """The cluster that calls use when they name none."""
        return self._values.cluster_name

    def within(
        self, *, cluster: str | None = None, org: str | None = None, project: str | None = None
    ) -> Client:
        """This client with other defaults; it lives and closes with the one it came from."""
        view = object.__new__(Client)
        view.__dict__.update(self.__dict__)
        view._root = self._root or self
        config = replace(
            self._values,
            cluster_name=cluster or self._values.cluster_name,
            org_name=org or self._values.org_name,
            project_name=project or self._values.project_name,
        )
        view._set_config(config)
        view._buckets = self._buckets._within(config.scope)
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


def _remember(config: ClientConfig) -> None:
    assert config.profile is not None
    from ._settings import profile_file

    profile_file().switch(
        config.profile,
        cluster=config.cluster_name,
        org=config.org_name,
        project=config.project_name,
    )


async def _open_local(
    home: Path, target: Target | None, transfer: TransferConfig | None, store: Path | None = None
) -> Client:
    from ._platform.service import EmbeddedPlatform
    from ._providers.opendal import check_process
    from ._providers.services import opener
    from ._settings import local_config

    check_process()
    config = local_config(home, target)
    transfer = transfer or TransferConfig()
    platform = await EmbeddedPlatform.open(
        home=home, config=config, open_provider=opener(transfer), store_file=store
    )
    return Client(config, platform, transfer)


async def _open_remote(target: Target, transfer: TransferConfig | None) -> Client:
    from ._control.opening import open_http
    from ._providers.opendal import check_process
    from ._providers.services import opener

    check_process()
    transfer = transfer or TransferConfig()
    plane = await open_http(target, transfer, opener(transfer))
    return Client(plane.config, plane, transfer, remote=plane)


def _home(path: LocalPath | None) -> Path:
    from ._settings import default_home

    return default_home() if path is None else local_path(path)


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
    home = _home(path)
    store_file = None if store is None else local_path(store)
    return Opening(lambda: _open_local(home, None, transfer, store_file))


def get(profile: str | None = None, *, transfer: TransferConfig | None = None) -> Opening[Client]:
    """Open the platform that the environment or the profile file names.

    ``NEURO_SDK_PLATFORM`` wins over the profile file unless *profile* is given; within a job of
    a platform, what the platform passes on is used where nothing else is configured. Raises
    ConfigError with the next step when nothing is configured, and AuthenticationError where
    the platform does not take the token; it never falls back to the disk.

    A platform over HTTP is not asked for a bucket again for 60 seconds after it was looked up,
    and for credentials only when their end is near.
    """

    async def opened() -> Client:
        from ._settings import find_platform, local_home

        target = await asyncio.to_thread(find_platform, profile)
        if target.platform.lower().startswith(("http:", "https:")):
            return await _open_remote(target, transfer)
        return await _open_local(local_home(target.platform), target, transfer)

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
    from ._platform.own_store import serve_own_store

    home = _home(path)

    async with serve_own_store(home, port=port) as server:
        yield server.endpoint
