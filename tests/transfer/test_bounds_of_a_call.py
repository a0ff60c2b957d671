"""Memory and bandwidth of one call, and many calls at once: small machines, each on its own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Coroutine
from functools import partial
from typing import Any

import pytest

from neuro_sdk import ConfigError, TransferConfig
from neuro_sdk._aio import Errand, Job, in_order, run_bounded
from neuro_sdk._transfer.bounds import Bounds

MIB = 1 << 20
CONFIG = TransferConfig(part_size=MIB, window=4, memory=10 * MIB)


class TestMemory:
    async def test_no_more_is_held_than_there_is(self) -> None:
        bounds, held, most = Bounds(CONFIG), 0, 0
        chance = random.Random(2)

        async def use(size: int) -> None:
            nonlocal held, most
            async with bounds.memory(size):
                held += min(size, 4 * MIB)
                most = max(most, held)
                await asyncio.sleep(0)
                held -= min(size, 4 * MIB)

        sizes = [chance.randrange(7 * MIB) for _ in range(300)]
        await asyncio.gather(*map(use, sizes))
        assert 8 * MIB <= most <= 10 * MIB
        async with bounds.memory(10 * MIB), asyncio.timeout(5), bounds.memory(4 * MIB):
            pass  # all has been given back

    async def test_who_came_first_is_served_first(self) -> None:
        bounds, order = Bounds(TransferConfig(part_size=MIB, window=1, memory=MIB)), []

        async def use(number: int) -> None:
            async with bounds.memory(MIB if number % 2 else 10):
                order.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*[use(number) for number in range(20)])
        assert order == list(range(20))

    async def test_who_is_cancelled_while_waiting_takes_nothing(self) -> None:
        bounds = Bounds(CONFIG)
        chance = random.Random(3)

        async def use(size: int) -> None:
            async with bounds.memory(size):
                await asyncio.sleep(chance.choice([0, 0, 0.001]))

        for _ in range(40):
            tasks = [asyncio.create_task(use(chance.randrange(6 * MIB))) for _ in range(12)]
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            for task in chance.sample(tasks, 6):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(5), bounds.memory(4 * MIB), bounds.memory(4 * MIB):
            pass

    def test_a_window_is_no_larger_than_the_memory(self) -> None:
        assert Bounds(TransferConfig(part_size=MIB, window=8, memory=3 * MIB)).window == 3

    @pytest.mark.parametrize(
        ("wrong", "named"),
        [
            ({"memory": 1}, "memory"),
            ({"bandwidth": 0}, "bandwidth"),
            ({"timeout": 0}, "timeout"),
            ({"retries": -1}, "timeout must be positive and retries"),
            ({"concurrency": 0}, "concurrency"),
        ],
    )
    def test_what_cannot_be_is_named(self, wrong: dict[str, int], named: str) -> None:
        with pytest.raises(ConfigError, match=f"TransferConfig.{named}"):
            TransferConfig(**wrong)


class TestBandwidth:
    async def test_all_together_take_the_time_that_it_says(self) -> None:
        bounds = Bounds(TransferConfig(bandwidth=10 * MIB))
        clock = asyncio.get_running_loop().time
        began = clock()
        await asyncio.gather(*[bounds.pace(MIB // 4) for _ in range(12)])
        assert clock() - began >= 0.3

    async def test_none_waits_for_nothing(self) -> None:
        bounds = Bounds(TransferConfig())
        async with asyncio.timeout(5):
            for _ in range(1000):
                await bounds.pace(1 << 40)


class TestInOrder:
    async def test_results_come_in_order_and_few_at_once(self) -> None:
        chance, running, most = random.Random(1), 0, 0

        async def call(number: int) -> int:
            nonlocal running, most
            running += 1
            most = max(most, running)
            for _ in range(chance.randrange(5)):
                await asyncio.sleep(0)
            running -= 1
            return number

        calls = (partial(call, number) for number in range(100))
        assert [number async for number in in_order(4, calls)] == list(range(100))
        assert most == 4

    async def test_what_is_left_is_cancelled(self) -> None:
        ended: list[int] = []

        async def call(number: int) -> int:
            try:
                if number == 2:
                    raise ZeroDivisionError
                if number > 2:
                    await asyncio.Event().wait()
            finally:
                ended.append(number)
            return number

        results = in_order(4, [partial(call, number) for number in range(9)])
        assert [await anext(results), await anext(results)] == [0, 1]
        with pytest.raises(ZeroDivisionError):
            await anext(results)
        assert sorted(ended) == [0, 1, 2, 3]
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_job_is_asked_for_when_there_is_room() -> None:
    made, done = 0, 0

    async def job() -> None:
        nonlocal done
        await asyncio.sleep(0)
        done += 1

    async def jobs() -> AsyncGenerator[Job, None]:
        nonlocal made
        for _ in range(50):
            made += 1
            assert made - done <= 3
            yield job

    await run_bounded(3, jobs())
    assert done == 50


async def test_the_first_error_does_not_hold_itself() -> None:
    async def fail() -> None:
        raise KeyError("first")

    async def jobs() -> AsyncGenerator[Job, None]:
        yield fail

    with pytest.raises(KeyError, match="first") as caught:
        await run_bounded(2, jobs())
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


class TestErrands:
    """Jobs that others do, beside those that are tasks."""

    async def test_they_count_as_tasks_do_and_may_leave_something_to_do(self) -> None:
        under_way = peak = rest = 0

        async def more() -> None:
            nonlocal rest
            await asyncio.sleep(0.001)
            rest += 1

        def settled(number: int, work: asyncio.Future[Any]) -> Coroutine[Any, Any, None] | None:
            nonlocal under_way
            under_way -= 1
            assert work.result() == number
            return more() if number % 3 == 0 else None

        async def job() -> None:
            nonlocal under_way
            await asyncio.sleep(0)
            under_way -= 1

        async def jobs() -> AsyncGenerator[Job | Errand, None]:
            nonlocal under_way, peak
            loop = asyncio.get_running_loop()
            for number in range(60):
                under_way += 1
                peak = max(peak, under_way)
                if number % 2:
                    yield job
                    continue
                work = loop.create_future()
                loop.call_later(0.001, work.set_result, number)
                yield Errand(work, partial(settled, number))

        await run_bounded(4, jobs())
        assert (under_way, rest) == (0, 10)
        assert peak <= 4

    @pytest.mark.parametrize("where", ["settle", "task", "jobs", "outside"])
    async def test_what_fails_ends_the_others_and_each_is_settled_once(self, where: str) -> None:
        ends: list[str] = []

        def settled(work: asyncio.Future[Any]) -> None:
            ends.append("cancelled" if work.cancelled() else "done")
            if where == "settle" and not work.cancelled():
                raise ZeroDivisionError

        async def fail() -> None:
            raise ZeroDivisionError

        async def jobs() -> AsyncGenerator[Job | Errand, None]:
            loop = asyncio.get_running_loop()
            works = [loop.create_future() for _ in range(3)]
            for work in works:
                yield Errand(work, settled)
            if where == "settle":
                works[0].set_result(None)
            elif where == "task":
                yield fail
            elif where == "jobs":
                raise ZeroDivisionError
            else:
                asyncio.get_running_loop().call_soon(call.cancel)

        call = asyncio.create_task(run_bounded(8, jobs()))
        expected = asyncio.CancelledError if where == "outside" else ZeroDivisionError
        with pytest.raises(expected):
            await call
        assert sorted(ends) == ["cancelled"] * (2 if where == "settle" else 3) + ["done"] * (
            where == "settle"
        )
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def test_nothing_begins_between_a_failure_and_the_end(self) -> None:
        begun: list[int] = []

        async def rest(number: int, next_: asyncio.Future[None], _: asyncio.Future[None]) -> None:
            begun.append(number)
            asyncio.get_running_loop().call_soon(next_.set_result, None)
            raise ZeroDivisionError

        async def jobs() -> AsyncGenerator[Job | Errand, None]:
            works = [asyncio.get_running_loop().create_future() for _ in range(3)]
            for number in range(2):
                yield Errand(works[number], partial(rest, number, works[number + 1]))
            works[0].set_result(None)

        with pytest.raises(ZeroDivisionError):
            await run_bounded(8, jobs())
        assert begun == [0]

    async def test_a_cancelled_call_waits_for_what_cannot_be_cancelled(self) -> None:
        class Stubborn(asyncio.Future[None]):
            def cancel(self, msg: object = None) -> bool:
                del msg
                return False

        work, settled = Stubborn(), list[bool]()

        async def jobs() -> AsyncGenerator[Job | Errand, None]:
            yield Errand(work, lambda work: settled.append(work.done()))

        call = asyncio.create_task(run_bounded(2, jobs()))
        await asyncio.sleep(0.01)
        for _ in range(3):
            call.cancel()
            await asyncio.sleep(0.01)
        assert not call.done()
        work.set_result(None)
        with pytest.raises(asyncio.CancelledError):
            await call
        assert settled == [True]
