"""``neuro-sdk serve``, ``token`` and ``role``: a platform for a team, and who may use it."""

from __future__ import annotations

import asyncio
import logging
import signal
from datetime import timedelta
from pathlib import Path

import click

import neuro_sdk

from .help import notes
from .run import async_command
from .show import row

__all__ = ["role", "serve", "token"]

_ROLES = [role.value for role in neuro_sdk.Role]
_home = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help="The platform's folder, by default the user's own.",
)
_database = click.option(
    "--database",
    envvar="NEURO_SDK_DATABASE",
    help="URL of a PostgreSQL to keep the registry in; also NEURO_SDK_DATABASE.",
)
_org = click.option("--org", help="The org of the project; default-org unless told otherwise.")


@click.command(
    epilog=notes(
        "neuro-sdk serve --store seaweedfs",
        "neuro-sdk serve --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem",
    )
)
@_home
@_database
@click.option("--host", default="127.0.0.1", show_default=True, help="Listen at this address.")
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Listen at this port; 0 is any free one.",
)
@click.option(
    "--store",
    type=click.Choice(["configured", "seaweedfs"]),
    default="configured",
    help="Keep the blobs where store.toml says, or at a SeaweedFS that is run beside the server.",
)
@click.option("--cluster", default="local", show_default=True, help="Name of the cluster.")
@click.option("--org", default="default-org", show_default=True, help="Name of the first org.")
@click.option("--public-url", help="Where people see the API, if that is behind a proxy.")
@click.option(
    "--tls-cert",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Serve HTTPS with this certificate, in PEM.",
)
@click.option(
    "--tls-key",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The key of the certificate, in PEM.",
)
@click.option("--no-creation", is_flag=True, help="Make no buckets and no credentials.")
@async_command
async def serve(
    home: Path | None,
    database: str | None,
    host: str,
    port: int,
    store: str,
    cluster: str,
    org: str,
    public_url: str | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    no_creation: bool,
) -> None:
    """Serve the embedded platform over HTTP.

    It answers until Ctrl-C. People log in with tokens of `neuro-sdk token create`. One line of
    JSON for each request goes to the standard error.
    """
    _log_to_stderr()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with neuro_sdk.serve(
        home,
        host=host,
        port=port,
        run_store=store == "seaweedfs",
        database_url=database,
        cluster=cluster,
        org=org,
        public_url=public_url,
        tls_certificate=tls_cert,
        tls_key=tls_key,
        creation=not no_creation,
    ) as url:
        click.echo(f"the platform answers at {url}; stop with Ctrl-C")
        if tls_cert is None and host not in ("127.0.0.1", "localhost", "::1"):
            click.echo("warning: without --tls-cert, tokens travel in the clear", err=True)
        await stop.wait()
    click.echo("stopped")


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("neuro_sdk")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


@click.group()
def token() -> None:
    """Tokens with which people log in.

    They are those of a platform that `neuro-sdk serve` serves, and are kept in its registry.
    """


@token.command(
    "create",
    epilog=notes(
        "neuro-sdk token create alice", "neuro-sdk token create --role reader --days 30 bob"
    ),
)
@click.argument("user")
@_home
@_database
@click.option("--project", help="Also give the user a role there; by default as named as the user.")
@_org
@click.option(
    "--role",
    "role_name",
    type=click.Choice(_ROLES),
    default="owner",
    show_default=True,
    help="The role in that project.",
)
@click.option("--note", default="", help="What the token is for.")
@click.option("--days", type=click.IntRange(1), help="Let it end after so many days.")
@async_command
async def create_token(
    user: str,
    home: Path | None,
    database: str | None,
    project: str | None,
    org: str | None,
    role_name: str,
    note: str,
    days: int | None,
) -> None:
    """Make a token for USER.

    It is written to the standard output, this once. A user without a role anywhere becomes the
    owner of the project of the same name.
    """
    async with neuro_sdk.accounts(home, database_url=database) as accounts:
        if project is not None or not await accounts.grants(user):
            await accounts.grant(user, role_name, project or user, org)
        life = None if days is None else timedelta(days=days)
        click.echo(await accounts.create_token(user, note=note, life=life))


@token.command("list", epilog=notes("neuro-sdk token list"))
@_home
@_database
@async_command
async def list_tokens(home: Path | None, database: str | None) -> None:
    """List the tokens, without what opens anything.

    A line has the id, the user, the day it was made, its end and the note.
    """
    async with neuro_sdk.accounts(home, database_url=database) as accounts:
        for one in await accounts.tokens():
            until = "for ever" if one.expires_at is None else f"until {one.expires_at:%Y-%m-%d}"
            row(one.id, one.user, f"{one.created_at:%Y-%m-%d}", until, one.note)


@token.command("revoke", epilog=notes("neuro-sdk token revoke 3f0c5a"))
@click.argument("token_id")
@_home
@_database
@async_command
async def revoke_token(token_id: str, home: Path | None, database: str | None) -> None:
    """Let a token end now.

    Its id is in the list of tokens.
    """
    async with neuro_sdk.accounts(home, database_url=database) as accounts:
        await accounts.revoke_token(token_id)


@click.group()
def role() -> None:
    """Roles of people in projects.

    They are those of a platform that `neuro-sdk serve` serves, and are kept in its registry.
    """


@role.command(
    "grant",
    epilog=notes("neuro-sdk role grant bob reader vision", "neuro-sdk role grant alice owner '*'"),
)
@click.argument("user")
@click.argument("role_name", metavar="ROLE", type=click.Choice(_ROLES))
@click.argument("project")
@_org
@_home
@_database
@async_command
async def grant_role(
    user: str,
    role_name: str,
    project: str,
    org: str | None,
    home: Path | None,
    database: str | None,
) -> None:
    """Make USER a reader, writer or owner in PROJECT.

    '*' means every project.
    """
    async with neuro_sdk.accounts(home, database_url=database) as accounts:
        await accounts.grant(user, role_name, project, org)


@role.command("withdraw", epilog=notes("neuro-sdk role withdraw bob vision"))
@click.argument("user")
@click.argument("project")
@_org
@_home
@_database
@async_command
async def withdraw_role(
    user: str, project: str, org: str | None, home: Path | None, database: str | None
) -> None:
    """Take the role of USER in PROJECT away.

    Tokens stay, and no longer open what is in the project.
    """
    async with neuro_sdk.accounts(home, database_url=database) as accounts:
        await accounts.withdraw(user, project, org)


@role.command("list", epilog=notes("neuro-sdk role list"))
@_home
@_database
@async_command
async def list_roles(home: Path | None, database: str | None) -> None:
    """List who is what, and where.

    A line has the org, the project, the user and the role.
    """
    async with neuro_sdk.accounts(home, database_url=database) as accounts:
        for one in await accounts.grants():
            row(one.org_name, one.project_name, one.user, one.role)
