"""Paths of fsspec, ranges and listings: values to values."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import unquote_to_bytes

from .. import BucketEntry
from ..errors import InvalidURI

__all__ = ["Info", "described", "directory", "span", "split", "strip", "tree"]

Info = dict[str, Any]
"""``name``, ``size`` in bytes, ``type``; of a blob also ``created``, ``mtime`` and ``etag``."""


def strip(path: str) -> str:
    """``BUCKET/KEY``, ``BUCKET`` or nothing, whatever the form of *path*; InvalidURI if none fits.

    What follows ``blob://`` stands as it is, and so does a path without a scheme.
    """
    if path.startswith("blob://"):
        path = path.removeprefix("blob://")
    elif path.startswith("blob:"):
        whole, path = path, path.removeprefix("blob:")
        if path.startswith("/"):
            raise InvalidURI(f"{whole!r} names a project; give it as an option: project='NAME'")
        try:
            path = unquote_to_bytes(path).decode()
        except UnicodeDecodeError:
            raise InvalidURI(f"the escapes in {whole!r} are not UTF-8") from None
    return path.strip("/")


def split(path: str) -> tuple[str, str]:
    """The bucket and the key of a stripped path."""
    bucket, _, key = path.partition("/")
    return bucket, key


def span(start: int | None, end: int | None, size: int) -> tuple[int, int]:
    """The offset and length of what a slice takes of *size* bytes."""
    first, last, _ = slice(start, end).indices(size)
    return first, max(0, last - first)


def directory(name: str, created: datetime | None = None) -> Info:
    """What is told of a directory or bucket."""
    return {"name": name, "size": 0, "type": "directory", "created": created}


def described(bucket: str, entry: BucketEntry) -> Info:
    """What is told of an entry of a listing; *bucket* is what the caller calls it."""
    name = f"{bucket}/{entry.key}"
    if entry.is_dir():
        return directory(name.removesuffix("/"))
    return {
        "name": name,
        "size": entry.size,
        "type": "file",
        "created": entry.created_at,
        "mtime": entry.modified_at,
        "etag": entry.etag,
    }


def tree(
    bucket: str, start: str, entries: Iterable[BucketEntry], maxdepth: int | None, *, dirs: bool
) -> dict[str, Info]:
    """What lies below the prefix *start*, by name, *maxdepth* levels of it at most.

    With *dirs* also the directories, which are those that something lies in.
    """
    found: dict[str, Info] = {}
    for entry in entries:
        parts = entry.key[len(start) :].removesuffix("/").split("/")
        if parts == [""]:
            continue  # the marker of the directory itself
        if dirs:
            above = f"{bucket}/{start}"
            for part in parts[:-1][:maxdepth]:
                above += part
                found.setdefault(above, directory(above))
                above += "/"
        if (maxdepth is None or len(parts) <= maxdepth) and (dirs or not entry.is_dir()):
            info = described(bucket, entry)
            # A blob may have the name of a directory, and counts for more.
            if info["type"] == "file" or info["name"] not in found:
                found[info["name"]] = info
    return found
