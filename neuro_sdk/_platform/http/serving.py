"""The server: where it listens, how it ends, what it refuses to serve."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from yarl import URL

from ..._core.models import Bucket
from ...errors import ConfigError, local_error
from .app import API, Served, make_app

__all__ = ["Listening", "serving"]

_SHUTDOWN_SECONDS = 10.0
_KEEP_IDLE = 75.0  # longer than our clients do, so that none sends into a closing connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where a server listens; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 8080
    certificate: Path | None = None
    key: Path | None = None


@asynccontextmanager
async def serving(served: Served, listening: Listening) -> AsyncIterator[URL]:
    """Serve until the block is left; gives the address of the API.

    Requests under way have ten seconds to end. Raises ConfigError for a platform whose
    buckets are made on the disk, where nobody else could open them.
    """
    if served.platform.makes is Bucket.Provider.LOCAL:
        raise ConfigError(
            "a platform on this machine's disk cannot be served, for nobody else could open its "
            "buckets; start it with the store 'seaweedfs' (neuro-sdk serve --store seaweedfs), or "
            "describe a store in store.toml"
        )
    context = _tls(listening)
    runner = web.AppRunner(
        make_app(served),
        access_log=None,
        shutdown_timeout=_SHUTDOWN_SECONDS,
        keepalive_timeout=_KEEP_IDLE,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, listening.host, listening.port, ssl_context=context)
        try:
            await site.start()
        except OSError as cause:
            raise local_error(cause, f"{listening.host}:{listening.port}") from cause
        port: int = runner.addresses[0][1]
        yield URL.build(
            scheme="http" if context is None else "https",
            host=listening.host,
            port=port,
            path=API,
        )
    finally:
        await runner.cleanup()


def _tls(listening: Listening) -> ssl.SSLContext | None:
    if listening.certificate is None and listening.key is None:
        return None
    if listening.certificate is None:
        raise ConfigError("a TLS key needs its certificate too")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(listening.certificate, listening.key)
    except (OSError, ssl.SSLError) as cause:
        raise ConfigError(
            f"the TLS certificate {str(listening.certificate)!r} and its key cannot be used: "
            f"{cause}"
        ) from cause
    return context
