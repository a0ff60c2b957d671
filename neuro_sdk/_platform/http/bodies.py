"""What the bodies of requests may be; anything else is a 400 that names the field."""

from __future__ import annotations

import asyncio
from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ..._core.models import Bucket
from ...errors import IllegalArgumentError

__all__ = [
    "ChangeBucket",
    "CreateBucket",
    "CreateCredentials",
    "ImportBucket",
    "SignURL",
    "read_body",
]

M = TypeVar("M", bound=BaseModel)

_BODY_SECONDS = 30.0

# A database need not be able to keep the character zero.
_ShortText = Annotated[str, StringConstraints(max_length=1024, pattern=r"^[^\x00]*$")]
_Providers = "|".join(p.value for p in Bucket.Provider if p is not Bucket.Provider.LOCAL)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class _Place(_Body):
    name: _ShortText | None = None
    org_name: _ShortText | None = None
    project_name: _ShortText | None = None
    owner: _ShortText | None = None


class CreateBucket(_Place):
    """``POST /buckets``; ``owner`` is the older name of ``project_name``."""


class ImportBucket(_Place):
    """``POST /buckets/import/external``."""

    provider: Annotated[str, StringConstraints(pattern=f"^({_Providers})$")]
    provider_bucket_name: Annotated[_ShortText, StringConstraints(min_length=1)]
    credentials: Annotated[
        dict[_ShortText, Annotated[str, Field(max_length=65536)]], Field(max_length=64)
    ]


class ChangeBucket(_Body):
    """``PATCH /buckets/{id_or_name}``; what is left out or null stays as it is."""

    public: bool | None = None


class SignURL(_Body):
    """``POST /buckets/{id_or_name}/sign_blob_url``."""

    key: Annotated[str, StringConstraints(max_length=4096)]
    expires_in_sec: Annotated[int, Field(ge=1, le=7 * 24 * 3600)] = 3600


class CreateCredentials(_Body):
    """``POST /persistent_credentials``."""

    name: _ShortText | None = None
    bucket_ids: Annotated[list[_ShortText], Field(min_length=1, max_length=100)]
    read_only: bool | None = False


async def read_body(request: web.Request, model: type[M]) -> M:
    """The body of *request* as *model*; IllegalArgumentError names the field, never its value."""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            raw = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part)[:64] for part in first["loc"]) or "the body"
        raise IllegalArgumentError(f"{field!r} is wrong: {first['msg']}") from None
