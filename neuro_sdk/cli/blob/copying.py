"""``blob cp``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from yarl import URL

import neuro_sdk
from neuro_sdk import Action, Plan, PlannedStep
from neuro_sdk.progress import CountingProgress

from ..help import notes
from ..options import Filter, as_json, dry_run, filters, path_filter, quiet, verify
from ..pipes import standard_input, write_out
from ..places import PLACE, check_into, is_blob, last_part
from ..run import async_command, open_client
from ..transfer import show_plan, tallied

__all__ = ["cp"]

_OPERATIONS = {(False, True): "upload", (True, False): "download", (True, True): "copy"}


@dataclass(frozen=True, kw_only=True)
class _Wish:
    """What is to be copied where, and how; UsageError where that makes no sense."""

    sources: Sequence[str]
    destination: str
    recursive: bool
    update: bool
    continue_: bool
    verify: bool
    filter: Filter | None
    ignore_files: Sequence[str]
    dry_run: bool
    as_json: bool

    def __post_init__(self) -> None:
        places = [*self.sources, self.destination]
        if "-" in places:
            self._check_pipe()
        if not any(map(is_blob, places)):
            raise click.UsageError("one of the places must be a blob: URI")
        kinds = {(is_blob(source), is_blob(self.destination)) for source in self.sources}
        if len(kinds) > 1 or kinds == {(False, False)}:
            raise click.UsageError("all sources must be blobs, or all of them local")
        if self.recursive and len(self.sources) > 1:
            raise click.UsageError("-r takes one source; call it for each of them")
        if not self.recursive and (self.filter is not None or self.ignore_files):
            raise click.UsageError("--include, --exclude and --ignore-file go with -r")
        if self.ignore_files and self.operation != "upload":
            raise click.UsageError("--ignore-file goes with a local source")
        if self.operation == "copy" and (self.continue_ or self.verify):
            raise click.UsageError("--continue and --verify do not go with two blob: URIs")
        if self.operation == "copy" and self.update and not self.recursive:
            raise click.UsageError("--update between two blob: URIs goes with -r")
        if self.dry_run and not self.recursive and (self.update or self.continue_):
            raise click.UsageError("--dry-run with --update or --continue goes with -r")

    def _check_pipe(self) -> None:
        source = self.sources[0]
        if len(self.sources) > 1 or not (is_blob(source) or is_blob(self.destination)):
            raise click.UsageError("- goes with one blob: URI")
        if self.recursive or self.update or self.continue_ or self.verify or self.dry_run:
            raise click.UsageError("- is copied as it comes; leave the options away")
        if self.as_json and self.destination == "-":
            raise click.UsageError("--json would go where the blob goes")

    @property
    def operation(self) -> str:
        """``upload``, ``download`` or ``copy``."""
        return _OPERATIONS[is_blob(self.sources[0]), is_blob(self.destination)]

    @property
    def tree_options(self) -> dict[str, Any]:
        """What the API's verb for a tree takes."""
        options: dict[str, Any] = {"update": self.update, "filter": self.filter}
        if self.operation == "upload":
            options |= {"resume": self.continue_, "ignore_file_names": {*self.ignore_files}}
        elif self.operation == "download":
            options["continue_"] = self.continue_
        if self.operation != "copy":
            options["verify"] = self.verify
        return options


@click.command(
    epilog=notes(
        "neuro-sdk blob cp cat.jpg blob:photos/pets/",
        "neuro-sdk blob cp *.jpg blob:photos/2026/",
        "neuro-sdk blob cp blob:photos/pets/cat.jpg .",
        "neuro-sdk blob cp -r --exclude '*.tmp' --ignore-file .gitignore src blob:box/src",
        "neuro-sdk blob cp -r --update --continue blob:photos/2026 2026",
        "neuro-sdk blob cp -r blob:photos/2026 blob:archive/photos/2026",
        "tar cz src | neuro-sdk blob cp - blob:box/src.tar.gz",
    )
)
@click.argument("sources", nargs=-1, required=True, type=PLACE, metavar="SOURCE...")
@click.argument("destination", type=PLACE)
@click.option("-r", "--recursive", is_flag=True, help="Copy a directory with all below it.")
@click.option("-u", "--update", is_flag=True, help="Skip what is there and not older.")
@click.option(
    "-c",
    "--continue",
    "continue_",
    is_flag=True,
    help="Go on where an interrupted call with --continue, or any download, ended.",
)
@verify
@filters
@dry_run
@as_json
@quiet
@async_command
async def cp(
    sources: tuple[str, ...],
    destination: str,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    quiet: bool,
    **how: Any,
) -> None:
    """Copy files and blobs: up, down, and from bucket to bucket.

    A place is a blob: URI, a local path, or - for the standard input or output. A DESTINATION
    that ends in /, is a bucket or a local folder takes a file under its own name. With -r all
    that lies in the directory SOURCE comes to lie in DESTINATION.

    A file or blob appears under its name only when it is complete, whatever happens. Of a tree
    all that can be copied is, and what could not is named. On a terminal there are bars, else a
    line now and then; the end says how many files were copied, skipped and failed.
    """
    wish = _Wish(
        sources=sources, destination=destination, filter=path_filter(include, exclude), **how
    )
    async with open_client() as client:
        if wish.dry_run:
            await _show_plans(client, wish)
            return
        bars = "-" not in (sources[0], destination)
        async with tallied(wish.operation, as_json=wish.as_json, quiet=quiet, bars=bars) as tally:
            for source in sources:
                await tally.attempt(source, _copy(client, wish, source, tally.progress))


