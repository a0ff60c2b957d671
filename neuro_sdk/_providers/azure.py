"""Azure Blob Storage: bytes by OpenDAL, and what its binding cannot ask by requests of our own.

Those are looks and listings, for the time a blob was made and for keys as they are, and copies
that are whole or not there. They carry a shared access signature, the given one or one that is
made of the account's key.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, unquote, urlencode
from xml.etree import ElementTree

from .._aio import read_ahead
from .._core import azure
from .._core.config import TransferConfig
from .._core.keys import KeyRules
from .._core.models import Bucket
from .._core.pages import Columns
from .._core.versions import quoted
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
from .opendal import Engine
from .rest import Answer, Rest
from .stat import Stat

__all__ = ["AZURE_RULES", "AzureAccess", "AzureEngine", "azure_access"]

_CONTROL = "".join(map(chr, [*range(32), *range(127, 160)]))
# The service takes a backslash for a slash and cuts dots off the ends of segments.
AZURE_RULES = KeyRules(
    forbidden=_CONTROL + "\\\ue000\ufffe\uffff", forbidden_last=".", max_segments=254
)

_CODES: Mapping[str, type[NeuroError]] = {
    "AuthenticationFailed": AuthenticationError,
    "AuthorizationFailure": AuthorizationError,
    "AuthorizationPermissionMismatch": AuthorizationError,
    "BlobNotFound": BlobNotFound,
    "ContainerBeingDeleted": BucketNotFound,
    "ContainerNotFound": BucketNotFound,
    "InsufficientAccountPermissions": AuthorizationError,
    "InvalidAuthenticationInfo": AuthenticationError,
    "ResourceNotFound": BlobNotFound,
    "ServerBusy": StorageUnavailable,
}
_BY_STATUS: Mapping[int, type[NeuroError]] = {
    401: AuthenticationError,
    403: AuthorizationError,
    404: BlobNotFound,
}
_LIFE = timedelta(hours=1)
_LONGEST_COPY = 256 << 20  # that the service makes within one request


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureAccess:
    """Where a container is and what opens it: the key of its account, or a signature."""

    container: str
    endpoint: str
    account: str
    key: str | None = field(default=None, repr=False)
    sas: str | None = field(default=None, repr=False)

    @property
    def https(self) -> bool:
        """True where no other protocol is to be used."""
        return self.endpoint.startswith("https:")

    @property
    def options(self) -> dict[str, str]:
        """The options of the engine."""
        options = {"endpoint": self.endpoint, "container": self.container}
        if self.sas is not None:
            return {**options, "sas_token": self.sas}
        return {**options, "account_name": self.account, "account_key": self.key or ""}

    def signature(self, now: datetime) -> str:
        """A query that opens the container for an hour at least, or as long as it is given."""
        if self.sas is not None:
            return self.sas
        return azure.container_sas(
            self.account,
            self.key or "",
            self.container,
            permissions=azure.READ_WRITE,
            until=now + 2 * _LIFE,
            https=self.https,
        )


def azure_access(bucket: Bucket, raw: Mapping[str, str]) -> AzureAccess:
    """Where the container is and what opens it; ConfigError names a field that is not right."""
    base = endpoint(
        required(raw, "storage_endpoint", bucket), "storage_endpoint", bucket, may_have_path=True
    )
    account = raw.get("account_name") or azure.account_of(base)
    sas = (raw.get("sas_token") or "").removeprefix("?")
    key = raw.get("credential")
    if not sas and not azure.is_account_key(key or ""):
        raise ConfigError(
            "the credentials need the field 'sas_token', or 'credential' with a key of the "
            "account in base64",
            bucket=bucket.name or bucket.id,
        )
    if account is None:
        raise ConfigError(
            f"the field 'storage_endpoint' {base!r} does not tell the account; "
            "add the field 'account_name' to the credentials",
            bucket=bucket.name or bucket.id,
        )
    return AzureAccess(
        container=required(raw, "bucket_name", bucket),
        endpoint=base,
        account=account,
        key=None if sas else key,
        sas=sas or None,
    )


class AzureEngine(Engine):
    """The engine of one container."""

    def __init__(self, access: AzureAccess, *, bucket: str, transfer: TransferConfig) -> None:
        super().__init__("azblob", access.options, bucket=bucket, limits=transfer)
        self._access = access
        self._transfer = transfer
        self._rest = Rest(name=bucket, transfer=transfer, error=self._refusal)
        self._base = f"{access.endpoint}/{quote(access.container, safe='')}"
        self._sas = ""
        self._sas_until = datetime.min.replace(tzinfo=UTC)

    async def close(self) -> None:
        """Close the connections."""
        await self._rest.close()

    async def stat(self, path: str, key: str) -> Stat:
        answer = await self._rest.send("HEAD", self._url(path), headers=_HEADERS, key=key)
        told = answer.headers
        return Stat(
            path,
            size=int(told.get("Content-Length", 0)),
            modified_at=_time(told.get("Last-Modified")),
            etag=quoted(told.get("ETag")),
            created_at=_time(told.get("x-ms-creation-time")),
        )

    async def pages(
        self,
        prefix: str,
        *,
        recursive: bool,
        most: int | None = None,
        likely: Likely | None = None,
    ) -> AsyncGenerator[Columns, None]:
        del likely  # a listing of Azure begins at its beginning
        held: list[Stat] = []
        listing = read_ahead(self._pages(prefix, recursive, most), most is None)
        async with aclosing(listing) as pages:
            async for entries in pages:
                ready: list[Stat] = []
                for entry in entries:
                    if held and (_head(entry) != _head(held[0]) or len(held) == _MOST_HELD):
                        ready += sorted(held, key=_by_utf8)
                        held = []
                    (held if _HIGH.search(entry.path) else ready).append(entry)
                if ready:
                    yield Columns.of(ready)
        if held:
            held.sort(key=_by_utf8)
            yield Columns.of(held)

    async def _pages(
        self, prefix: str, recursive: bool, most: int | None
    ) -> AsyncGenerator[Sequence[Stat], None]:
        query = {"restype": "container", "comp": "list", "prefix": prefix}
        if not recursive:
            query["delimiter"] = "/"
        if most is not None:
            query["maxresults"] = str(most)
        while True:
            url = f"{self._base}?{urlencode(query, quote_via=quote)}&{self._signature()}"
            answer = await self._rest.send("GET", url, headers=_HEADERS, key=prefix or None)
            entries, marker = self._page(answer.body)
            yield entries
            if not marker:
                return
            query["marker"] = marker

    async def read(self, path: str, key: str, **options: Any) -> bytes:
        try:
            return await super().read(path, key, **options)
        except BlobChanged:
            await self.stat(path, key)  # a blob that is gone is another version to some servers
            raise

    async def copy(self, source: str, target: str, key: str) -> None:
        size = (await self.stat(source, key)).size
        if size > _LONGEST_COPY:
            # What the service copies by itself for longer is there, unfinished, meanwhile.
            await self._copy_through(source, target, key)
            return
        headers = {
            **_HEADERS,
            "x-ms-copy-source": self._url(source),
            "x-ms-requires-sync": "true",
        }
        answer = await self._rest.send("PUT", self._url(target), headers=headers, key=key)
        status = answer.headers.get("x-ms-copy-status", "success")
        if status != "success":
            raise StorageError(f"the store left a copy {status}", bucket=self.bucket, key=target)

    async def _copy_through(self, source: str, target: str, key: str) -> None:
        known = await self.stat(source, key)
        part, window = self._transfer.part_size, self._transfer.window
        pieces = self.stream(
            source,
            key,
            offset=0,
            size=known.size,
            chunk=part,
            concurrent=window,
            if_match=known.etag,
        )
        await self.write_stream(target, pieces, key, chunk=part, concurrent=window)

    def _url(self, path: str) -> str:
        return f"{self._base}/{azure.url_path(path)}?{self._signature()}"

    def _signature(self) -> str:
        now = datetime.now(UTC)
        if now + _LIFE > self._sas_until:
            self._sas, self._sas_until = self._access.signature(now), now + 2 * _LIFE
        return self._sas

    def _page(self, body: bytes) -> tuple[Sequence[Stat], str]:
        try:
            root = ElementTree.fromstring(body)  # noqa: S314 - from the store the user chose
        except ElementTree.ParseError:
            raise StorageError("the store sent no listing", bucket=self.bucket) from None
        blobs = root.find("Blobs")
        entries = [] if blobs is None else [_listed(element) for element in blobs]
        return entries, root.findtext("NextMarker") or ""

    def _refusal(self, answer: Answer, key: str | None) -> NeuroError:
        code = answer.headers.get("x-ms-error-code", "")
        kind = _CODES.get(code) or _BY_STATUS.get(answer.status)
        if kind is BucketNotFound:
            return kind("the bucket is not there at its provider", bucket=self.bucket)
        if kind is BlobNotFound:
            return kind("no such blob", bucket=self.bucket, key=key)
        if kind is None:
            kind = StorageUnavailable if answer.status >= 500 else StorageError
        said = code or f"status {answer.status}"
        return kind(f"the store said: {said}", bucket=self.bucket, key=key)


_HEADERS = {"x-ms-version": azure.API_VERSION}

# The service may sort by UTF-16, where what is beyond the basic plane comes before the end of it.
# So what has the same text before its first such character comes in one run, to be sorted anew.
_HIGH = re.compile("[\ue000-\U0010ffff]")
_MOST_HELD = 10_000


def _head(entry: Stat) -> str:
    return _HIGH.split(entry.path, maxsplit=1)[0]


def _by_utf8(entry: Stat) -> bytes:
    return entry.path.encode()


def _listed(element: ElementTree.Element) -> Stat:
    name = element.find("Name")
    path = "" if name is None else name.text or ""
    if name is not None and name.get("Encoded") == "true":  # what XML cannot hold
        path = unquote(path)
    told = element.find("Properties")
    if element.tag == "BlobPrefix" or told is None:
        return Stat(path)
    return Stat(
        path,
        size=int(told.findtext("Content-Length") or 0),
        modified_at=_time(told.findtext("Last-Modified")),
        etag=quoted(told.findtext("Etag")),
        created_at=_time(told.findtext("Creation-Time")),
    )


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    moment = parsedate_to_datetime(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
