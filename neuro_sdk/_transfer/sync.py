"""One end made like the other, and what may be removed at it.

A synchronisation with deletion first looks for what the destination has alone, and refuses
before anything is touched. Then it transfers. Only when all of that went well it removes.
"""

from __future__ import annotations

import abc
from collections.abc import AsyncGenerator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from .._aio import each, sized
from .._core.config import TransferConfig
from .._core.keys import key_error
from .._core.landing import folded
from .._core.models import BlobObject
from .._core.plan import Action, Side, deletion_problem, plan_sync
from .._core.uri import file_url
from ..errors import (
    DeletionRefused,
    IllegalArgumentError,
    TransferError,
)
from ..progress import (
    AbstractDeleteProgress,
    AbstractRecursiveFileProgress,
    StorageProgressDelete,
)
from ..protocols import Provider
from .disk import Disk
from .download import Download
from .events import call
from .look import Look
from .protected import Protected
from .remove import remove_batch
from .report import Report
from .steps import Filter, Step, Steps, Wanted
from .surplus import plain_children, present, unlink_many
from .upload import Cursor, Upload
from .walk import Kind

__all__ = ["Sync", "SyncDown", "SyncUp"]

_BATCH = 256
_REMOVED = 1000
_SKIPPED = "as large there, and not older"

S = TypeVar("S")


class Sync(abc.ABC, Generic[S]):
    """What both directions share: the order of things, and when to refuse."""

    def __init__(self, bucket: str, key: str) -> None:
        self._bucket = bucket
        self._key = key

    async def run(
        self,
        progress: AbstractRecursiveFileProgress | None,
        *,
        delete: bool,
        max_delete: int | None,
    ) -> None:
        """Transfer, then remove; see Buckets.sync_up and sync_down."""
        self.check_limit(max_delete)
        await self.check()
        if not delete:
            await self.transfer(progress)
            return
        self.refuse(source_empty=await self.is_empty())
        extras: dict[str, Step[S]] = {}
        async with aclosing(self.extras()) as found:
            async for step in found:
                extras[self.name_of(step.path)] = step
                self.refuse(extras=len(extras), max_delete=max_delete)
        await self.mirror(self.steps(), extras, progress)

    async def mirror(
        self,
        steps: Steps[Any],
        extras: dict[str, Step[S]],
        progress: AbstractRecursiveFileProgress | None,
        *,
        exact: bool = False,
    ) -> None:
        """Do the *steps* and, if all went well, remove the *extras*."""
        files = 0

        async def seen() -> Steps[Any]:
            nonlocal files
            async with aclosing(steps):
                async for page in steps:
                    for step in page:
                        # What comes now is no extra, whatever was found before.
                        extras.pop(self.name_of(step.path), None)
                        files += step.is_file
                    yield page

        try:
            await self.transfer(progress, seen(), exact=exact)
        except TransferError as error:
            error.message += "; nothing was removed at the destination"
            raise
        # A source that was there before may have been unmounted or emptied meanwhile.
        self.refuse(source_empty=files == 0)
        await self.remove([*extras.values()], progress)

    def check_limit(self, max_delete: int | None) -> None:
        """Raise IllegalArgumentError unless *max_delete* is a number of files or None."""
        if max_delete is not None and max_delete < 0:
            raise IllegalArgumentError(
                "max_delete must not be negative; None is no limit", bucket=self._bucket
            )

    def refuse(
        self, *, extras: int = 0, max_delete: int | None = None, source_empty: bool = False
    ) -> None:
        """Raise DeletionRefused where that may not be removed."""
        problem = deletion_problem(extras=extras, max_delete=max_delete, source_empty=source_empty)
        if problem is not None:
            raise DeletionRefused(problem, bucket=self._bucket, key=self._key)

    def name_of(self, path: str) -> str:
        """What tells *path* from others at the destination."""
        return path

    async def check(self) -> None:
        """Raise what speaks against the ends themselves, before all else."""

    @abc.abstractmethod
    async def is_empty(self) -> bool:
        """True if the source has no file that is wanted."""

    @abc.abstractmethod
    def extras(self) -> AsyncGenerator[Step[S], None]:
        """What the destination has alone and what is not excluded."""

    @abc.abstractmethod
    def steps(self, *, tell_left_out: bool = False) -> Steps[Any]:
        """What is to be transferred, and with *tell_left_out* what is not."""

    @abc.abstractmethod
    async def transfer(
        self,
        progress: AbstractRecursiveFileProgress | None,
        steps: Steps[Any] | None = None,
        *,
        exact: bool = False,
    ) -> None:
        """Do the *steps*, those of ``steps()`` unless given; with *exact* of what was planned."""

    @abc.abstractmethod
    async def remove(
        self, extras: Sequence[Step[S]], progress: AbstractRecursiveFileProgress | None
    ) -> None:
        """Remove the *extras* that still are; TransferError names what failed."""


