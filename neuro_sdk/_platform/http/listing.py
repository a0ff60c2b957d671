"""Lists, as a JSON array or as a stream of one object a line, as the caller accepts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import hdrs, web

from ...errors import NeuroError

__all__ = ["listing"]

_NDJSON = "application/x-ndjson"
_CHUNK = 64 << 10


async def listing(request: web.Request, items: AsyncIterator[dict[str, Any]]) -> web.StreamResponse:
    """Answer with *items*; a failure in the middle of a stream becomes its last line."""
    if _NDJSON not in ",".join(request.headers.getall(hdrs.ACCEPT, [])):
        return web.json_response([item async for item in items])
    first = await anext(items, None)  # a failure before it is an answer of its own
    response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: _NDJSON})
    response.headers["Cache-Control"] = "no-store"
    await response.prepare(request)
    lines = [] if first is None else [_line(first)]
    try:
        async for item in items:
            lines.append(_line(item))
            if sum(map(len, lines)) > _CHUNK:
                await response.write(b"".join(lines))
                lines = []
    except NeuroError as error:
        lines.append(json.dumps({"error": f"{type(error).__name__}: {error.message}"}).encode())
    if lines:
        await response.write(b"".join(lines))
    await response.write_eof()
    return response


def _line(item: dict[str, Any]) -> bytes:
    return json.dumps(item).encode() + b"\n"
