"""What a platform's refusal over HTTP means: one table from status and body to our errors."""

from __future__ import annotations

import json
from typing import Any

from ..errors import (
    AuthenticationError,
    AuthorizationError,
    BlobIsADirectory,
    BlobNotFound,
    BucketNotEmpty,
    BucketNotFound,
    ConfigError,
    ConflictError,
    CreationDisabled,
    IllegalArgumentError,
    InvalidKey,
    InvalidName,
    NameTaken,
    NeuroError,
    NotSupportedError,
    PlatformError,
    ServerNotAvailable,
)

__all__ = ["CODES", "refusal", "shown"]

CODES: dict[str, tuple[int, type[NeuroError]]] = {
    "unique": (409, NameTaken),
    "not_empty": (409, BucketNotEmpty),
    "conflict": (409, ConflictError),
    "disabled": (422, CreationDisabled),
    "invalid_key": (400, InvalidKey),
    "invalid_name": (400, InvalidName),
    "is_a_directory": (400, BlobIsADirectory),
    "not_supported": (400, NotSupportedError),
    "invalid": (400, IllegalArgumentError),
    "no_cluster": (400, ConfigError),
    "no_bucket": (404, BucketNotFound),
    "no_blob": (404, BlobNotFound),
    "forbidden": (403, AuthorizationError),
}
"""The codes that bodies of refusals bear, their status, and what they mean.

The protocol knows ``unique`` and ``disabled``; a server of ours also sends the others.
"""

_BY_STATUS: dict[int, type[NeuroError]] = {
    400: IllegalArgumentError,
    401: AuthenticationError,
    403: AuthorizationError,
    404: BucketNotFound,
    409: ConflictError,
    413: IllegalArgumentError,
    422: IllegalArgumentError,
    429: ServerNotAvailable,
    502: ServerNotAvailable,
    503: ServerNotAvailable,
    504: ServerNotAvailable,
}
_LONGEST = 500


def refusal(status: int, text: str, *, bucket: str | None = None) -> NeuroError:
    """The error for an answer with this status and body about *bucket*."""
    body = _body(text)
    said = shown(_said(body) or text)
    code = body.get("code")
    if isinstance(code, str) and code in CODES and CODES[code][0] == status:
        return CODES[code][1](said or f"the platform answered {code!r}", bucket=bucket)
    if status == 401:
        return AuthenticationError(
            "the platform does not know this token, or it has ended; log in again"
        )
    if status == 403:
        return AuthorizationError(_missing(body) or said or "not allowed", bucket=bucket)
    # Servers of the project eras answer so where they mean that there is no such bucket, or
    # that it is not empty.
    if status >= 500 and said.partition("not found")[0].find("Bucket for path") >= 0:
        return BucketNotFound("there is no such bucket", bucket=bucket)
    if status >= 500 and "BucketNotEmpty" in said:
        return BucketNotEmpty("blobs remain in the bucket", bucket=bucket)
    kind = _BY_STATUS.get(status, PlatformError)
    return kind(f"the platform answered {status}: {said or 'nothing'}", bucket=bucket)


def shown(text: str) -> str:
    """Text of a server on one line of bounded length, with nothing that a terminal obeys."""
    text = "".join(char if char.isprintable() else " " for char in text[: _LONGEST + 1]).strip()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _body(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _said(body: dict[str, Any]) -> str:
    found = (body.get(name) for name in ("error", "description"))
    return next((value for value in found if isinstance(value, str) and value), "")


def _missing(body: dict[str, Any]) -> str:
    missing = body.get("missing")
    entries = missing if isinstance(missing, list) else []
    said = [
        f"{entry.get('action')} on {entry.get('uri')}"
        for entry in entries
        if isinstance(entry, dict)
    ]
    if not said:
        return ""
    reason = _said(body)
    return shown(f"you may not {' or '.join(said)}" + (f"; {reason}" if reason else ""))
