"""How large the tasks are, and what came of all: values."""

from __future__ import annotations

from dataclasses import dataclass

from neuro_sdk import IllegalArgumentError

__all__ = ["MOST_FILES", "Summary", "task_bounds"]

MOST_FILES = 1000  # as many failures as a TransferError names
_FEWEST_FILES = 50
_MOST_BYTES = 4 << 30
_FEWEST_BYTES = 64 << 20
_TASKS = 4  # for each thread, so that all are busy until near the end


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What became of a tree that was moved without a failure."""

    copied: int
    """Files, blobs and markers that were moved."""
    skipped: int
    """What was left as it is, as ``update``, a synchronisation or the filter decided."""
    failed: int
    """What could not be moved; 0, for otherwise TransferError is raised."""
    removed: int
    """Files and blobs that a synchronisation removed."""
    bytes: int
    """Size of what was moved."""
    seconds: float
    """How long it took, with the making of the plan."""
    tasks: int
    """How many tasks the plan was cut into."""


def task_bounds(
    files: int, size: int, threads: int, max_files: int | None, max_bytes: int | None
) -> tuple[int, int]:
    """How many files and bytes one task moves at most, so that *threads* share *files* evenly.

    *size* is that of all files in bytes. *max_files* and *max_bytes* are what the caller asks
    for instead, or None; IllegalArgumentError if they make no sense.
    """
    if max_files is not None and not 1 <= max_files <= MOST_FILES:
        raise IllegalArgumentError(f"files_per_task must be from 1 to {MOST_FILES}")
    if max_bytes is not None and max_bytes < 1:
        raise IllegalArgumentError("bytes_per_task must be at least 1")
    tasks = _TASKS * max(1, threads)
    return (
        max_files or min(MOST_FILES, max(_FEWEST_FILES, -(-files // tasks))),
        max_bytes or min(_MOST_BYTES, max(_FEWEST_BYTES, -(-size // tasks))),
    )
