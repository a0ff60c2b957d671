"""``neuro-sdk login``, ``logout``, ``switch`` and ``whoami``: which platform, and as whom."""

from __future__ import annotations

import sys

import click

import neuro_sdk

from .help import notes
from .options import as_json
from .run import async_command, open_client, remember_profile, warn_of_environment
from .show import echo_json, shown

__all__ = ["login", "logout", "switch", "whoami"]


@click.command(
    epilog=notes(
        "neuro-sdk login https://platform.example.com/api/v1",
        "pass show platform | neuro-sdk login --token - https://platform.example.com/api/v1",
        "neuro-sdk login --profile work --project vision https://platform.example.com/api/v1",
    )
)
@click.argument("url")
@click.option(
    "--token",
    envvar="NEURO_SDK_TOKEN",
    help="The token; better by NEURO_SDK_TOKEN or, as -, on the standard input.",
)
@click.option("--cluster", help="Begin in this cluster, by default the first.")
@click.option("--org", help="Begin in this org, by default the first.")
@click.option("--project", help="Begin in this project, by default the first.")
@click.option("--profile", default="default", show_default=True, help="Remember it by this name.")
@async_command
async def login(
    url: str,
    token: str | None,
    cluster: str | None,
    org: str | None,
    project: str | None,
    profile: str,
) -> None:
    """Log in to a platform.

    Its API is at URL, such as https://HOST/api/v1. The token is asked for, or comes from
    NEURO_SDK_TOKEN. It is remembered in the profile file, which only you can read; the profile
    becomes the default one.
    """
    if token == "-":  # noqa: S105
        token = sys.stdin.readline()
    elif token is None:
        token = click.prompt("Token", hide_input=True)
    await neuro_sdk.login_with_token(
        token, url, cluster=cluster, org=org, project=project, profile=profile
    )
    async with neuro_sdk.get(profile) as client:
        _show(client)
    warn_of_environment()


@click.command(epilog=notes("neuro-sdk logout", "neuro-sdk logout --profile work"))
@click.option("--profile", help="The profile to forget, by default the default one.")
@async_command
async def logout(profile: str | None) -> None:
    """Forget a profile and its token.

    No error if there is none. The token itself stays good: whoever runs the platform can revoke
    it.
    """
    await neuro_sdk.logout(profile)


@click.command(epilog=notes("neuro-sdk switch", "neuro-sdk switch --project vision"))
@click.option("--cluster", help="Look in this cluster.")
@click.option("--org", help="Look in this org.")
@click.option("--project", help="Look in this project.")
@async_command
async def switch(cluster: str | None, org: str | None, project: str | None) -> None:
    """Look in another cluster, org or project.

    Without options say where you look. It is remembered in the profile, if the platform came
    from one.
    """
    async with neuro_sdk.get() as client:
        if cluster is not None:
            await client.config.switch_cluster(cluster)
        if org is not None:
            await client.config.switch_org(org)
        if project is not None:
            await client.config.switch_project(project)
        _show(client)


@click.command(epilog=notes("neuro-sdk whoami", "neuro-sdk whoami --json | jq -r .project"))
@click.option("--profile", help="Ask the platform of this profile.")
@as_json
@click.pass_context
def whoami(context: click.Context, profile: str | None, as_json: bool) -> None:
    """Say who you are, and on which platform.

    And in which cluster, org and project commands look for buckets. The platform is asked, so
    this also tells whether the token is good.
    """
    remember_profile(context, profile)
    _whoami(as_json)


@async_command
async def _whoami(as_json: bool) -> None:
    async with open_client() as client:
        if not as_json:
            _show(client)
            return
        config = client.config
        echo_json(
            {
                "username": config.username,
                "platform": config.platform,
                "cluster": config.cluster_name,
                "org": config.org_name,
                "project": config.project_name,
                "profile": config.profile,
            }
        )


def _show(client: neuro_sdk.Client) -> None:
    config = client.config
    place = "/".join(filter(None, (config.cluster_name, config.org_name, config.project_name)))
    click.echo(shown(f"{config.username} on {config.platform}, in {place}"))
