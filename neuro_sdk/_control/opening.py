"""From a configured platform to a ControlPlane: what the platform says of itself comes first."""

from __future__ import annotations

import getpass

from yarl import URL

from .._core.config import ClientConfig, Target, TransferConfig
from .._core.discovery import Discovered, chosen, read_config, username_in
from ..errors import AuthenticationError, ConfigError
from ..protocols import OpenProvider
from .connection import Connection
from .plane import HTTPControlPlane

__all__ = ["api_url", "open_http"]


def api_url(platform: str) -> URL:
    """The address of an API, without a slash at the end; ConfigError if it is none."""
    try:
        url = URL(platform)
    except (ValueError, TypeError):
        url = URL()
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise ConfigError("the address of a platform must be http(s)://HOST[:PORT][/PATH]")
    if url.user is not None or url.password is not None:
        raise ConfigError("the address of a platform must not hold a user or a password")
    return url.with_path(url.path.rstrip("/") or "/")


async def open_http(
    target: Target, transfer: TransferConfig, open_provider: OpenProvider
) -> HTTPControlPlane:
    """Ask the platform for its clusters and projects, and be ready to ask for its buckets.

    Raises AuthenticationError where the token is not good, and ConfigError where the cluster,
    org or project that is configured is not there.
    """
    api = api_url(target.platform)
    connection = await Connection.open(
        target.token, timeout=transfer.timeout, retries=transfer.retries
    )
    try:
        found = await _discover(connection, api, target)
        scope = chosen(found, cluster=target.cluster, org=target.org, project=target.project)
        config = ClientConfig(
            platform=str(api),
            username=_username(target),
            cluster_name=scope.cluster_name,
            org_name=scope.org_name,
            project_name=scope.project_name,
            profile=target.profile,
        )
    except BaseException:
        await connection.close()
        raise
    return HTTPControlPlane(connection, found, config, open_provider)


async def _discover(connection: Connection, api: URL, target: Target) -> Discovered:
    answer = await connection.call("GET", api / "config", repeat=True)
    found = read_config(answer.body, api)
    # A platform without accounts lists its clusters to everybody.
    if found.authorized or (target.token is None and found.clusters):
        return found
    if target.token is None:
        raise ConfigError(
            f"the platform {str(api)!r} wants a token; log in with "
            "neuro_sdk.login_with_token() or `neuro-sdk login`, or set NEURO_SDK_TOKEN"
        )
    raise AuthenticationError(f"the platform {str(api)!r} does not take this token; log in again")


def _username(target: Target) -> str:
    name = username_in(str(target.token)) if target.token is not None else None
    if name is not None:
        return name
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "user"
