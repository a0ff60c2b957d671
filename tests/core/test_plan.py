"""update and continue_: what is done with one file, from sizes and times alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuro_sdk._core.plan import (
    Action,
    Side,
    deletion_problem,
    plan_download,
    plan_sync,
    plan_update,
)

NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)
COPY, APPEND, SKIP = Action.COPY, Action.APPEND, Action.SKIP

sizes = st.integers(0, 5)
times = st.none() | st.integers(-4, 4).map(lambda ticks: NOON + ticks * SECOND / 2)
sides = st.builds(Side, sizes, times)
grains = st.sampled_from([timedelta(0), SECOND])


def at(size: int, moment: datetime | None = NOON) -> Side:
    return Side(size, moment)


@pytest.mark.parametrize(
    ("target", "action"),
    [
        (None, COPY),
        (at(5), SKIP),  # as old as the file, and stores round down
        (at(9), SKIP),
        (at(5, NOON + TICK), SKIP),
        (at(5, NOON - TICK), COPY),
        (at(5, NOON - SECOND), COPY),
        (at(5, None), COPY),
    ],
)
def test_update(target: Side | None, action: Action) -> None:
    assert plan_update(at(5), target) is action


def test_update_of_a_file_without_a_time() -> None:
    assert plan_update(at(5, None), at(5)) is COPY


# The source is 5 bytes of NOON. Columns: neither, update, continue_, both.
@pytest.mark.parametrize(
    ("target", "actions"),
    [
        (None, (COPY, COPY, COPY, COPY)),
        (at(0), (COPY, SKIP, COPY, COPY)),
        (at(3), (COPY, SKIP, APPEND, APPEND)),
        (at(5), (COPY, SKIP, SKIP, SKIP)),
        (at(7), (COPY, SKIP, COPY, SKIP)),
        (at(3, NOON + SECOND), (COPY, SKIP, APPEND, APPEND)),
        (at(5, NOON + SECOND), (COPY, SKIP, SKIP, SKIP)),
        (at(7, NOON + SECOND), (COPY, SKIP, COPY, SKIP)),
        (at(0, NOON - TICK), (COPY, COPY, COPY, COPY)),
        (at(3, NOON - TICK), (COPY, COPY, COPY, COPY)),
        (at(5, NOON - TICK), (COPY, COPY, COPY, COPY)),
        (at(7, NOON - TICK), (COPY, COPY, COPY, COPY)),
        (at(3, None), (COPY, COPY, COPY, COPY)),
        (at(5, None), (COPY, COPY, COPY, COPY)),
    ],
)
def test_download(target: Side | None, actions: tuple[Action, ...]) -> None:
    decided = tuple(
        plan_download(at(5), target, update=update, continue_=continue_)
        for continue_, update in product([False, True], repeat=2)
    )
    assert decided == actions


@pytest.mark.parametrize(
    ("age", "grain", "action"),
    [
        (timedelta(0), timedelta(0), SKIP),
        (timedelta(0), SECOND, COPY),  # the blob may be of up to a second later
        (SECOND - TICK, SECOND, COPY),
        (SECOND, SECOND, SKIP),
    ],
)
def test_a_file_from_within_the_grain_of_the_store_may_be_older(
    age: timedelta, grain: timedelta, action: Action
) -> None:
    target = at(5, NOON + age)
    for update, continue_ in ((True, False), (False, True), (True, True)):
        planned = plan_download(at(5), target, update=update, continue_=continue_, grain=grain)
        assert planned is action


def test_an_empty_blob_is_not_appended_to() -> None:
    assert plan_download(at(0), at(0), update=False, continue_=True) is SKIP
    assert plan_download(at(0), at(1), update=False, continue_=True) is COPY


@given(sides, st.none() | sides, st.booleans(), st.booleans(), grains)
def test_nothing_is_left_or_appended_to_but_what_is_certainly_not_older(
    source: Side, target: Side | None, update: bool, continue_: bool, grain: timedelta
) -> None:
    action = plan_download(source, target, update=update, continue_=continue_, grain=grain)
    if action is not COPY:
        assert update or continue_
        assert target is not None
        assert target.modified_at is not None
        assert source.modified_at is not None
        assert target.modified_at >= source.modified_at + grain


@given(sides, st.none() | sides, st.booleans(), grains)
def test_an_append_adds_something_to_something(
    source: Side, target: Side | None, update: bool, grain: timedelta
) -> None:
    action = plan_download(source, target, update=update, continue_=True, grain=grain)
    if action is APPEND:
        assert target is not None
        assert 0 < target.size < source.size


@given(sides, st.none() | sides, grains)
def test_both_flags_leave_nothing_unfinished_and_nothing_copied_that_update_leaves(
    source: Side, target: Side | None, grain: timedelta
) -> None:
    both = plan_download(source, target, update=True, continue_=True, grain=grain)
    if both is SKIP:
        assert target is not None
        assert target.size >= source.size
    elif both is COPY and target is not None and target.size >= source.size:
        assert plan_download(source, target, update=True, continue_=False, grain=grain) is COPY


@given(sides, st.none() | sides, st.booleans(), st.booleans())
def test_a_coarser_grain_only_makes_more_copies(
    source: Side, target: Side | None, update: bool, continue_: bool
) -> None:
    fine = plan_download(source, target, update=update, continue_=continue_)
    coarse = plan_download(source, target, update=update, continue_=continue_, grain=SECOND)
    assert coarse in (fine, COPY)


@given(sides, st.none() | sides)
def test_an_upload_is_left_only_with_a_blob_not_older(source: Side, target: Side | None) -> None:
    action = plan_update(source, target)
    newer = (
        target is not None
        and target.modified_at is not None
        and source.modified_at is not None
        and target.modified_at >= source.modified_at
    )
    assert action is (SKIP if newer else COPY)


@pytest.mark.parametrize(
    ("target", "grain", "action"),
    [
        (None, 0, COPY),
        (at(5), 0, SKIP),
        (at(5, NOON - TICK), 0, COPY),
        (at(5, NOON + SECOND), 0, SKIP),
        (at(4, NOON + SECOND), 0, COPY),  # update would leave it
        (at(6, NOON + SECOND), 0, COPY),
        (at(5, None), 0, COPY),
        (at(5), 1, COPY),  # may be older, within the second that the store rounds to
        (at(5, NOON + SECOND), 1, SKIP),
    ],
)
def test_sync(target: Side | None, grain: int, action: Action) -> None:
    assert plan_sync(at(5), target, grain=timedelta(seconds=grain)) is action


@given(sides, sides, grains)
def test_sync_skips_only_what_is_as_large_and_not_older(
    source: Side, target: Side, grain: timedelta
) -> None:
    if plan_sync(source, target, grain=grain) is SKIP:
        assert source.size == target.size
        assert source.modified_at is not None
        assert target.modified_at is not None
        assert target.modified_at >= source.modified_at + grain
    # Whatever was transferred has a time of its own after that, and is left in peace.
    if source.modified_at is not None:
        later = Side(source.size, source.modified_at + grain)
        assert plan_sync(source, later, grain=grain) is SKIP


@given(st.integers(0, 5), st.none() | st.integers(0, 5), st.booleans())
def test_the_seat_belt(extras: int, max_delete: int | None, source_empty: bool) -> None:
    problem = deletion_problem(extras=extras, max_delete=max_delete, source_empty=source_empty)
    within = max_delete is None or extras <= max_delete
    assert (problem is None) is (within and not source_empty)