class SyncUp(Sync[BlobObject]):
    """The folder *root* mirrored below *prefix*; what is found there alone are its extras."""

    def __init__(
        self,
        disk: Disk,
        provider: Provider,
        root: Path,
        prefix: str,
        *,
        config: TransferConfig,
        verify: bool,
        filter_: Filter | None,
        ignore_file_names: AbstractSet[str],
    ) -> None:
        self.upload = Upload(
            disk,
            provider,
            root,
            prefix,
            config=config,
            choose=plan_sync,
            skipped=_SKIPPED,
            verify=verify,
            filter_=filter_,
            ignore_file_names=ignore_file_names,
        )
        super().__init__(self.upload.name, self.upload.prefix)

    async def check(self) -> None:
        await self.upload.check()

    def steps(self, *, tell_left_out: bool = False) -> Steps[Any]:
        return self.upload.steps(tell_left_out=tell_left_out)

    async def transfer(
        self,
        progress: AbstractRecursiveFileProgress | None,
        steps: Steps[Any] | None = None,
        *,
        exact: bool = False,
    ) -> None:
        steps = steps or self.upload.steps(tell_skipped=progress is not None)
        await self.upload.run(steps, progress, exact=exact)

    async def is_empty(self) -> bool:
        """True if there is no file to upload."""
        async with aclosing(each(self.upload.walk())) as tree:
            async for found in tree:
                if found.kind is Kind.FILE:
                    return False
        return True

    async def extras(self) -> AsyncGenerator[Step[BlobObject], None]:
        """The blobs that have no file and are not excluded, in the order of the listing.

        Each is looked up on the disk, whatever the order of the listing is.
        """
        upload = self.upload
        protected = Protected(upload.disk, upload.root, upload.filter, upload.ignore_file_names)
        look = Look(upload.disk, upload.root, upload.prefix, closely=False)
        async with aclosing(sized(upload.listing(look.likely), _BATCH)) as pages:
            async for page in pages:
                paths = [entry.key[len(upload.prefix) :] for entry in page]
                there = await self.there(paths)
                for entry, path in zip(page, paths, strict=True):
                    assert isinstance(entry, BlobObject)
                    if path == "" or path in there or await protected.excludes(path):
                        continue
                    error = key_error(entry.key, upload.provider.rules, bucket=upload.name)
                    yield Step(path, entry, Action.REMOVE, entry.size, error=error)

    async def there(self, paths: Sequence[str]) -> AbstractSet[str]:
        """Those of *paths* that are in the folder now."""
        root = self.upload.root
        return await self.upload.disk.run(root, present, str(root).rstrip("/"), paths)

    async def remove(
        self,
        extras: Sequence[Step[BlobObject]],
        progress: AbstractRecursiveFileProgress | None,
    ) -> None:
        """Remove the *extras* that still have no file; TransferError names what failed."""
        upload, report = self.upload, Report("removed", self.upload.name)
        told = progress if isinstance(progress, AbstractDeleteProgress) else None
        for start in range(0, len(extras), _REMOVED):
            batch = extras[start : start + _REMOVED]
            there = await self.there([step.path for step in batch])
            keys = []
            for step in batch:
                if step.error is not None:
                    report.note(step.path, step.error)
                elif step.path not in there:
                    keys.append(upload.prefix + step.path)
            if keys:
                await remove_batch(upload.provider, keys, report, told)
        report.conclude()


