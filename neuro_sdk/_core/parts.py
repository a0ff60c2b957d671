"""How a large body is cut into parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["SMALL", "Part", "PartLimits", "file_parts", "growing_size"]

SMALL = 256 << 10
"""Bytes of a body that goes from one end to the other in one go of a thread."""

_MIB = 1 << 20
_STEPS = 8


@dataclass(frozen=True, slots=True)
class PartLimits:
    """What a store asks of parts: each but the last of *least* to *most* bytes, *count* at most."""

    least: int
    most: int
    count: int


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """The bytes from *offset* on, *length* of them, as the part *number*, from 1 on."""

    number: int
    offset: int
    length: int


def part_size(total: int, wanted: int, limits: PartLimits) -> int:
    """The size of each part but the last of *total* bytes: *wanted*, or more if it must be.

    It grows in whole MiB, so that *total* needs no more parts than the store takes. ValueError
    if the store cannot hold so much.
    """
    if total > limits.most * limits.count:
        raise ValueError(f"the store takes at most {limits.most * limits.count} bytes")
    size = max(wanted, limits.least)
    needed = -(-total // limits.count)
    return size if needed <= size else min(limits.most, -(-needed // _MIB) * _MIB)


def file_parts(total: int, wanted: int, limits: PartLimits) -> Iterator[Part]:
    """The parts of *total* bytes in order, all of one size but the last."""
    size = part_size(total, wanted, limits)
    for number, offset in enumerate(range(0, total, size), 1):
        yield Part(number, offset, min(size, total - offset))


def growing_size(number: int, wanted: int, limits: PartLimits) -> int:
    """The size of the part *number* of a body whose end is not known.

    It doubles after each eighth of the parts that the store takes, so that a body of 8 MiB
    parts may have 2 TiB and a small one is held in small parts.
    """
    doubled = max(wanted, limits.least) << ((number - 1) * _STEPS // limits.count)
    return min(doubled, limits.most)
