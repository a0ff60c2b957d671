"""``blob mv``."""

from __future__ import annotations

from collections.abc import Sequence

import click

import neuro_sdk
from neuro_sdk.progress import CountingProgress

from ..help import notes
from ..options import as_json, quiet
from ..places import PLACE, check_into, is_blob, last_part
from ..run import async_command, open_client
from ..transfer import tallied

__all__ = ["mv"]


@click.command(
    epilog=notes(
        "neuro-sdk blob mv blob:photos/cat.jpg blob:photos/pets/tom.jpg",
        "neuro-sdk blob mv blob:photos/a.jpg blob:photos/b.jpg blob:archive/photos/",
    )
)
@click.argument("sources", nargs=-1, required=True, type=PLACE, metavar="SOURCE...")
@click.argument("destination", type=PLACE)
@as_json
@quiet
@async_command
async def mv(sources: tuple[str, ...], destination: str, as_json: bool, quiet: bool) -> None:
    """Move blobs within a bucket or into another.

    A DESTINATION that ends in / or is a bucket takes a blob under its own name. The source is
    removed only when the copy was looked up and is the same; a blob that was replaced meanwhile
    stays. Directories are moved by cp -r and then rm -r.
    """
    if not all(map(is_blob, [*sources, destination])):
        raise click.UsageError("mv takes blob: URIs; for local files there are cp and rm")
    async with (
        open_client() as client,
        tallied("move", as_json=as_json, quiet=quiet) as tally,
    ):
        for source in sources:
            await tally.attempt(source, _move(client, sources, source, destination, tally.progress))


async def _move(
    client: neuro_sdk.Client,
    sources: Sequence[str],
    source: str,
    destination: str,
    progress: CountingProgress,
) -> None:
    handle, key = await client.buckets.locate(source)
    target, new = await client.buckets.locate(destination)
    into = new == "" or new.endswith("/")
    check_into(sources, into)
    await handle.move_blob(key, new + last_part(key) if into else new, to=target, progress=progress)
