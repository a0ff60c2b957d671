"""Google Cloud Storage: bytes by OpenDAL, and what its binding cannot ask by requests of our own.

Those are looks and listings, for the time a blob was made; reads of one generation; copies; and
uploads in parts, which Google forgets by itself when they are not brought to an end.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
)
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from .._aio import read_ahead
from .._core.config import TransferConfig
from .._core.keys import KeyRules
from .._core.models import Bucket
from .._core.pages import Columns
from ..errors import (
    AuthenticationError,
    AuthorizationError,
    BlobChanged,
    BlobNotFound,
    BucketNotFound,
    ConfigError,
    NeuroError,
    StorageError,
    StorageUnavailable,
)
from ..protocols import Likely
from .fields import endpoint, required
from .google import KeyTokens
from .opendal import Engine
from .rest import Answer, Rest
from .stat import Stat

__all__ = ["GCS_RULES", "GcsAccess", "GcsEngine", "gcs_access"]

GCS_RULES = KeyRules(forbidden="\r\n")

GOOGLE = "https://storage.googleapis.com"

_T = TypeVar("_T")

_BY_STATUS: Mapping[int, type[NeuroError]] = {
    401: AuthenticationError,
    403: AuthorizationError,
    404: BlobNotFound,
    412: BlobChanged,
    416: BlobChanged,  # nothing past the known end is ever asked for
}
_COPY_STEPS = 100_000
_GRAIN = 256 << 10  # parts of an upload, but the last, are so many bytes or a multiple
_FIELDS = "name,size,generation,timeCreated,updated"


@dataclass(frozen=True, slots=True, kw_only=True)
class GcsAccess:
    """Where a bucket is and what opens it: a token, a service account's key, or nothing."""

    bucket: str
    endpoint: str
    token: str | None = field(default=None, repr=False)
    key: Mapping[str, str] | None = field(default=None, repr=False)

    def options(self, token: str | None) -> dict[str, str]:
        """The options of the engine."""
        options = {
            "bucket": self.bucket,
            "endpoint": self.endpoint,
            # Neither the environment nor a metadata service has a say in what is opened.
            "disable_config_load": "true",
            "disable_vm_metadata": "true",
        }
        return {**options, "token": token} if token else {**options, "skip_signature": "true"}


def gcs_access(bucket: Bucket, raw: Mapping[str, str]) -> GcsAccess:
    """Where the bucket is and what opens it; ConfigError names a field that is not right."""
    base = endpoint(raw.get("endpoint_url") or GOOGLE, "endpoint_url", bucket)
    name = required(raw, "bucket_name", bucket)
    token, key_data = raw.get("access_token"), raw.get("key_data")
    if token:
        return GcsAccess(bucket=name, endpoint=base, token=token)
    if key_data:
        try:
            key = KeyTokens.parse(key_data)
        except ValueError as error:
            raise ConfigError(
                f"the field 'key_data' of the credentials {error}", bucket=bucket.name or bucket.id
            ) from None
        return GcsAccess(bucket=name, endpoint=base, key=key)
    if raw.get("anonymous") != "true":
        raise ConfigError(
            "the credentials need the field 'access_token', or 'key_data' with the key of a "
            "service account",
            bucket=bucket.name or bucket.id,
        )
    return GcsAccess(bucket=name, endpoint=base)


