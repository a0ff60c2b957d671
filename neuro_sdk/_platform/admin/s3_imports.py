"""The credentials of imported buckets: whether they can be right, and how long they live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...errors import IllegalArgumentError, NotSupportedError
from . import Place
from .names import about

if TYPE_CHECKING:
    from .s3_calls import Access

__all__ = ["REGION", "access", "check", "check_life", "endpoint_fits"]

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


def check(place: Place, *, needs_endpoint: bool) -> None:
    """Raise IllegalArgumentError, naming the field, if the credentials cannot be right."""
    given = place.credentials or {}
    for field in ("access_key_id", "secret_access_key"):
        if not given.get(field):
            raise IllegalArgumentError(f"the credentials need the field {field!r}")
    endpoint = given.get("endpoint_url")
    if not endpoint and needs_endpoint:
        raise IllegalArgumentError("the credentials need the field 'endpoint_url'")
    if endpoint and not endpoint_fits(endpoint):
        raise IllegalArgumentError(
            "the field 'endpoint_url' of the credentials must be http(s)://HOST[:PORT]"
        )
    _expiration(given)


def access(given: Mapping[str, str], ours: Access) -> Access:
    """The keys of the imported bucket, as *ours* are."""
    return replace(
        ours,
        endpoint_url=given.get("endpoint_url") or None,
        region_name=given.get("region_name") or REGION,
        access_key_id=given["access_key_id"],
        secret_access_key=given["secret_access_key"],
        session_token=given.get("session_token") or None,
    )


def check_life(place: Place, expires_in: int) -> None:
    """Refuse a URL that would stop working before its time, with the keys that signed it."""
    given = place.credentials or {}
    if not given.get("session_token"):
        return
    ends = _expiration(given)
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


def _expiration(given: Mapping[str, str]) -> datetime | None:
    text = given.get("expiration")
    if not text:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise IllegalArgumentError(
            f"the field 'expiration' of the credentials must be an ISO 8601 time, not {text!r}"
        ) from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
