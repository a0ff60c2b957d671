"""Buckets on the disk of this machine: one directory each.

A bucket's directory holds its blobs, and at its top the directory ``.neuro-sdk`` for writes in
flight, which is no blob. Files that stand for directory markers count as blobs here.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

from yarl import URL

from ..._core.keys import LOCAL_INTERNAL
from ..._core.models import Bucket
from ...errors import BucketNotEmpty, IllegalArgumentError, local_error
from ..links import LinkServer
from . import Place

__all__ = ["LocalAdmin"]

_BAR_SECONDS = 3600  # far longer than any write in flight goes without noticing

P = ParamSpec("P")
T = TypeVar("T")


class LocalAdmin:
    """The BucketAdmin of the local disk.

    Below *blobs* lie the directories of the buckets by id and ``.trash`` with what forced
    removal has put aside. While an empty bucket is removed, ``ID.writes`` holds its writes in
    flight. An empty file stands for a while where the directory of a removed bucket was, so
    that no late writer makes it anew and keeps there what nobody will find.
    """

    def __init__(self, blobs: Path, links: LinkServer) -> None:
        self._blobs = blobs
        self._trash = blobs / ".trash"
        self._links = links

    async def prepare(self) -> None:
        """Make the directories and sweep what a crash has left in the trash."""
        await self._on_disk(self._prepare)

    async def create(self, bucket: Bucket) -> str:
        await self._on_disk(os.mkdir, self._blobs / bucket.id, 0o700)
        return bucket.id

    async def delete(self, place: Place, *, force: bool) -> None:
        await self._on_disk(self._put_aside if force else self._remove_empty, place.bucket)

    async def purge(self, place: Place) -> None:
        await self._on_disk(self._purge, place.bucket.id)

    async def check_import(self, place: Place) -> None:
        root = (place.credentials or {}).get("root")
        if root is None:
            raise IllegalArgumentError("the credentials of a local bucket need the field 'root'")
        if not os.path.isabs(root) or not await self._on_disk(os.path.isdir, root):
            raise IllegalArgumentError(
                "the field 'root' of the credentials must be the absolute path of a directory "
                f"that exists, not {root!r}"
            )

    async def credentials(self, place: Place, *, read_only: bool) -> Mapping[str, str]:
        opened = {"bucket_name": place.name, "root": str(self._blobs / place.bucket.id)}
        return {**opened, "read_only": "true"} if read_only else opened

    async def set_public(self, place: Place, public: bool) -> None:
        """Do nothing: who may read the disk is up to the machine; the registry keeps the flag."""

    async def sign_url(self, place: Place, key: str, expires_in: int) -> URL:
        return await self._links.url(place.bucket.id, key, expires_in)

    async def create_role(
        self,
        role: str,  # noqa: ARG002
        places: Sequence[Place],
        *,
        read_only: bool,
    ) -> Mapping[str, Mapping[str, str]]:
        """Give out the paths: a disk knows no roles."""
        return {
            place.bucket.id: await self.credentials(place, read_only=read_only) for place in places
        }

    async def narrow_role(self, role: str, places: Sequence[Place], *, read_only: bool) -> None:
        """Do nothing: a disk knows no roles."""

    async def delete_role(self, role: str, places: Sequence[Place] = ()) -> None:
        """Do nothing: a disk knows no roles."""

    async def close(self) -> None:
        """Do nothing: no connection is held."""

    async def _on_disk(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await asyncio.to_thread(work, *args, **kwargs)
        except BucketNotEmpty:
            raise
        except OSError as cause:
            raise local_error(cause, cause.filename or self._blobs) from cause

    def _prepare(self) -> None:
        for directory in (self._blobs, self._trash):
            directory.mkdir(mode=0o700, exist_ok=True)
        self._sweep("")
        for name in os.listdir(self._blobs):
            bar = self._blobs / name
            with contextlib.suppress(OSError):
                if bar.is_file() and time.time() - bar.stat().st_mtime > _BAR_SECONDS:
                    bar.unlink()

    def _sweep(self, prefix: str) -> None:
        # Another process may sweep the same; whatever is left is taken up at the next opening.
        for condemned in self._trash.glob(f"{prefix}*"):
            shutil.rmtree(condemned, ignore_errors=True)

    def _purge(self, bucket_id: str) -> None:
        self._sweep(bucket_id)
        shutil.rmtree(self._aside(bucket_id), ignore_errors=True)

    def _aside(self, bucket_id: str) -> Path:
        return self._blobs / f"{bucket_id}.writes"

    def _put_aside(self, bucket: Bucket) -> None:
        root = self._blobs / bucket.id
        while not _barred(root):
            self._trash.mkdir(mode=0o700, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                os.rename(root, self._trash / f"{bucket.id}.{uuid.uuid4().hex}")

    def _remove_empty(self, bucket: Bucket) -> None:
        """Remove the directory of a bucket without blobs, however late a blob may arrive.

        Only ``rmdir`` takes directories away, and it fails where something has come in between.
        Writes in flight are set aside for the last step and put back if it fails.
        """
        root = self._blobs / bucket.id
        aside = self._aside(bucket.id)
        try:
            while not _barred(root):
                for directory in reversed(_directories(root)[1:]):
                    _rmdir(directory)
                _set_aside(root / LOCAL_INTERNAL, aside)
                try:
                    _rmdir(root)
                except OSError:
                    _put_back(aside, root / LOCAL_INTERNAL)
                    raise
        except OSError as cause:
            if cause.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            name = bucket.name or bucket.id
            raise BucketNotEmpty("blobs remain in the bucket", bucket=name) from None


def _barred(root: Path) -> bool:
    """Put a file where the directory of a removed bucket was; False while that is there."""
    try:
        os.close(os.open(root, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return not root.is_dir()
    return True


def _directories(root: Path) -> list[str]:
    """The directories at and below *root*, each after its parent; ENOTEMPTY if a blob is there."""
    found = [str(root)]
    for directory in found:  # grows on the way
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if directory == found[0] and entry.name == LOCAL_INTERNAL:
                        continue
                    if not entry.is_dir(follow_symlinks=False):
                        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), entry.path)
                    found.append(entry.path)
        except FileNotFoundError:
            continue  # removed by somebody else meanwhile
    return found


def _rmdir(directory: str | Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # removed by somebody else meanwhile
        os.rmdir(directory)


def _set_aside(in_flight: Path, aside: Path) -> None:
    """Move writes in flight to *aside*, over whatever a crash has left there."""
    if in_flight.is_dir():
        shutil.rmtree(aside, ignore_errors=True)
        os.rename(in_flight, aside)


def _put_back(aside: Path, in_flight: Path) -> None:
    """Give writes in flight their place again, beside those begun meanwhile."""
    for folder, _, files in os.walk(aside):
        target = in_flight / os.path.relpath(folder, aside)
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in files:
            os.rename(os.path.join(folder, name), target / name)
    shutil.rmtree(aside, ignore_errors=True)
