"""Figures of a load test, in memory that does not grow with its length."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Figures", "Latencies", "LoadResult", "Timeline"]

_STEP = math.log(1.01)
_LEAST = 1e-6
_SLOTS = 600
PERCENTILES = (50, 90, 99)


class Latencies:
    """Times in seconds, counted by size; a percentile is right to 1 %."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.count = 0
        self.total = 0.0
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self._counts[max(0, math.ceil(math.log(max(seconds, _LEAST) / _LEAST) / _STEP))] += 1
        self.count += 1
        self.total += seconds
        self.longest = max(self.longest, seconds)

    def percentile(self, percent: float) -> float | None:
        """The time that *percent* of all took at most; None if there are none."""
        rank, seen = math.ceil(self.count * percent / 100), 0
        for slot in sorted(self._counts):
            seen += self._counts[slot]
            if seen >= rank:
                return min(self.longest, _LEAST * math.exp(slot * _STEP))
        return None


class Timeline:
    """What was done in each second; seconds are drawn together when there are many."""

    def __init__(self) -> None:
        self.width = 1.0
        self._slots: list[list[int]] = []

    def add(self, at: float, nbytes: int, failed: bool) -> None:
        """Count one operation that ended *at* so many seconds after the start."""
        while at >= self.width * _SLOTS:
            self._slots = [
                [sum(both) for both in zip(*self._slots[even : even + 2], strict=True)]
                for even in range(0, len(self._slots), 2)
            ]
            self.width *= 2
        slot = int(at / self.width)
        while len(self._slots) <= slot:
            self._slots.append([0, 0, 0])
        for index, value in enumerate((1, int(failed), nbytes)):
            self._slots[slot][index] += value

    def told(self) -> list[dict[str, float]]:
        """For each stretch: when it began, and operations, errors and bytes in it."""
        return [
            {"second": number * self.width, "count": count, "errors": errors, "bytes": nbytes}
            for number, (count, errors, nbytes) in enumerate(self._slots)
        ]


@dataclass(slots=True)
class Figures:
    """One operation: how often, how often in vain, how many bytes, how long."""

    errors: int = 0
    nbytes: int = 0
    latencies: Latencies = field(default_factory=Latencies)

    def add(self, seconds: float, nbytes: int, failed: bool) -> None:
        """Count one; the times of those that failed count too."""
        self.errors += failed
        self.nbytes += nbytes
        self.latencies.add(seconds)

    def told(self, elapsed: float) -> dict[str, Any]:
        """As JSON; rates are those of *elapsed* seconds."""
        over = elapsed if elapsed > 0 else 1.0
        times = self.latencies
        return {
            "count": times.count,
            "errors": self.errors,
            "bytes": self.nbytes,
            "per_second": round(times.count / over, 2),
            "bytes_per_second": round(self.nbytes / over),
            **{f"p{percent}_ms": _ms(times.percentile(percent)) for percent in PERCENTILES},
            "max_ms": _ms(times.longest if times.count else None),
        }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a load test of one driver found."""

    driver: str
    users: int
    elapsed: float
    operations: Mapping[str, Mapping[str, Any]]
    """For each operation and for ``all``: count, errors, bytes, rates and latencies in ms."""
    timeline: list[dict[str, float]]
    interrupted: bool = False
    left: int = 0
    """Objects that could not be removed at the end."""

    @property
    def errors(self) -> int:
        """How many operations failed."""
        errors: int = self.operations["all"]["errors"]
        return errors

    def to_json(self) -> dict[str, Any]:
        """The same as values that ``json`` takes."""
        return {
            "driver": self.driver,
            "users": self.users,
            "seconds": round(self.elapsed, 3),
            "interrupted": self.interrupted,
            "left": self.left,
            "operations": {name: dict(told) for name, told in self.operations.items()},
            "timeline": self.timeline,
        }
