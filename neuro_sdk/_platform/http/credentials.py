"""The endpoints of persistent credentials; everybody sees and removes their own only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from ..._core.roles import Action
from ..._core.wire import persistent_json
from ...errors import BucketNotFound, CreationDisabled
from .access import Session
from .app import BUCKETS, SERVED, session_of
from .bodies import CreateCredentials, read_body
from .listing import listing

__all__ = ["ROUTES"]

_ALL = f"{BUCKETS}/persistent_credentials"
_ONE = _ALL + "/{id_or_name}"


async def list_credentials(request: web.Request) -> web.StreamResponse:
    """The caller's own."""
    session = await session_of(request)

    async def found() -> AsyncIterator[dict[str, Any]]:
        async for one in session.platform.list_credentials(session.config.cluster_name):
            yield persistent_json(one)

    return await listing(request, found())


async def create(request: web.Request) -> web.Response:
    """Make long-lived credentials, if the caller may do with each bucket what they allow."""
    session = await session_of(request)
    if not request.app[SERVED].creation:
        raise CreationDisabled("this platform makes no credentials now")
    body = await read_body(request, CreateCredentials)
    action = Action.READ if body.read_only else Action.WRITE
    for bucket_id in body.bucket_ids:
        session.require(action, (await session.platform.store.bucket(bucket_id)).bucket)
    made = await session.platform.create_credentials(
        body.name,
        body.bucket_ids,
        read_only=bool(body.read_only),
        cluster_name=session.config.cluster_name,
    )
    return web.json_response(persistent_json(made), status=201)


async def get(request: web.Request) -> web.Response:
    """Describe credentials."""
    session = await session_of(request)
    found = await session.platform.get_credentials(_address(request), session.config.cluster_name)
    return web.json_response(persistent_json(found))


async def remove(request: web.Request) -> web.Response:
    """Remove credentials; their keys stop working."""
    session: Session = await session_of(request)
    await session.platform.delete_credentials(_address(request), session.config.cluster_name)
    return web.Response(status=204)


def _address(request: web.Request) -> str:
    id_or_name = request.match_info["id_or_name"]
    if not id_or_name.isprintable():
        raise BucketNotFound("there are no such persistent credentials")
    return id_or_name


ROUTES = [
    web.get(_ALL, list_credentials, allow_head=False),
    web.post(_ALL, create),
    web.get(_ONE, get, allow_head=False),
    web.delete(_ONE, remove),
]
