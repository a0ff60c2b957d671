"""What comes in pages: put together, cut anew, read ahead, and let go of."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuro_sdk._aio import AsyncStream, Lifetime, each, read_ahead, singly, sized
from neuro_sdk.errors import ClientClosed

PAGES = st.lists(st.lists(st.integers(), min_size=1, max_size=5), max_size=6)


class Source:
    """Gives *pages*, and tells how many were asked for and whether it was closed."""

    def __init__(self, pages: Sequence[Sequence[int]], error: Exception | None = None) -> None:
        self._left = pages
        self._error = error
        self.asked = 0
        self.closed = False

    async def pages(self) -> AsyncGenerator[Sequence[int], None]:
        try:
            for page in self._left:
                self.asked += 1
                await asyncio.sleep(0)
                yield page
            if self._error is not None:
                raise self._error
        finally:
            self.closed = True


@given(PAGES, st.integers(1, 7))
async def test_nothing_is_lost_or_moved(pages: list[list[int]], size: int) -> None:
    expected = [item for page in pages for item in page]
    assert [item async for item in each(Source(pages).pages())] == expected
    assert [page async for page in read_ahead(Source(pages).pages())] == pages
    cut = [page async for page in sized(Source(pages).pages(), size)]
    assert [item for page in cut for item in page] == expected
    assert all(len(page) == size for page in cut[:-1])
    assert all(0 < len(page) <= size for page in cut)
    again = [page async for page in singly(each(Source(pages).pages()))]
    assert again == [[item] for item in expected]
    stream = AsyncStream(Source(pages).pages(), Lifetime())
    assert [item async for item in stream] == expected


async def test_the_next_page_is_on_its_way_while_one_is_used() -> None:
    source = Source([[1], [2], [3]])
    ahead = read_ahead(source.pages())
    assert await anext(ahead) == [1]
    assert source.asked == 2
    await ahead.aclose()
    assert source.closed


async def test_as_much_is_read_ahead_as_is_said() -> None:
    source = Source([[number] * 3 for number in range(10)])
    ahead = read_ahead(source.pages(), items=7)
    got = []
    async for page in ahead:
        await asyncio.sleep(0.001)
        got.append(page)
        assert source.asked == min(10, len(got) + 3)  # 3 pages have 7 items
    assert len(got) == 10
    assert source.closed


async def test_none_is_asked_for_that_is_not_wanted() -> None:
    source = Source([[1], [2], [3]])
    ahead = read_ahead(source.pages(), wanted=False)
    assert await anext(ahead) == [1]
    assert source.asked == 1
    await ahead.aclose()
    assert source.closed


async def test_an_error_ahead_comes_in_its_turn() -> None:
    source = Source([[1], [2]], OSError("gone"))
    got = []
    with pytest.raises(OSError, match="gone"):
        async for page in read_ahead(source.pages()):
            got.append(page)
    assert got == [[1], [2]]
    assert source.closed


async def test_an_error_ahead_that_nobody_waits_for_is_no_noise(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Source([[1]], OSError("gone"))
    ahead = read_ahead(source.pages())
    assert await anext(ahead) == [1]
    await asyncio.sleep(0.01)
    await ahead.aclose()
    assert caplog.records == []


async def test_one_that_is_left_lying_is_no_noise(caplog: pytest.LogCaptureFixture) -> None:
    source = Source([[1], [2], [3]])
    ahead = read_ahead(source.pages())
    assert await anext(ahead) == [1]
    for _ in range(20):  # until it waits for room
        await asyncio.sleep(0)
    lying: list[object] = [ahead]
    lying.append(lying)
    del ahead, lying
    gc.collect()
    for _ in range(20):
        await asyncio.sleep(0)
    assert source.closed
    assert caplog.records == []


async def test_a_source_that_cannot_be_cancelled_is_waited_for() -> None:
    async def stubborn() -> AsyncGenerator[Sequence[int], None]:
        yield [1]
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        yield [2]

    ahead = read_ahead(stubborn())
    assert await anext(ahead) == [1]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await ahead.aclose()


async def test_who_is_cancelled_leaves_nothing_under_way() -> None:
    closed = False

    async def endless() -> AsyncGenerator[Sequence[int], None]:
        nonlocal closed
        try:
            yield [1]
            await asyncio.sleep(60)
        finally:
            closed = True

    async def read() -> None:
        async for _ in each(read_ahead(endless())):
            pass

    task = asyncio.ensure_future(read())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    assert closed
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_stream_gives_what_is_left_as_pages() -> None:
    stream = AsyncStream(Source([[], [1, 2, 3], [], [4, 5], []]).pages(), Lifetime())
    assert await anext(stream) == 1
    assert [page async for page in stream.pages()] == [[2, 3], [4, 5]]
    assert [item async for item in stream] == []


async def test_a_closed_client_ends_a_page_in_the_middle() -> None:
    lifetime = Lifetime()
    stream = AsyncStream(Source([[1, 2, 3]]).pages(), lifetime)
    assert await anext(stream) == 1
    await lifetime.end()
    with pytest.raises(ClientClosed):
        await anext(stream)


async def test_a_stream_that_is_closed_gives_no_more() -> None:
    source = Source([[1, 2, 3], [4]])
    async with AsyncStream(source.pages(), Lifetime()) as stream:
        assert await anext(stream) == 1
    assert source.closed
    assert [item async for item in stream] == []
