"""``blob``: buckets and blobs of the configured platform, as a group that others can mount."""

from __future__ import annotations

import sys

import click

import neuro_sdk

from .run import async_command

__all__ = ["blob"]


@click.group()
def blob() -> None:
    """Work with the buckets of the configured platform and the blobs in them.

    The platform comes from NEURO_SDK_PLATFORM or the profile file. A blob is named by a URI
    such as blob:BUCKET/KEY.
    """


@blob.command()
@async_command
async def lsbuckets() -> None:
    """List the buckets of the current project."""
    async with neuro_sdk.get() as client:
        async for bucket in client.buckets.list():
            name = bucket.name or bucket.id
            click.echo(f"{bucket.created_at:%Y-%m-%d %H:%M:%S}  {bucket.provider.value:10}  {name}")


@blob.command()
@click.argument("name")
@async_command
async def mb(name: str) -> None:
    """Make a bucket."""
    async with neuro_sdk.get() as client:
        bucket = await client.buckets.create(name)
    click.echo(bucket.uri)


@blob.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Remove it with the blobs in it.")
@async_command
async def rb(name: str, force: bool) -> None:
    """Remove a bucket; it must be empty unless --force is given."""
    async with neuro_sdk.get() as client:
        await client.buckets.rm(name, force=force)


@blob.command()
@click.argument("uri")
@click.option("-r", "--recursive", is_flag=True, help="Show every blob, not one level.")
@async_command
async def ls(uri: str, recursive: bool) -> None:
    """List blobs whose keys begin with that of URI."""
    async with (
        neuro_sdk.get() as client,
        client.buckets.list_blobs(uri, recursive=recursive, limit=None) as entries,
    ):
        async for entry in entries:
            size = "DIR" if entry.is_dir() else str(entry.size)
            when = f"{entry.modified_at:%Y-%m-%d %H:%M:%S}" if entry.modified_at else ""
            click.echo(f"{when:19}  {size:>14}  {_shown(entry.key)}")


@blob.command()
@click.argument("uri")
@async_command
async def cat(uri: str) -> None:
    """Write the bytes of a blob to the standard output."""
    async with neuro_sdk.get() as client:
        handle, key = await client.buckets.locate(uri)
        async with handle.fetch_blob(key) as pieces:
            async for piece in pieces:
                sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _shown(key: str) -> str:
    """The key on one line, without anything that a terminal would obey."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in key
    )
