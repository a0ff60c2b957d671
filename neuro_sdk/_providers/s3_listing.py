"""The engine of S3: listings a page ahead, and parts of large blobs, by requests of our own.

OpenDAL's binding reads a page when the last one is used up, and hands each entry from one loop to
another; its blocking listing holds the interpreter's lock while it waits.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from operator import itemgetter
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

from .._aio import read_ahead
from .._core.config import TransferConfig
from .._core.models import BlobObject
from .._core.versions import quoted
from ..errors import StorageError
from ..protocols import Reading
from .opendal import Engine, Stat
from .ranges import Ranges
from .s3 import S3Requests, parse, tag

__all__ = ["S3Engine", "read", "scanned"]

# The next page is asked for before this one is parsed. Keys are escaped, so no key looks so.
_NEXT = re.compile(rb"<(?:\w+:)?NextContinuationToken>([^<]+)<")
_MORE = re.compile(rb"<(?:\w+:)?IsTruncated>\s*true\s*<")


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
        assert self.limit is not None
        self._ranges = Ranges(requests.base, requests.get, name=bucket, limit=self.limit)

    def reading(self, known: BlobObject, offset: int, length: int) -> Reading | None:
        if known.etag is None or not self._ranges.usable:
            return None
        return self._ranges.begin(known.key, known.etag, known.size, offset, length)

    async def close(self) -> None:
        """Close the connections."""
        self._ranges.close()
        await self._requests.close()

    async def pages(
        self, prefix: str, *, recursive: bool, most: int | None = None
    ) -> AsyncGenerator[Sequence[Stat], None]:
        query = {"list-type": "2", "prefix": prefix}
        if not recursive:
            query["delimiter"] = "/"
        if most is not None:
            query["max-keys"] = str(most)
        async with aclosing(read_ahead(self._answers(query), most is None)) as answers:
            async for (answer,) in answers:
                for entries in self._entries(answer, prefix, sort=not recursive):
                    yield entries

    async def _answers(self, query: dict[str, str]) -> AsyncGenerator[Sequence[bytes], None]:
        while True:
            told = urlencode(query, quote_via=quote, safe="")
            answer = (await self._requests.send("GET", None, told, about=query["prefix"])).body
            yield [answer]
            if _MORE.search(answer) is None:
                return
            following = _NEXT.search(answer)
            token = "" if following is None else _plain(following[1].decode())
            if token in ("", query.get("continuation-token")):
                raise StorageError("the listing has no end", bucket=self.bucket)
            query["continuation-token"] = token

    def _entries(self, answer: bytes, prefix: str, *, sort: bool) -> Iterator[Sequence[Stat]]:
        rows = None if sort else scanned(answer)
        if rows is not None:
            for start in range(0, len(rows), _PAGE):
                yield [_stat(*row) for row in rows[start : start + _PAGE]]
            return
        root = parse(answer)
        if tag(root) != "ListBucketResult":
            raise StorageError("the store sent no listing", bucket=self.bucket, key=prefix or None)
        entries = sorted(read(root), key=lambda entry: entry.path.encode())
        if entries:
            yield entries


# What lives at once is kept small, and is nothing but the result: a tree of elements has ten
# objects for each entry, and Python's collector looks at all it knows after so many.
_PAGE = 250

_FIELDS = ("Key", "Size", "LastModified", "ETag")


def scanned(answer: bytes) -> Sequence[Sequence[str]] | None:
    """The escaped fields of all blobs, where an answer lists blobs alone, and all in one form."""
    try:
        text = answer.decode()
    except UnicodeDecodeError:
        return None
    start, end = text.find("<Contents>"), text.find("</Contents>")
    if "<ListBucketResult" not in text[:start] or "<!" in text or "<CommonPrefixes" in text:
        return None
    count = text.count("<Contents>")
    if any(text.count(f"<{name}>") != count for name in _FIELDS):
        return None
    form = sorted(_FIELDS, key=lambda name: text.find(f"<{name}>", start, end))
    pattern = re.compile(".*?".join(f"<{name}>([^<]*)</{name}>" for name in form), re.DOTALL)
    rows = pattern.findall(text)
    return [*map(itemgetter(*map(form.index, _FIELDS)), rows)] if len(rows) == count else None


def _stat(key: str, size: str, time: str, etag: str) -> Stat:
    tag = etag.replace("&#34;", '"').replace("&quot;", '"')
    return Stat(_plain(key), int(size or 0), _time(time), quoted(_plain(tag)))


def read(root: ElementTree.Element) -> list[Stat]:
    """The entries of any answer."""
    space = root.tag.removesuffix("ListBucketResult")
    found = []
    for blob in root.iterfind(f"{space}Contents"):
        key, size, time, etag = (blob.findtext(f"{space}{name}", "") for name in _FIELDS)
        found.append(Stat(key, int(size or 0), _time(time), quoted(etag)))
    for common in root.iterfind(f"{space}CommonPrefixes"):
        found.append(Stat(common.findtext(f"{space}Prefix", "")))
    return found


def _plain(text: str) -> str:
    if "&" not in text:
        return text
    return ElementTree.fromstring(f"<a>{text}</a>").text or ""  # noqa: S314 - see parse


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
