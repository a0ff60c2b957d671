"""The engine of S3: listings, many keys, small blobs and parts of large ones by our own requests.

OpenDAL's binding reads a page when the last one is used up, and hands each entry from one loop to
another; its blocking listing holds the interpreter's lock while it waits.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import quote, urlencode

from yarl import URL

from .._aio import read_ahead
from .._core.config import TransferConfig
from .._core.models import BlobObject
from .._core.pages import Columns
from .._core.parts import SMALL
from .._proxies import find_proxy
from ..errors import BlobNotFound, StorageError
from ..protocols import Likely, Reading
from .opendal import SOON, Engine, check_process
from .pool import ConnectionPool, Response
from .ranges import Ranges
from .s3 import CHECKSUM, S3Requests, crc32c
from .s3_listing import answers
from .s3_pages import entries
from .s3_verbs import not_removed, removal
from .stat import Stat, described

__all__ = ["S3Engine"]


class S3Engine(Engine):
    """The engine of a bucket at an S3 store."""

    def __init__(
        self,
        options: Mapping[str, str],
        requests: S3Requests,
        *,
        bucket: str,
        transfer: TransferConfig,
    ) -> None:
        super().__init__("s3", options, bucket=bucket, limits=transfer)
        self._requests = requests
        self._patience = transfer.timeout
        assert self.limit is not None
        # Whoever has to go through a proxy is left to OpenDAL, which knows how.
        self._straight = find_proxy(URL(requests.base).origin()) is None
        self._ranges = Ranges(requests.base, requests.sign, name=bucket, limit=self.limit)
        self._pool = ConnectionPool(requests.base, transfer.concurrency)

    async def stat(self, path: str, key: str) -> Stat:
        response = await self._ask("HEAD", path, {})
        if response is not None and response.status == 404:
            raise BlobNotFound("no such blob", bucket=self.bucket, key=key)
        found = None if response is None or response.status != 200 else _looked_at(path, response)
        return found or await super().stat(path, key)

    async def delete(self, path: str, key: str) -> None:
        response = await self._ask("DELETE", path, {})
        if response is None or response.status not in (200, 204):
            await super().delete(path, key)

    async def write(self, path: str, body: bytes, key: str, **options: Any) -> None:
        if not options and len(body) <= SMALL:
            told = {CHECKSUM: crc32c([body])} if body else {}
            response = await self._ask("PUT", path, told, body)
            if response is not None and response.status == 200:
                return
        await super().write(path, body, key, **options)

    async def read_known(self, known: BlobObject, offset: int, length: int) -> bytes:
        if known.etag is not None and 0 < length <= SMALL:
            last = offset + length - 1
            part = {} if length == known.size else {"Range": f"bytes={offset}-{last}"}
            response = await self._ask("GET", known.key, {"If-Match": known.etag, **part})
            if response is not None and response.body is not None:
                span = f"bytes {offset}-{last}/{known.size}".encode() if part else None
                told = response.headers.get(b"content-range")
                if (response.status, told) == (206 if part else 200, span) and len(
                    response.body
                ) == length:
                    return response.body
        return await super().read_known(known, offset, length)

    async def read_small(self, path: str, key: str, most: int) -> bytes | None:
        response = await self._ask("GET", path, {}, most=most)
        if response is None:
            return await super().read_small(path, key, most)
        if response.status == 200:
            return response.body
        if response.status == 404 and b"NoSuchKey" in (response.body or b""):
            raise BlobNotFound("no such blob", bucket=self.bucket, key=key)
        # Whoever asks the long way is told better.
        raise StorageError(f"status {response.status}", bucket=self.bucket, key=key)

    async def _ask(
        self,
        method: str,
        path: str | None,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        query: str = "",
        most: int = SMALL,
        seconds: float | None = None,
    ) -> Response | None:
        """The answer to one attempt; None if there is none, for whatever reason."""
        if not (self._straight and self.is_quick):
            return None
        check_process()
        target, signed = self._requests.sign(method, path, headers, query)
        try:
            return await self._pool.request(
                method, target, signed, body, most=most, seconds=seconds or SOON
            )
        except TimeoutError:
            self.note_slow()
        except (OSError, ValueError):
            pass
        return None

    def reading(self, known: BlobObject, offset: int, length: int) -> Reading | None:
        if known.etag is None or not self._straight:
            return None
        return self._ranges.begin(known.key, known.etag, known.size, offset, length)

    def beginning(self, key: str, told: Callable[[Stat], None]) -> Reading | None:
        if not self._straight:
            return None
        return self._ranges.begin_unknown(key, told)

    async def close(self) -> None:
        """Close the connections."""
        self._ranges.close()
        await self._pool.close()
        await self._requests.close()

    async def pages(
        self,
        prefix: str,
        *,
        recursive: bool,
        most: int | None = None,
        likely: Likely | None = None,
    ) -> AsyncGenerator[Columns, None]:
        query = {"list-type": "2", "prefix": prefix}
        if not recursive:
            query["delimiter"] = "/"
        if most is not None:
            query["max-keys"] = str(most)
        coming = answers(self._listed, query, bucket=self.bucket, likely=likely)
        async with aclosing(read_ahead(coming, most is None)) as pages:
            async for (answer,) in pages:
                for page in self._read(answer, prefix, sort=not recursive):
                    yield page

    async def _listed(self, query: Mapping[str, str]) -> bytes:
        told = urlencode(query, quote_via=quote, safe="")
        return await self._told("ListBucketResult", "GET", told, about=query["prefix"])

    async def delete_many(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        """Remove up to 1,000 keys with one request; the answer holds what failed."""
        headers, body = removal(keys)
        # What a store does one after another takes its time where it is no slow one either.
        answer = await self._told(
            "DeleteResult", "POST", "delete=", headers, body, seconds=self._patience
        )
        return {
            key: self._requests.error(code, message, key)
            for key, code, message in not_removed(answer)
        }

    async def _told(
        self,
        what: str,
        method: str,
        query: str,
        headers: Mapping[str, str] = {},
        body: bytes = b"",
        *,
        about: str | None = None,
        seconds: float | None = None,
    ) -> bytes:
        """The document *what* that answers a request to the bucket, which may be sent twice."""
        response = await self._ask(
            method, None, headers, body, query=query, most=_ANSWER, seconds=seconds
        )
        answer = None if response is None or response.status != 200 else response.body
        if answer is not None and f"<{what}".encode() in answer[:1024]:
            return answer
        # Whoever asks the long way asks more than once, and is told better.
        pieces = [body] if body else []
        sent = await self._requests.send(method, None, query, pieces, headers=headers, about=about)
        return sent.body

    def _read(self, answer: bytes, prefix: str, *, sort: bool) -> Iterator[Columns]:
        try:
            yield from entries(answer, sort=sort)
        except ValueError:
            raise StorageError(
                "the store sent no listing", bucket=self.bucket, key=prefix or None
            ) from None


_ANSWER = 8 << 20  # a thousand of the longest keys, escaped


def _looked_at(path: str, response: Response) -> Stat | None:
    """What a HEAD tells, if that is all."""
    names = (b"content-length", b"last-modified", b"etag")
    size, changed, etag = (response.headers.get(name, b"").decode("latin-1") for name in names)
    return described(path, int(size), changed, etag) if size.isdecimal() else None
