"""``OpendalDriver``: a session at any store that OpenDAL knows, without a platform."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from .._aio import Lifetime
from .._core.config import TransferConfig
from .._core.places import place_id
from .._core.uri import LocalPath
from .._providers.schemes import SchemeService, open_scheme
from .._session.lifetime import begin_tracking
from .._session.session import Session
from .._session.tracking import Tracking
from .._transfer.disk import Disk
from ..errors import ClientClosed, ClientStateError
from ..protocols import Provider
from .config import OpendalConfig

if TYPE_CHECKING:
    from .sync import SyncOpendalDriver

__all__ = ["OpendalDriver"]

_REST = 0.01  # seconds; the native threads hand over what they still hold


class OpendalDriver(Session):
    """Files and directories at the place that *scheme* and *kwargs* describe.

    ``async with OpendalDriver("fs", {"root": "/srv/files"}) as driver:``, or ``connect`` and
    ``close``. Has the methods of :class:`Session`. *scheme* is one of OpenDAL's services and
    *kwargs* are its options; ConfigError names what is unknown, missing or wrong in them.
    """

    def __init__(
        self,
        scheme: str,
        kwargs: Mapping[str, Any] | None = None,
        remove_created_on_close: bool = False,
        *,
        transfer: TransferConfig | None = None,
    ) -> None:
        self.config = OpendalConfig.of(
            scheme=scheme,
            kwargs=dict(kwargs or {}),
            remove_created_on_close=remove_created_on_close,
        )
        self._place: SchemeService | None = None
        settled = transfer or TransferConfig()
        disk = Disk(settled.concurrency)
        super().__init__(
            self._connected,
            None,
            disk,
            settled,
            Lifetime(),
            name=_name(self.config),
            tracking=Tracking(disk),
            remove_created_on_close=remove_created_on_close,
        )

    @classmethod
    def from_config(cls, config: OpendalConfig, *, transfer: TransferConfig | None = None) -> Self:
        """A driver of a configuration that was read before."""
        return cls(config.scheme, config.options, config.remove_created_on_close, transfer=transfer)

    @classmethod
    def from_yaml(cls, path: LocalPath, *, transfer: TransferConfig | None = None) -> Self:
        """A driver of the configuration in a YAML file; see :class:`OpendalConfig`."""
        return cls.from_config(OpendalConfig.from_yaml(path), transfer=transfer)

    @classmethod
    def sync(
        cls,
        scheme: str,
        kwargs: Mapping[str, Any] | None = None,
        remove_created_on_close: bool = False,
        *,
        transfer: TransferConfig | None = None,
    ) -> SyncOpendalDriver:
        """The same for code that is not async, connected."""
        from .sync import SyncOpendalDriver

        return SyncOpendalDriver(cls(scheme, kwargs, remove_created_on_close, transfer=transfer))

    async def connect(self) -> Self:
        """Open the place; with ``remove_created_on_close`` finish what dead sessions left there.

        Connecting again does nothing. ClientClosed once it was closed.
        """
        if self._closed:
            raise ClientClosed("this driver is closed; make another")
        if self._place is not None:
            return self
        options = self.config.options
        place = await open_scheme(self.config.scheme, options, self._transfer)
        try:
            self._tracking = await begin_tracking(
                self._disk,
                place_id(self.config.scheme, options),
                lambda: _ready(place.provider),
                self.remove_created_on_close,
            )
        except BaseException:
            await place.close()
            raise
        self._place = self._told_by = place
        return self

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def close(self) -> None:
        """See :meth:`Session.close`."""
        if self._closed or self._lifetime.inherited:
            return
        try:
            await super().close()
        finally:
            self._disk.close()
            if self._place is not None:
                await self._place.close()
                await asyncio.sleep(_REST)

    async def _end_calls(self) -> None:
        # None of them may make anything behind the removal.
        calls, self._lifetime = self._lifetime, Lifetime()
        await calls.end()

    async def _connected(self) -> Provider:
        if self._place is None:
            raise ClientStateError(
                "this driver is not connected; use it as 'async with', or await connect()"
            )
        return self._place.provider


async def _ready(provider: Provider) -> Provider:
    return provider


def _name(config: OpendalConfig) -> str:
    options = config.options
    return options.get("bucket") or options.get("container") or options.get("root") or config.scheme
