"""Serving the embedded platform to a team, and who may use it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

from ._aio import Opening
from ._core.config import ClientConfig, TransferConfig
from ._core.roles import EVERYWHERE, Grant, Role
from ._core.uri import LocalPath, local_path
from ._platform.accounts import Accounts as _Accounts
from ._platform.accounts import TokenInfo
from ._platform.http.app import Served
from ._platform.http.serving import Listening, serving
from ._platform.own_store import serve_own_store
from ._platform.service import EmbeddedPlatform, open_registry
from ._platform.store import Store
from ._providers.services import opener
from ._settings import default_home, local_config
from .errors import IllegalArgumentError

__all__ = ["Accounts", "Grant", "Role", "TokenInfo", "accounts", "serve"]


@asynccontextmanager
async def serve(
    path: LocalPath | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    run_store: bool = False,
    store: LocalPath | None = None,
    database_url: str | None = None,
    cluster: str = "local",
    org: str = "default-org",
    public_url: str | None = None,
    tls_certificate: LocalPath | None = None,
    tls_key: LocalPath | None = None,
    creation: bool = True,
) -> AsyncIterator[str]:
    """Serve the embedded platform at *path* over HTTP; gives the address of its API.

    Until the block is left, people log in there with tokens that :func:`accounts` makes. Its
    buckets live at the store that *store* or ``store.toml`` in *path* describes; *run_store*
    runs a SeaweedFS beside it. *database_url* names a PostgreSQL that several servers share
    instead of the file in *path*. *public_url* is where people see the API, if that is behind
    a proxy; port 0 takes a free one. Without *creation* no buckets and credentials are made.

    Raises ConfigError for a platform on this machine's disk, whose buckets nobody else could
    open.
    """
    home = default_home() if path is None else local_path(path)
    listening = Listening(
        host=host,
        port=port,
        certificate=None if tls_certificate is None else local_path(tls_certificate),
        key=None if tls_key is None else local_path(tls_key),
    )
    async with AsyncExitStack() as stack:
        if run_store:
            await asyncio.to_thread(home.mkdir, mode=0o700, parents=True, exist_ok=True)
            await stack.enter_async_context(serve_own_store(home))
        config = _config(home, cluster, org)
        platform = await EmbeddedPlatform.open(
            home=home,
            config=config,
            open_provider=opener(TransferConfig()),
            store_file=None if store is None else local_path(store),
            database_url=database_url,
        )
        stack.push_async_callback(platform.close)
        served = Served(
            platform, _Accounts(platform.store), config, public_url=public_url, creation=creation
        )
        yield str(await stack.enter_async_context(serving(served, listening)))


def _config(home: Path, cluster: str, org: str) -> ClientConfig:
    user = local_config(home).username
    return ClientConfig(
        platform=f"local:{home}",
        username=user,
        cluster_name=cluster,
        org_name=org,
        project_name=user,
    )


class Accounts:
    """Tokens and roles of a platform that is served; opened by :func:`accounts`.

    It works on the registry, beside servers that are running: what is changed counts from
    their next request on.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._accounts = _Accounts(store)

    async def create_token(
        self, user: str, *, note: str = "", life: timedelta | None = None
    ) -> str:
        """Make a token for *user*, good for *life*; it is shown this once and never again."""
        return (await self._accounts.create_token(user, note=note, life=life))[0]

    async def tokens(self) -> list[TokenInfo]:
        """All tokens, oldest first, without what opens anything."""
        return await self._accounts.tokens()

    async def revoke_token(self, token_id: str) -> None:
        """Let a token end now; ResourceNotFound if there is none with this id."""
        await self._accounts.revoke_token(token_id)

    async def grant(
        self, user: str, role: Role | str, project: str, org: str | None = None
    ) -> None:
        """Make *user* a reader, writer or owner in a project; ``*`` means every project."""
        try:
            wanted = Role(role)
        except ValueError:
            known = ", ".join(Role)
            raise IllegalArgumentError(f"there is no role {role!r}, only: {known}") from None
        await self._accounts.grant(
            Grant(user=user, org_name=_org(project, org), project_name=project, role=wanted)
        )

    async def withdraw(self, user: str, project: str, org: str | None = None) -> None:
        """Take the role of *user* in a project away; ResourceNotFound if there is none.

        Persistent credentials that the user has made go on working until they are removed.
        """
        await self._accounts.withdraw(user, _org(project, org), project)

    async def grants(self, user: str | None = None) -> list[Grant]:
        """The roles of one user, or of all."""
        return await self._accounts.grants(user)

    async def close(self) -> None:
        """Let go of the registry."""
        await self._store.close()


def _org(project: str, org: str | None) -> str:
    return EVERYWHERE if project == EVERYWHERE else org or "default-org"


def accounts(
    path: LocalPath | None = None, *, database_url: str | None = None
) -> Opening[Accounts]:
    """Open the tokens and roles of the platform at *path*, or of that in *database_url*."""
    home = default_home() if path is None else local_path(path)

    async def opened() -> Accounts:
        return Accounts(await open_registry(home, database_url, "local"))

    return Opening(opened)
