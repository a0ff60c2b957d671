"""The OpenAPI document: every route, what it takes and what it answers."""

from __future__ import annotations

import inspect
import re
from importlib.metadata import version
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from ..._core.models import Bucket
from .bodies import ChangeBucket, CreateBucket, CreateCredentials, ImportBucket, SignURL

__all__ = ["describe"]

_BODIES: dict[tuple[str, str], type[BaseModel]] = {
    ("POST", "/buckets"): CreateBucket,
    ("POST", "/buckets/import/external"): ImportBucket,
    ("PATCH", "/buckets/{id_or_name}"): ChangeBucket,
    ("POST", "/buckets/{id_or_name}/sign_blob_url"): SignURL,
    ("POST", "/persistent_credentials"): CreateCredentials,
}
_VERSION = version("neuro-blob-sdk")
_TEXT, _FLAG = {"type": "string"}, {"type": "boolean"}
_NULLABLE = {"type": ["string", "null"]}


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


_SCHEMAS: dict[str, Any] = {
    "Bucket": _object(
        {
            "id": _TEXT,
            "name": _NULLABLE,
            "owner": _TEXT,
            "org_name": _NULLABLE,
            "project_name": _NULLABLE,
            "provider": {"enum": [provider.value for provider in Bucket.Provider]},
            "created_at": {"type": "string", "format": "date-time"},
            "imported": _FLAG,
            "public": _FLAG,
        }
    ),
    "Credentials": _object(
        {
            "bucket_id": _TEXT,
            "provider": _TEXT,
            "read_only": _FLAG,
            "credentials": {"type": "object", "additionalProperties": _TEXT},
        }
    ),
    "PersistentCredentials": _object(
        {
            "id": _TEXT,
            "name": _NULLABLE,
            "owner": _TEXT,
            "read_only": _FLAG,
            "credentials": {"type": "array", "items": _ref("Credentials")},
        }
    ),
    "SignedURL": _object({"url": {"type": "string", "format": "uri"}}),
    "Refusal": _object({"error": _TEXT}, code=_TEXT, description=_TEXT),
    "Forbidden": _object(
        {"missing": {"type": "array", "items": _object({"uri": _TEXT, "action": _TEXT})}},
        error=_TEXT,
    ),
}
_ANSWERS: dict[tuple[str, str], tuple[int, Any]] = {
    ("GET", "/buckets"): (200, {"type": "array", "items": _ref("Bucket")}),
    ("POST", "/buckets"): (201, _ref("Bucket")),
    ("POST", "/buckets/import/external"): (201, _ref("Bucket")),
    ("GET", "/buckets/find/by_path"): (200, _ref("Bucket")),
    ("GET", "/buckets/{id_or_name}"): (200, _ref("Bucket")),
    ("DELETE", "/buckets/{id_or_name}"): (204, None),
    ("PATCH", "/buckets/{id_or_name}"): (200, _ref("Bucket")),
    ("POST", "/buckets/{id_or_name}/make_tmp_credentials"): (200, _ref("Credentials")),
    ("POST", "/buckets/{id_or_name}/sign_blob_url"): (200, _ref("SignedURL")),
    ("GET", "/persistent_credentials"): (
        200,
        {"type": "array", "items": _ref("PersistentCredentials")},
    ),
    ("POST", "/persistent_credentials"): (201, _ref("PersistentCredentials")),
    ("GET", "/persistent_credentials/{id_or_name}"): (200, _ref("PersistentCredentials")),
    ("DELETE", "/persistent_credentials/{id_or_name}"): (204, None),
}
_QUERIES = {
    "/buckets/find/by_path": ("path",),
    "/buckets": ("org_name", "project_name", "owner"),
    "/buckets/{id_or_name}": ("org_name", "project_name", "owner", "force"),
    "/buckets/{id_or_name}/make_tmp_credentials": ("org_name", "project_name", "owner"),
    "/buckets/{id_or_name}/sign_blob_url": ("org_name", "project_name", "owner"),
}
_REFUSALS = {
    400: "Refusal",
    403: "Forbidden",
    404: "Refusal",
    409: "Refusal",
    422: "Refusal",
    503: "Refusal",
}


def describe(app: web.Application, prefix: str) -> dict[str, Any]:
    """The document of *app*, whose routes of buckets lie below *prefix*."""
    schemas = dict(_SCHEMAS)
    paths: dict[str, Any] = {}
    for route in app.router.routes():
        resource = route.resource
        if resource is None or route.method == "HEAD":
            continue
        path = resource.canonical.removeprefix(prefix)
        operation: dict[str, Any] = {
            "operationId": route.handler.__name__ + "_" + re.sub(r"\W+", "_", path).strip("_"),
            "summary": inspect.getdoc(route.handler),
            "responses": _responses(route.method, path),
        }
        parameters = _parameters(route.method, path)
        if parameters:
            operation["parameters"] = parameters
        body = _BODIES.get((route.method, path))
        if body is not None:
            schemas[body.__name__] = body.model_json_schema(
                ref_template="#/components/schemas/{model}"
            )
            operation["requestBody"] = {
                "required": True,
                "content": {"application/json": {"schema": _ref(body.__name__)}},
            }
        if (route.method, path) in _ANSWERS or path.endswith("secured-ping"):
            operation["security"] = [{"token": []}]
        paths.setdefault(resource.canonical, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "neuro_sdk platform", "version": _VERSION},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _responses(method: str, path: str) -> dict[str, Any]:
    known = _ANSWERS.get((method, path))
    if known is None:
        return {"200": {"description": "As it says"}, "401": {"description": "No good token"}}
    status, schema = known
    done: dict[str, Any] = {"description": "Done"}
    if schema is not None:
        done["content"] = {"application/json": {"schema": schema}}
    refusals = {
        str(code): {
            "description": "Refused, with the reason",
            "content": {"application/json": {"schema": _ref(name)}},
        }
        for code, name in _REFUSALS.items()
    }
    return {
        str(status): done,
        **refusals,
        "401": {"description": "No good token"},
        "408": {"description": "The body did not come within 30 seconds"},
        "413": {"description": "The body is larger than 1 MiB"},
    }


def _parameters(method: str, path: str) -> list[dict[str, Any]]:
    found = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    for name in _QUERIES.get(path, ()) if path != "/buckets" or method == "GET" else ():
        if name == "force" and method != "DELETE":
            continue
        schema: dict[str, Any] = {"enum": ["true", "false"]} if name == "force" else _TEXT
        needed = name == "path"
        found.append({"name": name, "in": "query", "required": needed, "schema": schema})
    return found
