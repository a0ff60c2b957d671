"""``blob ls``, ``glob``, ``du`` and ``cat``."""

from __future__ import annotations

import click

import neuro_sdk

from ..help import notes
from ..options import as_json
from ..pipes import write_out
from ..places import BLOB
from ..run import async_command, open_client
from ..show import echo_json, entry_fields, moment, row

__all__ = ["cat", "du", "glob", "ls"]


@click.command(
    epilog=notes(
        "neuro-sdk blob ls blob:photos",
        "neuro-sdk blob ls -r blob:photos/2026/",
        "neuro-sdk blob ls -r --json blob:photos | jq -r .key",
    )
)
@click.argument("uri", type=BLOB)
@click.option("-r", "--recursive", is_flag=True, help="Show every blob, not one level.")
@as_json
@async_command
async def ls(uri: str, recursive: bool, as_json: bool) -> None:
    """List blobs whose keys begin with that of URI.

    blob:photos/2026/ lists what lies in the directory; blob:photos/20 also blobs and directories
    that begin so. A line has the time in UTC, the size in bytes and the key; with --json it is an
    object. What a terminal could obey in a key is shown as an escape.
    """
    async with (
        open_client() as client,
        client.buckets.list_blobs(uri, recursive=recursive, limit=None) as entries,
    ):
        async for entry in entries:
            _show(entry, as_json)


@click.command(epilog=notes("neuro-sdk blob glob 'blob:photos/**/*.jpg'"))
@click.argument("pattern", type=BLOB)
@as_json
@async_command
async def glob(pattern: str, as_json: bool) -> None:
    """List the blobs whose keys match a pattern.

    The whole key must match. Quote the pattern, for the shell must not see it. '*' and '?' stand
    for characters other than '/', [abc] and [!abc] for one of a set, '**' for any number of
    directories. Lines are those of ls -r.
    """
    async with open_client() as client, client.buckets.glob_blobs(pattern) as entries:
        async for entry in entries:
            _show(entry, as_json)


def _show(entry: neuro_sdk.BucketEntry, as_json: bool) -> None:
    if as_json:
        echo_json(entry_fields(entry))
        return
    size = "DIR" if entry.is_dir() else str(entry.size)
    row(moment(entry.modified_at), f"{size:>14}", entry.key)


@click.command(epilog=notes("neuro-sdk blob du blob:photos", "neuro-sdk blob du blob:photos/2026"))
@click.argument("uris", nargs=-1, required=True, type=BLOB, metavar="URI...")
@as_json
@async_command
async def du(uris: tuple[str, ...], as_json: bool) -> None:
    """Sum up buckets, or directories in them.

    A line has the bytes, the count of blobs and the URI. Directory markers count as blobs, as
    the store counts them.
    """
    async with open_client() as client:
        for uri in uris:
            handle, key = await client.buckets.locate(uri)
            usage = await _usage(handle, key)
            if as_json:
                echo_json({"uri": uri, "bytes": usage.total_bytes, "blobs": usage.object_count})
            else:
                row(f"{usage.total_bytes:>14}", f"{usage.object_count:>10}", uri)


async def _usage(handle: neuro_sdk.BucketHandle, key: str) -> neuro_sdk.BucketUsage:
    if not key:
        async with handle.get_disk_usage() as sums:
            return [usage async for usage in sums][-1]
    total = count = 0
    directory = key.rstrip("/") + "/"
    async with handle.list_blobs(directory, recursive=True, limit=None) as entries:
        async for entry in entries:
            total += entry.size
            count += 1
    if count == 0:
        blob = await handle.head_blob(key)
        total, count = blob.size, 1
    return neuro_sdk.BucketUsage(total_bytes=total, object_count=count)


@click.command(
    epilog=notes(
        "neuro-sdk blob cat blob:photos/readme.txt",
        "neuro-sdk blob cat --offset 100 --length 50 blob:logs/today.log",
    )
)
@click.argument("uris", nargs=-1, required=True, type=BLOB, metavar="URI...")
@click.option("--offset", type=click.IntRange(0), default=0, help="Leave out so many bytes.")
@click.option("--length", type=click.IntRange(0), help="Write so many bytes at most.")
@async_command
async def cat(uris: tuple[str, ...], offset: int, length: int | None) -> None:
    """Write the bytes of blobs to the standard output.

    They come one after the other. All bytes of a blob are of one version.
    """
    async with open_client() as client:
        for uri in uris:
            handle, key = await client.buckets.locate(uri)
            async with handle.fetch_blob(key, offset, length=length) as pieces:
                async for piece in pieces:
                    await write_out(piece)
