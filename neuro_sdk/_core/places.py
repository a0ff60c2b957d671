"""Where a driver works, in words that hold no secret: what tells one place from another."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

__all__ = ["is_secret", "place_id"]

_SECRET = re.compile(r"key|secret|token|password|passwd|credential|signature|session|sas")
_NOT_SECRET = frozenset({"access_key_id"})


def is_secret(option: str) -> bool:
    """True if the value of *option* is to be shown to nobody."""
    return option not in _NOT_SECRET and _SECRET.search(option) is not None


def place_id(scheme: str, options: Mapping[str, str]) -> str:
    """A name for the place, the same for all who open it with whatever credentials."""
    told = {
        name: value.strip("/") if name == "root" else _without_user(value)
        for name, value in options.items()
        if not is_secret(name) and name != "access_key_id"
    }
    text = json.dumps([scheme, told], sort_keys=True)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _without_user(value: str) -> str:
    try:
        parts = urlsplit(value)
    except ValueError:
        return value
    if not parts.scheme or not parts.netloc:
        return value
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
