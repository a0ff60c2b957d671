"""What a load test does: decided from values, nothing is asked of a store."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...errors import IllegalArgumentError

__all__ = ["OPERATIONS", "LoadPlan", "Sizes", "parse_mix", "parse_sizes"]

OPERATIONS = ("put", "get", "head", "list", "delete")
_UNITS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_SIZE = re.compile(r"(\d+)\s*([A-Za-z]*)")
_MIX = {"put": 40.0, "get": 40.0, "head": 10.0, "list": 5.0, "delete": 5.0}
_LARGEST = 1 << 30


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of objects in bytes, from *least* to *most*; small ones are as frequent as large."""

    least: int
    most: int

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most <= _LARGEST:
            raise IllegalArgumentError(
                f"sizes go from 0 to {_LARGEST} bytes, the smaller first, "
                f"not from {self.least} to {self.most}"
            )

    def choose(self, chance: random.Random) -> int:
        """One of them; each doubling of the size is as likely as another."""
        if self.least == self.most:
            return self.least
        low = max(1, self.least)
        return min(self.most, int(low * (self.most / low) ** chance.random()))


def parse_sizes(text: str) -> Sizes:
    """``64KiB``, or a range ``4KiB-1MiB``; units are B, KiB, MiB and GiB."""
    ends = [_parse_size(part.strip(), text) for part in text.split("-")]
    if len(ends) > 2:
        raise IllegalArgumentError(f"{text!r} is no size; write 64KiB or 4KiB-1MiB")
    return Sizes(ends[0], ends[-1])


def _parse_size(part: str, text: str) -> int:
    found = _SIZE.fullmatch(part)
    unit = None if found is None else _UNITS.get(found[2].lower())
    if found is None or unit is None:
        raise IllegalArgumentError(f"{text!r} is no size; write 64KiB or 4KiB-1MiB")
    return int(found[1]) * unit


def parse_mix(text: str) -> dict[str, float]:
    """``put=40,get=60``: the share of each operation, in any unit."""
    mix: dict[str, float] = {}
    for part in text.split(","):
        name, equals, share = part.strip().partition("=")
        try:
            weight = float(share)
        except ValueError:
            weight = -1.0
        if name not in OPERATIONS or not equals or name in mix or not 0 <= weight < float("inf"):
            raise IllegalArgumentError(
                f"{part.strip()!r} is no share; write put=40,get=60 with any of: "
                f"{', '.join(OPERATIONS)}"
            )
        mix[name] = weight
    return mix


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """A mixed workload.

    *users* work at once, each on objects of its own, at most *objects* of them at a time. It
    ends after *duration* seconds or *count* operations, whichever comes first; an operation that
    is under way then is waited for. *mix* gives the share of each operation; one that needs an
    object where none is left is a put instead. *seed* makes the choices the same each time.
    """

    users: int = 8
    duration: float | None = None
    count: int | None = None
    mix: Mapping[str, float] = field(default_factory=lambda: dict(_MIX))
    sizes: Sizes = Sizes(64 << 10, 64 << 10)
    objects: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if self.duration is None and self.count is None:
            raise IllegalArgumentError("say how long: duration in seconds, count, or both")
        if self.duration is not None and not 0 < self.duration < float("inf"):
            raise IllegalArgumentError(f"duration must be positive, not {self.duration}")
        for name in ("users", "count", "objects"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise IllegalArgumentError(f"{name} must be at least 1, not {value}")
        if self.users > 1000:
            raise IllegalArgumentError(f"users must be at most 1000, not {self.users}")
        if set(self.mix) - set(OPERATIONS) or sum(self.mix.values()) <= 0:
            raise IllegalArgumentError(
                f"mix needs a positive share of any of: {', '.join(OPERATIONS)}"
            )

    def choose(self, chance: random.Random, *, has_objects: bool) -> str:
        """The next operation of a user."""
        names = list(self.mix)
        (name,) = chance.choices(names, [self.mix[name] for name in names])
        return name if has_objects else "put"