async def _show_plans(client: neuro_sdk.Client, wish: _Wish) -> None:
    if wish.recursive:
        plan = getattr(client.buckets, f"plan_{wish.operation}_dir")
        planned = await plan(wish.sources[0], wish.destination, **wish.tree_options)
        show_plan(planned, as_json=wish.as_json)
        return
    for source in wish.sources:
        size, target = await _look(client, wish, source)
        step = PlannedStep(Action.COPY, last_part(source), size)
        planned = Plan(operation=wish.operation, source=source, target=target, steps=(step,))
        show_plan(planned, as_json=wish.as_json)


async def _look(client: neuro_sdk.Client, wish: _Wish, source: str) -> tuple[int, str]:
    """The size of one file or blob, and where it would go."""
    if is_blob(source):
        handle, key = await client.buckets.locate(source)
        size, name = (await handle.head_blob(key)).size, last_part(key)
    else:
        path = _path(source)
        try:
            size, name = (await asyncio.to_thread(os.stat, path)).st_size, Path(path).name
        except OSError as error:
            raise click.ClickException(f"{error.strerror}: {path!r}") from error
    if not is_blob(wish.destination):
        return size, await _landing(wish, name)
    target, new = await _target(client, wish, name)
    return size, str(target.bucket.blob_url(new))


async def _copy(
    client: neuro_sdk.Client, wish: _Wish, source: str, progress: CountingProgress
) -> None:
    destination, buckets = wish.destination, client.buckets
    if wish.recursive:
        copy = getattr(buckets, f"{wish.operation}_dir")
        await copy(source, destination, progress=progress, **wish.tree_options)
    elif source == "-":
        target, key = await buckets.locate(destination)
        if not key or key.endswith("/"):
            raise click.UsageError("the standard input has no name: write blob:BUCKET/KEY")
        async with aclosing(_counted(standard_input(), progress)) as body:
            await target.put_blob(key, body)
        progress.completed += 1
    elif wish.operation == "upload":
        path = _path(source)
        target, key = await _target(client, wish, Path(path).name)
        await target.upload_file(
            path,
            key,
            update=wish.update,
            resume=wish.continue_,
            verify=wish.verify,
            progress=progress,
        )
    elif destination == "-":
        handle, key = await buckets.locate(source)
        async with handle.fetch_blob(key) as pieces:
            async for piece in pieces:
                progress.bytes += len(piece)
                await write_out(piece)
        progress.completed += 1
    elif wish.operation == "download":
        handle, key = await buckets.locate(source)
        await handle.download_file(
            key,
            await _landing(wish, last_part(key)),
            update=wish.update,
            continue_=wish.continue_,
            verify=wish.verify,
            progress=progress,
        )
    else:
        handle, key = await buckets.locate(source)
        target, new = await _target(client, wish, last_part(key))
        await handle.copy_blob(key, new, to=target, progress=progress)


async def _counted(
    pieces: AsyncGenerator[bytes, None], progress: CountingProgress
) -> AsyncGenerator[bytes, None]:
    async with aclosing(pieces):
        async for piece in pieces:
            yield piece
            progress.bytes += len(piece)


async def _target(
    client: neuro_sdk.Client, wish: _Wish, name: str
) -> tuple[neuro_sdk.BucketHandle, str]:
    """Bucket and key for one file called *name*."""
    handle, key = await client.buckets.locate(wish.destination)
    into = key == "" or key.endswith("/")
    check_into(wish.sources, into)
    return handle, key + name if into else key


async def _landing(wish: _Wish, name: str) -> str:
    """The local path for one file called *name*."""
    path = _path(wish.destination)
    into = path.endswith("/") or await asyncio.to_thread(os.path.isdir, path)
    check_into(wish.sources, into)
    return os.path.join(path, name) if into else path


def _path(place: str) -> str:
    return URL(place).path if place.lower().startswith("file:") else place
