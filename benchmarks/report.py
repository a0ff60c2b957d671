"""Medians, ratios, the table and the file."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from .peers import FLOOR, OURS, Peer
from .runs import Run

__all__ = ["Median", "medians", "print_table", "write"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Median:
    """The medians of one peer's runs of one workload, and the range of ``wall``."""

    peer: str
    workload: str
    latency: float
    rounds: int
    wall: float
    least: float
    most: float
    cpu: float
    rss: int
    whole: float
    whole_cpu: float
    start: float
    served: float
    others: float


def medians(runs: Sequence[Run]) -> list[Median]:
    groups: dict[tuple[float, str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.latency, run.workload, run.peer), []).append(run)
    return [
        Median(
            peer=peer,
            workload=workload,
            latency=latency,
            rounds=len(group),
            wall=statistics.median(run.wall for run in group),
            least=min(run.wall for run in group),
            most=max(run.wall for run in group),
            cpu=statistics.median(run.cpu for run in group),
            rss=max(run.rss for run in group),
            whole=statistics.median(run.whole for run in group),
            whole_cpu=statistics.median(run.whole_cpu for run in group),
            start=statistics.median(run.start for run in group),
            served=statistics.median(run.served for run in group),
            others=statistics.median(run.others for run in group),
        )
        for (latency, workload, peer), group in groups.items()
    ]


def best(rows: Sequence[Median]) -> float | None:
    """The least wall time of a peer, neither ours nor the floor."""
    return min((row.wall for row in rows if row.peer not in (OURS, FLOOR)), default=None)


def print_table(runs: Sequence[Run]) -> None:
    """One workload, a line for each peer."""
    rows = medians(runs)
    if not rows:
        return
    fastest = best(rows)
    print(f"\n{rows[0].workload}, {rows[0].latency:g} ms")
    print(
        f"{'':12} {'wall s':>8} {'range':>13} {'ratio':>6} {'CPU s':>7} {'RSS MiB':>8}"
        f" {'process s':>10} {'its CPU':>8} {'store CPU':>10} {'others':>7}"
    )
    for row in rows:
        ratio = f"{row.wall / fastest:6.2f}" if fastest else " " * 6
        span = f"{row.least:.2f}-{row.most:.2f}"
        print(
            f"{row.peer:12} {row.wall:8.3f} {span:>13} {ratio} {row.cpu:7.2f}"
            f" {row.rss / 2**20:8.0f} {row.whole:10.2f} {row.whole_cpu:8.2f}"
            f" {row.served:10.2f} {row.others:7.1f}",
            flush=True,
        )


def write(path: Path, runs: Sequence[Run], quick: bool, peers: Sequence[Peer]) -> None:
    """All runs and their medians as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "system": platform.system(),
            "load": os.getloadavg(),
        },
        "quick": quick,
        "versions": {peer.name: peer.version() for peer in peers},
        "medians": [dataclasses.asdict(row) for row in medians(runs)],
        "runs": [dataclasses.asdict(run) for run in runs],
    }
    path.write_text(json.dumps(told, indent=1) + "\n")
