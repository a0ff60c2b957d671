"""``Session``: file-like work at one place, with a record of what it made."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress

from .._aio import AsyncStream, Entering, within_lifetime
from .._core.created import may_be_there
from .._core.described import Capability, EntryMode, Metadata, PresignedRequest
from .._core.keys import check_key, tree_prefix
from .._core.uri import LocalPath, local_path
from .._transfer.body import Body, gathered, normalised
from .._transfer.fetch import download_file
from .._transfer.remove import is_directory, remove
from .._transfer.upload import upload_file
from ..errors import BlobIsADirectory, BlobNotFound, IllegalArgumentError
from .copying import copy_path
from .file import MODES, OpendalFile, Reading, Writing, find_base
from .lifetime import Tracked
from .spool import Spool

__all__ = ["Session"]

_GATHER = 1 << 20
_HASHES = ("md5", "sha256")
_LONGEST = 7 * 24 * 3600
_DIRECTORY = Metadata(mode=EntryMode(entry_is_file=False, entry_is_dir=True), content_length=0)


class Session(Tracked):
    """Files and directories at one place, and which of them were made here.

    Paths are relative to the place, with ``/`` between their parts; that of a directory may end
    in a slash, and ``""`` or ``"/"`` is the place itself. A path that cannot be kept as it is
    raises InvalidKey.

    Made counts what is opened to write or to append, written, copied or renamed to, and
    directories that are made. What was there before and is written to counts too, for it may be
    left of a clean-up that failed. What is deleted, removed or renamed counts no more.

    With ``remove_created_on_close`` all that counts is removed when the session is closed, and
    nothing else: what others put into a directory that was made here stays.
    """

    # Files

    def open(self, path: str, mode: str = "rb") -> Entering[OpendalFile]:
        """Open a file: ``async with session.open(path, "wb") as file``, or ``await`` it.

        *mode* is one of ``rb``, ``r``, ``wb``, ``w``, ``ab`` and ``a``. BlobNotFound to read what
        is not there.
        """
        return Entering(lambda: self._open(path, mode))

    @within_lifetime
    async def _open(self, path: str, mode: str) -> OpendalFile:
        if mode not in MODES:
            raise IllegalArgumentError(
                f"the mode must be one of {', '.join(MODES)}, not {mode!r}", key=path
            )
        provider = await self._file(path)
        if mode.startswith("r"):
            return OpendalFile(path, mode, Reading(self._provider, await self._look(path)))
        base = await find_base(provider, path) if mode.startswith("a") else None
        new = await self._tracking.making(path)

        async def dropped() -> None:
            if new:
                await self._tracking.gone(self._tracking.created.discard(path))

        async def publish(body: bytes | AsyncIterator[bytes]) -> None:
            try:
                with self._lifetime.call():
                    await (await self._provider()).put(path, body)
            except BaseException as error:
                if not may_be_there(error):
                    await dropped()
                raise

        return OpendalFile(path, mode, Writing(Spool(self._disk), publish, dropped, base))

    @within_lifetime
    async def read_bytes(self, path: str) -> bytes:
        """All bytes of a file."""
        provider = await self._file(path)
        blob = await self._look(path)
        async with aclosing(provider.fetch(path, known=blob)) as pieces:
            return b"".join([piece async for piece in pieces])

    @within_lifetime
    async def write_bytes(self, path: str, data: Body) -> None:
        """Make or replace a file, whole or not at all; *data* as of :meth:`Buckets.put_blob`."""
        provider = await self._file(path)
        content = normalised(data, path)
        async with self._tracking.made(path):
            if isinstance(content, bytes):
                await provider.put(path, content)
                return
            async with aclosing(content), aclosing(gathered(content, _GATHER)) as pieces:
                await provider.put(path, pieces)

    @within_lifetime
    async def write_from_path(self, path: str, source: LocalPath) -> None:
        """Make or replace a file with the bytes of a local one."""
        provider = await self._file(path)
        local = local_path(source)
        async with self._tracking.made(path):
            await upload_file(
                self._disk,
                provider,
                local,
                path,
                config=self._transfer,
                update=False,
                resume=False,
                verify=False,
                progress=None,
            )

    @within_lifetime
    async def read_into_path(self, path: str, target: LocalPath) -> None:
        """Make or replace a local file with the bytes of a file, whole or not at all."""
        provider = await self._file(path)
        await download_file(
            self._disk,
            provider,
            path,
            local_path(target),
            config=self._transfer,
            update=False,
            continue_=False,
            verify=False,
            progress=None,
        )

    @within_lifetime
    async def hash(self, path: str, algo: str = "sha256") -> str:
        """The hash of a file in hexadecimal; *algo* is ``md5`` or ``sha256``."""
        if algo not in _HASHES:
            raise IllegalArgumentError(
                f"the hash must be one of {', '.join(_HASHES)}, not {algo!r}", key=path
            )
        provider = await self._file(path)
        digest = hashlib.new(algo, usedforsecurity=False)
        async with aclosing(provider.fetch(path, known=await self._look(path))) as pieces:
            async for piece in pieces:
                await self._disk.run(path, digest.update, piece)
        return digest.hexdigest()

    # Looks

    @within_lifetime
    async def stat(self, path: str) -> Metadata:
        """What the store tells of a file or directory; BlobNotFound if nothing is there."""
        provider = await self._provider()
        if not _is_root(path) and not path.endswith("/"):
            check_key(path, provider.rules, bucket=self._name)
            try:
                return await self._service.details(path)
            except (BlobNotFound, BlobIsADirectory):
                pass
        if not await is_directory(provider, _directory(path)):
            raise BlobNotFound("nothing is there", bucket=self._name, key=path)
        return _DIRECTORY

    @within_lifetime
    async def exists(self, path: str) -> bool:
        """Whether a file or directory is there."""
        try:
            await self.stat(path)
        except BlobNotFound:
            return False
        return True

    def list(self, path: str = "/") -> AsyncStream[str]:
        """The paths right in a directory; those of directories end in a slash.

        Nothing for a directory that is not there, the path itself for a file.
        """
        return AsyncStream(self._listed(path, recursive=False), self._lifetime)

    def scan(self, path: str = "/") -> AsyncStream[str]:
        """The paths of all files below a directory, and of directories that were made."""
        return AsyncStream(self._listed(path, recursive=True), self._lifetime)

    async def _listed(self, path: str, *, recursive: bool) -> AsyncGenerator[Sequence[str], None]:
        provider = await self._provider()
        prefix = tree_prefix(_directory(path), provider.rules, bucket=self._name)
        nothing = True
        async with aclosing(provider.pages(prefix, recursive=recursive)) as pages:
            async for page in pages:
                nothing = False
                yield [entry.key for entry in page if entry.key != prefix]
        if nothing and not _is_root(path) and not path.endswith("/"):
            try:
                yield [(await provider.head(path)).key]
            except BlobNotFound:
                return

    # Changes

    @within_lifetime
    async def create_dir(self, path: str) -> None:
        """Make a directory, empty as it is; its path ends in a slash or gets one."""
        provider = await self._provider()
        prefix = tree_prefix(_directory(path), provider.rules, bucket=self._name)
        if prefix:
            async with self._tracking.made(prefix):
                await provider.put(prefix, b"")

    @within_lifetime
    async def copy(self, source: str, target: str) -> None:
        """Copy a file, or a directory with all below it; a file there is replaced."""
        await copy_path(await self._provider(), self._tracking, source, target, self._transfer)

    @within_lifetime
    async def rename(self, source: str, target: str) -> None:
        """As ``copy``, and each file is removed when its copy is there.

        A directory moves file by file, so what fails half-way loses nothing.
        """
        await copy_path(
            await self._provider(), self._tracking, source, target, self._transfer, move=True
        )

    @within_lifetime
    async def delete(self, path: str) -> None:
        """Remove a file or an empty directory; no error if nothing is there."""
        provider = await self._provider()
        check_key(path, provider.rules, bucket=self._name, marker=True)
        await provider.delete(path)
        await self._tracking.gone(self._tracking.created.discard(path))

    @within_lifetime
    async def remove_all(self, path: str) -> None:
        """Remove a file, or a directory with all below it; no error if nothing is there.

        ``logs`` never takes ``logs2``. TransferError names what could not be removed.
        """
        provider = await self._provider()
        key = "" if _is_root(path) else path
        with suppress(BlobNotFound):
            await remove(provider, key, recursive=True, progress=None)
        await self._tracking.gone(self._tracking.created.discard_tree(key))

    # What the store signs and can

    @within_lifetime
    async def presign_stat(self, path: str, expire_second: int = 3600) -> PresignedRequest:
        """A request with which anybody may look at a file for so many seconds, 7 days at most."""
        return await self._presign("stat", path, expire_second)

    @within_lifetime
    async def presign_read(self, path: str, expire_second: int = 3600) -> PresignedRequest:
        """A request with which anybody may read a file for so many seconds, 7 days at most."""
        return await self._presign("read", path, expire_second)

    @within_lifetime
    async def presign_write(self, path: str, expire_second: int = 3600) -> PresignedRequest:
        """A request with which anybody may write a file for so many seconds, 7 days at most.

        What others write with it does not count as made here.
        """
        return await self._presign("write", path, expire_second)

    async def _presign(self, operation: str, path: str, seconds: int) -> PresignedRequest:
        await self._file(path)
        if not 1 <= seconds <= _LONGEST:
            raise IllegalArgumentError(
                f"expire_second must be 1 to {_LONGEST}, not {seconds}", key=path
            )
        return await self._service.presign(operation, path, seconds)

    @within_lifetime
    async def capability(self) -> Capability:
        """What can be done at this place."""
        await self._provider()
        return await self._service.capability()


def _is_root(path: str) -> bool:
    return path in ("", "/")


def _directory(path: str) -> str:
    return "" if _is_root(path) else path
