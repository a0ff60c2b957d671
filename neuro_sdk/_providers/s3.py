"""What OpenDAL's binding cannot ask of S3: many keys removed with one request.

Requests are signed by botocore's signer, which works without a session or client of its own.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote
from xml.etree import ElementTree

import aiohttp
from yarl import URL

from .._core.config import TransferConfig
from ..errors import (
    AuthenticationError,
    AuthorizationError,
    BucketNotFound,
    NeuroError,
    StorageError,
    StorageTimeout,
    StorageUnavailable,
)

__all__ = ["S3Access", "S3Requests"]

_CODES: Mapping[str, type[NeuroError]] = {
    "AccessDenied": AuthorizationError,
    "AllAccessDisabled": AuthorizationError,
    "ExpiredToken": AuthenticationError,
    "InvalidAccessKeyId": AuthenticationError,
    "InvalidToken": AuthenticationError,
    "NoSuchBucket": BucketNotFound,
    "SignatureDoesNotMatch": AuthenticationError,
    "TokenRefreshRequired": AuthenticationError,
}
_AGAIN = frozenset({429, 500, 502, 503, 504})
_AGAIN_CODES = frozenset({"InternalError", "SlowDown", "ServiceUnavailable", "OperationAborted"})


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Access:
    """Where a bucket is and the keys that open it."""

    bucket: str
    endpoint: str
    region: str
    virtual_host: bool
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

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
        self._transfer = transfer
        self._session: aiohttp.ClientSession | None = None

    async def delete_many(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        """Remove up to 1,000 keys with one request; the answer holds what failed."""
        root = ElementTree.Element("Delete")
        ElementTree.SubElement(root, "Quiet").text = "true"
        for key in keys:
            ElementTree.SubElement(ElementTree.SubElement(root, "Object"), "Key").text = key
        body = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
        answer = await self._send("POST", "?delete=", body)
        failed: dict[str, Exception] = {}
        for error in _parse(answer).iter():
            if _tag(error) == "Error":
                told = {_tag(child): child.text or "" for child in error}
                key = told.get("Key", "")
                if told.get("Code") != "NoSuchKey":
                    failed[key] = self._error(told.get("Code", ""), told.get("Message", ""), key)
        return failed

    async def _send(self, method: str, query: str, body: bytes) -> bytes:
        for attempt in range(self._transfer.retries + 1):
            if attempt:
                await asyncio.sleep(min(5.0, 0.1 * 2**attempt) * random.uniform(0.5, 1.0))  # noqa: S311
            last = attempt == self._transfer.retries
            try:
                status, answer = await self._send_once(method, query, body)
            except (aiohttp.ClientError, OSError) as cause:
                if last:
                    raise self._unreachable(cause) from None
                continue
            if status < 300:
                return answer
            code, message = _told(answer)
            if last or not (status in _AGAIN or code in _AGAIN_CODES):
                raise self._error(code, message or f"status {status}", None, status)
        raise AssertionError("the last attempt returns or raises")

    async def _send_once(self, method: str, query: str, body: bytes) -> tuple[int, bytes]:
        url = self._access.base + query
        headers = self._signed(method, url, body)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._transfer.timeout),
                auto_decompress=False,
            )
        async with self._session.request(
            method, URL(url, encoded=True), data=body, headers=headers, allow_redirects=False
        ) as response:
            return response.status, await response.read()

    def _signed(self, method: str, url: str, body: bytes) -> dict[str, str]:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        access = self._access
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        request = AWSRequest(method, url, data=body, headers={"Content-MD5": digest})
        keys = Credentials(access.access_key, access.secret_key, access.session_token)
        S3SigV4Auth(keys, "s3", access.region).add_auth(request)
        return {**request.headers, "Content-Type": "application/xml"}

    def _error(
        self, code: str, message: str, key: str | None, status: int | None = None
    ) -> NeuroError:
        kind = _CODES.get(code)
        if kind is None:
            unavailable = status in _AGAIN or code in _AGAIN_CODES
            kind = StorageUnavailable if unavailable else StorageError
            kind = AuthorizationError if status == 403 else kind
        return kind(f"the store said: {code} {message}".rstrip(), bucket=self._name, key=key)

    def _unreachable(self, cause: Exception) -> NeuroError:
        if isinstance(cause, TimeoutError):
            limit = self._transfer.timeout
            return StorageTimeout(f"no answer within {limit:.0f} seconds", bucket=self._name)
        return StorageUnavailable(
            f"the store cannot be reached: {type(cause).__name__}", bucket=self._name
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _parse(answer: bytes) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(answer)  # noqa: S314 - from the store the user chose
    except ElementTree.ParseError:
        return ElementTree.Element("Unreadable")


def _told(answer: bytes) -> tuple[str, str]:
    told = {_tag(element): element.text or "" for element in _parse(answer).iter()}
    return told.get("Code", ""), told.get("Message", "")


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
