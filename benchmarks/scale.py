"""Whether cost grows in proportion, and whether memory stays bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .delay import delayed
from .peers import Peer
from .peers.obstore_ import store_at
from .report import medians
from .rounds import Place, rounds
from .runs import Run
from .stores import Store
from .workloads import QUICK, Sizes, Stage

__all__ = ["grow", "hold"]

_WORKLOADS = ("upload-tree", "list", "update-up", "download-tree", "update-down", "remove-tree")
_GIB = 1 << 30


async def grow(
    store: Store, folder: Path, peers: Sequence[Peer], most: int, count: int, again: int
) -> list[Run]:
    """Trees of 1,000 files of 1 KiB and twice that, 10,000 and twice that, ... up to *most*.

    Prints, for each pair, how much longer the larger one takes: 2 is in proportion. The two
    take turns, and CPU seconds are the client's alone, so they tell more on a busy machine.
    """
    runs: list[Run] = []
    half = 1000
    while half * 2 <= most:
        places = [_place(store, folder, half), _place(store, folder, half * 2)]
        print(f"\n{half:,} and {half * 2:,} files, wall s and CPU s")
        for workload in _WORKLOADS:
            found = await rounds(places, peers, workload, count, again=again)
            _print_growth(workload, places, found)
            runs += found
        for place in places:
            await place.stage.close(store.tidy)
        half = half * 10 if half * 20 <= most else max(half * 2, most // 2)
    return runs


def _place(store: Store, folder: Path, files: int) -> Place:
    sizes = Sizes(files=files, file_in_tree=1 << 10, listed=files)
    stage = Stage(store_at(store.access), folder, sizes, name=f"{files}-files")
    endpoint = store.access.endpoint
    return Place(store, endpoint, 0.0, [store.pid], stage, folder, label=f" {files}")


def _print_growth(workload: str, places: Sequence[Place], runs: Sequence[Run]) -> None:
    rows = {(row.peer, row.workload): row for row in medians(runs)}
    for peer in dict.fromkeys(run.peer for run in runs):
        less, more = (rows[peer, workload + place.label] for place in places)
        longer = more.wall / less.wall
        print(
            f"{peer:12} {workload:14} {less.wall:8.3f} {more.wall:8.3f} {longer:6.2f}"
            f" {less.cpu:8.2f} {more.cpu:8.2f} {more.cpu / less.cpu:6.2f}"
            f" {more.rss / 2**20:6.0f} MiB",
            flush=True,
        )


async def hold(
    store: Store, folder: Path, peers: Sequence[Peer], size: int, latency: float
) -> list[Run]:
    """One large file up and down; prints the peak RSS."""
    stage = Stage(store_at(store.access), folder, replace(QUICK, file=size), name="huge")
    runs: list[Run] = []
    with delayed(store.access.endpoint, latency) as (endpoint, proxies):
        servers = [store.pid, *proxies]
        place = Place(store, endpoint, latency, servers, stage, folder, label=f" {size}")
        print(f"\na file of {size / _GIB:g} GiB, {latency:g} ms")
        for workload in ("upload-file", "download-file"):
            for peer in peers:
                run = await place.run(peer, workload)
                runs.append(run)
                print(
                    f"{peer.name:12} {workload:14} {run.wall:8.2f} s {run.cpu:8.2f} s CPU"
                    f" {run.rss / 2**20:8.0f} MiB",
                    flush=True,
                )
    await stage.close(store.tidy)
    return runs
