"""Uploads in parts: begun, filled by many at once, and finished or aborted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial

from ._aio import Job, run_bounded
from ._core.parts import PartLimits, growing_size
from .errors import NeuroError
from .protocols import Multipart

__all__ = ["Upload", "send_stream", "uploading"]

_TIDY_SECONDS = 10.0


class Upload:
    """One upload under way; ``tags`` are those of the parts that the store has."""

    def __init__(
        self, store: Multipart, key: str, name: str, tags: Mapping[int, str] | None = None
    ) -> None:
        self._store = store
        self._key = key
        self.name = name
        self.tags = dict(tags or {})

    async def put(self, number: int, body: Sequence[bytes]) -> str:
        """Send one part; the answer is its tag."""
        tag = await self._store.put_part(self._key, self.name, number, body)
        self.tags[number] = tag
        return tag


@asynccontextmanager
async def uploading(
    store: Multipart,
    key: str,
    resumed: Upload | None = None,
    *,
    keep: Callable[[BaseException], bool] = lambda _: False,
) -> AsyncIterator[Upload]:
    """``async with`` around the sending of parts: the blob is there when the block is left.

    When the block fails or is cancelled nothing is: the upload is aborted, unless *keep* says so of
    the error. What could not be aborted is said in a note of the error.
    """
    upload = resumed or Upload(store, key, await _begin(store, key))
    try:
        yield upload
        await store.finish(key, upload.name, upload.tags)
    except BaseException as error:
        if not keep(error):
            await _tidy(store, key, upload.name, error)
        raise


async def _begin(store: Multipart, key: str) -> str:
    # A cancelled request may yet be carried out, and nobody would know the upload's name.
    work = asyncio.ensure_future(store.begin(key))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError as error:
        with contextlib.suppress(TimeoutError, NeuroError):
            await _tidy(store, key, await asyncio.wait_for(work, _TIDY_SECONDS), error)
        raise


async def _tidy(store: Multipart, key: str, name: str, error: BaseException) -> None:
    try:
        async with asyncio.timeout(_TIDY_SECONDS):
            await store.abort(key, name)
    except (NeuroError, TimeoutError) as failure:
        error.add_note(f"the upload {name!r} of {key!r} could not be aborted: {failure}")


async def send_stream(
    store: Multipart, key: str, chunks: AsyncIterator[bytes], *, part_size: int, window: int
) -> bytes | None:
    """Send *chunks* in parts, *window* of them in flight.

    A body that fits into one part is not sent but given back. Chunks are not copied, but for
    those that go on in the next part.
    """
    async with aclosing(_bodies(chunks, part_size, store.limits)) as bodies:
        first: list[bytes] = await anext(bodies, [])
        second = await anext(bodies, None)
        if second is None:
            return first[0] if len(first) == 1 else b"".join(first)
        async with uploading(store, key) as upload:
            ready = [second, first]
            del first, second  # a part that has been sent is not held
            await run_bounded(window, _jobs(upload, ready, bodies))
    return None


async def _jobs(
    upload: Upload, ready: list[list[bytes]], bodies: AsyncIterator[list[bytes]]
) -> AsyncGenerator[Job, None]:
    number = 0
    while body := ready.pop() if ready else await anext(bodies, None):
        number += 1
        yield partial(_put, upload, number, body)
        del body


async def _put(upload: Upload, number: int, body: Sequence[bytes]) -> None:
    await upload.put(number, body)


async def _bodies(
    chunks: AsyncIterator[bytes], wanted: int, limits: PartLimits
) -> AsyncGenerator[list[bytes], None]:
    """The same bytes in lists of chunks that are the parts."""
    number, body = 1, []
    left = growing_size(number, wanted, limits)
    async for chunk in chunks:
        at = 0
        while at < len(chunk):
            piece = chunk[at : at + left]  # the chunk itself where it fits whole
            body.append(piece)
            at += len(piece)
            left -= len(piece)
            if left == 0:
                yield body
                number, body = number + 1, []
                left = growing_size(number, wanted, limits)
    if body:
        yield body
