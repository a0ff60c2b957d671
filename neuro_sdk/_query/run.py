"""One query, from the event loop and back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from .._core.query import QueryResult
from .blobs import QueriedBlobs, Where

if TYPE_CHECKING:
    from .duck import Parameters, Query

__all__ = ["run_query"]


async def run_query(
    where: Where, sql: str, parameters: Parameters, *, arrow: bool
) -> QueryResult | Any:
    """See ``Buckets.query``. A cancelled caller waits until the query has ended."""
    loop = asyncio.get_running_loop()
    blobs = QueriedBlobs(where, loop)
    # A thread of its own: those of the loop are what its reads may wait for.
    thread = ThreadPoolExecutor(1, "neuro-sdk-query")
    try:
        query = await loop.run_in_executor(thread, _opened, blobs)
        try:
            return await _asked(loop, thread, blobs, query, sql, parameters, arrow)
        finally:
            await loop.run_in_executor(thread, query.close)
    finally:
        thread.shutdown(wait=False)


async def _asked(
    loop: asyncio.AbstractEventLoop,
    thread: ThreadPoolExecutor,
    blobs: QueriedBlobs,
    query: Query,
    sql: str,
    parameters: Parameters,
    arrow: bool,
) -> QueryResult | Any:
    ask: Callable[[str, Parameters], QueryResult | Any] = query.table if arrow else query.rows
    work = loop.run_in_executor(thread, ask, sql, parameters)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        blobs.end()
        while not work.done():
            query.interrupt()  # again and again: it may be between two steps
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([work], timeout=0.05)
        if not work.cancelled():
            work.exception()  # seen here, so that asyncio does not report it as forgotten
        raise
    except Exception:
        # The engine wraps what a store said into an error and text of its own.
        if blobs.failure is not None:
            raise blobs.failure from None
        raise


def _opened(blobs: QueriedBlobs) -> Query:
    from .duck import Query

    return Query(blobs)
