"""Fields of credentials: that they are there, and that they can be right."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from .._core.models import Bucket
from ..errors import ConfigError

__all__ = ["endpoint", "required"]


def required(raw: Mapping[str, str], name: str, bucket: Bucket) -> str:
    """The field *name*; ConfigError names the one that is missing."""
    value = raw.get(name)
    if not value:
        raise ConfigError(
            f"the credentials of a bucket at {bucket.provider.value!r} lack the field {name!r}",
            bucket=bucket.name or bucket.id,
        )
    return value


def endpoint(value: str, name: str, bucket: Bucket, *, may_have_path: bool = False) -> str:
    """*value* without a slash at its end if it is an endpoint; else ConfigError names the field."""
    url = value.rstrip("/")
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    else:
        fits = fits and not (parts.query or parts.fragment or parts.username or parts.password)
        fits = fits and (may_have_path or not parts.path)
    if not fits:
        form = "http(s)://HOST[:PORT][/PATH]" if may_have_path else "http(s)://HOST[:PORT]"
        raise ConfigError(
            f"the field {name!r} of the credentials must be {form}",
            bucket=bucket.name or bucket.id,
        )
    return url
