"""AWS Signature Version 4 for requests to S3 whose body is not signed.

The rules are Amazon's ("Authenticating Requests: Using the Authorization Header"); the tests
compare with botocore's signer, which takes longer to import than most requests take.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from urllib.parse import SplitResult, urlsplit

__all__ = ["Keys", "host_of", "signed"]

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNSIGNED = "UNSIGNED-PAYLOAD"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Who signs."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def signed(
    method: str,
    url: str,
    headers: Mapping[str, str],
    keys: Keys,
    *,
    region: str,
    now: datetime,
) -> Mapping[str, str]:
    """*headers* with those that sign the request; all of them must be sent as they are.

    *url* is escaped as it is sent, each parameter of its query with a ``=``. *now* is in UTC.
    """
    parts = urlsplit(url)
    moment = now.strftime("%Y%m%dT%H%M%SZ")
    sent = {**headers, "X-Amz-Date": moment, "X-Amz-Content-SHA256": _UNSIGNED}
    if keys.session_token is not None:
        sent["X-Amz-Security-Token"] = keys.session_token
    lines = {name.lower(): " ".join(value.split()) for name, value in sent.items()}
    lines["host"] = host_of(parts)
    names = ";".join(sorted(lines))
    pairs = sorted(part.partition("=") for part in parts.query.split("&") if part)
    canonical = "\n".join(
        (
            method,
            parts.path or "/",
            "&".join("".join(pair) for pair in pairs),
            *(f"{name}:{lines[name]}" for name in sorted(lines)),
            "",
            names,
            _UNSIGNED,
        )
    )
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    text = f"{_ALGORITHM}\n{moment}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{keys.secret_key}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    sent["Authorization"] = (
        f"{_ALGORITHM} Credential={keys.access_key}/{scope}, "
        f"SignedHeaders={names}, Signature={_hmac(key, text).hex()}"
    )
    return sent


def host_of(url: SplitResult) -> str:
    """What the header ``Host`` of a request to *url* says, and what is signed of it."""
    host = url.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if url.port in (None, _PORTS.get(url.scheme)) else f"{host}:{url.port}"


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
