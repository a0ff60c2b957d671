"""Plans as values: sums, requests and the table that they print."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuro_sdk import Action, DeletionRefused, IllegalArgumentError, Plan, PlannedStep
from neuro_sdk._core.plans import (
    fetch_requests,
    list_requests,
    put_requests,
    remove_requests,
)
from neuro_sdk._core.show import bytes_text

steps = st.builds(
    PlannedStep,
    st.sampled_from(Action),
    st.text(min_size=1, max_size=20),
    st.integers(0, 10**16),
    st.text(alphabet="abc ", max_size=10),
    st.integers(0, 9),
)


def plan_of(*planned: PlannedStep, refused: str | None = None) -> Plan[object]:
    return Plan("upload", "/tree", "blob:box", planned, refused=refused, looking=2)


@given(st.lists(steps, max_size=60))
def test_every_step_is_in_one_sum_and_on_one_line(planned: list[PlannedStep]) -> None:
    plan = plan_of(*planned)
    assert plan.files + plan.removed + len(plan.skipped) + len(plan.failing) == len(planned)
    assert plan.requests == 2 + sum(step.requests for step in planned)
    moved = [step for step in planned if step.action in (Action.COPY, Action.APPEND)]
    assert plan.bytes == sum(step.size for step in moved)
    lines = str(plan).splitlines()
    totals = len({step.action for step in planned})
    shown = min(len(planned), 50)
    more = len(planned) > 50
    # The title, the totals with their head and what looking costs, and the steps.
    assert len(lines) == 1 + 1 + 2 + totals + (1 + shown if shown else 0) + more
    assert all(line == line.rstrip() for line in lines)


def test_the_table() -> None:
    plan = plan_of(
        PlannedStep(Action.COPY, "a/b.bin", 3 << 20, requests=1),
        PlannedStep(Action.COPY, "new\nline", 17, requests=1),
        PlannedStep(Action.SKIP, "old", 1536, "the blob there is not older"),
        PlannedStep(Action.FAIL, "pipe", 0, "not a regular file"),
        PlannedStep(Action.REMOVE, "gone", 5, requests=1),
        refused="too much",
    )
    assert (
        str(plan)
        == """\
upload /tree -> blob:box
refused: too much

  action      files    bytes  requests
  copy            2  3.0 MiB         2
  skip            1  1.5 KiB         0
  remove          1      5 B         1
  fail            1      0 B         0
  look again                         2

  copy    3.0 MiB  a/b.bin
  copy       17 B  'new\\nline'
  skip    1.5 KiB  old          the blob there is not older
  fail        0 B  pipe         not a regular file
  remove      5 B  gone"""
    )


async def test_a_refused_plan_is_not_applied() -> None:
    refused = plan_of(refused="too much")
    with pytest.raises(DeletionRefused, match="too much"):
        await refused.apply()
    with pytest.raises(DeletionRefused, match="too much"):
        await refused.apply_removals()
    with pytest.raises(DeletionRefused, match="too much"):
        refused.split()


@given(
    st.lists(
        st.builds(
            PlannedStep,
            st.sampled_from(Action),
            st.text(min_size=1, max_size=5),
            st.one_of(st.just(0), st.integers(0, 50), st.integers(0, 5000)),
        ),
        max_size=80,
    ),
    st.integers(1, 9),
    st.integers(1, 300),
)
def test_the_parts_hold_what_is_moved_and_no_more_than_allowed(
    planned: list[PlannedStep], max_files: int, max_bytes: int
) -> None:
    plan = replace(plan_of(*planned), options=frozenset({"verify"}))
    parts = plan.split(max_files=max_files, max_bytes=max_bytes)
    assert [step for part in parts for step in part.steps] == [*plan.of(Action.COPY, Action.APPEND)]
    for part in parts:
        assert 1 <= part.files <= max_files
        assert part.bytes <= max_bytes or part.files == 1
        assert (part.operation, part.source, part.target) == ("upload", "/tree", "blob:box")
        assert part.options == {"verify"}
    for one, other in pairwise(parts):
        both = one.files + other.files, one.bytes + other.bytes
        assert both[0] > max_files or both[1] > max_bytes


def test_folders_are_parts_too() -> None:
    plan = replace(plan_of(), folders=("a/", "b/", "c/"))
    assert [part.folders for part in plan.split(max_files=2)] == [("a/", "b/"), ("c/",)]
    with pytest.raises(IllegalArgumentError, match="at least 1"):
        plan.split(max_files=0)


async def test_a_plan_that_was_pickled_is_a_value() -> None:
    async def work(_: object) -> None:
        pytest.fail("nothing but what a plan says is taken along")

    plan = replace(plan_of(PlannedStep(Action.REMOVE, "a")), _apply=work, _remove=work)
    again = pickle.loads(pickle.dumps(plan))
    assert again == plan
    with pytest.raises(IllegalArgumentError, match=r"buckets\.apply"):
        await again.apply()
    with pytest.raises(IllegalArgumentError, match=r"buckets\.apply"):
        await again.apply_removals()


@pytest.mark.parametrize(
    ("base", "path", "url"),
    [
        ("/tree", "", "file:///tree/"),
        ("/tree", "a b/c?", "file:///tree/a%20b/c%3F"),
        ("/", "a", "file:///a"),
        ("blob://c/p/box", "", "blob://c/p/box"),
        ("blob://c/p/box", "a/../b", "blob://c/p/box/a/%2E%2E/b"),
        ("blob://c/p/box/logs/", "x%20/", "blob://c/p/box/logs/x%2520/"),
    ],
)
def test_the_addresses_of_a_path(base: str, path: str, url: str) -> None:
    there = Plan[object]("copy", base, base, ())
    assert [*map(str, there.urls(path))] == [url, url]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        (5 << 30, "5.0 GiB"),
        (1 << 63, "8192.0 PiB"),
    ],
)
def test_bytes_for_people(count: int, text: str) -> None:
    assert bytes_text(count) == text


@given(st.integers(0, 1 << 40), st.integers(1, 1 << 30))
def test_requests_grow_with_the_size(size: int, part: int) -> None:
    assert put_requests(size, part) == (1 if size <= part else -(-size // part) + 2)
    assert (fetch_requests(size, part) - 1) * part < max(size, 1)
    assert fetch_requests(size, part) * part >= size


@pytest.mark.parametrize("entries", [0, 1, 999, 1000, 1001, 2500])
def test_a_request_lists_or_removes_a_thousand(entries: int) -> None:
    batches = -(-entries // 1000)
    assert list_requests(entries) == max(1, batches)
    assert sum(remove_requests(position) for position in range(entries)) == batches
