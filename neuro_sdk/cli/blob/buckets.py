"""``blob mb``, ``rb``, ``lsbuckets``, ``import`` and ``stat``."""

from __future__ import annotations

import json
import os
from typing import TextIO

import click

import neuro_sdk

from ..help import notes
from ..options import as_json
from ..places import BUCKET, find_bucket, is_blob
from ..run import async_command, open_client
from ..show import bucket_fields, echo_fields, echo_json, entry_fields, moment, row

__all__ = ["import_", "lsbuckets", "mb", "rb", "stat"]


@click.command(
    epilog=notes("neuro-sdk blob lsbuckets", "neuro-sdk blob lsbuckets --json | jq -r .name")
)
@as_json
@async_command
async def lsbuckets(as_json: bool) -> None:
    """List the buckets of the current project.

    They come in the order in which they were made. A line has the time, the kind of store and
    the name; with --json it is an object.
    """
    async with open_client() as client, client.buckets.list() as buckets:
        async for bucket in buckets:
            if as_json:
                echo_json(bucket_fields(bucket))
            else:
                name = bucket.name or bucket.id
                row(moment(bucket.created_at), f"{bucket.provider.value:10}", name)


@click.command(epilog=notes("neuro-sdk blob mb photos"))
@click.argument("name")
@as_json
@async_command
async def mb(name: str, as_json: bool) -> None:
    """Make a bucket and write its URI.

    NAME has 3 to 40 characters of a-z, 0-9, - and _, a letter first, and is unique in the project.
    """
    async with open_client() as client:
        bucket = await client.buckets.create(name)
    _show_made(bucket, as_json)


def _show_made(bucket: neuro_sdk.Bucket, as_json: bool) -> None:
    if as_json:
        echo_json(bucket_fields(bucket))
    else:
        click.echo(bucket.uri)


@click.command(epilog=notes("neuro-sdk blob rb photos", "neuro-sdk blob rb --force photos"))
@click.argument("bucket", type=BUCKET)
@click.option("--force", is_flag=True, help="Remove it with the blobs in it.")
@async_command
async def rb(bucket: str, force: bool) -> None:
    """Remove a bucket.

    It must be empty unless --force is given. A bucket that was imported is only forgotten: its
    blobs stay. Persistent credentials lose it.
    """
    async with open_client() as client:
        found = await find_bucket(client, bucket)
        await client.buckets.rm(found.id, found.cluster_name, force=force)


@click.command(
    "import",
    epilog=notes(
        "neuro-sdk blob import local /srv/pictures --name pictures",
        "neuro-sdk blob import aws my-bucket --name raw --credentials keys.json",
        "pass show aws | neuro-sdk blob import aws my-bucket --credentials -",
    ),
)
@click.argument("provider", metavar="PROVIDER")
@click.argument("there", metavar="BUCKET_THERE")
@click.option("--name", help="What it is called here.")
@click.option(
    "--credentials",
    "file",
    type=click.File("r", lazy=False),
    help="A file with a JSON object that opens the bucket, as the page of the provider tells; - "
    "is the standard input.",
)
@as_json
def import_(
    provider: str, there: str, name: str | None, file: TextIO | None, as_json: bool
) -> None:
    """Import a bucket that exists at a provider.

    Its blobs stay there when it is removed here. PROVIDER is aws, minio, seaweedfs, azure, gcp,
    open_stack or local, BUCKET_THERE the name that the bucket has there. For local that is a
    folder of this machine, which needs no credentials.
    """
    known = [value.value for value in neuro_sdk.Bucket.Provider]
    if provider not in known:
        raise click.UsageError(f"{provider!r} is not one of: {', '.join(known)}")
    fields = _read_credentials(file.read() if file is not None else None)
    if provider == "local":
        root = os.path.abspath(there)
        fields, there = {"root": root, **fields}, os.path.basename(root)
    elif not fields:
        raise click.UsageError(f"say with --credentials what opens a bucket at {provider}")
    _import(neuro_sdk.Bucket.Provider(provider), there, fields, name, as_json)


@async_command
async def _import(
    provider: neuro_sdk.Bucket.Provider,
    there: str,
    fields: dict[str, str],
    name: str | None,
    as_json: bool,
) -> None:
    async with open_client() as client:
        bucket = await client.buckets.import_external(provider, there, fields, name)
    _show_made(bucket, as_json)


def _read_credentials(text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    try:
        fields = json.loads(text)
    except ValueError:
        fields = None  # what json says of it may show a part of a secret
    if not isinstance(fields, dict) or not all(isinstance(each, str) for each in fields.values()):
        raise click.UsageError("--credentials: the file is not a JSON object of texts")
    return fields


@click.command(
    epilog=notes("neuro-sdk blob stat photos", "neuro-sdk blob stat --json blob:photos/cat.jpg")
)
@click.argument("place", metavar="BUCKET|URI", type=BUCKET)
@as_json
@async_command
async def stat(place: str, as_json: bool) -> None:
    """Describe a bucket, a blob or a directory.

    A name, an id or a URI without a key means the bucket. Times are in UTC.
    """
    async with open_client() as client:
        if not is_blob(place):
            fields = bucket_fields(await client.buckets.get(place))
        else:
            handle, key = await client.buckets.locate(place)
            fields = await _describe(handle, key) if key else bucket_fields(handle.bucket)
    if as_json:
        echo_json(fields)
    else:
        echo_fields(fields)


async def _describe(handle: neuro_sdk.BucketHandle, key: str) -> dict[str, object]:
    try:
        return entry_fields(await handle.head_blob(key))
    except neuro_sdk.BlobNotFound:
        if not await handle.blob_is_dir(key):
            raise
        directory = key.rstrip("/") + "/"
        return {"type": "dir", "key": directory, "uri": str(handle.bucket.blob_url(directory))}
