"""Who asks, and whether the project lets them: a decision before every action."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aiohttp import hdrs, web

from ..._core.config import ClientConfig
from ..._core.models import Bucket
from ..._core.roles import Action, allows, role_in
from ..._core.uri import Scope
from ...errors import BucketNotFound, IllegalArgumentError
from ..accounts import Accounts, Caller, check_place
from ..service import EmbeddedPlatform

__all__ = ["Forbidden", "Session", "token_of"]

_QUERY_TOKEN = "neuro-auth-token"  # noqa: S105
_LONGEST_TOKEN = 8192
_ID = re.compile(r"bucket-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Forbidden(Exception):
    """The caller lacks a permission; ``missing`` are pairs of URI and action."""

    def __init__(self, missing: list[tuple[str, Action]]) -> None:
        super().__init__("forbidden")
        self.missing = missing


def token_of(request: web.Request) -> str | None:
    """The token of a request, None without one; IllegalArgumentError for another scheme."""
    header = request.headers.get(hdrs.AUTHORIZATION)
    if header is None:
        return request.query.get(_QUERY_TOKEN)
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer":
        raise IllegalArgumentError("Unexpected authorization scheme")
    return token.strip()[:_LONGEST_TOKEN]


@dataclass(frozen=True)
class Session:
    """A caller on the platform, for one request."""

    caller: Caller
    platform: EmbeddedPlatform
    config: ClientConfig

    @classmethod
    async def of(
        cls, token: str | None, platform: EmbeddedPlatform, accounts: Accounts, config: ClientConfig
    ) -> Session | None:
        """The session of who shows *token*; None for nobody we know."""
        caller = await accounts.caller(token) if token else None
        if caller is None:
            return None
        own = ClientConfig(
            platform=config.platform,
            username=caller.user,
            cluster_name=config.cluster_name,
            org_name=config.org_name,
            project_name=caller.user,
        )
        return cls(caller, platform.acting_for(own), own)

    def scope(self, org_name: str | None, project_name: str | None, owner: str | None) -> Scope:
        """Where a request looks; a missing org is the default, a missing project the caller's."""
        if owner and project_name:
            raise IllegalArgumentError("owner cannot be specified with project_name")
        org = org_name or self.config.org_name
        return Scope(
            cluster_name=self.config.cluster_name,
            org_name=None if org is None else check_place(org, "org"),
            project_name=check_place(project_name or owner or self.caller.user, "project"),
        )

    def may(self, action: Action, bucket: Bucket) -> bool:
        """Whether the caller may do this to the bucket."""
        role = role_in(self.caller.grants, bucket.org_name, bucket.project_name)
        return allows(role, action, made_it=bucket.owner == self.caller.user)

    def require_project(self, action: Action, scope: Scope) -> None:
        """Raise Forbidden unless the caller may do this in the project."""
        role = role_in(self.caller.grants, scope.org_name, scope.project_name)
        if not allows(role, action):
            raise Forbidden([(_uri(scope), action)])

    def require(self, action: Action, bucket: Bucket) -> None:
        """Raise Forbidden unless the caller may do this to the bucket."""
        if not self.may(action, bucket):
            scope = Scope(
                cluster_name=bucket.cluster_name,
                org_name=bucket.org_name,
                project_name=bucket.project_name,
            )
            names = [bucket.name, bucket.id] if bucket.name else [bucket.id]
            raise Forbidden([(f"{_uri(scope)}/{name}", action) for name in names])

    async def bucket(self, id_or_name: str, scope: Scope, action: Action) -> Bucket:
        """The bucket, if the caller may do this to it.

        Who has no role in the project that is asked does not learn what there is in it.
        """
        if not id_or_name.isprintable():
            raise BucketNotFound("there is no such bucket", bucket=id_or_name)
        try:
            bucket = await self.platform.get_bucket(id_or_name, scope)
        except BucketNotFound:
            if not _ID.fullmatch(id_or_name):  # nobody guesses an id
                self.require_project(Action.READ, scope)
            raise
        self.require(action, bucket)
        return bucket


def _uri(scope: Scope) -> str:
    parts = [scope.cluster_name, scope.org_name, scope.project_name]
    return "blob://" + "/".join(part for part in parts if part)
