"""Imported buckets at S3 stores: nothing but their own credentials counts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from yarl import URL

from ..._core.expiry import expiry_of
from ..._core.models import Bucket
from ...errors import ConfigError, IllegalArgumentError, NotSupportedError
from ..tasks import whole
from . import Place, s3_sharing
from .names import about
from .s3_lazy import open_calls

if TYPE_CHECKING:
    from .s3_calls import Calls

__all__ = ["REGION", "S3Imports", "endpoint_fits"]

REGION = "us-east-1"


def endpoint_fits(url: str) -> bool:
    """True for ``http(s)://HOST[:PORT]``."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    if parts.username or parts.password or parts.query or parts.fragment:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.path in ("", "/")


class S3Imports:
    """The ImportAdmin of one kind of S3 store."""

    def __init__(self, provider: Bucket.Provider) -> None:
        self._needs_endpoint = provider is not Bucket.Provider.AWS

    async def check_import(self, place: Place) -> None:
        given = place.credentials or {}
        for field in ("access_key_id", "secret_access_key"):
            if not given.get(field):
                raise IllegalArgumentError(f"the credentials need the field {field!r}")
        endpoint = given.get("endpoint_url")
        if not endpoint and self._needs_endpoint:
            raise IllegalArgumentError("the credentials need the field 'endpoint_url'")
        if endpoint and not endpoint_fits(endpoint):
            raise IllegalArgumentError(
                "the field 'endpoint_url' of the credentials must be http(s)://HOST[:PORT]"
            )
        _ends(given)

    @whole
    async def set_public(self, place: Place, public: bool) -> None:
        # Amazon's block on public policies stays as its owner set it.
        async with self._acting_on(place) as calls:
            await s3_sharing.set_public(calls, place, public)

    async def sign_url(self, place: Place, key: str, expires_in: int) -> URL:
        _check_life(place, expires_in)
        async with self._acting_on(place) as calls:
            return await s3_sharing.sign_url(calls, place, key, expires_in)

    @asynccontextmanager
    async def _acting_on(self, place: Place) -> AsyncIterator[Calls]:
        await self.check_import(place)
        given = place.credentials or {}
        calls = await open_calls(
            endpoint_url=given.get("endpoint_url") or None,
            region_name=given.get("region_name") or REGION,
            access_key_id=given["access_key_id"],
            secret_access_key=given["secret_access_key"],
            session_token=given.get("session_token") or None,
            services=("s3",),
        )
        try:
            yield calls
        finally:
            await calls.close()


def _check_life(place: Place, expires_in: int) -> None:
    """Refuse a URL that would stop working before its time, with the keys that signed it."""
    given = place.credentials or {}
    if not given.get("session_token"):
        return
    ends = _ends(given)
    if ends is None:
        raise NotSupportedError(
            "the credentials of this bucket are temporary and do not say when they end "
            "(field 'expiration'), so no URL can be promised to live",
            bucket=about(place),
        )
    left = int((ends - datetime.now(UTC)).total_seconds())
    if expires_in > left:
        raise IllegalArgumentError(
            f"expires_in must be at most {max(left, 0)} seconds, the rest of the life of the "
            "credentials of this bucket",
            bucket=about(place),
        )


def _ends(given: Mapping[str, str]) -> datetime | None:
    try:
        return expiry_of(given)
    except ConfigError as wrong:
        raise IllegalArgumentError(str(wrong)) from None
