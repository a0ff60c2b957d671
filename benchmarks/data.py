"""What is moved: files with known contents, made once, and how to see that they arrived."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import obstore
from obstore.store import ObjectStore

from .peers.trees import crowd

__all__ = ["Data", "Wrong", "check_blobs", "check_files", "make", "remove", "upload"]

_MIB = 1 << 20
_CROWD = 32


class Wrong(Exception):
    """A peer did not do what it was timed for."""


@dataclass(frozen=True, slots=True)
class Data:
    """Files in *folder*: names, and the MD5 and size of each."""

    folder: Path
    digests: Mapping[str, str]
    size: int

    @property
    def names(self) -> Sequence[str]:
        return list(self.digests)


def make(folder: Path, names: Sequence[str], size: int) -> Data:
    """Files of *size* bytes each, all different."""
    digests = {}
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = _md5()
        with path.open("wb") as file:
            for piece in _content(name, size):
                digest.update(piece)
                file.write(piece)
        digests[name] = digest.hexdigest()
    return Data(folder, digests, size)


def _content(name: str, size: int) -> Iterator[bytes]:
    dice = random.Random(name)
    block = dice.randbytes(min(size, _MIB))
    for start in range(0, size, _MIB):  # each MiB begins with its number
        yield (start.to_bytes(8, "big") + block[8:])[: size - start]


def _md5() -> hashlib._Hash:
    return hashlib.md5(usedforsecurity=False)


async def upload(store: ObjectStore, prefix: str, data: Data) -> None:
    """Put the files below *prefix*, by nobody who is measured here."""

    async def put(name: str) -> None:
        await obstore.put_async(store, f"{prefix}/{name}", data.folder / name)

    await crowd(_CROWD, put, data.names)


async def remove(store: ObjectStore, prefix: str) -> None:
    """Remove the blob *prefix*, if there is one, and all below it."""
    keys = [key for key, _ in await listed(store, prefix)]
    if keys:
        await obstore.delete_async(store, keys)


async def listed(store: ObjectStore, prefix: str) -> list[tuple[str, str]]:
    """Keys at or below *prefix*, and what tells versions apart."""
    found = []
    async for page in obstore.list(store, prefix, chunk_size=1000):
        for blob in page:
            if blob["path"] == prefix or blob["path"].startswith(f"{prefix}/"):
                told = f"{blob['e_tag']} {blob['last_modified']} {blob['size']}"
                found.append((blob["path"], told))
    return found


async def check_blobs(store: ObjectStore, keys: Mapping[str, str], prefix: str, size: int) -> None:
    """Raise Wrong unless exactly *keys* are at or below *prefix*, with these digests."""
    found = {}
    # Listings of obstore go by whole segments, so the blob itself is asked for by its folder.
    parent = prefix.rpartition("/")[0]
    async for page in obstore.list(store, f"{parent}/", chunk_size=1000):
        for blob in page:
            if blob["path"] == prefix or blob["path"].startswith(f"{prefix}/"):
                found[blob["path"]] = blob
    if found.keys() != keys.keys():
        raise Wrong(f"{len(found)} blobs instead of {len(keys)}")
    sizes = {blob["size"] for blob in found.values()}
    if sizes != {size}:
        raise Wrong(f"blobs of {sorted(sizes)[:5]} bytes instead of {size}")

    async def check(key: str) -> None:
        # The ETag of what went up with one request is its MD5 at S3.
        if (found[key]["e_tag"] or "").strip('"') == keys[key]:
            return
        digest = _md5()
        answer = await obstore.get_async(store, key)
        async for piece in answer.stream(min_chunk_size=_MIB):
            digest.update(piece)
        if digest.hexdigest() != keys[key]:
            raise Wrong(f"the blob {key!r} has other bytes")

    await crowd(_CROWD, check, keys)


def check_files(folder: Path, digests: Mapping[str, str], size: int) -> None:
    """Raise Wrong unless exactly these files are in *folder* (or it is the one of that name)."""
    if folder.is_file():
        found = {folder.name: folder}
    else:
        paths = (Path(at) / name for at, _, names in os.walk(folder) for name in names)
        found = {path.relative_to(folder).as_posix(): path for path in paths}
    if found.keys() != digests.keys():
        raise Wrong(f"{len(found)} files instead of {len(digests)}")
    for name, path in found.items():
        if path.stat().st_size != size:
            raise Wrong(f"the file {name!r} has {path.stat().st_size} bytes instead of {size}")
        with path.open("rb") as file:
            if hashlib.file_digest(file, _md5).hexdigest() != digests[name]:
                raise Wrong(f"the file {name!r} has other bytes")
