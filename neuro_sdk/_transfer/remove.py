"""Blobs out of a bucket, many at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial

from .._aio import Job, run_bounded, sized
from .._core.keys import check_key, key_errors, tree_prefix
from .._core.models import BlobObject
from .._core.pages import Blobs
from .._core.plan import Action
from ..errors import BlobIsADirectory, BlobNotFound, InvalidKey, NeuroError, StorageError
from ..progress import AbstractDeleteProgress, StorageProgressDelete
from ..protocols import Provider
from .events import call
from .report import Report
from .steps import Step, Steps

__all__ = ["Removal", "is_directory", "remove", "remove_batch"]

# A store removes the keys of a request one after another, so a page of a listing is divided.
_BATCH = 340
_BATCHES = 6  # at once, while the listing goes on


async def is_directory(provider: Provider, key: str) -> bool:
    """True if anything lies below *key*, or it is the bucket itself."""
    if key == "":
        return True
    prefix = key.removesuffix("/") + "/"
    name = provider.bucket.name or provider.bucket.id
    check_key(prefix, provider.rules, bucket=name, marker=True)
    async with aclosing(provider.pages(prefix, recursive=True, most=1)) as pages:
        return await anext(pages, None) is not None


async def remove(
    provider: Provider,
    key: str,
    *,
    recursive: bool,
    progress: AbstractDeleteProgress | None,
) -> None:
    """Remove a blob, or with *recursive* all that lies below *key* too; see Buckets.blob_rm."""
    name = provider.bucket.name or provider.bucket.id
    if key:
        check_key(key, provider.rules, bucket=name, marker=True)
    if not recursive:
        if key == "" or key.endswith("/") or not await _exists(provider, key):
            if await is_directory(provider, key):
                raise BlobIsADirectory(
                    "a directory; say recursive=True to remove all below it", bucket=name, key=key
                )
            raise BlobNotFound("no such blob", bucket=name, key=key)
        await provider.delete(key)
        _tell(provider, key, progress)
        return
    removal = Removal(provider, key)
    await removal.run(removal.keys(), progress)


class Removal:
    """All that lies below *key* on its way out, and the blob *key* itself unless it ends in /."""

    def __init__(self, provider: Provider, key: str) -> None:
        self.provider = provider
        self.name = provider.bucket.name or provider.bucket.id
        self.directory = key.removesuffix("/")
        self.prefix = tree_prefix(key, provider.rules, bucket=self.name)
        self._only_below = key.endswith("/")

    async def pages(self) -> AsyncGenerator[Blobs, None]:
        """What is to be removed; BlobNotFound if there is nothing."""
        found = False
        async with aclosing(self.provider.pages(self.prefix, recursive=True)) as pages:
            async for page in pages:
                found = True
                yield Blobs.of(page)
        if self.directory and not self._only_below:
            try:
                blob = await self.provider.head(self.directory)
            except BlobNotFound:
                pass
            else:
                found = True
                yield Blobs.of([blob])
        if self.directory and not found:
            raise BlobNotFound("no such blob or directory", bucket=self.name, key=self.directory)

    async def keys(self) -> AsyncGenerator[Sequence[str], None]:
        """The keys of what is to be removed."""
        async with aclosing(self.pages()) as pages:
            async for page in pages:
                yield page.keys

    async def steps(self) -> Steps[BlobObject]:
        """What is to be removed, to be looked at; paths are whole keys."""
        async with aclosing(self.pages()) as pages:
            async for page in pages:
                errors = self._errors(page.keys)
                yield [
                    Step(blob.key, blob, Action.REMOVE, blob.size, error=error)
                    for blob, error in zip(page, errors, strict=True)
                ]

    def _errors(self, keys: Sequence[str]) -> Sequence[InvalidKey | None]:
        return key_errors(keys, self.provider.rules, bucket=self.name)

    async def run(
        self,
        keys: AsyncGenerator[Sequence[str], None],
        progress: AbstractDeleteProgress | None,
    ) -> None:
        """Remove the *keys*; raise TransferError if any of them stayed."""
        report = Report("removed", self.name)
        await run_bounded(_BATCHES, self._jobs(keys, report, progress))
        report.conclude()

    async def _jobs(
        self,
        keys: AsyncGenerator[Sequence[str], None],
        report: Report,
        progress: AbstractDeleteProgress | None,
    ) -> AsyncGenerator[Job, None]:
        async with aclosing(sized(keys, _BATCH)) as batches:
            async for batch in batches:
                errors = self._errors(batch)
                for key, error in zip(batch, errors, strict=True):
                    if error is not None:
                        report.note(key, error)
                wanted = [key for key, error in zip(batch, errors, strict=True) if error is None]
                if wanted:
                    yield partial(remove_batch, self.provider, wanted, report, progress)


async def remove_batch(
    provider: Provider,
    keys: Sequence[str],
    report: Report,
    progress: AbstractDeleteProgress | None,
) -> None:
    """Remove up to 1,000 blobs; *report* has what failed."""
    failed = await provider.delete_many(keys)
    if not failed and progress is None:
        report.done += len(keys)
        return
    for key in keys:
        error = failed.get(key)
        if error is None:
            report.done += 1
            _tell(provider, key, progress)
        elif isinstance(error, NeuroError):
            report.fail(key, error)
        else:
            report.note(key, StorageError(str(error), key=key))


async def _exists(provider: Provider, key: str) -> bool:
    try:
        await provider.head(key)
    except BlobNotFound:
        return False
    return True


def _tell(provider: Provider, key: str, progress: AbstractDeleteProgress | None) -> None:
    if progress is not None:
        event = StorageProgressDelete(provider.bucket.blob_url(key), key.endswith("/"))
        call(progress.delete, event)
