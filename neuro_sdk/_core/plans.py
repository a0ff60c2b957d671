"""Plans: what an operation on a tree will do, to be looked at and then done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

from yarl import URL

from ..errors import DeletionRefused, IllegalArgumentError
from .plan import Action
from .show import SHOWN, bytes_text, html_table, printable
from .uri import url_below

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
_BOUND = ("_apply", "_remove")


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
    modified_at: datetime | None = None
    """When what it is about was last changed, as it was planned; None where that is unknown."""
    etag: str | None = None
    """Tag of the version of the blob that was planned; None for files."""


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
    options: frozenset[str] = frozenset()
    """Those of ``update``, ``continue_``, ``resume`` and ``verify`` that were asked for."""
    folders: tuple[str, ...] = ()
    """Folders of the target that are made for directory markers, relative, with a slash."""
    _apply: Callable[[P | None], Awaitable[None]] | None = field(
        default=None, repr=False, compare=False
    )
    _remove: Callable[[P | None], Awaitable[None]] | None = field(
        default=None, repr=False, compare=False
    )

    def __getstate__(self) -> dict[str, Any]:
        # What a client holds stays with it, and with that every secret.
        return {name: value for name, value in vars(self).items() if name not in _BOUND}

    async def apply(self, progress: P | None = None) -> None:
        """Do what was planned, and nothing else.

        First the source is looked at again: PlanOutdated, with nothing touched, if anything
        that was planned is not as it was. What comes to the source since is left for another
        plan. Otherwise as the operation itself.
        """
        self._check_refused()
        if self._apply is None:
            raise _elsewhere()
        await self._apply(progress)

    async def apply_removals(self, progress: P | None = None) -> None:
        """Remove what a synchronisation would remove, when all its parts were applied.

        First both ends are looked at: PlanOutdated, with nothing touched, if what would go is
        not as it was planned or is wanted again, and DeletionRefused if the source holds no
        file any more. A plan that removes nothing does nothing.
        """
        self._check_refused()
        if not self.removed:
            return
        if self._remove is None:
            raise _elsewhere()
        await self._remove(progress)

    def split(self, *, max_files: int = 1000, max_bytes: int = 1 << 30) -> tuple[Plan[P], ...]:
        """What is moved, cut into plans that can be applied apart, in any order, anywhere.

        Each moves up to *max_files* files and *max_bytes* bytes, or one file that is larger;
        any two neighbours together would be too much for one. Parts can be pickled, hold no
        secret, and are applied by :meth:`Buckets.apply`. What is skipped or cannot be done is
        in none of them, and removals are left to ``apply_removals``.
        """
        self._check_refused()
        if max_files < 1 or max_bytes < 1:
            raise IllegalArgumentError("max_files and max_bytes must be at least 1")
        bare = replace(self, steps=(), folders=(), looking=0, _apply=None, _remove=None)
        moved = self.of(Action.COPY, Action.APPEND)
        parts = [replace(bare, steps=steps) for steps in _cut(moved, max_files, max_bytes)]
        for start in range(0, len(self.folders), max_files):
            parts.append(replace(bare, folders=self.folders[start : start + max_files]))
        return tuple(parts)

    def urls(self, path: str) -> tuple[URL, URL]:
        """Where *path* comes from and where it goes, as the events of a progress have it."""
        if self.target is None:
            raise IllegalArgumentError("a removal has no target")
        return url_below(self.source, path), url_below(self.target, path)

    def _check_refused(self) -> None:
        if self.refused is not None:
            raise DeletionRefused(self.refused)

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


def _elsewhere() -> IllegalArgumentError:
    return IllegalArgumentError(
        "this plan comes from another process or is a part of one: pass it to buckets.apply; "
        "what is removed, only the plan that was made by a method plan_... removes"
    )


def _cut(
    steps: Iterable[PlannedStep], max_files: int, max_bytes: int
) -> Iterator[tuple[PlannedStep, ...]]:
    # Neighbours stay together: they share folders, and one listing looks at all of them.
    held: list[PlannedStep] = []
    size = 0
    for step in steps:
        if held and (len(held) == max_files or size + step.size > max_bytes):
            yield tuple(held)
            held, size = [], 0
        held.append(step)
        size += step.size
    if held:
        yield tuple(held)


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
