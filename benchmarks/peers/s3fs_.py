"""s3fs: the fsspec filesystem.

Many blobs go by one call with ``batch_size`` (fsspec, "Async": concurrent batch operations), and
one large file by ``chunksize`` with ``max_concurrency`` (s3fs, ``S3FileSystem``).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import s3fs

from ..task import Task
from ..worker import serve
from .trees import stale_blobs, stale_files

_CROWD = 64
_PART = 16 << 20
_PARTS = 8


class Peer:
    def __init__(self, filesystem: Any, bucket: str) -> None:
        self._fs = filesystem
        self._bucket = bucket

    def put_blobs(self, prefix: str, bodies: Mapping[str, bytes]) -> None:
        self._fs.pipe(
            {f"{self._bucket}/{prefix}/{name}": body for name, body in bodies.items()},
            batch_size=_CROWD,
        )

    def get_blobs(self, prefix: str, names: Sequence[str]) -> Sequence[bytes]:
        paths = [f"{self._bucket}/{prefix}/{name}" for name in names]
        found = self._fs.cat(paths, batch_size=_CROWD)
        return [found[path] for path in paths]

    def upload_file(self, path: str, key: str) -> None:
        self._fs.put_file(path, f"{self._bucket}/{key}", chunksize=_PART, max_concurrency=_PARTS)

    def download_file(self, key: str, path: str) -> None:
        self._fs.get_file(f"{self._bucket}/{key}", path, chunksize=_PART, max_concurrency=_PARTS)

    def upload_tree(self, folder: str, prefix: str) -> None:
        self._fs.put(f"{folder}/", f"{self._bucket}/{prefix}/", recursive=True, batch_size=_CROWD)

    def download_tree(self, prefix: str, folder: str) -> None:
        self._fs.get(f"{self._bucket}/{prefix}/", f"{folder}/", recursive=True, batch_size=_CROWD)

    def remove_tree(self, prefix: str) -> None:
        self._fs.rm(f"{self._bucket}/{prefix}", recursive=True)

    def list_blobs(self, prefix: str) -> Sequence[tuple[str, int, Any]]:
        found = self._fs.find(f"{self._bucket}/{prefix}", detail=True)
        start = len(self._bucket) + 1
        return [(path[start:], of["size"], of["LastModified"]) for path, of in found.items()]

    def update_up(self, folder: str, prefix: str) -> None:
        stale = stale_blobs(folder, prefix, self.list_blobs(prefix))
        if stale:
            self._fs.put(
                [os.path.join(folder, name) for name in stale],
                [f"{self._bucket}/{prefix}/{name}" for name in stale],
                batch_size=_CROWD,
            )

    def update_down(self, prefix: str, folder: str) -> None:
        stale = stale_files(folder, prefix, self.list_blobs(prefix))
        if stale:
            self._fs.get(
                [f"{self._bucket}/{key}" for key in stale],
                [os.path.join(folder, key[len(prefix) + 1 :]) for key in stale],
                batch_size=_CROWD,
            )


@asynccontextmanager
async def opened(task: Task) -> AsyncIterator[Peer]:
    access = task.access
    filesystem = s3fs.S3FileSystem(
        endpoint_url=access.endpoint,
        key=access.user,
        secret=access.secret,
        client_kwargs={"region_name": access.region},
        config_kwargs={
            "max_pool_connections": _CROWD,
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        },
        max_concurrency=_PARTS,
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    filesystem.connect()
    yield Peer(filesystem, access.bucket)


if __name__ == "__main__":
    serve(opened)
