"""``neuro-sdk login``, ``logout`` and ``switch``: which platform the other commands use."""

from __future__ import annotations

import sys

import click

import neuro_sdk

from .run import async_command

__all__ = ["login", "logout", "switch"]


@click.command()
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
    """Log in to the platform whose API is at URL, such as https://HOST/api/v1."""
    if token == "-":  # noqa: S105
        token = sys.stdin.readline()
    elif token is None:
        token = click.prompt("Token", hide_input=True)
    await neuro_sdk.login_with_token(
        token, url, cluster=cluster, org=org, project=project, profile=profile
    )
    async with neuro_sdk.get(profile) as client:
        _show(client)


@click.command()
@click.option("--profile", help="The profile to forget, by default the default one.")
@async_command
async def logout(profile: str | None) -> None:
    """Forget a profile and its token."""
    await neuro_sdk.logout(profile)


@click.command()
@click.option("--cluster", help="Look in this cluster.")
@click.option("--org", help="Look in this org.")
@click.option("--project", help="Look in this project.")
@async_command
async def switch(cluster: str | None, org: str | None, project: str | None) -> None:
    """Look in another cluster, org or project from now on; without options say where."""
    async with neuro_sdk.get() as client:
        if cluster is not None:
            await client.config.switch_cluster(cluster)
        if org is not None:
            await client.config.switch_org(org)
        if project is not None:
            await client.config.switch_project(project)
        _show(client)


def _show(client: neuro_sdk.Client) -> None:
    config = client.config
    place = "/".join(filter(None, (config.cluster_name, config.org_name, config.project_name)))
    click.echo(f"{config.username} on {config.platform}, in {place}")
