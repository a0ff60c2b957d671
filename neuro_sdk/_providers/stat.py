"""What a store says of one path, before it is a blob of a bucket."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from .._core.versions import quoted

__all__ = ["Stat", "described"]


class Stat(NamedTuple):
    """What the engine knows of one path; that of a directory in a listing ends in a slash."""

    path: str
    size: int = 0
    modified_at: datetime | None = None
    etag: str | None = None
    created_at: datetime | None = None
    is_file: bool = True
    """Told where one path was asked about."""


def described(path: str, size: int, changed: str, etag: str) -> Stat | None:
    """What the headers of an answer say of a blob; None unless that is all."""
    try:
        found = Stat(path, size, parsedate_to_datetime(changed), quoted(etag))
    except ValueError:  # it is no time
        return None
    return None if found.etag is None else found
