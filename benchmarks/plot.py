"""Draw the results: ``python -m benchmarks.plot RESULTS.json PLOT.svg``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .peers import FLOOR, OURS
from .workloads import WORKLOADS

__all__ = ["draw"]

_MARKS = {
    "obstore": ("o", "#1f77b4"),
    "s5cmd": ("s", "#2ca02c"),
    "rclone": ("D", "#9467bd"),
    "boto3": ("^", "#ff7f0e"),
    "aioboto3": ("v", "#8c564b"),
    "s3fs": ("P", "#e377c2"),
    FLOOR: ("|", "#7f7f7f"),
}


def draw(results: Mapping[str, Any], path: Path) -> None:
    """One panel for each latency: how many times as long as neuro_sdk each of the others took."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "speed", "font.size": 9})
    from matplotlib import pyplot as plt

    rows: Sequence[Mapping[str, Any]] = results["medians"]
    latencies = sorted({row["latency"] for row in rows})
    workloads = [name for name in WORKLOADS if any(row["workload"] == name for row in rows)]
    figure, panels = plt.subplots(
        1,
        len(latencies),
        sharex=True,
        sharey=True,
        squeeze=False,
        figsize=(4.6 * len(latencies) + 1.6, 0.42 * len(workloads) + 1.4),
        layout="constrained",
    )
    for panel, latency in zip(panels[0], latencies, strict=True):
        at = {
            (row["peer"], row["workload"]): row["wall"] for row in rows if row["latency"] == latency
        }
        panel.axvline(1, color="black", linewidth=1.2)
        for name, (mark, color) in _MARKS.items():
            points = [
                (at[name, workload] / at[OURS, workload], number)
                for number, workload in enumerate(workloads)
                if (name, workload) in at and (OURS, workload) in at
            ]
            if points:
                across, down = zip(*points, strict=True)
                panel.scatter(across, down, marker=mark, color=color, label=name, s=34, alpha=0.85)
        panel.set_xscale("log", base=2)
        panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}x")
        panel.grid(axis="x", alpha=0.3)
        panel.set_title("on the loopback address" if latency == 0 else f"{latency:g} ms away")
        panel.set_xlabel("wall time, neuro_sdk = 1; further right is slower")
    first = panels[0][0]
    first.set_yticks(range(len(workloads)), [WORKLOADS[name] for name in workloads])
    first.invert_yaxis()
    handles, labels = first.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    draw(json.loads(source.read_text()), target)


if __name__ == "__main__":
    main()
