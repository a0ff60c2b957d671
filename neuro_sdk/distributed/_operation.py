"""One operation: planned here, done by the workers, concluded here."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, Unpack

import distributed

from neuro_sdk import (
    AbstractRecursiveFileProgress,
    Buckets,
    Client,
    IllegalArgumentError,
    NeuroError,
    Plan,
    TransferConfig,
    TransferError,
)

from ._cutting import Summary, task_bounds
from ._driving import Ended, drive, on_loop_of, threads_of
from ._merging import Merged
from ._tasks import Happened, LocalPath, Task, Where

__all__ = ["ClusterOptions", "LocalPath", "TreePlan", "run"]

TreePlan = Plan[AbstractRecursiveFileProgress]

_SHOWN = 5
_KEPT = 1000


class ClusterOptions(TypedDict, total=False):
    """How the machines open their clients, and how the work is cut into tasks.

    This machine and each worker open a client by ``neuro_sdk.get(profile)``, or by
    ``neuro_sdk.local(path)`` where *path* is given, with the bounds *transfer*.

    A task moves up to *files_per_task* files (1 to 1,000) and *bytes_per_task* bytes, or one
    file that is larger; by default so many that each thread of the cluster gets a few tasks. A
    task that raises is repeated *retries* times, 2 by default.
    """

    profile: str | None
    path: LocalPath | None
    transfer: TransferConfig | None
    files_per_task: int | None
    bytes_per_task: int | None
    retries: int


async def run(
    cluster: distributed.Client,
    progress: AbstractRecursiveFileProgress | None,
    make_plan: Callable[[Buckets], Awaitable[TreePlan]],
    **options: Unpack[ClusterOptions],
) -> Summary:
    """Make a plan, have it done by the workers, and remove at the end what it removes."""
    began = time.monotonic()
    where, retries, bounds = _checked(**options)
    threads = await threads_of(cluster)
    async with where.open() as client:
        plan = await make_plan(client.buckets)
        parts = plan.split(**bounds(plan.files, plan.bytes, threads))
        call, where = uuid.uuid4().hex, _in(where, client)
        merged = Merged(plan, progress)
        failures: dict[str, Exception] = {
            step.path: NeuroError(step.reason) for step in plan.failing
        }
        merged.begin()
        async with _sealed(plan) as seal:
            tasks = [
                Task(call=call, number=number, part=part, where=where, seal=seal)
                for number, part in enumerate(parts)
            ]
            await _distribute(cluster, call, tasks, threads, retries, merged, failures)
        merged.finish()
        _conclude(plan, merged.copied, failures)
        await plan.apply_removals(progress)
    return Summary(
        copied=merged.copied,
        skipped=len(plan.skipped),
        failed=0,
        removed=plan.removed,
        bytes=merged.bytes,
        seconds=time.monotonic() - began,
        tasks=len(tasks),
    )


class _Bounds(TypedDict):
    max_files: int
    max_bytes: int


def _checked(
    *,
    profile: str | None = None,
    path: LocalPath | None = None,
    transfer: TransferConfig | None = None,
    files_per_task: int | None = None,
    bytes_per_task: int | None = None,
    retries: int = 2,
) -> tuple[Where, int, Callable[[int, int, int], _Bounds]]:
    if profile is not None and path is not None:
        raise IllegalArgumentError("give profile or path, not both")
    if retries < 0:
        raise IllegalArgumentError("retries must not be negative")

    def bounds(files: int, size: int, threads: int) -> _Bounds:
        most = task_bounds(files, size, threads, files_per_task, bytes_per_task)
        return {"max_files": most[0], "max_bytes": most[1]}

    bounds(0, 0, 0)  # refused before anything is done
    return Where(profile=profile, path=path, transfer=transfer), retries, bounds


def _in(where: Where, client: Client) -> Where:
    # A profile may have been switched elsewhere since; the plan means what it says here.
    config = client.config
    scope = {
        "cluster": config.cluster_name,
        "org": config.org_name,
        "project": config.project_name,
    }
    path = None if where.path is None else config.platform.removeprefix("local:")
    return replace(where, path=path, scope=scope)


async def _distribute(
    cluster: distributed.Client,
    call: str,
    tasks: list[Task],
    threads: int,
    retries: int,
    merged: Merged,
    failures: dict[str, Exception],
) -> None:
    mine = asyncio.get_running_loop()
    told: asyncio.Queue[Ended | list[Happened] | None] = asyncio.Queue()

    def tell(what: Ended | list[Happened]) -> None:
        mine.call_soon_threadsafe(told.put_nowait, what)

    driving = asyncio.create_task(
        on_loop_of(cluster, lambda: drive(cluster, call, tasks, threads, retries, tell))
    )
    driving.add_done_callback(lambda _: told.put_nowait(None))
    try:
        while (what := await told.get()) is not None:
            if isinstance(what, Ended):
                failed = merged.ended(tasks[what.number].part.steps, what.failures)
                failures.update((path, what.failures[path]) for path in failed)
            else:
                for path, done in what:
                    merged.happened(path, done)
        await driving
    finally:
        # A callback has raised, or the caller is cancelled: nothing goes on after this.
        driving.cancel()
        while not driving.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([driving])
        if not driving.cancelled():
            driving.exception()


@asynccontextmanager
async def _sealed(plan: TreePlan) -> AsyncIterator[str | None]:
    """A file in the destination that every worker must see, where that is a folder."""
    if plan.operation not in ("download", "sync down"):
        yield None
        return
    assert plan.target is not None
    # A name that transfers pass over, as those of downloads on their way.
    seal = Path(plan.target) / f".neuro-sdk-{uuid.uuid4().hex}.part"
    await asyncio.to_thread(_make, seal)
    try:
        yield str(seal)
    finally:
        await asyncio.to_thread(seal.unlink, missing_ok=True)


def _make(seal: Path) -> None:
    seal.parent.mkdir(parents=True, exist_ok=True)
    seal.touch()


def _conclude(plan: TreePlan, done: int, failures: Mapping[str, Exception]) -> None:
    if not failures:
        return
    lines = [f"{path!r}: {error}" for path, error in [*failures.items()][:_SHOWN]]
    if len(failures) > _SHOWN:
        lines.append(f"and {len(failures) - _SHOWN} more")
    kept = "; nothing was removed at the destination" if plan.removed else ""
    raise TransferError(
        f"{len(failures)} could not be moved, {done} were: {'; '.join(lines)}{kept}",
        failures=[*failures.items()][:_KEPT],
        failed=len(failures),
        done=done,
    )
