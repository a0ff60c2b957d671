"""Signed requests to S3, for what OpenDAL's binding cannot ask.

Requests are signed by botocore's signer, which works without a session or client of its own.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote
from xml.etree import ElementTree

from yarl import URL

from .._core.config import TransferConfig
from ..errors import (
    AuthenticationError,
    AuthorizationError,
    BucketNotFound,
    ConflictError,
    NeuroError,
    StorageError,
    StorageTimeout,
    StorageUnavailable,
)

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Answer", "S3Access", "S3Requests", "parse", "tag", "texts"]

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
_AGAIN = frozenset({429, 500, 502, 503, 504})
_AGAIN_CODES = frozenset(
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
_SLICE = 256 << 10  # what is handed to the socket at once
_TYPE = "application/octet-stream"


class Answer(NamedTuple):
    """What the store answered; *repeated* if an earlier attempt may have been carried out."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    repeated: bool = False


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

    async def send(
        self,
        method: str,
        key: str | None,
        query: str,
        body: Sequence[bytes] = (),
        *,
        headers: Mapping[str, str] = {},
        expected: Collection[int] = (),
    ) -> Answer:
        """One request, repeated as the bounds of transfers say, until the store has done it.

        *query* is encoded. Raises an error of our tree with *key* for any status that is no
        success and not *expected*.
        """
        url = f"{self._access.base}/{quote(key, safe=_SAFE) if key else ''}?{query}"
        import aiohttp  # it takes its time, and only large blobs and removals need it

        for attempt in range(self._transfer.retries + 1):
            if attempt:
                await asyncio.sleep(min(5.0, 0.1 * 2**attempt) * random.uniform(0.5, 1.0))  # noqa: S311
            last = attempt == self._transfer.retries
            try:
                answer = await self._send_once(method, url, body, headers)
            except (aiohttp.ClientError, OSError) as cause:
                if last:
                    raise self._unreachable(cause, key) from None
                continue
            code, message = _told(answer.body)
            # A success that took long may turn out to be none in its body only.
            if (answer.status < 300 and not code) or answer.status in expected:
                return Answer(answer.status, answer.headers, answer.body, repeated=attempt > 0)
            if last or not (answer.status in _AGAIN or code in _AGAIN_CODES):
                text = message or f"status {answer.status}"
                raise self.error(code, text, key, answer.status)
        raise AssertionError("the last attempt returns or raises")

    async def _send_once(
        self, method: str, url: str, body: Sequence[bytes], headers: Mapping[str, str]
    ) -> Answer:
        signed = self._signed(method, url, body, headers)
        import aiohttp

        from .._http import Connector

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=Connector(), timeout=aiohttp.ClientTimeout(), auto_decompress=False
            )
        loop = asyncio.get_running_loop()
        wait = self._transfer.timeout
        async with asyncio.timeout(wait) as limit:

            def moved() -> None:
                limit.reschedule(loop.time() + wait)  # what moves on does not stall

            async with self._session.request(
                method,
                URL(url, encoded=True),
                data=_Body(body, moved) if body else None,
                headers=signed,
                allow_redirects=False,
            ) as response:
                return Answer(response.status, response.headers, await response.read())

    def _signed(
        self, method: str, url: str, body: Sequence[bytes], headers: Mapping[str, str]
    ) -> dict[str, str]:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.config import Config
        from botocore.credentials import Credentials

        access = self._access
        request = AWSRequest(method, url, headers=dict(headers))
        # The checksum of the body is signed as a header instead.
        request.context["client_config"] = Config(s3={"payload_signing_enabled": False})
        keys = Credentials(access.access_key, access.secret_key, access.session_token)
        S3SigV4Auth(keys, "s3", access.region).add_auth(request)
        length = str(sum(map(len, body)))
        return {**request.headers, "Content-Length": length, "Content-Type": _TYPE}

    def error(
        self, code: str, message: str, key: str | None, status: int | None = None
    ) -> NeuroError:
        """The error of our tree for a code of the store."""
        kind = _CODES.get(code)
        if kind is None:
            unavailable = status in _AGAIN or code in _AGAIN_CODES
            kind = StorageUnavailable if unavailable else StorageError
            kind = AuthorizationError if status == 403 else kind
        return kind(f"the store said: {code} {message}".rstrip(), bucket=self._name, key=key)

    def _unreachable(self, cause: Exception, key: str | None) -> NeuroError:
        if isinstance(cause, TimeoutError):
            limit = self._transfer.timeout
            return StorageTimeout(
                f"no answer within {limit:.0f} seconds", bucket=self._name, key=key
            )
        return StorageUnavailable(
            f"the store cannot be reached: {type(cause).__name__}", bucket=self._name, key=key
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


class _Body:
    """Chunks in slices; *moved* is called at each. aiohttp may want to read them once more."""

    def __init__(self, chunks: Sequence[bytes], moved: Callable[[], None]) -> None:
        self._chunks = chunks
        self._moved = moved

    async def __aiter__(self) -> AsyncGenerator[memoryview, None]:
        for chunk in self._chunks:
            view = memoryview(chunk)
            for at in range(0, len(view), _SLICE):
                self._moved()
                yield view[at : at + _SLICE]


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


def _told(answer: bytes) -> tuple[str, str]:
    root = parse(answer)
    if tag(root) != "Error":
        return "", ""
    told = texts(root)
    return told.get("Code", "") or "Error", told.get("Message", "")
