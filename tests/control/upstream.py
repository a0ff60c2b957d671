"""Servers that answer as the platform did in each era of its protocol, right and wrong.

They keep their buckets in memory; what they answer, and refuse, is what was seen on the wire.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from aiohttp import web
from yarl import URL

from neuro_sdk._core.secret import Hidden

__all__ = ["Era", "Upstream", "running"]


class Era(Enum):
    OWNER = 1
    PROJECT = 2
    ORG_PROJECT = 3


@dataclass
class Upstream:
    """A platform of an era, used by alice; ``seen`` holds method, path and query of requests."""

    era: Era
    buckets: list[dict[str, Any]] = field(default_factory=list)
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    service: str = "platform-buckets-api/26.8"
    config: dict[str, Any] = field(default_factory=dict)
    answer: Callable[[web.Request], Any] | None = None
    """Called first with each request of the bucket service; may give an answer of its own."""
    credentials: dict[str, Any] = field(default_factory=dict)
    api: URL = field(default_factory=URL)

    def add(self, name: str | None, **fields: Any) -> dict[str, Any]:
        bucket = {
            "id": f"bucket-{uuid.uuid4()}",
            "name": name,
            "owner": "alice",
            "org_name": None if self.era is Era.OWNER else "acme",
            "provider": "seaweedfs",
            "created_at": "2026-11-21T04:10:27+00:00",
            "imported": False,
            "public": False,
            **({} if self.era is Era.OWNER else {"project_name": "vision"}),
            **fields,
        }
        self.buckets.append(bucket)
        return bucket

    def default_config(self) -> dict[str, Any]:
        clusters = [
            {
                "name": name,
                "orgs": [None] if self.era is Era.OWNER else ["acme"],
                "buckets_url": str(self.api / name / "buckets"),
            }
            for name in ("one", "two")
        ]
        body: dict[str, Any] = {"authorized": True, "clusters": clusters}
        if self.era is not Era.OWNER:
            body["projects"] = [
                {"name": "vision", "cluster_name": name, "org_name": "acme", "role": "owner"}
                for name in ("one", "two")
            ]
        return body

    def find(self, request: web.Request) -> dict[str, Any] | None:
        """The bucket as this era resolves the query; raises 400 where it does."""
        query = request.query
        address = request.match_info["address"]
        if self.era is not Era.OWNER:
            if "owner" in query and "project_name" in query:
                raise _error(400, {"error": "owner cannot be specified with project_name"})
            by_id = [bucket for bucket in self.buckets if bucket["id"] == address]
            if by_id:
                return by_id[0]
            if self.era is Era.ORG_PROJECT and "org_name" not in query:
                raise _error(400, {"error": "org_name must be provided"})
            project = query.get("project_name") or query.get("owner") or "alice"
            fits = [b for b in self.buckets if b.get("project_name") == project]
        else:
            fits = [b for b in self.buckets if b["owner"] == query.get("owner", "alice")]
        return next((b for b in fits if address in (b["id"], b["name"])), None)


def _error(status: int, body: Any) -> web.HTTPException:
    kind = {400: web.HTTPBadRequest, 409: web.HTTPConflict, 500: web.HTTPInternalServerError}
    return kind[status](text=json.dumps(body), content_type="application/json")


@asynccontextmanager
async def running(era: Era, **fields: Any) -> AsyncIterator[Upstream]:
    """The platform on a free port of the loopback interface."""
    upstream = Upstream(era, **fields)

    async def config(request: web.Request) -> web.Response:
        token = request.headers.get("Authorization")
        upstream.tokens.add(None if token is None else Hidden(token))
        if request.headers.get("Authorization") is None:
            return web.json_response({"auth_url": "https://nowhere.example"})
        return web.json_response(upstream.config or upstream.default_config())

    async def service(request: web.Request) -> web.StreamResponse:
        path = request.path.partition("/buckets/")[2]
        upstream.seen.append((request.method, request.path, dict(request.query)))
        if upstream.answer is not None:
            given = upstream.answer(request)
            if hasattr(given, "__await__"):
                given = await given
            if given is not None:
                assert isinstance(given, web.StreamResponse)
                return given
        response = await _serve(upstream, request, path)
        response.headers["X-Service-Version"] = upstream.service
        return response

    app = web.Application()
    app.router.add_get("/api/v1/config", config)
    for tail in ("", "/{address}", "/{address}/{verb}", "/{address}/{verb}/{more}"):
        app.router.add_route("*", "/api/v1/{cluster}/buckets/{kind}" + tail, service)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        upstream.api = URL(f"http://127.0.0.1:{runner.addresses[0][1]}/api/v1")
        yield upstream
    finally:
        await runner.cleanup()


async def _serve(upstream: Upstream, request: web.Request, path: str) -> web.Response:
    query = request.query
    match request.method, path.split("/"):
        case "GET", ["buckets"]:
            extra = set(query) - {"org_name", "project_name"}
            if upstream.era is Era.ORG_PROJECT and (extra or len(query) != 2):
                raise _error(500, {"error": "Unexpected exception: unknown or missing field"})
            wanted = query.get("project_name")
            found = [b for b in upstream.buckets if wanted in (None, b.get("project_name"))]
            lines = "".join(json.dumps(bucket) + "\n" for bucket in found)
            return web.Response(text=lines, content_type="application/x-ndjson")
        case "POST", ["buckets"]:
            body = await request.json()
            known = {"name", "org_name"} | (
                set() if upstream.era is Era.OWNER else {"project_name"}
            )
            if set(body) - known:
                raise _error(500, {"error": "Unexpected exception: Unknown field"})
            if upstream.era is Era.ORG_PROJECT and not body.get("org_name"):
                raise _error(500, {"error": "Unexpected exception: org_name"})
            if any(b["name"] == body["name"] is not None for b in upstream.buckets):
                raise _error(409, {"code": "unique", "description": "it is taken"})
            place = {} if upstream.era is Era.OWNER else {"project_name": body["project_name"]}
            made = upstream.add(body["name"], org_name=body.get("org_name"), **place)
            return web.json_response(made, status=201)
        case _, ["buckets", _, *verb]:
            bucket = upstream.find(request)
            if bucket is None:
                raise web.HTTPNotFound(text=f"Bucket {request.match_info['address']} not found")
            match request.method, verb:
                case "GET", []:
                    return web.json_response(bucket)
                case "DELETE", []:
                    upstream.buckets.remove(bucket)
                    return web.Response(status=204)
                case "PATCH", []:
                    bucket["public"] = (await request.json())["public"]
                    return web.json_response(bucket)
                case "POST", ["make_tmp_credentials"]:
                    return web.json_response(
                        {
                            "bucket_id": bucket["id"],
                            "provider": bucket["provider"],
                            "read_only": False,
                            "credentials": upstream.credentials,
                        }
                    )
                case "POST", ["sign_blob_url"]:
                    return web.json_response({"url": "https://store.example/a?sig=1"})
    raise web.HTTPNotFound
