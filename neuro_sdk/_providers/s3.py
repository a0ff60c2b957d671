"""Signed requests to S3, for what OpenDAL's binding cannot ask."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

import google_crc32c

from .._core.config import TransferConfig
from .._core.sigv4 import Keys, signed
from ..errors import (
    AuthenticationError,
    AuthorizationError,
    BucketNotFound,
    ConflictError,
    NeuroError,
    StorageError,
    StorageUnavailable,
)
from .rest import BUSY, Answer, Rest, Verdict, by_status

__all__ = ["CHECKSUM", "S3Access", "S3Requests", "crc32c", "parse", "tag", "texts"]

CHECKSUM = "x-amz-checksum-crc32c"
"""The header with the checksum of a body, which stores verify before they take it."""

_CODES: Mapping[str, type[NeuroError]] = {
    "AccessDenied": AuthorizationError,
    "AllAccessDisabled": AuthorizationError,
    "ExpiredToken": AuthenticationError,
    "InvalidAccessKeyId": AuthenticationError,
    "InvalidToken": AuthenticationError,
    "NoSuchBucket": BucketNotFound,
    "NoSuchUpload": ConflictError,
    "SignatureDoesNotMatch": AuthenticationError,
    "TokenRefreshRequired": AuthenticationError,
}
_AGAIN = frozenset(
    {
        "BadDigest",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
    }
)
_SAFE = "/~"
_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Access:
    """Where a bucket is and the keys that open it."""

    bucket: str
    endpoint: str
    region: str
    virtual_host: bool
    keys: Keys = field(repr=False)

    @property
    def base(self) -> str:
        """The URL of the bucket, without a slash at its end."""
        if not self.virtual_host:
            return f"{self.endpoint}/{quote(self.bucket)}"
        scheme, _, host = self.endpoint.partition("://")
        return f"{scheme}://{self.bucket}.{host}"


class S3Requests:
    """Signed requests to one bucket; *name* is what errors call it."""

    def __init__(self, access: S3Access, *, name: str, transfer: TransferConfig) -> None:
        self._access = access
        self._name = name
        self.base = access.base
        self._path_at = len(self.base) - len(urlsplit(self.base).path)
        self._rest = Rest(name=name, transfer=transfer, error=self._refusal, judge=_judge)

    async def send(
        self,
        method: str,
        key: str | None,
        query: str,
        body: Sequence[bytes] = (),
        *,
        headers: Mapping[str, str] = {},
        expected: Collection[int] = (),
        about: str | None = None,
    ) -> Answer:
        """One request, repeated as the bounds of transfers say, until the store has done it.

        *query* is encoded. Raises an error of our tree with *key*, or what it is *about*, for
        any status that is no success and not *expected*.
        """
        url = f"{self._url(key)}?{query}"
        return await self._rest.send(
            method,
            url,
            headers={**headers, "Content-Type": _TYPE},
            key=key or about or None,
            body=body,
            also=expected,
            sign=partial(self._signed, method, url),
        )

    def _url(self, key: str | None) -> str:
        return f"{self.base}/{quote(key, safe=_SAFE) if key else ''}"

    def sign(
        self, method: str, key: str | None, headers: Mapping[str, str], query: str = ""
    ) -> tuple[str, Mapping[str, str]]:
        """The target of a request to a blob or the bucket, and *headers* with those that sign it.

        *query* is encoded.
        """
        url = f"{self._url(key)}?{query}" if query else self._url(key)
        return url[self._path_at :], self._signed(method, url, headers)

    def _signed(self, method: str, url: str, headers: Mapping[str, str]) -> Mapping[str, str]:
        # The checksum of the body is signed as a header instead of the body.
        access, now = self._access, datetime.now(UTC)
        return signed(method, url, headers, access.keys, region=access.region, now=now)

    def _refusal(self, answer: Answer, key: str | None) -> NeuroError:
        code, message = _told(answer.body)
        return self.error(code, message or f"status {answer.status}", key, answer.status)

    def error(
        self, code: str, message: str, key: str | None, status: int | None = None
    ) -> NeuroError:
        """The error of our tree for a code of the store."""
        kind = _CODES.get(code)
        if kind is None:
            unavailable = status in BUSY or code in _AGAIN
            kind = StorageUnavailable if unavailable else StorageError
            kind = AuthorizationError if status == 403 else kind
        if kind is BucketNotFound:
            return kind("the bucket is not there at its provider", bucket=self._name)
        return kind(f"the store said: {code} {message}".rstrip(), bucket=self._name, key=key)

    async def close(self) -> None:
        """Close the connections."""
        await self._rest.close()


def _judge(answer: Answer) -> Verdict:
    code, _ = _told(answer.body)
    if code in _AGAIN:
        return Verdict.AGAIN
    # A success that took long may turn out to be none in its body only.
    return Verdict.REFUSED if code and answer.status < 300 else by_status(answer)


def crc32c(body: Sequence[bytes]) -> str:
    """The checksum of a body in pieces, as the header wants it."""
    value = 0
    for chunk in body:
        value = google_crc32c.extend(value, chunk)
    return base64.b64encode(value.to_bytes(4, "big")).decode()


def parse(answer: bytes) -> ElementTree.Element:
    """The document; an empty element if it is none."""
    try:
        return ElementTree.fromstring(answer)  # noqa: S314 - from the store the user chose
    except ElementTree.ParseError:
        return ElementTree.Element("Unreadable")


def texts(element: ElementTree.Element) -> dict[str, str]:
    """The texts of all elements below by their names, without namespaces."""
    return {tag(child): child.text or "" for child in element.iter()}


def tag(element: ElementTree.Element) -> str:
    """The name, without a namespace."""
    return element.tag.rpartition("}")[2]


_MAY_BE_ERROR = re.compile(rb"<(?:\w+:)?Error\b")


def _told(answer: bytes) -> tuple[str, str]:
    if _MAY_BE_ERROR.search(answer, 0, 1024) is None:
        return "", ""
    root = parse(answer)
    if tag(root) != "Error":
        return "", ""
    told = texts(root)
    return told.get("Code", "") or "Error", told.get("Message", "")
