"""How large tasks are, and how what many tasks tell becomes one progress."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuro_sdk import AbstractRecursiveFileProgress, Action, NeuroError, Plan, PlannedStep
from neuro_sdk.distributed._cutting import task_bounds
from neuro_sdk.distributed._merging import COMPLETE, Merged

from ..recording import TreeRecorder, check_events
from ..trees import small_files


@given(st.integers(0, 10**7), st.integers(0, 1 << 50), st.integers(0, 10_000))
def test_tasks_are_many_but_not_tiny(files: int, size: int, threads: int) -> None:
    most_files, most_bytes = task_bounds(files, size, threads, None, None)
    assert 50 <= most_files <= 1000
    assert 64 << 20 <= most_bytes <= 4 << 30
    if 50 < most_files < 1000:
        assert (most_files - 1) * 4 * max(1, threads) < files <= most_files * 4 * max(1, threads)


def test_who_asks_for_it_decides() -> None:
    assert task_bounds(10**6, 1 << 40, 8, 3, 17) == (3, 17)
    assert task_bounds(10, 100, 8, None, 17) == (50, 17)


def plan_of(paths: dict[str, int], failing: list[str]) -> Plan[AbstractRecursiveFileProgress]:
    steps = [PlannedStep(Action.COPY, path, size) for path, size in sorted(paths.items())]
    failures = [PlannedStep(Action.FAIL, path, 0, "a pipe") for path in failing]
    return Plan("upload", "/tree", "blob://c/p/box/t/", (*steps, *failures))


@pytest.mark.parametrize("seed", range(12))
def test_events_keep_their_promises_whatever_tasks_tell(seed: int) -> None:
    chance = random.Random(seed)
    paths = {path: len(data) for path, data in small_files(60, seed=str(seed)).items()}
    paths |= {"void/": 0, "dir0/void/": 0}
    plan = plan_of(paths, ["pipe", "dir9/pipe"])
    recorder = TreeRecorder()
    merged = Merged(plan, recorder)
    merged.begin()
    parts = [*plan.split(max_files=7)]
    broken = set(chance.sample([path for path in paths if not path.endswith("/")], 5))
    failed: list[str] = []
    told: list[tuple[str, int]] = []
    waiting = [*range(len(parts))]
    chance.shuffle(waiting)
    while waiting:
        number = waiting[-1]
        for step in parts[number].steps:
            if not step.path.endswith("/") and chance.random() < 0.8:
                told += [(step.path, 0), (step.path, chance.randrange(step.size + 1))]
                if step.path not in broken and chance.random() < 0.5:
                    told.append((step.path, COMPLETE))
        for path, done in told if chance.random() < 0.5 else chance.sample(told, len(told) // 2):
            merged.happened(path, done)
        if chance.random() < 0.3:
            continue  # its worker was lost, and it is begun again
        waiting.pop()
        errors = {path: NeuroError("broken") for path in broken}
        failed += merged.ended(parts[number].steps, errors)
        for path, done in chance.sample(told, len(told) // 3):
            merged.happened(path, done)
    merged.finish()
    counts = check_events(recorder.events)
    assert sorted(failed) == sorted(broken)
    assert counts["fail"] == 2 + len(broken)
    assert counts["complete"] == 60 - len(broken)
    assert merged.copied == len(paths) - len(broken)
    assert merged.bytes == sum(size for path, size in paths.items() if path not in broken)


def test_a_file_that_was_complete_stays_so() -> None:
    plan = plan_of({"a": 3}, [])
    recorder = TreeRecorder()
    merged = Merged(plan, recorder)
    merged.begin()
    merged.happened("a", COMPLETE)
    assert merged.ended(plan.steps, {"a": NeuroError("changed since")}) == []
    merged.happened("a", 1)
    merged.finish()
    assert recorder.kinds == ["enterdir", "start", "step", "complete", "leavedir"]
    assert (merged.copied, merged.bytes) == (1, 3)
