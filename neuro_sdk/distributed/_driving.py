"""The talk with Dask: tasks sent, asked how far they are, and stopped.

A ``distributed.Client`` lives on a loop of its own, which may be that of the caller. Everything
is said to it there; what comes back is handed over to the loop of the caller, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import distributed

from neuro_sdk import ClientStateError

from ._tasks import Happened, Task, drain, run_task, stop

__all__ = ["Ended", "drive", "on_loop_of", "threads_of"]

T = TypeVar("T")

_LOOK = 0.25  # seconds between questions how far the tasks are
_LEAST_AHEAD = 32  # tasks that the scheduler knows at once, so that a cluster may grow for them
_AHEAD = 3  # times the threads there are
_TIDYING = 60.0  # seconds that tasks may take to end when they are stopped


class Ended(NamedTuple):
    """The task of this number has ended; what failed, by path."""

    number: int
    failures: Mapping[str, Exception]


async def on_loop_of(cluster: distributed.Client, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Do *work* on the loop of *cluster*. A cancelled caller waits until it has ended."""
    loop = _loop_of(cluster)
    mine = asyncio.get_running_loop()
    ended = asyncio.Event()
    began: list[asyncio.Task[T]] = []
    cancelled = False

    def begin() -> None:
        task = loop.create_task(work())
        task.add_done_callback(lambda _: mine.call_soon_threadsafe(ended.set))
        began.append(task)
        if cancelled:
            task.cancel()

    def cancel() -> None:
        for task in began:
            task.cancel()

    loop.call_soon_threadsafe(begin)
    try:
        await ended.wait()
    except asyncio.CancelledError:
        cancelled = True
        loop.call_soon_threadsafe(cancel)
        while not ended.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await ended.wait()
        if not began[0].cancelled():
            began[0].exception()  # seen here, so that asyncio does not report it as forgotten
        raise
    return began[0].result()


def _loop_of(cluster: distributed.Client) -> asyncio.AbstractEventLoop:
    loop: asyncio.AbstractEventLoop | None = getattr(cluster.loop, "asyncio_loop", None)
    if loop is None or cluster.status != "running" or not loop.is_running():
        raise ClientStateError("the Dask client is closed, or its event loop does not run")
    return loop


async def threads_of(cluster: distributed.Client) -> int:
    """How many tasks the workers that are there now do at once."""

    async def ask() -> int:
        return sum((await _answer(cluster.nthreads())).values())

    return await on_loop_of(cluster, ask)


async def drive(
    cluster: distributed.Client,
    call: str,
    tasks: Iterable[Task],
    threads: int,
    retries: int,
    tell: Callable[[Ended | list[Happened]], None],
) -> None:
    """Have the workers do *tasks*; *tell* what happens and what has ended, as it comes.

    Runs on the loop of *cluster*. The scheduler knows only so many of them at once. The first
    task that raises, or a cancelled caller, stops all others before this ends.
    """
    slots = asyncio.Semaphore(max(_LEAST_AHEAD, _AHEAD * threads))
    try:
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(_look(cluster, call, tell))
            async with asyncio.TaskGroup() as sent:
                for task in tasks:
                    await slots.acquire()
                    one = sent.create_task(_one(cluster, task, retries, tell))
                    one.add_done_callback(lambda _: slots.release())
            looking.cancel()
    except BaseException as error:
        await _stopped(cluster, call)
        if isinstance(error, BaseExceptionGroup):
            raise _first(error) from None
        raise


async def _one(
    cluster: distributed.Client,
    task: Task,
    retries: int,
    tell: Callable[[Ended | list[Happened]], None],
) -> None:
    key = f"neuro-sdk-{task.call}-{task.number}"
    future = cluster.submit(run_task, task, key=key, pure=False, retries=retries)
    try:
        tell(Ended(task.number, await _answer(future.result())))
    except BaseException:
        with contextlib.suppress(Exception):
            await _answer(future.cancel(force=True))
        raise
    finally:
        future.release()


async def _look(
    cluster: distributed.Client, call: str, tell: Callable[[list[Happened]], None]
) -> None:
    while True:
        await asyncio.sleep(_LOOK)
        # A worker that has just been lost does not answer. What was not heard of is made good
        # by the answers of the tasks, so no trouble with asking ends the work.
        with contextlib.suppress(Exception):
            answers = await _answer(cluster.run(drain, call, on_error="ignore"))
            for happened in answers.values():
                if happened:
                    tell(happened)


async def _stopped(cluster: distributed.Client, call: str) -> None:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_TIDYING):
            await _answer(cluster.run(stop, call, on_error="ignore"))


async def _answer(coming: Awaitable[T] | T) -> T:
    # On its own loop a client answers with something to await, which its types do not say.
    assert isinstance(coming, Awaitable)
    answer: T = await coming
    return answer


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