class SyncDown(Sync[Side]):
    """The blobs below *prefix* mirrored in *root*; what is found there alone are its extras."""

    def __init__(
        self,
        disk: Disk,
        provider: Provider,
        prefix: str,
        root: Path,
        *,
        config: TransferConfig,
        verify: bool,
        filter_: Filter | None,
        ignore_file_names: AbstractSet[str],
    ) -> None:
        self.download = Download(
            disk,
            provider,
            prefix,
            root,
            config=config,
            choose=partial(plan_sync, grain=provider.grain),
            skipped=_SKIPPED,
            verify=verify,
            continue_=False,
            filter_=filter_,
        )
        self._ignore_file_names = ignore_file_names
        self._fold = False
        super().__init__(self.download.name, self.download.prefix)

    async def check(self) -> None:
        self._fold = await self.download.ignores_case()

    def name_of(self, path: str) -> str:
        return folded(path) if self._fold else path

    def steps(self, *, tell_left_out: bool = False) -> Steps[Any]:
        del tell_left_out  # the listing has it anyway
        return self.download.steps()

    async def transfer(
        self,
        progress: AbstractRecursiveFileProgress | None,
        steps: Steps[Any] | None = None,
        *,
        exact: bool = False,
    ) -> None:
        del exact  # a download is, by the tag it asks for
        steps = steps or self.download.steps(tell_skipped=progress is not None)
        await self.download.run(steps, progress)

    async def is_empty(self) -> bool:
        """True if there is no blob to download; BlobNotFound if nothing is there at all."""
        wanted = Wanted(self.download.filter)
        async with aclosing(each(self.download.listing())) as entries:
            async for entry in entries:
                path = entry.key[len(self.download.prefix) :]
                if entry.is_file() and await wanted.wants(path):
                    return False
        return True

    async def extras(self) -> AsyncGenerator[Step[Side], None]:
        """The files that have no blob and are not excluded, in the order of their keys.

        Links are neither followed nor extras, and nor are pipes, sockets and devices.
        """
        download = self.download
        async with aclosing(download.provider.pages(download.prefix, recursive=True)) as listing:
            names: AbstractSet[str] | None = None
            if self._fold:
                names = {folded(entry.key) async for page in listing for entry in page}
            cursor = Cursor(listing)
            async with aclosing(self._files("", self._protected())) as files:
                async for step in files:
                    key = download.prefix + step.path
                    if names is not None:
                        missing = folded(key) not in names
                    else:
                        missing = await cursor.sides([key]) == [None]
                    if missing:
                        yield step

    def _protected(self) -> Protected:
        download = self.download
        names = self._ignore_file_names
        return Protected(download.disk, download.root, download.filter, names)

    async def _files(self, folder: str, protected: Protected) -> AsyncGenerator[Step[Side], None]:
        local = f"{str(self.download.root).rstrip('/')}/{folder}"
        for name, side in await self.download.disk.run(local, plain_children, local):
            path = folder + name
            if await protected.excludes(path):
                continue
            if side is not None:
                yield Step(path, side, Action.REMOVE, side.size)
                continue
            async with aclosing(self._files(path, protected)) as below:
                async for step in below:
                    yield step

    async def remove(
        self, extras: Sequence[Step[Side]], progress: AbstractRecursiveFileProgress | None
    ) -> None:
        """Remove the *extras* that are as they were found, and folders that this empties."""
        download, report = self.download, Report("removed", self.download.name)
        base = str(download.root).rstrip("/")
        told = progress if isinstance(progress, AbstractDeleteProgress) else None
        for start in range(0, len(extras), _BATCH):
            files = {step.path: step.source for step in extras[start : start + _BATCH]}
            failed = await download.disk.run(base, unlink_many, base, files)
            for path in files:
                error = failed.get(path)
                if error is not None:
                    report.fail(path, error)
                    continue
                report.done += 1
                if told is not None:
                    call(told.delete, StorageProgressDelete(file_url(f"{base}/{path}"), False))
        report.conclude()
