"""Signed URLs of buckets on this machine's disk: a small HTTP server on the loopback interface.

A URL is good until it expires and no longer than the client that signed it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import math
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from email.utils import format_datetime
from mimetypes import MimeTypes
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes

from yarl import URL

from .._core.models import BlobObject
from ..errors import BlobIsADirectory, NeuroError, ResourceNotFound, local_error
from ..protocols import Provider

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["LinkServer"]

_log = logging.getLogger(__name__)
_types = MimeTypes()  # the built-in table: reads nothing from the disk, the same everywhere
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_SHUTDOWN_SECONDS = 0.5


class LinkServer:
    """Signs URLs and answers them; listens from the first signature until ``close``.

    *open_bucket* gives the blobs of a bucket by its id, or raises BucketNotFound.
    """

    def __init__(self, open_bucket: Callable[[str], Awaitable[Provider]]) -> None:
        self._open_bucket = open_bucket
        self._key = secrets.token_bytes(32)
        self._runner: web.ServerRunner | None = None
        self._starting = asyncio.Lock()

    async def url(self, bucket_id: str, key: str, expires_in: int) -> URL:
        """A URL of the blob that is good for *expires_in* seconds."""
        port = await self._port()
        expires = str(math.ceil(time.time() + expires_in))
        signature = self._signature(bucket_id, key, expires)
        path = "/".join(quote(part, safe="") for part in (bucket_id, *key.split("/")))
        query = f"expires={expires}&signature={signature}"
        return URL(f"http://127.0.0.1:{port}/{path}?{query}", encoded=True)

    async def close(self) -> None:
        """Stop listening and cut off the downloads that do not end at once."""
        async with self._starting:
            runner, self._runner = self._runner, None
            if runner is not None:
                await runner.cleanup()

    async def _port(self) -> int:
        from aiohttp import web  # it takes its time, and few clients sign such a URL

        async with self._starting:
            if self._runner is None:
                server = web.Server(self._answer, access_log=None, handler_cancellation=True)
                runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_SECONDS)
                await runner.setup()
                try:
                    await web.TCPSite(runner, "127.0.0.1", 0).start()
                except OSError as cause:
                    await runner.cleanup()
                    raise local_error(cause, "127.0.0.1") from cause
                self._runner = runner
            port: int = self._runner.addresses[0][1]
            return port

    def _signature(self, bucket_id: str, key: str, expires: str) -> str:
        # The key comes last: it alone may hold any character.
        message = f"{bucket_id}\n{expires}\n{key}".encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()

    def _verified(self, request: web.BaseRequest) -> tuple[str, str] | None:
        """Bucket id and key of a request whose signature is right and has not expired."""
        query = request.rel_url.query
        expires, signature = query.get("expires", ""), query.get("signature", "")
        try:
            path = unquote_to_bytes(request.rel_url.raw_path.removeprefix("/")).decode()
            bucket_id, _, key = path.partition("/")
            right = self._signature(bucket_id, key, expires).encode()
            if not hmac.compare_digest(right, signature.encode()):
                return None
        except UnicodeError:
            return None
        return (bucket_id, key) if time.time() < int(expires) else None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web

        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        verified = self._verified(request)
        if verified is None:
            return web.Response(status=403, text="This link is wrong or has expired.\n")
        bucket_id, key = verified
        async with AsyncExitStack() as stack:
            try:
                provider = await self._open_bucket(bucket_id)
                stack.push_async_callback(provider.close)
                return await _send(request, provider, await provider.head(key), stack)
            except (ResourceNotFound, BlobIsADirectory):
                return web.Response(status=404, text="There is no such blob.\n")
            except NeuroError as error:
                _log.warning("a signed URL could not be answered: %s", error)
                return web.Response(status=500, text="The blob could not be read.\n")


async def _send(
    request: web.BaseRequest, provider: Provider, entry: BlobObject, stack: AsyncExitStack
) -> web.StreamResponse:
    """Answer with the blob or the part of it that is asked for.

    An error before the first byte is raised; after it, all that is left is to break the
    connection, so that nobody takes a part for the whole.
    """
    from aiohttp import web

    headers = _headers(entry)
    start, stop = 0, entry.size
    wanted = _wanted(request, headers, entry.size)
    if wanted is not None:
        start, stop = wanted
        if start >= stop:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{entry.size}"})
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{entry.size}"
    response = web.StreamResponse(status=200 if wanted is None else 206, headers=headers)
    response.content_length = stop - start
    if request.method == "HEAD" or start == stop:
        await response.prepare(request)
        return response
    chunks = provider.fetch(entry.key, start, stop - start, known=entry)
    stack.push_async_callback(chunks.aclose)
    chunk = await anext(chunks, b"")
    await response.prepare(request)
    if not await _copy(chunk, chunks, response, stop - start):
        _log.warning("the download of %r broke off: the blob changed or could not be read", entry)
        if request.transport is not None:
            request.transport.abort()
    return response


async def _copy(
    chunk: bytes, rest: AsyncIterator[bytes], response: web.StreamResponse, size: int
) -> bool:
    """Send *chunk* and the *rest*; False if they cannot be read or are not *size* bytes."""
    sent = 0
    try:
        while chunk and sent + len(chunk) <= size:
            await response.write(chunk)
            sent += len(chunk)
            chunk = await anext(rest, b"")
    except NeuroError:
        return False
    return sent == size


def _headers(entry: BlobObject) -> dict[str, str]:
    extension = entry.name.rpartition(".")[2]
    guess, encoding = _types.guess_type(f"name.{extension}")
    headers = {
        "Accept-Ranges": "bytes",
        # A page among the blobs must not run as a page of this server.
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(entry.name, safe='')}",
        "Content-Type": guess if guess and not encoding else "application/octet-stream",
        "X-Content-Type-Options": "nosniff",
    }
    if entry.etag is not None:
        headers["ETag"] = _quoted(entry.etag)
    if entry.modified_at is not None:
        headers["Last-Modified"] = format_datetime(entry.modified_at, usegmt=True)
    return headers


def _quoted(etag: str) -> str:
    bare = etag.removeprefix("W/").strip('"')
    return etag if etag.endswith(f'"{bare}"') else f'"{bare}"'


def _wanted(request: web.BaseRequest, headers: dict[str, str], size: int) -> tuple[int, int] | None:
    """Start and stop of a single range; None for the whole blob; empty if it lies outside."""
    match = _RANGE.fullmatch(request.headers.get("Range", "").strip())
    condition = request.headers.get("If-Range")
    if match is None or match[0] == "bytes=-":
        return None  # also several ranges, which a server may answer with the whole
    if condition not in (None, headers.get("ETag"), headers.get("Last-Modified")):
        return None  # the client has a part of another version
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size
    start, stop = int(first), min(size, int(last) + 1 if last else size)
    if last and int(last) < int(first):
        return None  # makes no sense, so it is as if it were not there
    return start, stop
