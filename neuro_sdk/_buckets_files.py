"""The verbs of ``Buckets`` that move files, blobs and trees from one place to another."""

from __future__ import annotations

import abc
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet

from ._aio import Lifetime, within_lifetime
from ._bucket import BucketHandle
from ._core.uri import BlobPath, LocalPath
from .progress import AbstractFileProgress, AbstractRecursiveFileProgress

__all__ = ["BucketsFiles"]


class BucketsFiles(abc.ABC):
    """Each finds the bucket and hands over to its handle."""

    _lifetime: Lifetime

    @abc.abstractmethod
    async def locate(self, uri: BlobPath) -> tuple[BucketHandle, str]:
        """The handle of the bucket that *uri* names, and its key."""

    @within_lifetime
    async def upload_file(
        self,
        src: LocalPath,
        dst: BlobPath,
        *,
        update: bool = False,
        resume: bool = False,
        verify: bool = False,
        progress: AbstractFileProgress | None = None,
    ) -> None:
        """Upload a local file, whole or not at all.

        With *update* only if the blob is missing or older than the file. A file larger than a
        part goes in parts to stores that take them; when that fails they are removed, unless
        *resume*: then the next call with *resume* for the same file, unchanged, sends only what
        the store does not have (its record lies in the user's state folder). With *verify* the
        blob is read again and compared with the file: VerificationFailed. Raises LocalError,
        LocalFileChanged if the file is written to meanwhile, and BlobIsADirectory if *dst*
        ends in ``/``.
        """
        handle, key = await self.locate(dst)
        await handle.upload_file(
            src, key, update=update, resume=resume, verify=verify, progress=progress
        )

    @within_lifetime
    async def download_file(
        self,
        src: BlobPath,
        dst: LocalPath,
        *,
        update: bool = False,
        continue_: bool = False,
        verify: bool = False,
        progress: AbstractFileProgress | None = None,
    ) -> None:
        """Download a blob; the file appears under its name only when complete.

        With *update* only if the file is missing or older than the blob. With *continue_* a
        shorter file that is newer than the blob and a beginning of it is appended to, one of
        the same size is left, and what an interrupted download of the same version left beside
        the file is taken up. With *verify* the file is read again and compared with the blob:
        VerificationFailed. Folders above *dst* are made.
        """
        handle, key = await self.locate(src)
        await handle.download_file(
            key, dst, update=update, continue_=continue_, verify=verify, progress=progress
        )

    @within_lifetime
    async def upload_dir(
        self,
        src: LocalPath,
        dst: BlobPath,
        *,
        update: bool = False,
        resume: bool = False,
        verify: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
        ignore_file_names: AbstractSet[str] = frozenset(),
        progress: AbstractRecursiveFileProgress | None = None,
    ) -> None:
        """Upload a local folder with all below it; an empty folder becomes a marker ``dir/``.

        *filter* is awaited with the path of each file and, with a slash at the end, folder
        relative to *src*; what it turns down is left out, a folder with all below it.
        *ignore_file_names* are names such as ``.gitignore`` of files with gitignore's rules,
        read in *src*, the folders below it and those above it; they leave out more, never
        less, than the filter. *resume* and *verify* are those of :meth:`upload_file`, for what
        is uploaded. What cannot be uploaded is reported by ``progress.fail`` and all together
        by a TransferError at the end, when the rest is done.
        """
        handle, key = await self.locate(dst)
        await handle.upload_dir(
            src,
            key,
            update=update,
            resume=resume,
            verify=verify,
            filter=filter,
            ignore_file_names=ignore_file_names,
            progress=progress,
        )

    @within_lifetime
    async def download_dir(
        self,
        src: BlobPath,
        dst: LocalPath,
        *,
        update: bool = False,
        continue_: bool = False,
        verify: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
        progress: AbstractRecursiveFileProgress | None = None,
    ) -> None:
        """Download all blobs below a directory into a local folder, never outside of it.

        *update*, *continue_* and *verify* as in :meth:`download_file`, *filter* and failures as in
        :meth:`upload_dir`. Modes and times of files are not kept. Raises BlobNotFound if
        nothing lies below *src*.
        """
        handle, key = await self.locate(src)
        await handle.download_dir(
            key,
            dst,
            update=update,
            continue_=continue_,
            verify=verify,
            filter=filter,
            progress=progress,
        )

    @within_lifetime
    async def copy_blob(
        self, src: BlobPath, dst: BlobPath, *, progress: AbstractFileProgress | None = None
    ) -> None:
        """Copy a blob within a bucket or into another, whole or not at all.

        Within a bucket the store copies, where it can; else the bytes pass through this process,
        a few parts at a time, all of one version. A blob at *dst* is replaced. Raises
        BlobNotFound, and BlobIsADirectory if either ends in ``/``.
        """
        source, key = await self.locate(src)
        target, new = await self.locate(dst)
        await source.copy_blob(key, new, to=target, progress=progress)

    @within_lifetime
    async def move_blob(
        self, src: BlobPath, dst: BlobPath, *, progress: AbstractFileProgress | None = None
    ) -> None:
        """Copy a blob as :meth:`copy_blob` does, then remove it from where it was.

        It is removed only when the copy was looked up and has its size, and its content where
        the tags of both tell of it; a blob that was replaced meanwhile stays, with BlobChanged.
        """
        source, key = await self.locate(src)
        target, new = await self.locate(dst)
        await source.move_blob(key, new, to=target, progress=progress)

    @within_lifetime
    async def copy_dir(
        self,
        src: BlobPath,
        dst: BlobPath,
        *,
        update: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
        progress: AbstractRecursiveFileProgress | None = None,
    ) -> None:
        """Copy all blobs below a directory below another one, each as :meth:`copy_blob` does.

        With *update* only those that are missing there or older. *filter* and failures as in
        :meth:`upload_dir`. Within a bucket neither directory may be or hold the other. Raises
        BlobNotFound if nothing lies below *src*.
        """
        source, prefix = await self.locate(src)
        target, new = await self.locate(dst)
        await source.copy_dir(
            prefix, new, to=target, update=update, filter=filter, progress=progress
        )

    @within_lifetime
    async def sync_up(
        self,
        src: LocalPath,
        dst: BlobPath,
        *,
        delete: bool = False,
        max_delete: int | None = 1000,
        verify: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
        ignore_file_names: AbstractSet[str] = frozenset(),
        progress: AbstractRecursiveFileProgress | None = None,
    ) -> None:
        """Make a directory of a bucket like a local folder.

        As :meth:`upload_dir`, also with *verify*, but files are skipped whose blob has their
        size and is not older. With *delete* blobs that have no file are removed when all files
        were uploaded without a failure. Raises DeletionRefused, with nothing touched, if the
        folder holds no file that is wanted, or if more than *max_delete* blobs would go. What
        *filter* and ignore files exclude is neither uploaded nor removed; the filter is asked
        for it by its path below *dst*. A *progress* that is an AbstractDeleteProgress too is
        told what is removed.
        """
        handle, key = await self.locate(dst)
        await handle.sync_up(
            src,
            key,
            delete=delete,
            max_delete=max_delete,
            verify=verify,
            filter=filter,
            ignore_file_names=ignore_file_names,
            progress=progress,
        )

    @within_lifetime
    async def sync_down(
        self,
        src: BlobPath,
        dst: LocalPath,
        *,
        delete: bool = False,
        max_delete: int | None = 1000,
        verify: bool = False,
        filter: Callable[[str], Awaitable[bool]] | None = None,
        ignore_file_names: AbstractSet[str] = frozenset(),
        progress: AbstractRecursiveFileProgress | None = None,
    ) -> None:
        """Make a local folder like a directory of a bucket.

        As :meth:`download_dir`, also with *verify*, but blobs are skipped whose file has their
        size and is not older. *delete*, *max_delete*, *filter* and *progress* as in
        :meth:`sync_up`, for files that have no blob; folders that this empties go too. Links,
        pipes, sockets and devices in *dst* are never removed, nor is what the files called
        *ignore_file_names* in *dst* exclude.
        """
        handle, key = await self.locate(src)
        await handle.sync_down(
            key,
            dst,
            delete=delete,
            max_delete=max_delete,
            verify=verify,
            filter=filter,
            ignore_file_names=ignore_file_names,
            progress=progress,
        )
