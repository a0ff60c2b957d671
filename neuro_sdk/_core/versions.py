"""Versions of blobs: whether two are one, and what their tags say of the content."""

from __future__ import annotations

import re

from .models import BucketEntry

__all__ = ["content_tag", "quoted", "same_version", "tags_differ"]

_MD5 = re.compile(r'"?([0-9a-fA-F]{32})"?')


def same_version(one: BucketEntry, other: BucketEntry) -> bool:
    """True if both describe one version of one blob, as far as the store tells them apart."""
    return (one.size, one.etag, one.modified_at) == (other.size, other.etag, other.modified_at)


def quoted(tag: str | None) -> str | None:
    """*tag* in the quotes that conditions want; some listings give it bare. None for no tag."""
    return f'"{tag}"' if tag and tag[-1] != '"' else tag or None


def content_tag(tag: str | None) -> str | None:
    """The MD5 that *tag* looks like, or None: tags of parts, times and counters say nothing.

    It is a hint, for some stores that encrypt make up tags of this shape: equal ones are equal
    content, but different ones have to be looked into.
    """
    found = _MD5.fullmatch(tag or "")
    return found[1].lower() if found else None


def tags_differ(one: BucketEntry, other: BucketEntry) -> bool:
    """True if both tags look like an MD5 of the content, and they are not the same."""
    tags = content_tag(one.etag), content_tag(other.etag)
    return None not in tags and tags[0] != tags[1]
