"""Many jobs, few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing

__all__ = ["run_bounded"]

Job = Callable[[], Coroutine[None, None, None]]


async def run_bounded(limit: int, jobs: AsyncGenerator[Job, None]) -> None:
    """Run *jobs* as they come, at most *limit* at once, so that as many tasks exist.

    The first error cancels the rest, waits for them, and is raised as it is.
    """
    slots = asyncio.Semaphore(limit)

    def free(_: asyncio.Task[None]) -> None:
        slots.release()

    try:
        async with asyncio.TaskGroup() as group, aclosing(jobs) as source:
            async for job in source:
                await slots.acquire()
                group.create_task(job()).add_done_callback(free)
    except BaseExceptionGroup as errors:
        raise _first(errors) from None


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
