"""One large file in parts to a store that takes them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from functools import partial

from .._aio import Job, run_bounded
from .._core.parts import Part, file_parts
from .._multipart import Upload, uploading
from ..errors import ConflictError, LocalError
from ..protocols import Multipart
from .bounds import Bounds
from .disk import Disk, Source
from .resume import UploadRecord

__all__ = ["send_parts"]

Acknowledged = Callable[[int], None]


async def send_parts(
    disk: Disk,
    store: Multipart,
    bucket_id: str,
    key: str,
    source: Source,
    *,
    bounds: Bounds,
    acknowledged: Acknowledged,
    resume: bool,
) -> None:
    """Put the file under *key*; *acknowledged* gets the bytes that the store has so far.

    With *resume* a failed upload is not aborted but recorded, and a recorded one of the same
    content is gone on with: only parts that the store does not have are sent.
    """
    sending = _Sending(disk, store, key, source, bounds, acknowledged)
    if not resume:
        await sending.run(None)
        return
    path, content = source.path, source.version
    record = await disk.run(
        path, UploadRecord.open, bucket_id, key, path, content, bounds.part_size
    )
    if record is None:  # another process is at it
        await sending.run(None)
        return
    keep = True
    try:
        await sending.run(record)
        keep = False
    except LocalError:
        keep = False  # the content that was begun is no more
        raise
    finally:
        await disk.run(path, partial(record.close, keep=keep))


class _Sending:
    def __init__(
        self,
        disk: Disk,
        store: Multipart,
        key: str,
        source: Source,
        bounds: Bounds,
        acknowledged: Acknowledged,
    ) -> None:
        self._disk = disk
        self._store = store
        self._key = key
        self._source = source
        self._bounds = bounds
        self._acknowledged = acknowledged
        self._done = 0

    async def run(self, record: UploadRecord | None) -> None:
        resumed = None if record is None else await self._resumed(record)

        def keep(error: BaseException) -> bool:
            return record is not None and not isinstance(error, LocalError)

        async with uploading(self._store, self._key, resumed, keep=keep) as upload:
            if record is not None and resumed is None:
                source, size = self._source, self._bounds.part_size
                begin = partial(record.begin, upload.name, source.version, size)
                await self._disk.run(source.path, begin)
            await run_bounded(self._bounds.window, self._jobs(upload, record))
            await self._disk.run(self._source.path, self._source.check_unchanged)

    async def _resumed(self, record: UploadRecord) -> Upload | None:
        if record.upload is None:
            return None
        try:
            if record.tags:
                tags = await self._store.present(self._key, record.upload, record.tags)
                return Upload(self._store, self._key, record.upload, tags)
            await self._store.abort(self._key, record.upload)
        except ConflictError:
            pass  # the store has forgotten it
        return None

    async def _jobs(self, upload: Upload, record: UploadRecord | None) -> AsyncGenerator[Job, None]:
        source = self._source
        for part in file_parts(source.size, self._bounds.part_size, self._store.limits):
            yield partial(self._send, upload, part, record)

    async def _send(self, upload: Upload, part: Part, record: UploadRecord | None) -> None:
        path = self._source.path
        body = await self._disk.read_part(self._source, part.offset, part.length)
        known = upload.tags.get(part.number)
        if known is None or not self._store.holds(known, [body]):
            await self._bounds.pace(part.length)
            tag = await upload.put(part.number, [body])
            if record is not None:
                await self._disk.run(path, record.add, part.number, tag)
        self._done += part.length
        self._acknowledged(self._done)
