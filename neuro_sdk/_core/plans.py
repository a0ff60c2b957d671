"""Plans: what an operation on a tree will do, to be looked at and then done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ..errors import DeletionRefused
from .plan import Action
from .show import SHOWN, bytes_text, html_table, printable

__all__ = [
    "Plan",
    "PlannedStep",
    "fetch_requests",
    "list_requests",
    "put_requests",
    "remove_requests",
]

P = TypeVar("P")

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """What is done with one path, relative to the source; a marker's path ends in ``/``."""

    action: Action
    path: str
    size: int = 0
    """Bytes that are moved, removed or left where they are."""
    reason: str = ""
    """Why it is skipped, or why it cannot be done."""
    requests: int = 0


@dataclass(frozen=True)
class Plan(Generic[P]):
    """What an operation on a tree will do: ``print`` it, then ``await plan.apply()``.

    Made by the methods ``plan_...`` of :class:`Buckets` and :class:`BucketHandle`. Requests are
    an estimate for an object store, and count what applying costs.
    """

    operation: str
    """``upload``, ``download``, ``copy``, ``sync up``, ``sync down`` or ``rm``."""
    source: str
    """Path or URI."""
    target: str | None
    """Path or URI; None for a removal."""
    steps: tuple[PlannedStep, ...]
    refused: str | None = None
    """Why ``apply`` would raise DeletionRefused, or None."""
    looking: int = 0
    """Requests that it takes to see whether the source is as it was."""
    _apply: Callable[[P | None], Awaitable[None]] | None = field(
        default=None, repr=False, compare=False
    )

    async def apply(self, progress: P | None = None) -> None:
        """Do what was planned, and nothing else.

        First the source is looked at again: PlanOutdated, with nothing touched, if anything
        that was planned is not as it was. What comes to the source since is left for another
        plan. Otherwise as the operation itself.
        """
        if self.refused is not None:
            raise DeletionRefused(self.refused)
        assert self._apply is not None, "plans are made by the methods plan_..."
        await self._apply(progress)

    def of(self, *actions: Action) -> tuple[PlannedStep, ...]:
        """The steps with one of these *actions*."""
        return tuple(step for step in self.steps if step.action in actions)

    @property
    def files(self) -> int:
        """How many files, blobs and markers are moved."""
        return len(self.of(Action.COPY, Action.APPEND))

    @property
    def bytes(self) -> int:
        """How many bytes are moved."""
        return sum(step.size for step in self.of(Action.COPY, Action.APPEND))

    @property
    def removed(self) -> int:
        """How many files and blobs are removed."""
        return len(self.of(Action.REMOVE))

    @property
    def skipped(self) -> tuple[PlannedStep, ...]:
        """What is left as it is; ``reason`` says why."""
        return self.of(Action.SKIP)

    @property
    def failing(self) -> tuple[PlannedStep, ...]:
        """What cannot be done; ``reason`` says why. ``apply`` does the rest and then raises."""
        return self.of(Action.FAIL)

    @property
    def requests(self) -> int:
        """About how many requests it takes to apply the plan."""
        return self.looking + sum(step.requests for step in self.steps)

    def __str__(self) -> str:
        return "\n".join([self._title(), "", *self._totals(), "", *self._lines()]).rstrip("\n")

    def _title(self) -> str:
        ends = self.source if self.target is None else f"{self.source} -> {self.target}"
        refused = "" if self.refused is None else f"\nrefused: {self.refused}"
        return f"{self.operation} {ends}{refused}"

    def _totals(self) -> list[str]:
        rows = [("action", "files", "bytes", "requests")]
        for action in Action:
            steps = self.of(action)
            if steps:
                size = bytes_text(sum(step.size for step in steps))
                requests = sum(step.requests for step in steps)
                rows.append((action.value, str(len(steps)), size, str(requests)))
        if self.looking:
            rows.append(("look again", "", "", str(self.looking)))
        return _table(rows, "<>>>")

    def _lines(self) -> list[str]:
        shown = self.steps[:SHOWN]
        rows = [(s.action.value, bytes_text(s.size), printable(s.path), s.reason) for s in shown]
        more = len(self.steps) - len(shown)
        return [*_table(rows, "<><<"), *([f"  and {more} more"] if more else [])]

    def _repr_html_(self) -> str:
        totals = [
            (action.value, len(steps), bytes_text(sum(step.size for step in steps)))
            for action in Action
            if (steps := self.of(action))
        ]
        each = [(s.action.value, bytes_text(s.size), s.path, s.reason) for s in self.steps]
        return html_table(self._title(), ("action", "files", "bytes"), totals) + html_table(
            f"about {self.requests} requests", ("action", "bytes", "path", "reason"), each
        )


def _table(rows: Iterable[tuple[str, ...]], align: str) -> list[str]:
    cells = [*rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        line = "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, align, widths, strict=True)
        )
        lines.append(f"  {line}".rstrip())
    return lines


def put_requests(size: int, part: int) -> int:
    """Requests to send a blob: one, or its parts, their beginning and their end."""
    return 1 if size <= part else -(-size // part) + 2


def fetch_requests(size: int, part: int) -> int:
    """Requests to read a blob; nothing is asked for where nothing is."""
    return -(-size // part)


def list_requests(entries: int) -> int:
    """Requests to list so many entries."""
    return max(1, -(-entries // _PAGE))


def remove_requests(position: int) -> int:
    """Requests that the removal at *position* of many adds: one begins each batch."""
    return 1 if position % _PAGE == 0 else 0
