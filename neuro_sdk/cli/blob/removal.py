"""``blob rm``."""

from __future__ import annotations

import click

from ..help import notes
from ..options import as_json, dry_run, quiet
from ..places import BLOB
from ..run import async_command, open_client
from ..transfer import show_plan, tallied

__all__ = ["rm"]


@click.command(
    epilog=notes(
        "neuro-sdk blob rm blob:photos/cat.jpg",
        "neuro-sdk blob rm -r --dry-run blob:photos/2025",
        "neuro-sdk blob rm -r blob:photos/2025",
    )
)
@click.argument("uris", nargs=-1, required=True, type=BLOB, metavar="URI...")
@click.option("-r", "--recursive", is_flag=True, help="Remove directories with all below them.")
@dry_run
@as_json
@quiet
@async_command
async def rm(
    uris: tuple[str, ...], recursive: bool, dry_run: bool, as_json: bool, quiet: bool
) -> None:
    """Remove blobs, or with -r directories.

    A directory goes with all below it; blob:photos/2025 never takes blob:photos/2025.zip or
    blob:photos/20251. With -r and the URI of a bucket all its blobs go, and the bucket stays.
    What could not be removed is named, and the rest goes.
    """
    if dry_run:
        if not recursive or len(uris) > 1:
            raise click.UsageError("--dry-run goes with -r and one URI")
        async with open_client() as client:
            show_plan(await client.buckets.plan_rm(uris[0]), as_json=as_json)
        return
    async with (
        open_client() as client,
        tallied("remove", as_json=as_json, quiet=quiet) as tally,
    ):
        for uri in uris:
            work = client.buckets.blob_rm(uri, recursive=recursive, progress=tally.progress)
            await tally.attempt(uri, work)
