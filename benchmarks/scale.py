"""Whether cost grows in proportion, and whether memory stays bounded: figures of one peer."""

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
    """Trees of 1,000 and twice that, 10,000 and twice that, ... up to *most* files of 1 KiB.

    Prints, for each pair, how much longer the larger one takes: 2 is in proportion.
    """
    runs: list[Run] = []
    half = 1000
    while half * 2 <= most:
        pair = []
        for files in (half, half * 2):
            sizes = Sizes(files=files, file_in_tree=1 << 10, listed=files)
            pair.append(await _all(store, folder, peers, sizes, files, count, again))
        _print_growth(half, *pair)
        runs += [*pair[0], *pair[1]]
        half = half * 10 if half * 20 <= most else max(half * 2, most // 2)
    return runs


async def _all(
    store: Store,
    folder: Path,
    peers: Sequence[Peer],
    sizes: Sizes,
    files: int,
    count: int,
    again: int,
) -> list[Run]:
    stage = Stage(store_at(store.access), folder, sizes, name=f"{files}-files")
    place = Place(store, store.access.endpoint, 0.0, [store.pid], stage, folder)
    runs = []
    for workload in _WORKLOADS:
        found = await rounds(place, peers, workload, count, again=again)
        runs += [replace(run, workload=f"{workload} {files}") for run in found]
    await stage.close(store.tidy)
    return runs


def _print_growth(half: int, less: Sequence[Run], more: Sequence[Run]) -> None:
    print(f"\n{half:,} and {half * 2:,} files")
    print(f"{'':12} {'':14} {'wall s':>8} {'twice':>8} {'ratio':>6} {'RSS MiB':>8}")
    larger = {(row.peer, row.workload.split()[0]): row for row in medians(more)}
    for row in medians(less):
        workload = row.workload.split()[0]
        twice = larger.get((row.peer, workload))
        if twice is not None:
            print(
                f"{row.peer:12} {workload:14} {row.wall:8.3f} {twice.wall:8.3f}"
                f" {twice.wall / row.wall:6.2f} {twice.rss / 2**20:8.0f}",
                flush=True,
            )


async def hold(
    store: Store, folder: Path, peers: Sequence[Peer], size: int, latency: float
) -> list[Run]:
    """One large file up and down; prints the peak RSS."""
    stage = Stage(store_at(store.access), folder, replace(QUICK, file=size), name="huge")
    runs: list[Run] = []
    with delayed(store.access.endpoint, latency) as (endpoint, proxies):
        place = Place(store, endpoint, latency, [store.pid, *proxies], stage, folder)
        print(f"\na file of {size / _GIB:g} GiB, {latency:g} ms")
        for workload in ("upload-file", "download-file"):
            for peer in peers:
                run = await place.run(peer, workload)
                runs.append(replace(run, workload=f"{workload} {size}"))
                print(
                    f"{peer.name:12} {workload:14} {run.wall:8.2f} s {run.cpu:8.2f} s CPU"
                    f" {run.rss / 2**20:8.0f} MiB",
                    flush=True,
                )
    await stage.close(store.tidy)
    return runs
