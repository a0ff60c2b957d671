"""``blob``: buckets and blobs of the configured platform, as a group that others can mount."""

from __future__ import annotations

import click

from ..run import remember_profile
from .access import set_public, sign_url
from .buckets import import_, lsbuckets, mb, rb, stat
from .copying import cp
from .credentials import credentials
from .listing import cat, du, glob, ls
from .moving import mv
from .removal import rm
from .syncing import sync

__all__ = ["blob"]


@click.group()
@click.option("--profile", help="Open the platform of this profile.")
@click.pass_context
def blob(context: click.Context, profile: str | None) -> None:
    """Work with buckets and the blobs in them.

    The platform is that of --profile, or else comes from NEURO_SDK_PLATFORM or the profile file.
    A blob is named by a URI such as blob:BUCKET/KEY; what does not begin with blob: is a local
    path. %20 in a URI is a space; ? and # stand for themselves.
    """
    remember_profile(context, profile)


for command in (
    cat,
    cp,
    credentials,
    du,
    glob,
    import_,
    ls,
    lsbuckets,
    mb,
    mv,
    rb,
    rm,
    set_public,
    sign_url,
    stat,
    sync,
):
    blob.add_command(command)
