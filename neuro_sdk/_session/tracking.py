"""What a session has made, kept in memory and in its journal, and taken away at its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

from .._aio import to_its_end
from .._core.created import Created, may_be_there, removal_order
from .._core.keys import key_error
from .._transfer.disk import Disk
from .._transfer.report import Report
from ..errors import NeuroError, StorageError
from ..protocols import Provider
from .journal import Journal

__all__ = ["Tracking"]

_BATCH = 1000
_log = logging.getLogger("neuro_sdk.session")


class Tracking:
    """The paths that one session made; with a journal they outlive the process."""

    def __init__(self, disk: Disk, journal: Journal | None = None) -> None:
        self.created = Created()
        self._disk = disk
        self._journal = journal

    @classmethod
    async def begin(cls, disk: Disk, place: str, provider: Provider) -> Tracking:
        """With a journal, after finishing what sessions at *place* that died have left.

        What cannot be removed now is logged and stays for the next session.
        """
        name = provider.bucket.name or provider.bucket.id
        for journal in await disk.run("journal", Journal.left_behind, place):
            try:
                failed = await _removed(provider, journal.paths)
                for path, error in failed.items():
                    _log.warning(
                        "%r, made by a session that ended early, could not be removed from %r: %s",
                        *(path, name, error),
                    )
                await disk.run("journal", journal.gone, journal.paths - failed.keys())
            finally:
                await disk.run("journal", journal.close)
        return cls(disk, await disk.run("journal", Journal.begin, place))

    async def making(self, path: str) -> bool:
        """*path* is about to be made; False if that was known."""
        new = self.created.add(path)
        if new and self._journal is not None:
            await self._disk.run(path, self._journal.made, path)
        return new

    @asynccontextmanager
    async def made(self, path: str) -> AsyncIterator[None]:
        """``async with`` around what makes *path*: if it was refused, nothing was made."""
        new = await self.making(path)
        try:
            yield
        except BaseException as error:
            if new and not may_be_there(error):
                await self.gone(self.created.discard(path))
            raise

    async def gone(self, paths: Sequence[str]) -> None:
        """Record what ``created`` has let go of."""
        if paths and self._journal is not None:
            await self._disk.run(paths[0], self._journal.gone, paths)

    async def remove_created(self, provider: Provider) -> None:
        """Remove all that was made; TransferError names what could not be, the rest is gone."""
        report = Report("removed", provider.bucket.name or provider.bucket.id)
        paths = list(self.created)
        failed = await _removed(provider, paths)
        for path, error in failed.items():
            report.note(path, error)
        report.done = len(paths) - len(failed)
        for path in paths:
            if path not in failed:
                self.created.discard(path)
        await self.gone([path for path in paths if path not in failed])
        report.conclude()

    async def close(self) -> None:
        """Let go of the journal, which stays if something is still to be removed."""
        if self._journal is not None:
            journal, self._journal = self._journal, None
            # Not by the disk's threads: those of a client may be gone.
            await to_its_end(asyncio.to_thread(journal.close))


async def _removed(provider: Provider, paths: Collection[str]) -> Mapping[str, Exception]:
    """Remove exactly *paths*; the answer names those that could not be, and why."""
    name = provider.bucket.name or provider.bucket.id
    failed: dict[str, Exception] = {}
    fit = []
    for path in removal_order(paths):
        error = key_error(path, provider.rules, bucket=name)
        if error is None:
            fit.append(path)
        else:
            failed[path] = error
    # All files are gone before the first directory is looked at.
    files = [path for path in fit if not path.endswith("/")]
    for kind in (files, fit[len(files) :]):
        for start in range(0, len(kind), _BATCH):
            batch = kind[start : start + _BATCH]
            try:
                failed.update(await provider.delete_many(batch))
            except NeuroError as error:
                failed.update(await _one_by_one(provider, batch, error))
    return failed


async def _one_by_one(
    provider: Provider, paths: Sequence[str], error: NeuroError
) -> Mapping[str, Exception]:
    """After a batch was refused as a whole: what can go goes, unless no request gets through."""
    if isinstance(error, StorageError):
        return dict.fromkeys(paths, error)
    failed: dict[str, Exception] = {}
    for path in paths:
        try:
            await provider.delete(path)
        except NeuroError as refused:
            failed[path] = refused
    return failed
