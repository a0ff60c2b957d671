"""Shared access signatures of Azure: what a URL with one may do, and until when."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode, urlsplit

__all__ = [
    "API_VERSION",
    "READ",
    "READ_WRITE",
    "account_of",
    "blob_sas",
    "container_sas",
    "is_account_key",
    "policy_sas",
    "url_path",
]

API_VERSION = "2021-12-02"

READ = "rl"
READ_WRITE = "rwdl"
"""Permissions, in the order that the service wants; writing includes making and replacing."""

_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")


def is_account_key(text: str) -> bool:
    """True if *text* is base64, as the keys of an account are."""
    try:
        return bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False


def account_of(endpoint: str) -> str | None:
    """The account that *endpoint* belongs to, if it says so.

    ``https://ACCOUNT.blob.core.windows.net`` names it in the host, an emulator in the path.
    """
    parts = urlsplit(endpoint)
    host, blob, _ = (parts.hostname or "").partition(".blob.")
    named = parts.path.strip("/") or (host if blob else "")
    return named if _ACCOUNT.fullmatch(named) else None


def container_sas(
    account: str, key: str, container: str, *, permissions: str, until: datetime, https: bool
) -> str:
    """The query that opens the whole of *container* until then."""
    return _signed(key, f"/blob/{account}/{container}", "c", permissions, until, "", https)


def policy_sas(account: str, key: str, container: str, policy: str, *, https: bool) -> str:
    """The query that opens *container* as its stored access policy says, while that is there."""
    return _signed(key, f"/blob/{account}/{container}", "c", "", None, policy, https)


def blob_sas(
    account: str,
    key: str,
    container: str,
    blob: str,
    *,
    until: datetime,
    https: bool,
    permissions: str = "r",
) -> str:
    """The query that reads one blob until then, to the second, or what *permissions* say."""
    resource = f"/blob/{account}/{container}/{blob}"
    return _signed(key, resource, "b", permissions, until, "", https)


def _signed(
    key: str,
    resource: str,
    kind: str,
    permissions: str,
    until: datetime | None,
    policy: str,
    https: bool,
) -> str:
    if until is not None and until.microsecond:  # it holds whole seconds, and not one too few
        until += timedelta(seconds=1)
    expiry = "" if until is None else until.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    protocol = "https" if https else ""
    # Fields, in their order, of a service signature of this version; most stay empty.
    fields = [permissions, "", expiry, resource, policy, "", protocol, API_VERSION, kind]
    fields += [""] * 7
    digest = hmac.new(base64.b64decode(key), "\n".join(fields).encode(), hashlib.sha256).digest()
    query = {
        "sv": API_VERSION,
        "sr": kind,
        "sp": permissions,
        "se": expiry,
        "si": policy,
        "spr": protocol,
        "sig": base64.b64encode(digest).decode(),
    }
    return urlencode({name: value for name, value in query.items() if value})


def url_path(key: str) -> str:
    """*key* as a part of a URL; what is not plain is escaped, but for slashes."""
    return quote(key, safe="/")
