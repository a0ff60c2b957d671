"""Measure neuro_sdk beside other clients of blob storage, on the same store in the same run."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from .delay import delayed
from .peers import OURS, PEERS, Peer
from .peers.obstore_ import store_at
from .plot import draw
from .report import print_table, write
from .rounds import Place, rounds
from .runs import Run
from .scale import grow, hold
from .stores import STORES, Store
from .workloads import FULL, QUICK, WORKLOADS, Stage

__all__ = ["main", "options"]

_RAM = Path("/dev/shm")
_HUGE = 4 << 30


def main() -> None:
    wanted = options()
    peers = _peers(wanted.peer or ([OURS] if wanted.scale or wanted.memory else None))
    # A file of 4 GiB is there three times, which is much for memory.
    in_memory = _RAM.is_dir() and not wanted.memory
    parent = wanted.folder or (_RAM if in_memory else Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix="neuro-bench-", dir=parent) as folder:
        asyncio.run(_until_told(_measure(wanted, peers, Path(folder))))


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line asks for; it ends the program where that is nonsense."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds, after one to warm")
    parser.add_argument("--workload", action="append", choices=list(WORKLOADS))
    parser.add_argument("--peer", action="append", choices=[peer.name for peer in PEERS])
    parser.add_argument("--store", default="seaweedfs", choices=list(STORES))
    parser.add_argument(
        "--latency",
        action="append",
        type=float,
        help="milliseconds that a round trip takes longer; by default 0 and then 20",
    )
    parser.add_argument(
        "--scale",
        type=int,
        nargs="?",
        const=100_000,
        metavar="FILES",
        help="trees of 1,000 to so many files instead, to see how cost grows",
    )
    parser.add_argument(
        "--memory",
        type=int,
        nargs="?",
        const=_HUGE,
        metavar="BYTES",
        help="one file of that size, by default 4 GiB, instead, to see the peak of memory",
    )
    parser.add_argument(
        "--again",
        type=int,
        default=0,
        metavar="TIMES",
        help="on a busy machine: wait for a quiet moment before each run, and run again while "
        "others took more than a quarter of a core; the quietest run counts",
    )
    parser.add_argument(
        "--profile",
        type=Path,
        metavar="FOLDER",
        help="leave a cProfile of each Python client there",
    )
    parser.add_argument("--folder", type=Path, help="where all data lie; by default in memory")
    parser.add_argument(
        "--output", type=Path, default=Path("benchmarks/out"), help="where the JSON goes"
    )
    parser.add_argument("--plot", type=Path, metavar="SVG", help="draw the results")
    return parser.parse_args(arguments)


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


async def _until_told(work: Coroutine[None, None, None]) -> None:
    """Stop the servers too when this is told to stop."""
    task = asyncio.create_task(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        sys.exit("stopped")


async def _measure(wanted: argparse.Namespace, peers: Sequence[Peer], folder: Path) -> None:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(STORES[wanted.store](folder / "store"))
        peers = [peer for peer in peers if store.access.kind in peer.stores]
        what = "workloads"
        if wanted.scale is not None:
            what = "scale"
            runs = await grow(store, folder, peers, wanted.scale, wanted.rounds, wanted.again)
        elif wanted.memory is not None:
            what = "memory"
            latency = (wanted.latency or [0.0])[0]
            runs = await hold(store, folder, peers, wanted.memory, latency)
        else:
            runs = await _compare(wanted, peers, store, folder)
        write(_results(wanted, what), runs, wanted.quick, peers)
        if wanted.plot is not None:
            draw(json.loads(_results(wanted, what).read_text()), wanted.plot)


def _results(wanted: argparse.Namespace, what: str) -> Path:
    output: Path = wanted.output
    return output / f"{wanted.store}-{what}.json"


async def _compare(
    wanted: argparse.Namespace, peers: Sequence[Peer], store: Store, folder: Path
) -> list[Run]:
    runs: list[Run] = []
    if wanted.profile is not None:
        wanted.profile.mkdir(parents=True, exist_ok=True)
    stage = Stage(store_at(store.access), folder, QUICK if wanted.quick else FULL)
    for latency in wanted.latency or [0.0, 20.0]:
        with delayed(store.access.endpoint, latency) as (endpoint, proxies):
            servers = [store.pid, *proxies]
            place = Place(store, endpoint, latency, servers, stage, folder, wanted.profile)
            for workload in wanted.workload or WORKLOADS:
                found = await rounds([place], peers, workload, wanted.rounds, again=wanted.again)
                print_table(found)
                runs += found
                write(_results(wanted, "workloads"), runs, wanted.quick, peers)
    return runs


if __name__ == "__main__":
    main()
