"""Connections of aiohttp that end when their session does."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any
from weakref import WeakSet

import aiohttp

__all__ = ["Connector"]

_ROUNDS, _LOOK = 100, 0.001  # seconds; the loop has to see what was cut, no peer has to answer


class Connector(aiohttp.TCPConnector):
    """A connector whose ``close`` leaves no socket open.

    The connection of a request that was cancelled while its body was sent would stay until the
    peer has read what was on its way, which one that has stalled never does.
    """

    def __init__(self, **options: Any) -> None:
        self._sockets: WeakSet[socket.socket] = WeakSet()
        super().__init__(socket_factory=self._socket, **options)

    def _socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, _ = info
        made = socket.socket(family, kind, protocol)
        self._sockets.add(made)
        return made

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close all connections, also those that are still sending."""
        await super().close(abort_ssl=abort_ssl)
        for left in self._open():
            with contextlib.suppress(OSError):
                left.shutdown(socket.SHUT_RDWR)
        for _ in range(_ROUNDS):
            if not self._open():
                return
            await asyncio.sleep(_LOOK)

    def _open(self) -> list[socket.socket]:
        return [made for made in self._sockets if made.fileno() != -1]
