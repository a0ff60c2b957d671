"""Draws load tests side by side; nothing else here imports matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import ConfigError, local_error
from .figures import LoadResult

__all__ = ["plot_load"]

_NAMES = ("p50_ms", "p90_ms", "p99_ms")


def plot_load(results: Sequence[LoadResult], path: Path) -> None:
    """Rates over time and latencies of each operation, as an image of the kind *path* ends in.

    Needs the extra ``load``. ConfigError for a kind that matplotlib does not know.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            "plots need matplotlib: pip install 'neuro-blob-sdk[load]'", name=missing.name
        ) from missing

    figure = Figure(figsize=(10, 4), layout="constrained")
    kinds = FigureCanvasAgg(figure).get_supported_filetypes()
    if path.suffix.lstrip(".").lower() not in kinds:
        raise ConfigError(f"{str(path)!r} does not end in one of: {', '.join(sorted(kinds))}")
    rates, times = figure.subplots(1, 2)
    for result in results:
        slots = result.timeline
        width = slots[1]["second"] if len(slots) > 1 else max(result.elapsed, 1e-9)
        # The last stretch is not over when the test is.
        rates.plot(
            [slot["second"] for slot in slots[:-1] or slots],
            [slot["count"] / width for slot in slots[:-1] or slots],
            label=result.driver,
        )
    rates.set(xlabel="seconds", ylabel="operations a second", title="Rate")
    rates.set_yscale("symlog")  # a program for each operation is slower by far
    rates.set_ylim(bottom=0)
    rates.legend()

    names = [name for name in results[0].operations if name != "all"]
    share = 0.8 / len(results)
    for number, result in enumerate(results):
        for percentile, fade in zip(_NAMES, (1.0, 0.6, 0.3), strict=True):
            told = [result.operations.get(name, {}).get(percentile) or 0.0 for name in names]
            times.bar(
                [at + share * (number - (len(results) - 1) / 2) for at in range(len(names))],
                told,
                share,
                color=f"C{number}",
                alpha=fade,
                zorder=-_NAMES.index(percentile),
                label=result.driver if percentile == "p50_ms" else None,
            )
    times.set_xticks(range(len(names)), names)
    times.set(ylabel="ms, log", yscale="log", title="Latency: p50, p90, p99 (paler)")
    times.legend()
    try:
        figure.savefig(path, dpi=120)
    except OSError as cause:
        raise local_error(cause, path) from cause
