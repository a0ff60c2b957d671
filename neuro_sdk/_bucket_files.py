"""The verbs of ``BucketHandle`` that move files, blobs and trees from one place to another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from ._aio import Lifetime, within_lifetime
from ._core.uri import LocalPath, local_path
from ._transfer import events
from ._transfer.copy import Copy, copy_blob
from ._transfer.disk import Disk
from ._transfer.download import Download, choose_download
from ._transfer.fetch import download_file
from ._transfer.sync import SyncDown, SyncUp
from ._transfer.upload import Upload, choose_upload, upload_file
from .errors import IllegalArgumentError
from .progress import AbstractFileProgress, AbstractRecursiveFileProgress

if TYPE_CHECKING:
    from ._core.config import TransferConfig
    from ._core.models import Bucket
    from .protocols import Provider

__all__ = ["BucketFiles", "callback_errors", "check_names"]


class BucketFiles:
    """What a handle has is set where it is made."""

    bucket: Bucket
    _opened: Callable[[], Awaitable[Provider]]
    _disk: Disk
    _transfer: TransferConfig
    _lifetime: Lifetime

    @within_lifetime
    async def upload_file(
        self,
        src: LocalPath,
        key: str,
        *,
        update: bool = False,
        resume: bool = False,
        verify: bool = False,
        progress: AbstractFileProgress | None = None,
    ) -> None:
        """See :meth:`Buckets.upload_file`."""
        path = local_path(src)
        with callback_errors():
            await upload_file(
                self._disk,
                await self._opened(),
                path,
                key,
                config=self._transfer,
                update=update,
                resume=resume,
                verify=verify,
                progress=progress,
            )

    @within_lifetime
    async def download_file(
        self,
        key: str,
        dst: LocalPath,
        *,
        update: bool = False,
        continue_: bool = False,
        verify: bool = False,
        progress: AbstractFileProgress | None = None,
    ) -> None:
        """See :meth:`Buckets.download_file`."""
        path = local_path(dst)
        with callback_errors():
            await download_file(
                self._disk,
                await self._opened(),
                key,
                path,
                config=self._transfer,
                update=update,
                continue_=continue_,
                verify=verify,
                progress=progress,
            )

    @within_lifetime
    async def upload_dir(
        self,
        src: LocalPath,
        prefix: str = "",
        *,
        update: bool = False,
        resume: bool = False,
        verify: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
        ignore_file_names: AbstractSet[str] = frozenset(),
        progress: AbstractRecursiveFileProgress | None = None,
    ) -> None:
        """See :meth:`Buckets.upload_dir`."""
        with callback_errors():
            upload = await self._upload(
                src, prefix, update, resume, verify, filter, ignore_file_names
            )
            await upload.check()
            await upload.run(upload.steps(tell_skipped=progress is not None), progress)

    async def _upload(
        self,
        src: LocalPath,
        prefix: str,
        update: bool,
        resume: bool,
        verify: bool,
        filter_: Callable[[str], Awaitable[bool]] | None,
        ignore_file_names: AbstractSet[str],
    ) -> Upload:
        path = local_path(src)
        check_names(ignore_file_names)
        return Upload(
            self._disk,
            await self._opened(),
            path,
            prefix,
            config=self._transfer,
            choose=choose_upload(update),
            resume=resume,
            verify=verify,
            filter_=filter_,
            ignore_file_names=ignore_file_names,
        )

    @within_lifetime
    async def download_dir(
        self,
        prefix: str,
        dst: LocalPath,
        *,
        update: bool = False,
        continue_: bool = False,
        verify: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
        progress: AbstractRecursiveFileProgress | None = None,
    ) -> None:
        """See :meth:`Buckets.download_dir`."""
        with callback_errors():
            download = await self._download(prefix, dst, update, continue_, verify, filter)
            await download.run(download.steps(tell_skipped=progress is not None), progress)

    async def _download(
        self,
        prefix: str,
        dst: LocalPath,
        update: bool,
        continue_: bool,
        verify: bool,
        filter_: Callable[[str], Awaitable[bool]] | None,
    ) -> Download:
        path = local_path(dst)
        provider = await self._opened()
        return Download(
            self._disk,
            provider,
            prefix,
            path,
            config=self._transfer,
            choose=choose_download(provider, update=update, continue_=continue_),
            continue_=continue_,
            verify=verify,
            filter_=filter_,
        )

    @within_lifetime
    async def copy_blob(
        self,
        key: str,
        new: str,
        *,
        to: Self | None = None,
        progress: AbstractFileProgress | None = None,
    ) -> None:
        """See :meth:`Buckets.copy_blob`; the copy goes to *new* in this bucket, or in *to*."""
        await self._copy_blob(key, new, to or self, progress, move=False)

    @within_lifetime
    async def move_blob(
        self,
        key: str,
        new: str,
        *,
        to: Self | None = None,
        progress: AbstractFileProgress | None = None,
    ) -> None:
        """See :meth:`Buckets.move_blob`; the blob goes to *new* in this bucket, or in *to*."""
        await self._copy_blob(key, new, to or self, progress, move=True)

    async def _copy_blob(
        self, key: str, new: str, to: Self, progress: AbstractFileProgress | None, *, move: bool
    ) -> None:
        with callback_errors():
            await copy_blob(
                await self._opened(),
                await to._opened(),
                key,
                new,
                config=self._transfer,
                move=move,
                progress=progress,
            )

    @within_lifetime
    async def copy_dir(
        self,
        prefix: str,
        new: str,
        *,
        to: Self | None = None,
        update: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
        progress: AbstractRecursiveFileProgress | None = None,
    ) -> None:
        """See :meth:`Buckets.copy_dir`; the copies go below *new* in this bucket, or in *to*."""
        with callback_errors():
            copy = await self._copy(prefix, new, to or self, update, filter)
            await copy.run(copy.steps(), progress)

    async def _copy(
        self,
        prefix: str,
        new: str,
        to: Self,
        update: bool,
        filter_: Callable[[str], Awaitable[bool]] | None,
    ) -> Copy:
        return Copy(
            await self._opened(),
            await to._opened(),
            prefix,
            new,
            config=self._transfer,
            update=update,
            filter_=filter_,
        )

    @within_lifetime
    async def sync_up(
        self,
        src: LocalPath,
        prefix: str = "",
        *,
        delete: bool = False,
        max_delete: int | None = 1000,
        verify: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
        ignore_file_names: AbstractSet[str] = frozenset(),
        progress: AbstractRecursiveFileProgress | None = None,
    ) -> None:
        """See :meth:`Buckets.sync_up`."""
        with callback_errors():
            sync = await self._sync_up(src, prefix, verify, filter, ignore_file_names)
            await sync.run(progress, delete=delete, max_delete=max_delete)

    async def _sync_up(
        self,
        src: LocalPath,
        prefix: str,
        verify: bool,
        filter_: Callable[[str], Awaitable[bool]] | None,
        ignore_file_names: AbstractSet[str],
    ) -> SyncUp:
        path = local_path(src)
        check_names(ignore_file_names)
        return SyncUp(
            self._disk,
            await self._opened(),
            path,
            prefix,
            config=self._transfer,
            verify=verify,
            filter_=filter_,
            ignore_file_names=ignore_file_names,
        )

    @within_lifetime
    async def sync_down(
        self,
        prefix: str,
        dst: LocalPath,
        *,
        delete: bool = False,
        max_delete: int | None = 1000,
        verify: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
        ignore_file_names: AbstractSet[str] = frozenset(),
        progress: AbstractRecursiveFileProgress | None = None,
    ) -> None:
        """See :meth:`Buckets.sync_down`."""
        with callback_errors():
            sync = await self._sync_down(prefix, dst, verify, filter, ignore_file_names)
            await sync.run(progress, delete=delete, max_delete=max_delete)

    async def _sync_down(
        self,
        prefix: str,
        dst: LocalPath,
        verify: bool,
        filter_: Callable[[str], Awaitable[bool]] | None,
        ignore_file_names: AbstractSet[str],
    ) -> SyncDown:
        path = local_path(dst)
        check_names(ignore_file_names)
        return SyncDown(
            self._disk,
            await self._opened(),
            prefix,
            path,
            config=self._transfer,
            verify=verify,
            filter_=filter_,
            ignore_file_names=ignore_file_names,
        )


def check_names(names: AbstractSet[str]) -> None:
    """Raise unless *names* is a set of plain file names."""
    if isinstance(names, str):
        raise TypeError("ignore_file_names is a set of names, not a str")
    for name in names:
        if not name or "/" in name:
            raise IllegalArgumentError(f"ignore_file_names holds {name!r}, which is no file name")


@contextmanager
def callback_errors() -> Iterator[None]:
    """What a callback raised comes out as it was."""
    try:
        yield
    except events.CallbackRaised as raised:
        error = raised.error
    else:
        return
    raise error
