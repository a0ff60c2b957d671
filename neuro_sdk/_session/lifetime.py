"""The beginning and the end of a session, and the record of what it made between."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from .._aio import Lifetime
from .._core.config import TransferConfig
from .._core.keys import check_key
from .._core.models import BlobObject
from .._transfer.disk import Disk
from .._transfer.remove import is_directory
from ..errors import BlobIsADirectory, BlobNotFound, ClientClosed, NeuroError
from ..protocols import Provider, Service
from .tracking import Tracking

__all__ = ["Tracked", "begin_tracking"]


class Tracked:
    """One place, worked at until it is closed; what the verbs of ``Session`` stand on."""

    def __init__(
        self,
        opened: Callable[[], Awaitable[Provider]],
        service: Service | None,
        disk: Disk,
        transfer: TransferConfig,
        lifetime: Lifetime,
        *,
        name: str,
        tracking: Tracking,
        remove_created_on_close: bool,
    ) -> None:
        self._opened = opened
        self._told_by = service
        self._disk = disk
        self._transfer = transfer
        self._lifetime = lifetime
        self._name = name
        self._tracking = tracking
        self.remove_created_on_close = remove_created_on_close
        self._closed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._name!r}{', closed' if self._closed else ''}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.close()
        except NeuroError as failure:
            if error is None:
                raise
            error.add_note(f"and when the session was closed: {failure}")

    async def close(self) -> None:
        """End the session; remove what it made if ``remove_created_on_close``.

        Files that are still open are not published. TransferError names what could not be
        removed, which the next session at this place tries again.
        """
        if self._closed:
            return
        self._closed = True
        await self._end_calls()
        try:
            if self.remove_created_on_close and len(self._tracking.created):
                with self._lifetime.call():
                    await self._tracking.remove_created(await self._opened())
        finally:
            if not self._lifetime.inherited:
                await self._tracking.close()

    async def _end_calls(self) -> None:
        """The calls of a bucket's session are those of its client, and end with that."""

    @property
    def _service(self) -> Service:
        assert self._told_by is not None, "the provider is asked for first"
        return self._told_by

    async def _provider(self) -> Provider:
        if self._closed:
            raise ClientClosed("this session is closed; open another")
        return await self._opened()

    async def get_created_resources(self) -> set[str]:
        """The paths that were made here and are still there; those of directories end in ``/``."""
        return set(self._tracking.created)

    async def _file(self, path: str) -> Provider:
        provider = await self._provider()
        check_key(path, provider.rules, bucket=self._name)
        return provider

    async def _look(self, path: str) -> BlobObject:
        provider = await self._provider()
        try:
            return await provider.head(path)
        except BlobNotFound:
            if await is_directory(provider, path):
                raise BlobIsADirectory(
                    "a directory where a file is needed", bucket=self._name, key=path
                ) from None
            raise


async def begin_tracking(
    disk: Disk, place: str, opened: Callable[[], Awaitable[Provider]], remove_created: bool
) -> Tracking:
    """What a session at *place* made is only kept on the disk where it is to be removed."""
    if not remove_created:
        return Tracking(disk)
    return await Tracking.begin(disk, place, await opened())
