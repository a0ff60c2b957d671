"""``blob sync``."""

from __future__ import annotations

from typing import Any

import click

from ..help import notes
from ..options import as_json, dry_run, filters, path_filter, quiet, verify
from ..places import PLACE, is_blob
from ..run import async_command, open_client
from ..transfer import show_plan, tallied

__all__ = ["sync"]


class _Limit(click.ParamType):  # type: ignore[type-arg]  # generic only in newer versions
    name = "number|none"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        if value == "none":
            return "none"
        found: int = click.IntRange(0).convert(value, param, ctx)
        return found


@click.command(
    epilog=notes(
        "neuro-sdk blob sync site blob:www/site",
        "neuro-sdk blob sync --delete --dry-run site blob:www/site",
        "neuro-sdk blob sync --delete --max-delete 20 blob:www/site mirror",
    )
)
@click.argument("source", type=PLACE)
@click.argument("destination", type=PLACE)
@click.option(
    "--delete", is_flag=True, help="Remove at the destination what the source does not have."
)
@click.option(
    "--max-delete",
    type=_Limit(),
    default="1000",
    show_default=True,
    help="Refuse to remove more than so many; none for no limit.",
)
@verify
@filters
@dry_run
@as_json
@quiet
@async_command
async def sync(
    source: str,
    destination: str,
    delete: bool,
    max_delete: int | str,
    verify: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    ignore_files: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make one end of a tree like the other.

    One is a directory of a bucket, the other a local folder. What is as large at the destination
    and not older is skipped. With --delete what the source does not have is removed, last and
    only when all transfers went well; never for an empty or missing source, never more than
    --max-delete, never what --include, --exclude or an ignore file leaves out. Ignore files are
    read in the local folder, where they only protect when it is the destination.
    """
    if "-" in (source, destination) or is_blob(source) == is_blob(destination):
        raise click.UsageError(
            "sync is between a local folder and a blob: URI; for two blob: URIs there is "
            "cp -r --update"
        )
    verb = "sync_up" if is_blob(destination) else "sync_down"
    options: dict[str, Any] = {
        "delete": delete,
        "max_delete": None if max_delete == "none" else max_delete,
        "verify": verify,
        "filter": path_filter(include, exclude),
        "ignore_file_names": {*ignore_files},
    }
    async with open_client() as client:
        if dry_run:
            plan = await getattr(client.buckets, f"plan_{verb}")(source, destination, **options)
            show_plan(plan, as_json=as_json)
            return
        async with tallied("sync", as_json=as_json, quiet=quiet) as tally:
            work = getattr(client.buckets, verb)
            await tally.attempt(
                source, work(source, destination, progress=tally.progress, **options)
            )