class GcsEngine(Engine):
    """The engine of one bucket; the tag of a version is its generation."""

    def __init__(self, access: GcsAccess, *, bucket: str, transfer: TransferConfig) -> None:
        super().__init__("gcs", access.options(access.token), bucket=bucket, limits=transfer)
        self._access = access
        self._transfer = transfer
        self._rest = Rest(name=bucket, transfer=transfer, error=self._refusal)
        self._keys: KeyTokens | None = None
        if access.key is not None:
            self._keys = KeyTokens(access.key, name=bucket, transfer=transfer)
        self._token = access.token
        self._lock = asyncio.Lock()
        self._base = f"{access.endpoint}/storage/v1/b/{quote(access.bucket, safe='')}"
        self._uploads = f"{access.endpoint}/upload/storage/v1/b/{quote(access.bucket, safe='')}/o"

    async def close(self) -> None:
        """Close the connections."""
        await self._rest.close()
        if self._keys is not None:
            await self._keys.close()

    async def stat(self, path: str, key: str) -> Stat:
        answer = await self._send("GET", f"{self._url(path)}?fields={_FIELDS}", key)
        return self._listed(self._json(answer))

    def pages(
        self,
        prefix: str,
        *,
        recursive: bool,
        most: int | None = None,
        likely: Likely | None = None,
    ) -> AsyncGenerator[Columns, None]:
        del likely  # one page after another
        return read_ahead(self._pages(prefix, recursive, most), most is None)

    async def _pages(
        self, prefix: str, recursive: bool, most: int | None
    ) -> AsyncGenerator[Columns, None]:
        query = {"prefix": prefix, "fields": f"items({_FIELDS}),prefixes,nextPageToken"}
        if not recursive:
            query["delimiter"] = "/"
        if most is not None:
            query["maxResults"] = str(most)
        while True:
            url = f"{self._base}/o?{urlencode(query, quote_via=quote)}"
            try:
                told = self._json(await self._send("GET", url, prefix or None))
            except BlobNotFound:
                raise BucketNotFound(
                    "the bucket is not there at its provider", bucket=self.bucket
                ) from None
            entries = [self._listed(item) for item in told.get("items", ())]
            entries += map(Stat, told.get("prefixes", ()))
            if entries:
                entries.sort(key=lambda entry: entry.path.encode())
                yield Columns.of(entries)
            if not told.get("nextPageToken"):
                return
            query["pageToken"] = told["nextPageToken"]

    async def read(
        self,
        path: str,
        key: str,
        *,
        offset: int = 0,
        size: int | None = None,
        if_match: str | None = None,
        **_: Any,
    ) -> bytes:
        url = f"{self._url(path)}?alt=media"
        if if_match is not None:
            url += f"&generation={if_match}"
        headers = {"Accept-Encoding": "gzip"}  # what is kept compressed comes as it is kept
        if offset or size is not None:
            headers["Range"] = f"bytes={offset}-{'' if size is None else offset + size - 1}"
        try:
            answer = await self._send("GET", url, key, headers)
        except BlobNotFound:
            if if_match is None:
                raise
            await self.stat(path, key)  # raises if it is gone and not just replaced
            raise BlobChanged(
                "the blob was replaced while it was read", bucket=self.bucket, key=key
            ) from None
        if size is not None and len(answer.body) != size:
            raise StorageError("the store sent another range", bucket=self.bucket, key=key)
        return answer.body

    async def stream(self, path: str, key: str, **options: Any) -> AsyncGenerator[bytes, None]:
        offset, left = options["offset"], options["size"]
        part, window = options["chunk"], options["concurrent"]
        under_way: deque[asyncio.Task[bytes]] = deque()
        try:
            while left or under_way:
                while left and len(under_way) < window:
                    size = min(part, left)
                    reading = self.read(
                        path, key, offset=offset, size=size, if_match=options.get("if_match")
                    )
                    under_way.append(asyncio.create_task(reading))
                    offset, left = offset + size, left - size
                yield await under_way.popleft()
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def write_stream(
        self, path: str, pieces: AsyncIterator[bytes], key: str, **options: Any
    ) -> None:
        part = max(_GRAIN, options["chunk"] // _GRAIN * _GRAIN)
        query = urlencode({"uploadType": "resumable", "name": path}, quote_via=quote)
        begun = await self._send("POST", f"{self._uploads}?{query}", key)
        session = begun.headers.get("Location", "")
        if not session.startswith(f"{self._access.endpoint}/"):
            raise StorageError("the store began no upload", bucket=self.bucket, key=key)
        held, start = bytearray(), 0
        async for piece in pieces:
            held += piece
            while len(held) > part:  # the last one says that it is the last
                await self._send_part(session, key, bytes(held[:part]), start, None)
                del held[:part]
                start += part
        await self._send_part(session, key, bytes(held), start, start + len(held))

    async def _send_part(
        self, session: str, key: str, data: bytes, start: int, total: int | None
    ) -> None:
        span = f"{start}-{start + len(data) - 1}" if data else "*"
        headers = {"Content-Range": f"bytes {span}/{'*' if total is None else total}"}
        answer = await self._send("PUT", session, key, headers, data, more=total is None)
        kept = answer.headers.get("Range", "")
        if total is None and kept != f"bytes=0-{start + len(data) - 1}":
            raise StorageError("the store kept a part of a part", bucket=self.bucket, key=key)

    async def copy(self, source: str, target: str, key: str) -> None:
        url = f"{self._url(source)}/rewriteTo{self._url(target).removeprefix(self._base)}"
        url = url.replace("/rewriteTo/o/", f"/rewriteTo/b/{quote(self._access.bucket)}/o/")
        query = ""
        for _ in range(_COPY_STEPS):  # a large one takes several, and is there after the last
            told = self._json(await self._send("POST", url + query, key))
            if told.get("done"):
                return
            query = f"?{urlencode({'rewriteToken': told['rewriteToken']})}"
        raise StorageError("the copy came to no end", bucket=self.bucket, key=target)

    async def _call(self, key: str | None, operation: Callable[[], Awaitable[_T]]) -> _T:
        await self._fresh_token()
        return await super()._call(key, operation)

    async def _fresh_token(self) -> str | None:
        if self._keys is not None:
            async with self._lock:
                token = await self._keys.token()
                if token != self._token:
                    self._token = token
                    options = self._access.options(token)
                    fresh = Engine("gcs", options, bucket=self.bucket, limits=self._transfer)
                    self._operator = fresh._operator
        return self._token

    async def _send(
        self,
        method: str,
        url: str,
        key: str | None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        more: bool = False,
    ) -> Answer:
        token = await self._fresh_token()
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        return await self._rest.send(
            method,
            url,
            headers={**bearer, **(headers or {})},
            key=key,
            body=[body] if body else (),
            also=(308,) if more else (),
        )

    def _url(self, path: str) -> str:
        return f"{self._base}/o/{quote(path, safe='')}"

    def _json(self, answer: Answer) -> dict[str, Any]:
        try:
            told: dict[str, Any] = json.loads(answer.body)
        except ValueError:
            raise StorageError("the store sent no JSON", bucket=self.bucket) from None
        return told

    def _listed(self, item: Mapping[str, str]) -> Stat:
        return Stat(
            item["name"],
            size=int(item.get("size", 0)),
            modified_at=_time(item.get("updated")),
            etag=item.get("generation"),
            created_at=_time(item.get("timeCreated")),
        )

    def _refusal(self, answer: Answer, key: str | None) -> NeuroError:
        kind = _BY_STATUS.get(answer.status)
        if kind is BlobNotFound:
            return kind("no such blob", bucket=self.bucket, key=key)
        if kind is None:
            kind = StorageUnavailable if answer.status >= 500 else StorageError
        return kind(f"the store said: status {answer.status}", bucket=self.bucket, key=key)


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
