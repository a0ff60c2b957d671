"""One query, from the event loop and back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
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
    blobs = QueriedBlobs(where, asyncio.get_running_loop())
    query = await asyncio.to_thread(_opened, blobs)
    ask: Callable[[str, Parameters], QueryResult | Any] = query.table if arrow else query.rows
    work = asyncio.ensure_future(asyncio.to_thread(ask, sql, parameters))
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
    finally:
        await asyncio.to_thread(query.close)


def _opened(blobs: QueriedBlobs) -> Query:
    from .duck import Query

    return Query(blobs)
