"""The work of ``neuro-sdk load``: the drivers in turn, the live table, the results."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

import neuro_sdk
from neuro_sdk.drivers.load import (
    LoadPlan,
    LoadResult,
    parse_mix,
    parse_sizes,
    plot_load,
    run_load,
)
from neuro_sdk.drivers.s3 import get_driver

from .run import async_command

__all__ = ["run_loads"]

_SECONDS = 10.0
_PLAIN_EVERY = 5.0
_NEEDED = ("endpoint", "bucket", "access_key", "secret_key")


def run_loads(
    drivers: Sequence[str],
    *,
    endpoint: str | None,
    bucket: str | None,
    region: str,
    store: str | None,
    users: int,
    duration: float | None,
    count: int | None,
    mix: str,
    size: str,
    objects: int,
    seed: int,
    json_path: Path | None,
    plot_path: Path | None,
    plain: bool,
) -> None:
    """Run the workload by each of *drivers*, see the options of the command.

    UsageError for options that do not go together, Exit(1) if anything failed.
    """
    if duration is None and count is None:
        duration = _SECONDS
    if store is not None and (endpoint or bucket):
        raise click.UsageError("--store brings a bucket of its own: leave --endpoint and --bucket")
    try:
        for driver in drivers:
            get_driver(driver)
        plan = LoadPlan(
            users=users,
            duration=duration,
            count=count,
            mix=parse_mix(mix),
            sizes=parse_sizes(size),
            objects=objects,
            seed=seed,
        )
    except neuro_sdk.IllegalArgumentError as error:
        raise click.UsageError(str(error)) from error
    config = {
        "endpoint": endpoint,
        "bucket": bucket,
        "region": region,
        "access_key": os.environ.get("AWS_ACCESS_KEY_ID"),
        "secret_key": os.environ.get("AWS_SECRET_ACCESS_KEY"),
        "driver_config": _token(os.environ.get("AWS_SESSION_TOKEN")),
    }
    # Where the results go to the standard output, nothing else does.
    console = Console(stderr=True, force_terminal=False if plain else None, highlight=False)
    results: list[LoadResult] = []
    with ExitStack() as stack:
        stack.callback(_write, results, json_path, plot_path, console)
        reasons = stack.enter_context(_reasons())
        _run(drivers, config, plan, store, results, console, reasons)
    if any(result.errors or result.left for result in results):
        raise click.exceptions.Exit(1)


def _token(token: str | None) -> dict[str, str]:
    return {"session_token": token} if token else {}


@async_command
async def _run(
    drivers: Sequence[str],
    config: Mapping[str, Any],
    plan: LoadPlan,
    store: str | None,
    results: list[LoadResult],
    console: Console,
    reasons: dict[object, str],
) -> None:
    async with AsyncExitStack() as stack:
        if store is not None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="neuro-sdk-load-"))
            config = await _own_bucket(stack, Path(folder))
        for driver in drivers:
            stop = threading.Event()
            with _showing(console, driver) as show:
                work = asyncio.ensure_future(
                    asyncio.to_thread(
                        run_load, driver, dict(config), plan, stop=stop, progress=show
                    )
                )
                try:
                    result = await asyncio.shield(work)
                except neuro_sdk.ConfigError as error:
                    if all(config[name] for name in _NEEDED):
                        raise
                    raise click.ClickException(
                        f"{error}; give --endpoint and --bucket, and the keys in "
                        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or --store seaweedfs"
                    ) from error
                except asyncio.CancelledError:
                    stop.set()  # the figures up to now are shown, and what was made goes
                    results.append(await work)
                    raise
                results.append(result)
            for reason in reasons.values():
                console.print(reason, style="red", markup=False, soft_wrap=True)
            reasons.clear()


async def _own_bucket(stack: AsyncExitStack, home: Path) -> dict[str, Any]:
    await stack.enter_async_context(neuro_sdk.serve_store(home))
    client = await stack.enter_async_context(neuro_sdk.local(home))
    await client.buckets.create("load")
    fields = (await client.buckets.request_tmp_credentials("load")).credentials
    return {
        "endpoint": fields["endpoint_url"],
        "bucket": fields["bucket_name"],
        "region": fields.get("region_name") or "us-east-1",
        "access_key": fields["access_key_id"],
        "secret_key": fields["secret_access_key"],
        "driver_config": _token(fields.get("session_token")),
    }


@contextmanager
def _showing(console: Console, driver: str) -> Iterator[Callable[[LoadResult], None]]:
    if console.is_terminal:
        with Live(console=console, transient=True, refresh_per_second=4) as live:
            yield lambda result: live.update(_table([result]))
        return
    told = time.monotonic()

    def tell(result: LoadResult) -> None:
        nonlocal told
        if time.monotonic() - told >= _PLAIN_EVERY:
            told = time.monotonic()
            everything = result.operations["all"]
            console.print(
                f"{driver}: {result.elapsed:.0f} s, {everything['count']} operations, "
                f"{everything['per_second']:.0f} a second, p99 {everything['p99_ms']} ms, "
                f"{everything['errors']} errors",
                soft_wrap=True,
            )

    yield tell


def _table(results: Sequence[LoadResult]) -> Table:
    table = Table(box=None, header_style="bold")
    for name in ("driver", "operation"):
        table.add_column(name, no_wrap=True)
    for name in ("count", "per s", "MiB/s", "p50 ms", "p90 ms", "p99 ms", "errors"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        for name, told in result.operations.items():
            mib = told["bytes_per_second"] / (1 << 20)
            figures = (told["per_second"], mib, told["p50_ms"], told["p90_ms"], told["p99_ms"])
            table.add_row(
                result.driver,
                name,
                str(told["count"]),
                *("-" if figure is None else _short(figure) for figure in figures),
                f"[red]{told['errors']}[/]" if told["errors"] else "0",
                end_section=name == "all",
            )
    return table


def _short(figure: float) -> str:
    return f"{figure:.0f}" if figure >= 100 else f"{figure:.1f}" if figure >= 1 else f"{figure:.2f}"


def _write(
    results: Sequence[LoadResult], json_path: Path | None, plot_path: Path | None, console: Console
) -> None:
    if not results:
        return
    console.print(_table(results))
    for result in results:
        if result.left:
            console.print(
                f"{result.left} objects of {result.driver} could not be removed", style="red"
            )
    if json_path is not None:
        text = json.dumps([result.to_json() for result in results], indent=2)
        with click.open_file(str(json_path), "w", encoding="utf-8") as file:
            file.write(text + "\n")
    if plot_path is not None:
        try:
            plot_load(results, plot_path)
        except (neuro_sdk.NeuroError, ModuleNotFoundError) as error:
            raise click.ClickException(str(error)) from error


@contextmanager
def _reasons() -> Iterator[dict[object, str]]:
    """The first reason of each operation that failed; all of them would tear the table apart."""
    kept: dict[object, str] = {}

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            operation = record.args[:2] if isinstance(record.args, tuple) else record.msg
            kept.setdefault(operation, record.getMessage())

    log, handler = logging.getLogger("neuro_sdk.drivers.s3"), Keep()
    log.addHandler(handler)
    propagate, log.propagate = log.propagate, False
    try:
        yield kept
    finally:
        log.removeHandler(handler)
        log.propagate = propagate
