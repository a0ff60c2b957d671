"""``neuro-sdk serve-store``: a real S3 store with access control on this machine."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import click

import neuro_sdk

from .help import notes
from .run import async_command

__all__ = ["serve_store"]


@click.command(
    epilog=notes("neuro-sdk serve-store", "neuro-sdk serve-store /srv/blobs --port 9000")
)
@click.argument("home", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("--port", type=click.IntRange(1, 65535), help="Listen here, on 127.0.0.1.")
@async_command
async def serve_store(home: Path | None, port: int | None) -> None:
    """Run a real S3 store on this machine.

    It is SeaweedFS, for the embedded platform in HOME, and runs until Ctrl-C. HOME is the folder
    that neuro_sdk.local(HOME) opens, by default the user's own. From now on its new buckets are
    made at this store, which keeps its data below HOME and listens on the loopback address only.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with neuro_sdk.serve_store(home, port=port) as endpoint:
        click.echo(f"S3, IAM and STS answer at {endpoint}; stop with Ctrl-C")
        await stop.wait()
    click.echo("stopped")
