"""What a platform says of itself: ``/config``, ``/ping``, its OpenAPI document."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from yarl import URL

from ..._core.roles import projects_of, role_in
from .access import Session, token_of
from .app import API, BUCKETS, SERVED, session_of
from .openapi import describe

__all__ = ["ROUTES"]

# What existing clients demand of a platform, and a platform of buckets alone does not have.
_OTHERS = ("registry", "storage", "users", "monitoring", "secrets", "disks")


async def ping(_request: web.Request) -> web.Response:
    """Whether the server answers."""
    return web.Response(text="Pong")


async def secured_ping(request: web.Request) -> web.Response:
    """Whether the token is good."""
    await session_of(request)
    return web.Response(text="Secured Pong")


async def config(request: web.Request) -> web.Response:
    """Where things are; with a good token also the caller's cluster, orgs and projects."""
    base = _base(request)
    body: dict[str, Any] = {
        "auth_url": str(base / "oauth/authorize"),
        "token_url": str(base / "oauth/token"),
        "logout_url": str(base / "oauth/logout"),
        "headless_callback_url": str(base / "oauth/code"),
        "success_redirect_url": str(base),
        "callback_urls": [],
        "client_id": "neuro-sdk",
        "audience": str(base),
    }
    if token_of(request) is not None:
        body |= _authorized(await session_of(request), base)
    return web.json_response(body)


def _authorized(session: Session, base: URL) -> dict[str, Any]:
    name = session.config.cluster_name
    projects = projects_of(session.caller.grants)
    # Who has a role everywhere needs a project to begin with.
    org, project = session.config.org_name or "", session.caller.user
    role = role_in(session.caller.grants, org, project)
    if role is not None and (org, project) not in {(one[0], one[1]) for one in projects}:
        projects.append((org, project, role))
    orgs = dict.fromkeys([*(org for org, _, _ in projects), session.config.org_name])
    return {
        "authorized": True,
        "clusters": [
            {
                "name": name,
                "orgs": [org for org in orgs if org],
                "buckets_url": str(base / "buckets"),
                **{f"{other}_url": str(base / other) for other in _OTHERS},
                "resource_pool_types": [],
                "resource_presets": [],
            }
        ],
        "projects": [
            {"name": project, "cluster_name": name, "org_name": org, "role": role.value}
            for org, project, role in projects
        ],
    }


async def openapi(request: web.Request) -> web.Response:
    """Every call of this server."""
    return web.json_response(describe(request.app, BUCKETS))


def _base(request: web.Request) -> URL:
    """The address of the API as the caller sees it."""
    public = request.app[SERVED].public_url
    return URL(public) if public else request.url.origin().join(URL(API))


ROUTES = [
    web.get("/ping", ping),
    web.get(f"{API}/ping", ping),
    web.get(f"{API}/secured-ping", secured_ping),
    web.get(f"{API}/config", config),
    web.get(f"{API}/openapi.json", openapi),
]
