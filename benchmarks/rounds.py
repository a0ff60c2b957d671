"""Rounds of one workload, everybody in turn."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from .data import Wrong
from .machine import wait_for_quiet
from .peers import Peer
from .runs import Failed, Run, run
from .stores import Store
from .workloads import Stage

__all__ = ["Place", "rounds"]

_PATIENCE = 5.0  # seconds
_NOISE = 0.25  # cores


@dataclass(frozen=True, slots=True)
class Place:
    """A store at a distance, and the stage before it.

    With *profiles*, a folder, each Python peer's work runs in cProfile, and leaves its profile
    there. The *label* is added to the names of workloads.
    """

    store: Store
    endpoint: str
    latency: float
    servers: Sequence[int]
    stage: Stage
    folder: Path
    profiles: Path | None = None
    label: str = ""

    async def run(self, peer: Peer, workload: str) -> Run:
        """One run, checked; Failed or Wrong if the work is not done."""
        home = self.folder / "homes" / f"{peer.name}-{self.latency:g}"
        home.parent.mkdir(exist_ok=True)
        task = await self.stage.prepare(workload, self.store.at(self.endpoint), home)
        before = await self.stage.state(task)
        extra = {}
        if self.profiles is not None:
            file = f"{peer.name}-{workload}-{self.latency:g}.prof"
            extra["BENCH_PROFILE"] = str(self.profiles.absolute() / file)
        try:
            outcome = await run(peer, task, self.latency, self.servers, extra)
            await self.stage.check(task, before, outcome.digest, outcome.rows)
        finally:
            await self.stage.clear(task, self.store.tidy)
        return replace(outcome.run, workload=f"{workload}{self.label}")


async def rounds(
    places: Sequence[Place], peers: Sequence[Peer], workload: str, count: int, *, again: int = 0
) -> list[Run]:
    """A B C, A B C, ...: one round to warm up, and *count* that are returned.

    Who fails, or has not done the work, is told and left out. With *again*, each run waits for
    a quiet moment and is repeated so often while others take the machine; the quietest counts.
    """
    runs: list[Run] = []
    failed: set[str] = set()
    for number in range(count + 1):
        for peer, place in product(peers, places):
            if peer.name in failed:
                continue
            try:
                found = await _quietest(place, peer, workload, again if number else 0)
            except (Failed, Wrong) as error:
                what = f"{peer.name}, {workload}{place.label}, {place.latency:g} ms"
                print(f"FAILED: {what}: {error}", file=sys.stderr, flush=True)
                failed.add(peer.name)
                continue
            if number:
                runs.append(found)
    return [found for found in runs if found.peer not in failed]


async def _quietest(place: Place, peer: Peer, workload: str, again: int) -> Run:
    found: Run | None = None
    for _ in range(again + 1):
        if again:
            await asyncio.to_thread(wait_for_quiet, _PATIENCE)
        run = await place.run(peer, workload)
        if found is None or run.others < found.others:
            found = run
        if found.others < _NOISE:
            break
    assert found is not None
    return found
