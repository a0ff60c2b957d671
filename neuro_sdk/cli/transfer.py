"""What commands that move or remove things share: bars, a summary, an exit code."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import click

from neuro_sdk import Action, NeuroError, TransferError
from neuro_sdk.progress import CountingProgress, LogProgress, RichProgress

from .show import echo_json, lines_of, shown

if TYPE_CHECKING:
    from neuro_sdk import Plan

__all__ = ["Tally", "show_plan", "tallied"]

P = TypeVar("P")

_LINES = 5.0  # seconds between two lines where there is no terminal


@dataclass(frozen=True)
class _Failure:
    path: str
    error: str
    told: bool = False
    """True if the bars have printed it."""


@dataclass
class Tally:
    """What became of the parts of one command."""

    operation: str
    progress: CountingProgress
    failures: list[_Failure] = field(default_factory=list)
    failed: int = 0
    interrupted: bool = False
    since: float = field(default_factory=time.monotonic)

    async def attempt(self, place: str, work: Awaitable[None]) -> None:
        """Await the *work* on *place*; if it fails, note that and let the others go on."""
        before = self.progress.failed
        try:
            await work
        except TransferError as error:
            heard = self.progress.failed - before >= error.failed
            told = heard and isinstance(self.progress, RichProgress)
            self.failures += [_Failure(path, str(why), told) for path, why in error.failures]
            self.failed += error.failed
        except NeuroError as error:
            self.failures.append(_Failure(place, f"{error}{self._hint(error)}"))
            self.failed += 1

    def _hint(self, error: NeuroError) -> str:
        """What to do in a terminal, where the error tells of the API."""
        if self.operation not in ("move", "sync"):
            if isinstance(error, IsADirectoryError):
                return "; -r takes a directory"
            if isinstance(error, NotADirectoryError):
                return "; leave -r away"
        return ""

    def conclude(self, *, as_json: bool, quiet: bool) -> None:
        """Name what failed, and sum up."""
        for failure in self.failures:
            if not failure.told:
                click.echo(f"failed: {shown(failure.path)}: {shown(failure.error)}", err=True)
        if self.failed > len(self.failures):
            click.echo(f"failed: {self.failed - len(self.failures)} more", err=True)
        self.progress.failed = self.failed
        if as_json:
            echo_json(self._fields())
        elif not quiet:
            seconds = time.monotonic() - self.since
            click.echo(f"{self.operation}: {self._counts()} in {seconds:.1f} s", err=True)

    def _counts(self) -> str:
        if self.operation == "remove":
            return f"removed {self.progress.deleted}, failed {self.failed}"
        return str(self.progress)

    def _fields(self) -> dict[str, Any]:
        counts = self.progress
        return {
            "operation": self.operation,
            "copied": counts.completed,
            "skipped": counts.skipped,
            "failed": self.failed,
            "removed": counts.deleted,
            "bytes": counts.bytes,
            "seconds": round(time.monotonic() - self.since, 3),
            "interrupted": self.interrupted,
            "failures": [{"path": each.path, "error": each.error} for each in self.failures],
        }


@asynccontextmanager
async def tallied(
    operation: str, *, as_json: bool, quiet: bool, bars: bool = True
) -> AsyncIterator[Tally]:
    """Show progress while the block runs, then sum up; exit with 1 if anything failed.

    The summary comes also where the block is interrupted.
    """
    with _display(operation, bars=bars and not quiet) as progress:
        tally = Tally(operation, progress)
        try:
            yield tally
        except asyncio.CancelledError:
            tally.interrupted = True
    tally.conclude(as_json=as_json, quiet=quiet)
    if tally.interrupted:
        raise asyncio.CancelledError
    if tally.failed:
        raise click.exceptions.Exit(1)


@contextmanager
def _display(operation: str, *, bars: bool) -> Iterator[CountingProgress]:
    title = operation.capitalize()
    if not bars:
        yield CountingProgress()
    elif sys.stderr.isatty():
        from rich.console import Console

        with RichProgress(title, console=Console(stderr=True)) as bar:
            yield bar
    else:
        with _logger() as logger:
            # Its last line would say what the summary says, so it is not entered.
            yield LogProgress(title, interval=_LINES, logger=logger)


@contextmanager
def _logger() -> Iterator[logging.Logger]:
    """A logger that writes to the standard error as it is now, and nowhere else."""
    logger = logging.Logger("neuro-sdk")
    handler = logging.StreamHandler(sys.stderr)
    logger.addHandler(handler)
    with contextlib.closing(handler):
        yield logger


def show_plan(plan: Plan[P], *, as_json: bool) -> None:
    """Write what a plan says; exit with 1 if it would fail or be refused."""
    if as_json:
        echo_json(
            {
                "operation": plan.operation,
                "source": plan.source,
                "target": plan.target,
                "refused": plan.refused,
                "copied": plan.files,
                "skipped": len(plan.skipped),
                "failed": len(plan.failing),
                "removed": plan.removed,
                "bytes": plan.bytes,
                "requests": plan.requests,
                "steps": [
                    {
                        "action": step.action.value,
                        "path": step.path,
                        "size": step.size,
                        "reason": step.reason,
                    }
                    for step in plan.steps
                ],
            }
        )
    else:
        click.echo(lines_of(str(plan)))
    if plan.refused is not None or plan.of(Action.FAIL):
        raise click.exceptions.Exit(1)
