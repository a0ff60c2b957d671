"""What else the machine was doing: figures from a busy one mean little."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Look", "wait_for_quiet"]

_TICKS = os.sysconf("SC_CLK_TCK")
_QUIET = 0.1  # of the machine


@dataclass(frozen=True, slots=True)
class Look:
    """CPU seconds so far, of everything and of some processes (Linux; else zero)."""

    at: float
    everything: float
    known: float

    @classmethod
    def now(cls, pids: Sequence[int] = ()) -> Look:
        try:
            first = Path("/proc/stat").read_text().partition("\n")[0].split()
            user, nice, system, _, _, irq, softirq, steal = map(int, first[1:9])
            busy = (user + nice + system + irq + softirq + steal) / _TICKS
            return cls(time.monotonic(), busy, sum(_cpu_of(pid) for pid in pids))
        except OSError:
            return cls(time.monotonic(), 0.0, 0.0)

    def others(self, after: Look, own: float) -> float:
        """Cores that others kept busy from here to *after*, where the client took *own*."""
        busy = after.everything - self.everything - (after.known - self.known) - own
        return max(0.0, busy / max(after.at - self.at, 0.01))


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def wait_for_quiet(seconds: float) -> None:
    """Wait until the machine does nothing, for at most so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before = Look.now()
        time.sleep(0.3)
        if before.others(Look.now(), 0.0) < _QUIET * (os.cpu_count() or 1):
            return
