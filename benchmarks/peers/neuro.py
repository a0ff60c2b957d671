"""neuro_sdk by its public API, with the settings it comes with.

The clients of the others are made with their bucket and its keys, so the bucket is opened before.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp  # noqa: F401 - else with the first large blob, and imports are not measured

import neuro_sdk
from neuro_sdk import Bucket, BucketHandle

from ..task import Access, Task
from ..worker import serve
from .trees import crowd

_NAME = "bench"
_CROWD = 64


class Peer:
    def __init__(self, bucket: BucketHandle) -> None:
        self._bucket = bucket

    async def put_blobs(self, prefix: str, bodies: Mapping[str, bytes]) -> None:
        await crowd(
            _CROWD,
            lambda item: self._bucket.put_blob(f"{prefix}/{item[0]}", item[1]),
            bodies.items(),
        )

    async def get_blobs(self, prefix: str, names: Sequence[str]) -> Sequence[bytes]:
        async def get(name: str) -> bytes:
            async with self._bucket.fetch_blob(f"{prefix}/{name}") as pieces:
                return b"".join([piece async for piece in pieces])

        return await crowd(_CROWD, get, names)

    async def upload_file(self, path: str, key: str) -> None:
        await self._bucket.upload_file(path, key)

    async def download_file(self, key: str, path: str) -> None:
        await self._bucket.download_file(key, path)

    async def upload_tree(self, folder: str, prefix: str) -> None:
        await self._bucket.upload_dir(folder, prefix)

    async def download_tree(self, prefix: str, folder: str) -> None:
        await self._bucket.download_dir(prefix, folder)

    async def remove_tree(self, prefix: str) -> None:
        await self._bucket.blob_rm(prefix, recursive=True)

    async def list_blobs(self, prefix: str) -> Sequence[tuple[str, int, Any]]:
        entries = self._bucket.list_blobs(f"{prefix}/", recursive=True, limit=None)
        return [(entry.key, entry.size, entry.modified_at) async for entry in entries]

    async def update_up(self, folder: str, prefix: str) -> None:
        await self._bucket.upload_dir(folder, prefix, update=True)

    async def update_down(self, prefix: str, folder: str) -> None:
        await self._bucket.download_dir(prefix, folder, update=True)


def _credentials(access: Access) -> tuple[Bucket.Provider, dict[str, str]]:
    if access.kind == "azure":
        return Bucket.Provider.AZURE, {
            "storage_endpoint": access.endpoint,
            "account_name": access.user,
            "credential": access.secret,
        }
    return Bucket.Provider.SEAWEEDFS, {
        "endpoint_url": access.endpoint,
        "region_name": access.region,
        "access_key_id": access.user,
        "secret_access_key": access.secret,
    }


@asynccontextmanager
async def opened(task: Task) -> AsyncIterator[Peer]:
    fresh = not os.path.exists(task.home)
    async with neuro_sdk.local(task.home) as client:
        if fresh:
            provider, credentials = _credentials(task.access)
            await client.buckets.import_external(
                provider, task.access.bucket, credentials, name=_NAME
            )
        async with client.buckets.open(_NAME) as bucket:  # it knows its bucket, as the others do
            yield Peer(bucket)


if __name__ == "__main__":
    serve(opened)
