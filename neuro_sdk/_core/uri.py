"""``blob:`` and ``file:`` URIs: text to values and back, without loss.

A ``blob:`` URI is written in full as ``blob://CLUSTER/[ORG/]PROJECT/BUCKET/KEY`` or short as
``blob:BUCKET/KEY`` and ``blob:/PROJECT/BUCKET/KEY``, which take the rest from a scope. Keys are
percent-decoded. In a ``str`` the characters ``?`` and ``#`` stand for themselves, so that globs
need no escaping; in a ``yarl.URL`` they would begin a query or a fragment and are refused.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from yarl import URL

from ..errors import InvalidURI

__all__ = [
    "BlobPath",
    "BlobURI",
    "LocalPath",
    "Scope",
    "file_url",
    "local_path",
    "parse_blob_uri",
    "url_below",
]

BlobPath = URL | str
"""A ``blob:`` URI."""
LocalPath = URL | str | os.PathLike[str]
"""A ``file:`` URI, a path as text, or a path object."""

_SAFE = "!$&'()*+,;=:@~"  # what RFC 3986 allows in a path segment beside the unreserved


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Where a bucket is looked for or made: cluster, org and project.

    ``owner`` is the older way to say whose bucket is meant; never set together with
    ``project_name``.
    """

    cluster_name: str
    org_name: str | None = None
    project_name: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobURI:
    """A ``blob:`` URI taken apart; every part is decoded text."""

    cluster_name: str
    org_name: str | None
    project_name: str | None
    bucket: str
    key: str = ""

    def to_url(self) -> URL:
        """The full form, percent-encoded; parsing it gives this value again."""
        return URL(str(self), encoded=True)

    def __str__(self) -> str:
        owner = [part for part in (self.org_name, self.project_name) if part]
        head = "/".join(_quote(part) for part in [*owner, self.bucket])
        tail = "/".join(_quote(part) for part in self.key.split("/"))
        return f"blob://{_quote(self.cluster_name)}/{head}" + (f"/{tail}" if self.key else "")


def _quote(segment: str) -> str:
    # A URL parser would resolve "." and ".." away, so they are written as escapes.
    if segment in (".", ".."):
        return "%2E" * len(segment)
    return quote(segment, safe=_SAFE, errors="surrogatepass")


def parse_blob_uri(uri: BlobPath, scope: Scope) -> BlobURI:
    """Take *uri* apart; what it leaves out comes from *scope*.

    Raises InvalidURI for another scheme, a missing bucket, user, port, query or fragment,
    a part that begins with ``~``, and escapes that are not UTF-8.
    """
    text = _text_of(uri)
    scheme, colon, rest = text.partition(":")
    if not colon or scheme.lower() != "blob":
        raise InvalidURI(f"{text!r} is not a blob: URI; write blob:BUCKET/KEY")
    if rest.startswith("//") and not rest.startswith("///"):
        host, _, path = rest[2:].partition("/")
        if not host or "@" in host or ":" in host:
            raise InvalidURI(f"{text!r} has no plain cluster name after blob://")
        cluster = _decode(host, text)
        owners = 2 if scope.org_name else 1
    elif rest.startswith("/"):
        path = rest.lstrip("/")
        cluster, owners = scope.cluster_name, 1
    else:
        path = rest.removeprefix("./")
        cluster, owners = scope.cluster_name, 0

    parts = path.split("/", owners + 1)
    names = [_decode(part, text) for part in parts[: owners + 1]]
    key = _decode(parts[owners + 1], text) if len(parts) > owners + 1 else ""
    if len(names) <= owners or not all(names):
        raise InvalidURI(f"{text!r} names no bucket; write blob:BUCKET/KEY")
    for name in (cluster, *names):
        if name.startswith("~") or name in (".", ".."):
            raise InvalidURI(f"{name!r} in {text!r} is not a cluster, org, project or bucket")
    org = names[0] if owners == 2 else scope.org_name
    project = names[owners - 1] if owners else scope.project_name
    return BlobURI(
        cluster_name=cluster, org_name=org, project_name=project, bucket=names[-1], key=key
    )


def _text_of(uri: URL | str) -> str:
    if isinstance(uri, str):
        return uri
    if not isinstance(uri, URL):
        raise TypeError(f"a URI is a str or a yarl.URL, not {type(uri).__name__}")
    text = str(uri)
    for mark, what in (("?", "query"), ("#", "fragment")):
        if mark in text:
            raise InvalidURI(
                f"{text!r} has a {what}; pass it as str, or write {mark} as %{ord(mark):X}"
            )
    return text


def _decode(part: str, whole: str) -> str:
    try:
        return unquote_to_bytes(part.encode("utf-8", "surrogatepass")).decode()
    except UnicodeDecodeError:
        raise InvalidURI(f"the escapes in {whole!r} are not UTF-8") from None


def local_path(path: LocalPath) -> Path:
    """The local path that a ``file:`` URI, a plain path or a path object names, made absolute.

    A ``str`` without the scheme ``file:`` is a path as it stands, never decoded.
    """
    if isinstance(path, URL):
        if path.scheme == "" and path.host is None:
            return _absolute(path.path)
        text = _text_of(path)
    elif isinstance(path, str):
        text = path
    else:
        return _absolute(os.fspath(path))
    if not text.lower().startswith("file:"):
        if isinstance(path, str) and not re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", text):
            return _absolute(text)
        raise InvalidURI(f"{text!r} is not a local path; write file:///PATH")
    rest = text[len("file:") :]
    if rest.startswith("//"):
        host, slash, tail = rest[2:].partition("/")
        if host not in ("", "localhost"):
            raise InvalidURI(f"{text!r} names the host {host!r}; only this machine's disk is meant")
        rest = slash + tail
    return _absolute(os.fsdecode(unquote_to_bytes(os.fsencode(rest))))


def _absolute(path: str) -> Path:
    if not path or "\0" in path:
        raise InvalidURI(f"{path!r} is not a local path")
    return Path(os.path.abspath(path))


def file_url(path: str | os.PathLike[str]) -> URL:
    """The ``file:`` URI of an absolute local path."""
    raw = os.fsencode(path)
    return URL("file://" + quote(raw, safe="/" + _SAFE), encoded=True)


def url_below(base: str, path: str) -> URL:
    """The URI of the relative *path* below *base*, a local path or the text of a full URI."""
    if base.startswith("blob://"):
        tail = "/".join(map(_quote, path.split("/")))
        slash = "/" if path and not base.endswith("/") else ""
        return URL(f"{base}{slash}{tail}", encoded=True)
    local = f"{base.rstrip('/')}/{path}"
    try:
        return file_url(local)
    except UnicodeEncodeError:  # a key that is no text lands nowhere; its failure shows it so
        return file_url(local.encode(errors="replace").decode())
