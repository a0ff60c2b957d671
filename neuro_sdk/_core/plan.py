"""What a transfer does with one file: decided from what is known of both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from typing import Any, NamedTuple, Protocol

__all__ = [
    "Action",
    "End",
    "Side",
    "as_side",
    "deletion_problem",
    "plan_download",
    "plan_sync",
    "plan_update",
]

_EXACT = timedelta(0)


class Action(Enum):
    """What is done with one path of a tree."""

    COPY = "copy"
    """Move it whole and replace what is there."""
    APPEND = "append"
    """Move only what lies past the end of the destination."""
    SKIP = "skip"
    """Leave the destination as it is."""
    REMOVE = "remove"
    """Take it away."""
    FAIL = "fail"
    """It cannot be done."""


class Side(NamedTuple):
    """A file as one end of a transfer: size in bytes and time of the last change, if known."""

    size: int
    modified_at: datetime | None


as_side: Callable[[Iterable[Any]], Side] = partial(tuple.__new__, Side)
"""A ``Side`` of a size and a time, in half the time; trees and listings have a great many."""


class End(Protocol):
    """One end of a transfer, a file or a blob: its size in bytes, and when it was changed."""

    @property
    def size(self) -> int: ...

    @property
    def modified_at(self) -> datetime | None: ...


def plan_update(source: End, target: End | None) -> Action:
    """SKIP where the blob at the target is certainly not older than the source, else COPY.

    Stores round the times of blobs down, so one that seems as old as a file is not older.
    """
    if target is None or not _not_older(target.modified_at, source.modified_at):
        return Action.COPY
    return Action.SKIP


def plan_download(
    source: End,
    target: End | None,
    *,
    update: bool,
    continue_: bool,
    grain: timedelta = _EXACT,
) -> Action:
    """COPY, SKIP or APPEND for one blob.

    A file that is not older than the blob is skipped with *update*; with *continue_* it is
    skipped if as long, appended to if shorter and not empty. With both, a shorter one is
    finished. *grain* is how far the store rounds the times of blobs down: a file from within
    the same grain may be older than the blob, and is copied.
    """
    if target is None or not (update or continue_):
        return Action.COPY
    if not _not_older(target.modified_at, source.modified_at, grain):
        return Action.COPY
    if continue_:
        if 0 < target.size < source.size:
            return Action.APPEND
        if target.size == source.size:
            return Action.SKIP
        if target.size < source.size:
            return Action.COPY
    return Action.SKIP if update else Action.COPY


def plan_sync(source: End, target: End | None, *, grain: timedelta = _EXACT) -> Action:
    """SKIP what is as large at the destination and certainly not older, else COPY."""
    if target is None or target.size != source.size:
        return Action.COPY
    same = _not_older(target.modified_at, source.modified_at, grain)
    return Action.SKIP if same else Action.COPY


def deletion_problem(*, extras: int, max_delete: int | None, source_empty: bool) -> str | None:
    """Why a synchronisation must not remove that many, or None if it may."""
    if source_empty:
        return (
            "the source holds no file, and with delete=True all at the destination would go; "
            "to mean that, remove it with blob_rm or by hand"
        )
    if max_delete is not None and extras > max_delete:
        return (
            f"more than {max_delete} would be removed at the destination; look at the plan of the "
            "synchronisation, then say max_delete with a number, or None for no limit"
        )
    return None


def _not_older(mine: datetime | None, other: datetime | None, grain: timedelta = _EXACT) -> bool:
    return mine is not None and other is not None and mine - other >= grain
