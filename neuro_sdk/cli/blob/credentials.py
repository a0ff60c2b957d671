"""``blob credentials``: what opens buckets with other tools."""

from __future__ import annotations

import click

import neuro_sdk

from ..help import notes
from ..options import as_json
from ..places import BUCKET, find_bucket
from ..run import async_command, open_client
from ..show import credentials_fields, echo_fields, echo_json, persistent_fields, row

__all__ = ["credentials"]


@click.group()
def credentials() -> None:
    """Get what opens buckets with other tools.

    Temporary credentials end by themselves, persistent ones last until they are removed. Both are
    secrets: whoever has them can do what they allow.
    """


@credentials.command(
    "temporary", epilog=notes("neuro-sdk blob credentials temporary --json photos > keys.json")
)
@click.argument("bucket", type=BUCKET)
@as_json
@async_command
async def temporary(bucket: str, as_json: bool) -> None:
    """Write credentials that open one bucket for a while.

    The fields are those of the provider, such as access_key_id; many have an expiry.
    """
    async with open_client() as client:
        found = await find_bucket(client, bucket)
        made = await client.buckets.request_tmp_credentials(found.id, found.cluster_name)
    if as_json:
        echo_json(credentials_fields(made))
    else:
        _echo(made)


def _echo(made: neuro_sdk.BucketCredentials) -> None:
    fields = credentials_fields(made)
    secrets = fields.pop("credentials")
    echo_fields({**fields, **secrets})


@credentials.command(
    "create",
    epilog=notes("neuro-sdk blob credentials create --read-only --name reports photos logs"),
)
@click.argument("buckets", nargs=-1, required=True, type=BUCKET, metavar="BUCKET...")
@click.option("--name", help="What they are called, unique among your credentials.")
@click.option("--read-only", is_flag=True, help="Let them read only.")
@as_json
@async_command
async def create(
    buckets: tuple[str, ...], name: str | None, read_only: bool, as_json: bool
) -> None:
    """Make credentials that last until they are removed.

    They open all these buckets and are written once, with their secrets. All buckets are of one
    cluster, and none of them is imported.
    """
    async with open_client() as client:
        found = [await find_bucket(client, bucket) for bucket in buckets]
        clusters = {bucket.cluster_name for bucket in found}
        if len(clusters) > 1:
            raise click.UsageError(f"the buckets are of several clusters: {sorted(clusters)}")
        made = await client.buckets.persistent_credentials_create(
            [bucket.id for bucket in found], name, read_only, clusters.pop()
        )
    _show(made, as_json)


def _show(found: neuro_sdk.PersistentBucketCredentials, as_json: bool) -> None:
    if as_json:
        echo_json(persistent_fields(found, secrets=True))
        return
    fields = persistent_fields(found, secrets=False)
    del fields["bucket_ids"]
    echo_fields(fields)
    for each in found.credentials:
        click.echo()
        _echo(each)


@credentials.command("list", epilog=notes("neuro-sdk blob credentials list"))
@as_json
@async_command
async def list_all(as_json: bool) -> None:
    """List your persistent credentials.

    A line has the id, what they allow, for how many buckets, and the name; nothing secret.
    """
    async with open_client() as client, client.buckets.persistent_credentials_list() as found:
        async for each in found:
            if as_json:
                echo_json(persistent_fields(each, secrets=False))
            else:
                kind = "read-only " if each.read_only else "read-write"
                row(each.id, kind, f"{len(each.credentials)} buckets", each.name or "")


@credentials.command("get", epilog=notes("neuro-sdk blob credentials get reports"))
@click.argument("name", metavar="ID|NAME")
@as_json
@async_command
async def get(name: str, as_json: bool) -> None:
    """Write persistent credentials, secrets included.

    For each bucket there are the fields of its provider, such as access_key_id.
    """
    async with open_client() as client:
        _show(await client.buckets.persistent_credentials_get(name), as_json)


@credentials.command("rm", epilog=notes("neuro-sdk blob credentials rm reports"))
@click.argument("name", metavar="ID|NAME")
@async_command
async def rm(name: str) -> None:
    """Remove persistent credentials.

    They stop working at once.
    """
    async with open_client() as client:
        await client.buckets.persistent_credentials_rm(name)
