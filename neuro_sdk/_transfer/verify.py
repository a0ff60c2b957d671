"""What was stored is read again and compared, by a hash of its content."""

from __future__ import annotations

import hashlib
from contextlib import aclosing
from typing import Any

from .._core.models import BlobObject
from .._core.plan import Side
from .._core.versions import content_tag
from ..errors import LocalFileChanged, VerificationFailed
from ..protocols import Provider
from .disk import Disk, Source
from .events import FileEvents

__all__ = ["Held", "verify_download", "verify_upload"]

_PIECE = 8 << 20


class Held(FileEvents):
    """Events of a file that is not complete before it was verified."""

    def __init__(self, events: FileEvents) -> None:
        self._events = events

    @classmethod
    def back(cls, events: FileEvents | None) -> Held | None:
        """Events for the transfer, where anybody listens; ``complete`` is told by the caller."""
        return None if events is None else cls(events)

    def start(self, size: int) -> None:
        self._events.start(size)

    def step(self, current: int) -> None:
        self._events.step(current)

    def complete(self) -> None:
        pass


async def verify_upload(
    disk: Disk, provider: Provider, path: str, sent: Side | None, key: str
) -> None:
    """Raise VerificationFailed unless the blob *key* is the file *path*.

    LocalFileChanged if the file is not what it was when it was *sent*.
    """
    side, here = await _file_digest(disk, path, hashlib.sha256())
    if side != sent:
        raise LocalFileChanged(f"the file changed before it could be verified: {path!r}")
    blob = await provider.head(key)
    if blob.size != side.size or here != await _blob_digest(disk, provider, blob):
        raise VerificationFailed(
            f"the blob is not the file {path!r}; upload it again",
            bucket=provider.bucket.name or provider.bucket.id,
            key=key,
        )


async def verify_download(disk: Disk, provider: Provider, blob: BlobObject, path: str) -> None:
    """Raise VerificationFailed unless the file *path* is *blob*.

    Where the tag of the blob is the MD5 of its content, the file alone is read again.
    """
    tag = content_tag(blob.etag)
    if tag is not None:
        side, here = await _file_digest(disk, path, hashlib.md5(usedforsecurity=False))
        if side.size == blob.size and here == tag:
            return
    side, here = await _file_digest(disk, path, hashlib.sha256())
    if side.size != blob.size or here != await _blob_digest(disk, provider, blob):
        raise VerificationFailed(
            f"the file {path!r} is not the blob; remove the file and download it again",
            bucket=provider.bucket.name or provider.bucket.id,
            key=blob.key,
        )


async def _file_digest(disk: Disk, path: str, digest: Any) -> tuple[Side, str]:
    source = await disk.run(path, Source, path)
    try:
        for offset in range(0, source.size, _PIECE):
            length = min(_PIECE, source.size - offset)
            await disk.run(path, _take_in, source, digest, offset, length)
        await disk.run(path, source.check_unchanged)
    finally:
        source.abandon()
    return source.side, digest.hexdigest()


def _take_in(source: Source, digest: Any, offset: int, length: int) -> None:
    digest.update(source.read_at(offset, length))


async def _blob_digest(disk: Disk, provider: Provider, blob: BlobObject) -> str:
    digest = hashlib.sha256()
    async with aclosing(provider.fetch(blob.key, known=blob)) as pieces:
        async for piece in pieces:
            await disk.run(blob.key, digest.update, piece)
    return digest.hexdigest()
