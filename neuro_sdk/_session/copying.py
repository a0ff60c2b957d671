"""A file or a directory of a session, copied or moved to another path."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from contextlib import aclosing

from .._aio import Job, each, run_bounded
from .._core.config import TransferConfig
from .._core.keys import check_key, overlap, tree_prefix
from .._core.models import BlobObject
from .._transfer.copy import copy_blob
from .._transfer.remove import is_directory
from ..errors import (
    BlobNotFound,
    IllegalArgumentError,
)
from ..protocols import Provider
from .tracking import Tracking

__all__ = ["copy_path"]


async def copy_path(
    provider: Provider,
    tracking: Tracking,
    source: str,
    target: str,
    config: TransferConfig,
    *,
    move: bool = False,
) -> None:
    """Copy *source* to *target*, and with *move* remove it; see ``Session.copy``."""
    name = provider.bucket.name or provider.bucket.id
    for path in (source, target):
        check_key(path, provider.rules, bucket=name, marker=True)
    copying = _Copying(provider, tracking, config, move)
    if not source.endswith("/") and await _is_file(provider, source):
        await copying.file(source, target)
        return
    if not await is_directory(provider, source):
        raise BlobNotFound("nothing is there to copy", bucket=name, key=source)
    if overlap(source, target):
        raise IllegalArgumentError(
            f"the target {target!r} and the source are in one another", bucket=name, key=source
        )
    await copying.directory(
        tree_prefix(source, provider.rules, bucket=name),
        tree_prefix(target, provider.rules, bucket=name),
    )


async def _is_file(provider: Provider, path: str) -> bool:
    try:
        await provider.head(path)
    except BlobNotFound:
        return False
    return True


class _Copying:
    def __init__(
        self, provider: Provider, tracking: Tracking, config: TransferConfig, move: bool
    ) -> None:
        self._provider = provider
        self._tracking = tracking
        self._config = config
        self._move = move
        self._name = provider.bucket.name or provider.bucket.id

    async def file(self, source: str, target: str) -> None:
        check_key(target, self._provider.rules, bucket=self._name)
        if source == target:
            raise IllegalArgumentError("the source is the target", bucket=self._name, key=source)
        async with self._tracking.made(target):
            await copy_blob(
                self._provider,
                self._provider,
                source,
                target,
                config=self._config,
                move=self._move,
                progress=None,
            )
        if self._move:
            await self._tracking.gone(self._tracking.created.discard(source))

    async def directory(self, source: str, target: str) -> None:
        await self._tracking.making(target)
        await run_bounded(self._config.concurrency, self._jobs(source, target))
        if self._move:
            with contextlib.suppress(BlobNotFound):
                await self._provider.delete(source)
            await self._tracking.gone(self._tracking.created.discard_tree(source))

    async def _jobs(self, source: str, target: str) -> AsyncGenerator[Job, None]:
        # The whole listing first: what is moved while it goes on would shift its pages.
        async with aclosing(each(self._provider.pages(source, recursive=True))) as entries:
            found = [entry async for entry in entries if isinstance(entry, BlobObject)]
        for entry in found:
            check_key(entry.key, self._provider.rules, bucket=self._name, marker=True)
        for entry in found:
            yield self._job(entry, target + entry.key.removeprefix(source))

    def _job(self, entry: BlobObject, target: str) -> Job:
        async def job() -> None:
            if not entry.key.endswith("/"):
                await self.file(entry.key, target)
                return
            async with self._tracking.made(target):
                await self._provider.put(target, b"")
            if self._move:
                await self._provider.delete(entry.key)

        return job
