"""Single blobs onto the local disk, whole or not at all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path
from typing import Any

from .._aio import dropped, in_order
from .._core.config import TransferConfig
from .._core.keys import check_key
from .._core.models import BlobObject
from .._core.plan import Action, plan_download
from .._core.uri import file_url
from ..errors import BlobIsADirectory, LocalDiskFull, LocalIsADirectory, StorageError
from ..progress import AbstractFileProgress
from ..protocols import Provider
from .bounds import Bounds
from .buffers import Buffers
from .disk import Disk, Existing, Growing, Partial, make_folders, stat_many
from .events import FileEvents
from .verify import Held, verify_download

__all__ = ["Fetch", "download_file"]

_OVERLAP = 64 << 10  # read again before appending, to see that both are the same blob


async def download_file(
    disk: Disk,
    provider: Provider,
    key: str,
    target: Path,
    *,
    config: TransferConfig,
    update: bool,
    continue_: bool,
    verify: bool,
    progress: AbstractFileProgress | None,
) -> None:
    """Bring one blob to *target*; see Buckets.download_file."""
    name = provider.bucket.name or provider.bucket.id
    if key == "" or key.endswith("/"):
        raise BlobIsADirectory("the source is a directory; use download_dir", bucket=name, key=key)
    check_key(key, provider.rules, bucket=name)
    if await disk.run(target, os.path.isdir, target):
        raise LocalIsADirectory(
            f"the destination is a folder; end it with a file name: {str(target)!r}"
        )
    fetch = Fetch(disk, provider, Bounds(config), continue_)
    try:
        # Whoever looks first may want none of it.
        blob = await (provider.head(key) if update or continue_ else fetch.begin(key))
        await disk.run(target.parent, make_folders, target.parent)
        (known,) = await disk.run(target, stat_many, [str(target)])
        action = plan_download(
            blob, known, update=update, continue_=continue_, grain=provider.grain
        )
        events = None
        if progress is not None:
            events = FileEvents(progress, provider.bucket.blob_url(key), file_url(target))
        if action is Action.SKIP:
            if events is not None:
                events.skip(blob.size)
            return
        await fetch.file(blob, str(target), action, Held.back(events) if verify else events)
    finally:
        await fetch.close()
    if verify:
        await verify_download(disk, provider, blob, str(target))
        if events is not None:
            events.complete()


class Fetch:
    """Brings single blobs to the disk, whole or not at all."""

    def __init__(self, disk: Disk, provider: Provider, bounds: Bounds, continue_: bool) -> None:
        self._disk = disk
        self._provider = provider
        self._bounds = bounds
        self._continue = continue_
        self._full = False
        self._beginning: asyncio.Future[memoryview] | None = None

    async def begin(self, key: str) -> BlobObject:
        """What a blob is that nobody has looked at; its first part may be on its way then."""
        direct, size = self._provider.direct, self._bounds.part_size
        loop = asyncio.get_running_loop()
        known: asyncio.Future[BlobObject] = loop.create_future()

        def told(blob: BlobObject) -> None:
            loop.call_soon_threadsafe(known.set_result, blob)

        reading = None
        if direct is not None and not self._bounds.has_pace:
            reading = direct.begin(key, told)
        if reading is not None:
            self._beginning = asyncio.ensure_future(self._disk.read(reading, size, Buffers(size)))
            coming: list[asyncio.Future[Any]] = [known, self._beginning]
            await asyncio.wait(coming, return_when=asyncio.FIRST_COMPLETED)
            if known.done():
                return known.result()
            await self.close()
        return await self._provider.head(key)

    async def close(self) -> None:
        """Nobody wants what was begun any more."""
        beginning, self._beginning = self._beginning, None
        if beginning is not None:
            await dropped(beginning)

    async def file(
        self, blob: BlobObject, target: str, action: Action, events: FileEvents | None
    ) -> None:
        """Bring *blob* to *target*; BlobChanged if it is replaced meanwhile."""
        if events is not None:
            events.start(blob.size)
        if action is Action.APPEND and await self._append(blob, target, events):
            pass
        elif blob.size <= self._bounds.part_size:
            await self._small(blob, target)
            if events is not None and blob.size:
                events.step(blob.size)
        else:
            await self._large(blob, target, events)
        if events is not None:
            events.complete()

    async def _small(self, blob: BlobObject, target: str) -> None:
        body = await self._part(blob, 0, blob.size) if blob.size else b""
        await self._disk.run(target, Partial.write_whole, target, body)

    async def _large(self, blob: BlobObject, target: str, events: FileEvents | None) -> None:
        version = None if blob.etag is None else f"{blob.bucket.id}\n{blob.key}\n{blob.etag}"
        open_partial = partial(Partial, target, version=version, resume=self._continue)
        file = await self._disk.run(target, open_partial)
        try:
            if not await self._fill(blob, file, events):
                await self._disk.run(target, file.restart)
                await self._fill(blob, file, events)
            await self._disk.run(target, file.publish)
        except BaseException as error:
            self._full = self._full or isinstance(error, LocalDiskFull)
            # On a full disk nobody wants what the others were cut short in either.
            await self._disk.run(target, file.abandon if self._full else partial(file.fail, error))
            raise

    async def _append(self, blob: BlobObject, target: str, events: FileEvents | None) -> bool:
        file = await self._disk.run(target, Existing.open, target)
        if file is None:
            return False
        try:
            return await self._fill(blob, file, events)
        finally:
            await self._disk.run(target, file.abandon)

    async def _fill(self, blob: BlobObject, file: Growing, events: FileEvents | None) -> bool:
        """Fetch from the end of *file* on; False, with nothing written, if it is no prefix."""
        if file.position > blob.size:
            return False
        overlap = min(_OVERLAP, file.position)
        expected = await self._disk.run(file.target, file.tail, overlap)
        buffers = Buffers(self._bounds.part_size)
        calls = self._parts(blob, file.position - overlap, buffers)
        async with aclosing(in_order(self._bounds.window, calls)) as bodies:
            async for body in bodies:
                if expected:
                    if body[:overlap] != expected:
                        return False
                    expected, body = b"", body[overlap:]
                if body:
                    await self._disk.run(file.target, file.write, body)
                    if events is not None:
                        events.step(file.position)
                buffers.give(body)
        return True

    def _parts(
        self, blob: BlobObject, start: int, buffers: Buffers
    ) -> Iterator[Callable[[], Coroutine[None, None, bytes | memoryview]]]:
        size = self._bounds.part_size
        for offset in range(start, blob.size, size):
            yield partial(self._part, blob, offset, min(size, blob.size - offset), buffers)

    async def _part(
        self, blob: BlobObject, offset: int, length: int, buffers: Buffers | None = None
    ) -> bytes | memoryview:
        """The bytes, or a view of one of the *buffers*, to be given back after use."""
        if offset == 0 and self._beginning is not None:
            beginning, self._beginning = self._beginning, None
            with suppress(StorageError):
                return (await beginning)[:length]
        await self._bounds.pace(length)
        direct = None if buffers is None else self._provider.direct
        reading = None if direct is None else direct.read(blob, offset, length)
        if buffers is not None and reading is not None:
            with suppress(StorageError):  # asked again below, for what is to be said
                return await self._disk.read(reading, length, buffers)
        fetch = self._provider.fetch(blob.key, offset, length, known=blob)
        pieces = [piece async for piece in fetch]
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if len(body) != length:
            raise StorageError(
                f"the store sent {len(body)} bytes where {length} were asked for",
                bucket=blob.bucket.name or blob.bucket.id,
                key=blob.key,
            )
        return body
