"""``python -m benchmarks``: measure, check, report."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from .data import Wrong
from .delay import delayed
from .machine import wait_for_quiet
from .peers import PEERS, Peer
from .peers.obstore_ import store_at
from .report import print_table, write
from .runs import Failed, Run, run
from .stores import STORES, Store
from .workloads import FULL, QUICK, WORKLOADS, Stage

_RAM = Path("/dev/shm")
_PATIENCE = 5.0  # seconds
_NOISE = 0.25  # cores


def main() -> None:
    options = _options()
    peers = _peers(options.peer)
    folder = options.folder or (_RAM if _RAM.is_dir() else Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix="neuro-bench-", dir=folder) as place:
        asyncio.run(_until_told(_measure(options, peers, Path(place))))


async def _until_told(work: Coroutine[None, None, None]) -> None:
    """Stop the servers too when this is told to stop."""
    task = asyncio.create_task(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        sys.exit("stopped")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds, after one to warm")
    parser.add_argument("--workload", action="append", choices=list(WORKLOADS))
    parser.add_argument("--peer", action="append", choices=[peer.name for peer in PEERS])
    parser.add_argument("--store", default="seaweedfs", choices=list(STORES))
    parser.add_argument(
        "--latency", action="append", type=float, help="milliseconds; by default 0 and then 20"
    )
    parser.add_argument(
        "--again",
        type=int,
        default=0,
        metavar="TIMES",
        help="on a busy machine: wait for a quiet moment before each run, and run again while "
        "others took more than a quarter of a core; the quietest run counts",
    )
    parser.add_argument("--folder", type=Path, help="where all data lie; by default in memory")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/out"))
    return parser.parse_args()


def _peers(names: Sequence[str] | None) -> list[Peer]:
    chosen = []
    for peer in PEERS:
        if names is not None and peer.name not in names:
            continue
        if peer.version() is None:
            if names is not None:
                sys.exit(f"{peer.name} is not installed; run: make bench")
            print(f"{peer.name} is not installed and is left out")
            continue
        chosen.append(peer)
    return chosen


async def _measure(options: argparse.Namespace, peers: Sequence[Peer], folder: Path) -> None:
    runs: list[Run] = []
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(STORES[options.store](folder / "store"))
        stage = Stage(store_at(store.access), folder, QUICK if options.quick else FULL)
        peers = [peer for peer in peers if store.access.kind in peer.stores]
        for latency in options.latency or [0.0, 20.0]:
            with delayed(store.access.endpoint, latency) as (endpoint, proxies):
                place = Place(store, endpoint, latency, [store.pid, *proxies], stage, folder)
                for workload in options.workload or WORKLOADS:
                    found = await _rounds(options, peers, place, workload)
                    runs += found
                    print_table(found)
                    write(runs, options, peers)


@dataclass(frozen=True, slots=True)
class Place:
    """A store at a distance, and the stage before it."""

    store: Store
    endpoint: str
    latency: float
    servers: Sequence[int]
    stage: Stage
    folder: Path

    async def run(self, peer: Peer, workload: str) -> Run:
        """One run, checked; Failed or Wrong if the work is not done."""
        home = self.folder / "homes" / f"{peer.name}-{self.latency:g}"
        home.parent.mkdir(exist_ok=True)
        task = await self.stage.prepare(workload, self.store.at(self.endpoint), home)
        before = await self.stage.state(task)
        try:
            outcome = await asyncio.to_thread(run, peer, task, self.latency, self.servers)
            await self.stage.check(task, before, outcome.digest, outcome.rows)
        finally:
            await self.stage.clear(task, self.store.tidy)
        return outcome.run


async def _rounds(
    options: argparse.Namespace, peers: Sequence[Peer], place: Place, workload: str
) -> list[Run]:
    """A B C, A B C, ...: the first round warms up and is not counted.

    Who fails, or has not done the work, is told and left out of this workload.
    """
    runs: list[Run] = []
    failed: set[str] = set()
    for number in range(options.rounds + 1):
        for peer in peers:
            if peer.name in failed:
                continue
            try:
                found = await _quietest(place, peer, workload, options.again if number else 0)
            except (Failed, Wrong) as error:
                what = f"{peer.name}, {workload}, {place.latency:g} ms"
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


if __name__ == "__main__":
    main()
