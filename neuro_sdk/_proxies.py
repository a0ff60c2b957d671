"""The proxies that the environment names."""

from __future__ import annotations

import asyncio
import urllib.request

from yarl import URL

__all__ = ["Proxies", "find_proxy"]


def find_proxy(origin: URL) -> URL | None:
    """The proxy for requests to *origin*; ``.netrc`` has no say in who asks."""
    found = urllib.request.getproxies().get(origin.scheme)
    bypassed = found and urllib.request.proxy_bypass(f"{origin.host}:{origin.port}")
    return URL(found) if found and not bypassed else None


class Proxies:
    """``find_proxy``, which may ask the system, once for each origin."""

    def __init__(self) -> None:
        self._found: dict[URL, URL | None] = {}

    async def of(self, url: URL) -> URL | None:
        """The proxy for *url*."""
        origin = url.origin()
        if origin not in self._found:
            self._found[origin] = await asyncio.to_thread(find_proxy, origin)
        return self._found[origin]
