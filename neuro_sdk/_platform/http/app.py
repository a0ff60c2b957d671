"""The application: routes, and what every request passes through."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from aiohttp import web

from ..._core.answers import CODES
from ..._core.config import ClientConfig
from ..._core.roles import Action
from ...errors import (
    AuthError,
    AuthorizationError,
    IllegalArgumentError,
    NeuroError,
    ResourceNotFound,
    StorageTimeout,
    StorageUnavailable,
)
from ..accounts import Accounts
from ..service import EmbeddedPlatform
from .access import Forbidden, Session, token_of

__all__ = ["ACCESS_LOG", "API", "BUCKETS", "SERVED", "Served", "make_app", "session_of"]

API = "/api/v1"
BUCKETS = f"{API}/buckets"
"""The ``buckets_url`` of a platform that is served here."""
ACCESS_LOG = "neuro_sdk.access"
"""The logger that gets one line of JSON for each request, without queries and bodies."""

_SERVICE = f"neuro-sdk/{version('neuro-blob-sdk')}"
_LARGEST_BODY = 1 << 20
_log = logging.getLogger(__name__)
_access = logging.getLogger(ACCESS_LOG)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Served:
    """What the handlers serve; ``public_url`` is where people see the server, None as asked."""

    platform: EmbeddedPlatform
    accounts: Accounts
    config: ClientConfig
    public_url: str | None = None
    creation: bool = True


SERVED = web.AppKey("served", Served)
_USER = web.RequestKey("user", str)
_REQUEST_ID = web.RequestKey("request_id", str)


def make_app(served: Served) -> web.Application:
    """The application of a platform."""
    from . import about, buckets, credentials  # they name what is above

    app = web.Application(
        middlewares=[_logged, _told], client_max_size=_LARGEST_BODY, handler_args={}
    )
    app[SERVED] = served
    app.router.add_routes([*about.ROUTES, *buckets.ROUTES, *credentials.ROUTES])
    return app


async def session_of(request: web.Request) -> Session:
    """Who asks; answers 401 to nobody we know."""
    served = request.app[SERVED]
    token = token_of(request)
    session = await Session.of(token, served.platform, served.accounts, served.config)
    if session is None:
        raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
    request[_USER] = session.caller.user
    return session


@web.middleware
async def _logged(request: web.Request, handler: Handler) -> web.StreamResponse:
    """One line for each request; it has no query, which may hold a token."""
    request[_REQUEST_ID] = uuid.uuid4().hex
    since = time.monotonic()
    status = 500
    try:
        response = await handler(request)
        status = response.status
        return response
    except web.HTTPException as error:
        status = error.status
        raise
    finally:
        resource = request.match_info.route.resource
        _access.info(
            json.dumps(
                {
                    "request_id": request[_REQUEST_ID],
                    "remote": request.remote,
                    "method": request.method,
                    "route": None if resource is None else resource.canonical,
                    "status": status,
                    "user": request.get(_USER),
                    "seconds": round(time.monotonic() - since, 4),
                }
            )
        )


@web.middleware
async def _told(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What goes wrong, as the protocol says it."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        _mark(error, request)
        raise
    except Forbidden as error:
        response = _json({"missing": _missing(error.missing), "error": "not allowed"}, 403)
    except NeuroError as error:
        response = _refused(error)
    except Exception:
        _log.exception("request %s failed", request[_REQUEST_ID])
        response = _json(
            {"error": f"Unexpected exception; the log has it as {request[_REQUEST_ID]}"}, 500
        )
    if not response.prepared:
        _mark(response, request)
    return response


def _mark(response: web.StreamResponse, request: web.Request) -> None:
    response.headers["X-Service-Version"] = _SERVICE
    response.headers["X-Request-ID"] = request[_REQUEST_ID]
    response.headers["Cache-Control"] = "no-store"


def _missing(missing: list[tuple[str, Action]]) -> list[dict[str, str]]:
    return [{"uri": uri, "action": action.value} for uri, action in missing]


def _refused(error: NeuroError) -> web.Response:
    code = next((code for code, (_, kind) in CODES.items() if type(error) is kind), None)
    if isinstance(error, ResourceNotFound):
        # Old clients take the text of a 404 as it is; the code is beside the point there.
        return _json({"error": str(error), "code": code or "no_bucket"}, 404)
    if code is not None:
        status = CODES[code][0]
        body = {"code": code, "description": str(error), "error": error.message}
        return _json(body, status)
    if isinstance(error, IllegalArgumentError):
        return _json({"error": str(error), "code": "invalid"}, 400)
    if isinstance(error, AuthorizationError):
        return _json({"missing": [], "error": str(error)}, 403)
    if isinstance(error, StorageUnavailable | StorageTimeout):
        _log.warning("the store or the registry does not answer: %s", error)
        return _json({"error": "the platform's store does not answer; try again"}, 503)
    # The platform's own rights at its store, and its own trouble, are not the caller's matter.
    _log.error("a request failed: %s: %s", type(error).__name__, error)
    what = "the platform's own rights" if isinstance(error, AuthError) else "the platform's store"
    return _json({"error": f"Unexpected exception: {what} did not allow this"}, 500)


def _json(body: dict[str, Any], status: int) -> web.Response:
    return web.json_response(body, status=status)
