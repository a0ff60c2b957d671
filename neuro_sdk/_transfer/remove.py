"""Blobs out of a bucket, many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing

from .._core.keys import check_key, key_problem
from ..errors import BlobIsADirectory, BlobNotFound, InvalidKey, NeuroError, StorageError
from ..progress import AbstractDeleteProgress, StorageProgressDelete
from ..protocols import Provider
from .events import call
from .report import Report

__all__ = ["is_directory", "remove", "remove_batch"]

_BATCH = 1000


async def is_directory(provider: Provider, key: str) -> bool:
    """True if anything lies below *key*, or it is the bucket itself."""
    if key == "":
        return True
    prefix = key.removesuffix("/") + "/"
    name = provider.bucket.name or provider.bucket.id
    check_key(prefix, provider.rules, bucket=name, marker=True)
    async with aclosing(provider.list(prefix, recursive=True)) as entries:
        return await anext(entries, None) is not None


async def remove(
    provider: Provider,
    key: str,
    *,
    recursive: bool,
    progress: AbstractDeleteProgress | None,
) -> None:
    """Remove a blob, or with *recursive* all that lies below *key* too; see Buckets.blob_rm."""
    name = provider.bucket.name or provider.bucket.id
    directory = key.removesuffix("/")
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
    await _remove_tree(provider, directory, name, progress, only_below=key.endswith("/"))


async def _remove_tree(
    provider: Provider,
    directory: str,
    name: str,
    progress: AbstractDeleteProgress | None,
    *,
    only_below: bool,
) -> None:
    report = Report("removed", name)
    batch: list[str] = []
    found = False
    # The slash at the end is what keeps "logs.json" and "logs2/" out of "logs".
    prefix = f"{directory}/" if directory else ""
    async with aclosing(provider.list(prefix, recursive=True)) as entries:
        async for entry in entries:
            found = True
            problem = key_problem(entry.key, provider.rules)
            if problem is not None:
                report.note(entry.key, InvalidKey(f"the key {problem}", bucket=name, key=entry.key))
                continue
            batch.append(entry.key)
            if len(batch) == _BATCH:
                await remove_batch(provider, batch, report, progress)
                batch = []
    if directory and not only_below and await _exists(provider, directory):
        found = True
        batch.append(directory)
    if batch:
        await remove_batch(provider, batch, report, progress)
    if directory and not found:
        raise BlobNotFound("no such blob or directory", bucket=name, key=directory)
    report.conclude()


async def remove_batch(
    provider: Provider,
    keys: Sequence[str],
    report: Report,
    progress: AbstractDeleteProgress | None,
) -> None:
    """Remove up to 1,000 blobs; *report* has what failed."""
    failed = await provider.delete_many(keys)
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
