"""The shapes that the async API is made of."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Sequence,
    Sized,
)
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar

from ._core.models import Listing
from .errors import ClientClosed, ForkedProcessError

__all__ = [
    "AsyncStream",
    "Entering",
    "Errand",
    "Job",
    "Lifetime",
    "Opening",
    "dropped",
    "each",
    "in_order",
    "read_ahead",
    "run_bounded",
    "singly",
    "sized",
    "to_its_end",
    "within_lifetime",
]

T = TypeVar("T")
P = ParamSpec("P")
Z = TypeVar("Z", bound=Sized)

Job = Callable[[], Coroutine[Any, Any, None]]

_LOOK = 0.01  # seconds; a call may end long before its task does


class AsyncStream(Generic[T]):
    """An async iterator that is also an async context manager.

    Use it as ``async for x in stream`` or, to let go of its connection at once when leaving
    early, as ``async with stream as it: async for x in it``. It can be read once.
    """

    def __init__(self, pages: AsyncGenerator[Sequence[T], None], lifetime: Lifetime) -> None:
        self._pages = pages
        self._page: Iterator[T] = iter(())
        self._lifetime = lifetime

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        while True:
            if not self._lifetime.closed:
                for item in self._page:
                    return item
            self._page = iter(await self._next())

    async def _next(self) -> Sequence[T]:
        with self._lifetime.call():
            return await anext(self._pages)

    async def pages(self) -> AsyncGenerator[Sequence[T], None]:
        """The same, several at a time as they came, never none: for a great many it is faster."""
        page: Sequence[T] = [*self._page]
        while True:
            if page:
                yield page
            try:
                page = await self._next()
            except StopAsyncIteration:
                return

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop; nothing more is read."""
        self._page = iter(())
        await self._pages.aclose()

    async def collect(self) -> Listing[T]:
        """All that is left, as a list; a notebook shows it as a table."""
        async with self:
            return Listing([item async for item in self])


class _Living(Protocol):
    @property
    def _lifetime(self) -> Lifetime: ...


S = TypeVar("S", bound=_Living)


class _Closeable(Protocol):
    async def close(self) -> None: ...


C = TypeVar("C", bound=_Closeable)


class Opening(Generic[C]):
    """Something on its way to be open: ``await`` it and close it, or use ``async with``."""

    def __init__(self, opener: Callable[[], Awaitable[C]]) -> None:
        self._opener = opener
        self._opened: C | None = None

    def __await__(self) -> Generator[Any, Any, C]:
        return self._opener().__await__()

    async def __aenter__(self) -> C:
        self._opened = await self._opener()
        return self._opened

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._opened is not None:
            opened, self._opened = self._opened, None
            await opened.close()


class _Entered(_Closeable, Protocol):
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


E = TypeVar("E", bound=_Entered)


class Entering(Opening[E], Generic[E]):
    """An ``Opening`` of what has an end of its own for a block that failed."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._opened is not None:
            opened, self._opened = self._opened, None
            await opened.__aexit__(kind, error, traceback)


class Lifetime:
    """Whether a client may still be used: not closed, and in the process that opened it."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self.closed = False
        self.calls: set[asyncio.Task[Any]] = set()
        self.cut: set[asyncio.Task[Any]] = set()

    @property
    def inherited(self) -> bool:
        """True in a forked child of the process that opened the client."""
        return os.getpid() != self._pid

    def check(self) -> None:
        """Raise ClientClosed or ForkedProcessError unless the client may be used."""
        if self.closed:
            raise ClientClosed("this client is closed; open another")
        if self.inherited:
            raise ForkedProcessError(
                "this client belongs to the parent process; start workers with the 'spawn' or "
                "'forkserver' method and open a client in each"
            )

    def call(self) -> _Call:
        """``with lifetime.call():`` around each call of a user.

        Raises as ``check`` does, and ClientClosed in a call that ``end`` cuts short.
        """
        self.check()
        return _Call(self)

    async def end(self) -> None:
        """Let no more calls in, end those under way, and wait until they have tidied up."""
        self.closed = True
        current = asyncio.current_task()
        for task in self.calls - {current}:
            self.cut.add(task)
            task.cancel()
        while self.calls - {current}:
            await asyncio.wait(
                [task for task in self.calls if task is not current],
                timeout=_LOOK,
                return_when=asyncio.FIRST_COMPLETED,
            )


class _Call:
    """One call of a user; what it calls in turn in the same task belongs to it."""

    __slots__ = ("_lifetime", "_task")

    def __init__(self, lifetime: Lifetime) -> None:
        self._lifetime = lifetime
        self._task: asyncio.Task[Any] | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is not None and task not in self._lifetime.calls:
            self._task = task
            self._lifetime.calls.add(task)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        task = self._task
        if task is None:
            return
        self._lifetime.calls.discard(task)
        if task not in self._lifetime.cut:
            return
        self._lifetime.cut.discard(task)
        # As with a time limit: whoever else cancelled the task has precedence.
        others = task.uncancel()
        if kind is not None and issubclass(kind, asyncio.CancelledError) and not others:
            raise ClientClosed("this client was closed during the call") from None


