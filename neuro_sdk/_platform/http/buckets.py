"""The endpoints of buckets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from ..._core.models import Bucket
from ..._core.roles import Action
from ..._core.uri import Scope
from ..._core.wire import bucket_json, credentials_json
from ...errors import BucketNotFound, CreationDisabled, IllegalArgumentError, NotSupportedError
from .access import Forbidden, Session
from .app import BUCKETS, SERVED, session_of
from .bodies import ChangeBucket, CreateBucket, ImportBucket, SignURL, read_body
from .listing import listing

__all__ = ["ROUTES"]

_ALL = f"{BUCKETS}/buckets"
_ONE = _ALL + "/{id_or_name}"


async def list_buckets(request: web.Request) -> web.StreamResponse:
    """Those that the caller may read: of a project, or all where none is named."""
    session = await session_of(request)
    org, project, owner = _place(request)
    found = await _readable(session, session.scope(org, project, owner), org, project or owner)
    return await listing(request, _as_json(found))


async def _readable(
    session: Session, scope: Scope, org: str | None, project: str | None
) -> list[Bucket]:
    if project:
        found = [bucket async for bucket in session.platform.list_buckets(scope)]
    else:
        places = await session.platform.store.every_bucket()
        found = [place.bucket for place in places if org in (None, place.bucket.org_name)]
    return [bucket for bucket in found if session.may(Action.READ, bucket)]


async def _as_json(buckets: list[Bucket]) -> AsyncIterator[dict[str, Any]]:
    for bucket in buckets:
        yield bucket_json(bucket)


async def create(request: web.Request) -> web.Response:
    """Make a bucket at the platform's store."""
    session = await session_of(request)
    if not request.app[SERVED].creation:
        raise CreationDisabled("this platform makes no buckets now")
    body = await read_body(request, CreateBucket)
    scope = session.scope(body.org_name, body.project_name, body.owner)
    session.require_project(Action.WRITE, scope)
    made = await session.platform.create_bucket(body.name, scope)
    return web.json_response(bucket_json(made), status=201)


async def import_external(request: web.Request) -> web.Response:
    """Record a bucket of the caller's own account."""
    session = await session_of(request)
    body = await read_body(request, ImportBucket)
    scope = session.scope(body.org_name, body.project_name, body.owner)
    session.require_project(Action.WRITE, scope)
    provider = Bucket.Provider(body.provider)
    if provider is Bucket.Provider.LOCAL:  # the disk of the server is nobody's bucket
        raise NotSupportedError("a folder cannot be imported into a platform that is served")
    made = await session.platform.import_bucket(
        body.name,
        scope,
        provider=provider,
        provider_bucket_name=body.provider_bucket_name,
        credentials=body.credentials,
    )
    return web.json_response(bucket_json(made), status=201)


async def find_by_path(request: web.Request) -> web.Response:
    """The bucket of a path ``[org/]project/name-or-id[/key]``."""
    session = await session_of(request)
    parts = request.query.get("path", "").split("/")
    candidates: list[tuple[str | None, str, str]] = []
    if len(parts) >= 3:
        candidates.append((parts[0], parts[1], parts[2]))
    if len(parts) >= 2:
        candidates.append((None, parts[0], parts[1]))
    refused: list[Forbidden] = []
    missing = False
    for org, project, name in candidates:
        if not all((project, name)) or org == "":
            continue
        try:
            bucket = await session.bucket(name, session.scope(org, project, None), Action.READ)
        except BucketNotFound:
            missing = True  # in a project of the caller's, who may know
        except Forbidden as error:
            refused.append(error)
        else:
            if project in (bucket.project_name, bucket.owner):
                return web.json_response(bucket_json(bucket))
    if refused and not missing:
        raise refused[0]
    raise BucketNotFound("there is no bucket at this path")


async def get(request: web.Request) -> web.Response:
    """Describe a bucket."""
    return web.json_response(bucket_json((await _found(request, Action.READ))[1]))


async def remove(request: web.Request) -> web.Response:
    """Remove a bucket; with blobs in it only if ``force=true``."""
    force = request.query.get("force", "false")
    if force not in ("true", "false"):
        raise IllegalArgumentError("the parameter 'force' is true or false")
    session, bucket = await _found(request, Action.MANAGE)
    await session.platform.delete_bucket(bucket, force=force == "true")
    return web.Response(status=204)


async def change(request: web.Request) -> web.Response:
    """Let anybody read the blobs, or stop it."""
    session, bucket = await _found(request, Action.MANAGE)
    body = await read_body(request, ChangeBucket)
    if body.public is not None:
        bucket = await session.platform.set_public(bucket, body.public)
    return web.json_response(bucket_json(bucket))


async def make_tmp_credentials(request: web.Request) -> web.Response:
    """What opens the bucket for a while; who may only read gets what only reads, or nothing."""
    session, bucket = await _found(request, Action.READ)
    opened = await session.platform.bucket_credentials(
        bucket, read_only=not session.may(Action.WRITE, bucket)
    )
    return web.json_response(credentials_json(opened))


async def sign_blob_url(request: web.Request) -> web.Response:
    """A URL that anybody can GET for a while."""
    session, bucket = await _found(request, Action.READ)
    body = await read_body(request, SignURL)
    url = await session.platform.sign_url(bucket, body.key, body.expires_in_sec)
    return web.json_response({"url": str(url)})


async def _found(request: web.Request, action: Action) -> tuple[Session, Bucket]:
    session = await session_of(request)
    scope = session.scope(*_place(request))
    return session, await session.bucket(request.match_info["id_or_name"], scope, action)


def _place(request: web.Request) -> tuple[str | None, str | None, str | None]:
    names = ("org_name", "project_name", "owner")
    org, project, owner = (request.query.get(name) or None for name in names)
    return org, project, owner


ROUTES = [
    web.get(_ALL, list_buckets, allow_head=False),
    web.post(_ALL, create),
    web.post(f"{_ALL}/import/external", import_external),
    web.get(f"{_ALL}/find/by_path", find_by_path, allow_head=False),
    web.get(_ONE, get, allow_head=False),
    web.delete(_ONE, remove),
    web.patch(_ONE, change),
    web.post(f"{_ONE}/make_tmp_credentials", make_tmp_credentials),
    web.post(f"{_ONE}/sign_blob_url", sign_blob_url),
]
