"""``blob sign-url`` and ``set-public``: who else may read."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
from typing import Any

import click

import neuro_sdk

from ..help import notes
from ..options import as_json
from ..places import BLOB, BUCKET, find_bucket
from ..run import async_command, open_client
from ..show import bucket_fields, echo_json

__all__ = ["set_public", "sign_url"]

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class _Duration(click.ParamType):  # type: ignore[type-arg]  # generic only in newer versions
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"([0-9]{1,9})([smhd]?)", str(value))
        if not found or not int(found[1]):
            self.fail(f"{value!r} is no time; write 90, 90s, 15m, 12h or 7d", param, ctx)
        return int(found[1]) * _SECONDS[found[2] or "s"]


@click.command(
    "sign-url",
    epilog=notes(
        "neuro-sdk blob sign-url blob:photos/cat.jpg",
        'curl "$(neuro-sdk blob sign-url --expires 15m blob:photos/cat.jpg)"',
    ),
)
@click.argument("uri", type=BLOB)
@click.option(
    "--expires",
    type=_Duration(),
    default="1h",
    show_default=True,
    help="How long it is good, as 90s, 15m, 12h or 7d, which is the most.",
)
@as_json
@async_command
async def sign_url(uri: str, expires: int, as_json: bool) -> None:
    """Write a URL that reads a blob for a while.

    Anybody who has it can GET the blob without a login. The blob need not be there yet. The URL
    of a bucket on this machine's disk is served by this command itself, on the loopback address,
    until its time is over or Ctrl-C.
    """
    async with open_client() as client:
        handle, key = await client.buckets.locate(uri)
        url = await handle.make_signed_url(key, expires)
        if as_json:
            echo_json({"uri": uri, "url": str(url), "expires_in_seconds": expires})
        else:
            click.echo(str(url))
        local = handle.bucket.provider is neuro_sdk.Bucket.Provider.LOCAL
        if local and client.config.platform.startswith("local:"):
            click.echo("serving it until its time is over; stop with Ctrl-C", err=True)
            await _interrupted_within(expires)


async def _interrupted_within(seconds: float) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Not on Windows, nor in a program that runs its commands in a thread.
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


@click.command(
    "set-public",
    epilog=notes("neuro-sdk blob set-public photos", "neuro-sdk blob set-public --off photos"),
)
@click.argument("bucket", type=BUCKET)
@click.option("--off", is_flag=True, help="Stop it.")
@as_json
@async_command
async def set_public(bucket: str, off: bool, as_json: bool) -> None:
    """Let anybody read the blobs of a bucket, or stop it.

    A bucket on this machine's disk only keeps the mark: no server offers its blobs to anybody.
    """
    async with open_client() as client:
        found = await find_bucket(client, bucket)
        changed = await client.buckets.set_public_access(found.id, not off, found.cluster_name)
    if as_json:
        echo_json(bucket_fields(changed))
    else:
        click.echo(f"{changed.uri} is {'public' if changed.public else 'private'}")
