"""The platform behind HTTP as the tests open it: a real server on the loopback interface."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aiohttp import web_app
from yarl import URL

from neuro_sdk import TransferConfig
from neuro_sdk._control.connection import Connection
from neuro_sdk._control.plane import HTTPControlPlane
from neuro_sdk._core.discovery import chosen, read_config
from neuro_sdk._core.roles import EVERYWHERE, Grant, Role
from neuro_sdk._platform.accounts import Accounts
from neuro_sdk._platform.http.app import Served
from neuro_sdk._platform.http.serving import Listening, serving
from neuro_sdk._platform.seaweedfs import SeaweedFSServer
from neuro_sdk._platform.service import EmbeddedPlatform
from neuro_sdk._providers.services import opener

from ..servers.moto import MotoServer
from ..servers.seaweedfs import store_file
from .opening import CONFIG

OPEN = opener(TransferConfig())
TIMEOUT = 30.0


@dataclass(frozen=True)
class Team:
    """A platform that is served, and the means to ask it as anybody."""

    api: URL
    platform: EmbeddedPlatform
    accounts: Accounts
    stack: AsyncExitStack

    async def token(self, user: str, *grants: tuple[str, Role]) -> str:
        """A token of a user with these roles, each in a project of the org ``acme``."""
        for project, role in grants:
            everywhere = project == EVERYWHERE
            await self.accounts.grant(
                Grant(
                    user=user,
                    org_name=EVERYWHERE if everywhere else "acme",
                    project_name=project,
                    role=role,
                )
            )
        return (await self.accounts.create_token(user))[0]

    async def plane(self, token: str, **options: Any) -> HTTPControlPlane:
        """The client side for who has this token, in the org ``acme``, project ``vision``."""
        options = {"timeout": TIMEOUT, "retries": 2, **options}
        connection = await Connection.open(token, **options)
        self.stack.push_async_callback(connection.close)
        answer = await connection.call("GET", self.api / "config", repeat=True)
        found = read_config(answer.body, self.api)
        scope = chosen(found)
        config = replace(
            CONFIG,
            platform=str(self.api),
            cluster_name=scope.cluster_name,
            org_name="acme",
            project_name="vision",
        )
        return HTTPControlPlane(connection, found, config, OPEN)


def write_store(home: Path, server: SeaweedFSServer | MotoServer, provider: str) -> None:
    """Have the platform in *home* make its buckets at *server*."""
    home.mkdir(parents=True, exist_ok=True)
    store_file(home / "store.toml", server, provider=provider)


def write_profile(home: Path, api: URL, token: str, name: str = "team") -> Path:
    """A profile file that says how to get to the platform."""
    path = home / "config.toml"
    path.write_text(f'[profiles.{name}]\nplatform = "{api}"\ntoken = "{token}"\n')
    return path


@asynccontextmanager
async def served_team(
    home: Path,
    server: SeaweedFSServer | MotoServer,
    *,
    provider: str = "seaweedfs",
    database_url: str | None = None,
    creation: bool = True,
) -> AsyncIterator[Team]:
    """A platform in *home* with its buckets at *server*, served on a free port."""
    write_store(home, server, provider)
    async with AsyncExitStack() as stack:
        platform = await EmbeddedPlatform.open(
            home=home, config=CONFIG, open_provider=OPEN, database_url=database_url
        )
        stack.push_async_callback(platform.close)
        accounts = Accounts(platform.store)
        served = Served(platform, accounts, CONFIG, creation=creation)
        api = await stack.enter_async_context(serving(served, Listening(port=0)))
        yield Team(api, platform, accounts, stack)
    # aiohttp remembers the applications of the last thousand requests, and these the platforms.
    web_app._cached_build_middleware.cache_clear()
