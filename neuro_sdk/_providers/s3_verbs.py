"""What S3 does by a protocol of its own: uploads in parts, and many keys removed at once."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from .._core.parts import PartLimits
from .s3 import CHECKSUM, S3Requests, crc32c, parse, tag, texts

__all__ = ["S3Multipart", "not_removed", "removal"]

_LIMITS = PartLimits(least=5 << 20, most=5 << 30, count=10_000)


class S3Multipart:
    """The ``Multipart`` of a bucket at an S3 store.

    Each part carries its CRC32C, which stores verify before they take it. A tag is the ETag of
    the part, a space, and the checksum.
    """

    limits = _LIMITS

    def __init__(self, requests: S3Requests) -> None:
        self._requests = requests

    async def begin(self, key: str) -> str:
        headers = {"x-amz-checksum-algorithm": "CRC32C"}
        answer = await self._requests.send("POST", key, "uploads=", headers=headers)
        upload = texts(parse(answer.body)).get("UploadId")
        if not upload:
            raise self._requests.error("InvalidAnswer", "no upload was begun", key)
        return upload

    async def put_part(self, key: str, upload: str, number: int, body: Sequence[bytes]) -> str:
        checksum = crc32c(body)
        answer = await self._requests.send(
            "PUT",
            key,
            f"partNumber={number}&uploadId={quote(upload, safe='')}",
            body,
            headers={CHECKSUM: checksum},
        )
        etag = answer.headers.get("ETag")
        if not etag:
            raise self._requests.error("InvalidAnswer", f"part {number} has no ETag", key)
        return f"{etag} {checksum}"

    def holds(self, tag: str, body: Sequence[bytes]) -> bool:
        return tag.partition(" ")[2] == crc32c(body)

    async def present(self, key: str, upload: str, tags: Mapping[int, str]) -> Mapping[int, str]:
        there: dict[int, str] = {}
        after, more = "0", True
        while more:
            query = f"part-number-marker={after}&uploadId={quote(upload, safe='')}"
            root = parse((await self._requests.send("GET", key, query)).body)
            for element in root:
                if tag(element) == "Part":
                    told = texts(element)
                    there[int(told["PartNumber"])] = told.get("ETag", "").strip('"')
            told = texts(root)
            more = told.get("IsTruncated") == "true"
            if more and told.get("NextPartNumberMarker", after) == after:
                raise self._requests.error("InvalidAnswer", "the list of parts has no end", key)
            after = told.get("NextPartNumberMarker", after)
        return {number: both for number, both in tags.items() if there.get(number) == _etag(both)}

    async def finish(self, key: str, upload: str, tags: Mapping[int, str]) -> None:
        root = ElementTree.Element("CompleteMultipartUpload")
        for number, both in sorted(tags.items()):
            etag, _, checksum = both.partition(" ")
            part = ElementTree.SubElement(root, "Part")
            ElementTree.SubElement(part, "PartNumber").text = str(number)
            ElementTree.SubElement(part, "ETag").text = etag
            ElementTree.SubElement(part, "ChecksumCRC32C").text = checksum
        query = f"uploadId={quote(upload, safe='')}"
        body: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
        answer = await self._requests.send("POST", key, query, [body], expected=(404,))
        if answer.status == 404 and not (answer.repeated and await self._is_there(key, tags)):
            raise self._requests.error("NoSuchUpload", "the upload is gone", key, 404)

    async def _is_there(self, key: str, tags: Mapping[int, str]) -> bool:
        """Whether an attempt whose answer was lost has made the blob."""
        answer = await self._requests.send("HEAD", key, "", expected=(404,))
        return answer.headers.get("ETag", "").strip('"') == _whole_etag(tags)

    async def abort(self, key: str, upload: str) -> None:
        query = f"uploadId={quote(upload, safe='')}"
        await self._requests.send("DELETE", key, query, expected=(404,))


def removal(keys: Sequence[str]) -> tuple[Mapping[str, str], bytes]:
    """Headers and body of a request to remove up to 1,000 keys."""
    # By hand, for a tree of elements takes ten times as long.
    objects = "".join([f"<Object><Key>{escape(key)}</Key></Object>" for key in keys])
    body = f"<Delete><Quiet>true</Quiet>{objects}</Delete>".encode()
    digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    return {"Content-MD5": digest}, body


def not_removed(answer: bytes) -> Iterator[tuple[str, str, str]]:
    """Key, code and message of what failed."""
    for element in parse(answer).iter():
        if tag(element) == "Error":
            told = texts(element)
            if told.get("Code") != "NoSuchKey":
                yield told.get("Key", ""), told.get("Code", ""), told.get("Message", "")


def _etag(both: str) -> str:
    return both.partition(" ")[0].strip('"')


def _whole_etag(tags: Mapping[int, str]) -> str | None:
    """The ETag that S3 gives a blob of these parts; None where parts have no MD5 as theirs."""
    digests = b""
    for _, both in sorted(tags.items()):
        try:
            digests += bytes.fromhex(_etag(both))
        except ValueError:
            return None
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(tags)}"