def within_lifetime(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Make an async method a call of its object's ``_lifetime``."""

    @functools.wraps(method)
    async def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self._lifetime.call():
            return await method(self, *args, **kwargs)

    return call


async def each(pages: AsyncGenerator[Sequence[T], None]) -> AsyncGenerator[T, None]:
    """The items of the *pages*."""
    async with aclosing(pages):
        async for page in pages:
            for item in page:
                yield item


async def singly(items: AsyncGenerator[T, None]) -> AsyncGenerator[Sequence[T], None]:
    """Each of the *items* as a page."""
    async with aclosing(items):
        async for item in items:
            yield [item]


async def sized(
    pages: AsyncGenerator[Sequence[T], None], size: int
) -> AsyncGenerator[Sequence[T], None]:
    """The same items in pages of *size*, the last one shorter."""
    held: Sequence[T] = ()
    async with aclosing(pages):
        async for page in pages:
            held = [*held, *page] if held else page
            while len(held) >= size:
                yield held[:size]
                held = held[size:]
    if held:
        yield held


async def dropped(coming: asyncio.Future[Any]) -> None:
    """Nobody wants any more what is *coming*."""
    coming.cancel()
    await to_its_end(asyncio.wait([coming]))
    if not coming.cancelled():
        coming.exception()


async def read_ahead(
    pages: AsyncGenerator[Z, None], wanted: bool = True, *, items: int = 1
) -> AsyncGenerator[Z, None]:
    """The same *pages*; where that is *wanted*, more are on their way while one is used.

    They are asked for until so many *items* are held that nobody has taken yet.
    """
    async with aclosing(pages):
        if not wanted:
            async for page in pages:
                yield page
            return
        held: deque[Z] = deque()
        came, room, count, leaving = asyncio.Event(), asyncio.Event(), 0, False

        async def read() -> None:
            nonlocal count
            async for page in pages:
                held.append(page)
                count += max(1, len(page))
                came.set()
                while count >= items and not leaving:
                    room.clear()
                    await room.wait()
                if leaving:
                    return

        reading = asyncio.create_task(read())
        reading.add_done_callback(lambda _: came.set())
        _readings.add(reading)
        reading.add_done_callback(_readings.discard)
        try:
            while True:
                while not held and not reading.done():
                    came.clear()
                    await came.wait()
                if not held:
                    await reading
                    return
                page = held.popleft()
                paused = count >= items
                count -= max(1, len(page))
                if paused and count < items:
                    room.set()
                    await asyncio.sleep(0)  # the next one is asked for before the page is used
                yield page
        finally:
            leaving = True
            await dropped(reading)


_readings: set[asyncio.Task[None]] = set()
"""Those under way: of a stream that is left lying, the loop itself would forget them too soon."""


async def in_order(
    window: int, calls: Iterable[Callable[[], Coroutine[Any, Any, T]]]
) -> AsyncGenerator[T, None]:
    """What *calls* give, in their order; *window* of them are under way or wait to be taken."""
    tasks: deque[asyncio.Task[T]] = deque()
    try:
        for call in calls:
            if len(tasks) == window:
                yield await tasks.popleft()
            tasks.append(asyncio.create_task(call()))
        while tasks:
            yield await tasks.popleft()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def to_its_end(operation: Awaitable[T]) -> T:
    """Let *operation* end before its caller is cancelled.

    Left alone it would go on, and make a file that the caller has just removed.
    """
    work = asyncio.ensure_future(operation)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # seen here, so that asyncio does not report it as forgotten
        raise


@dataclass(frozen=True, slots=True)
class Errand:
    """A job that others are doing already, so that no task waits for it.

    When *work* has ended, however it did, ``settle`` is called with it once. It may give back
    what is still to be done, or raise what ends the whole.
    """

    work: asyncio.Future[Any]
    settle: Callable[[asyncio.Future[Any]], Coroutine[Any, Any, None] | None]


async def run_bounded(limit: int, jobs: AsyncGenerator[Job | Errand, None]) -> None:
    """Run *jobs* as they come, at most *limit* at once, so that as many tasks exist.

    The next job is asked for when there is room for it. The first error cancels the rest,
    waits for them, and is raised as it is.
    """
    slots = asyncio.Semaphore(limit)
    errands: set[asyncio.Future[Any]] = set()
    ending = False

    def free(_: object) -> None:
        slots.release()

    def settled(errand: Errand, work: asyncio.Future[Any]) -> None:
        errands.discard(work)
        try:
            rest = errand.settle(work)
        except BaseException as error:
            rest = _raising(error)
        if rest is None:
            slots.release()
            return
        if ending:
            rest.close()
            return
        try:
            group.create_task(rest).add_done_callback(free)
        except RuntimeError:  # another job has just failed, and nothing begins any more
            rest.close()

    try:
        async with asyncio.TaskGroup() as group, aclosing(jobs) as source:
            try:
                while await slots.acquire():
                    job = await anext(source, None)
                    if job is None:
                        break
                    if isinstance(job, Errand):
                        errands.add(job.work)
                        job.work.add_done_callback(partial(settled, job))
                    else:
                        group.create_task(job()).add_done_callback(free)
                    del job
                for _ in range(limit - 1):  # the last one is held already
                    await slots.acquire()
            except BaseException:
                ending = True
                await _cancelled(errands)
                raise
    except BaseExceptionGroup as errors:
        error = _first(errors)
    else:
        return
    try:
        # Not in the block above: there the group would become its context, which holds it in turn,
        # and what pickles errors with all they hold, as Dask does, would never come to an end.
        raise error
    finally:
        del error


async def _raising(error: BaseException) -> None:
    raise error


async def _cancelled(works: AbstractSet[asyncio.Future[Any]]) -> None:
    for work in list(works):
        work.cancel()
    while works:  # each leaves when it has been settled
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(list(works))
            await asyncio.sleep(0)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
