"""``neuro-sdk profile``: the platforms that are remembered."""

from __future__ import annotations

from typing import Any

import click

import neuro_sdk

from .help import notes
from .options import as_json
from .run import async_command, warn_of_environment
from .show import echo_fields, echo_json, row

__all__ = ["profile"]


@click.group()
def profile() -> None:
    """Choose among the platforms that are remembered.

    They are in the profile file. A login makes a profile, or you write one into the file. Where
    NEURO_SDK_PLATFORM is set it is used instead of them.
    """


@profile.command("list", epilog=notes("neuro-sdk profile list"))
@as_json
@async_command
async def list_all(as_json: bool) -> None:
    """List the profiles, without their tokens.

    A line has a star for the default one, the name, the platform and the place on it.
    """
    for each in await neuro_sdk.profiles():
        if as_json:
            echo_json(_fields(each))
        else:
            row("*" if each.default else " ", each.name, each.platform, _place(each))


@profile.command("show", epilog=notes("neuro-sdk profile show", "neuro-sdk profile show work"))
@click.argument("name", required=False)
@as_json
@async_command
async def show(name: str | None, as_json: bool) -> None:
    """Show one profile, without its token.

    Without NAME it is the default one.
    """
    known = {each.name: each for each in await neuro_sdk.profiles()}
    wanted = name or next((each.name for each in known.values() if each.default), None)
    if wanted is None:
        raise click.ClickException("there is no default profile; see: neuro-sdk profile list")
    if wanted not in known:
        raise click.ClickException(
            f"there is no profile {wanted!r}; there are: {', '.join(known) or 'none'}"
        )
    if as_json:
        echo_json(_fields(known[wanted]))
    else:
        echo_fields(_fields(known[wanted]))


@profile.command("use", epilog=notes("neuro-sdk profile use work"))
@click.argument("name")
@async_command
async def use(name: str) -> None:
    """Make a profile the default one.

    Commands use it from then on unless NEURO_SDK_PROFILE or NEURO_SDK_PLATFORM is set.
    """
    await neuro_sdk.use_profile(name)
    warn_of_environment()


@profile.command("rm", epilog=notes("neuro-sdk profile rm work"))
@click.argument("name")
@async_command
async def rm(name: str) -> None:
    """Forget a profile and its token.

    No error if there is none of this name. The token itself stays good: whoever runs the
    platform can revoke it.
    """
    await neuro_sdk.logout(name)


def _fields(profile: neuro_sdk.Profile) -> dict[str, Any]:
    return {
        "name": profile.name,
        "platform": profile.platform,
        "cluster": profile.cluster,
        "org": profile.org,
        "project": profile.project,
        "default": profile.default,
        "logged_in": profile.logged_in,
    }


def _place(profile: neuro_sdk.Profile) -> str:
    return "/".join(filter(None, (profile.cluster, profile.org, profile.project)))
