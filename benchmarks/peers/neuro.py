"""neuro_sdk by its public API, with the settings it comes with."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp  # noqa: F401 - else with the first large blob, and imports are not measured

import neuro_sdk
from neuro_sdk import Bucket, Client

from ..task import Access, Task
from ..worker import serve
from .trees import crowd

_NAME = "bench"
_CROWD = 64


class Peer:
    def __init__(self, client: Client) -> None:
        self._buckets = client.buckets

    def _uri(self, key: str) -> str:
        return f"blob:{_NAME}/{key}"

    async def put_blobs(self, prefix: str, bodies: Mapping[str, bytes]) -> None:
        async with self._buckets.open(_NAME) as bucket:
            await crowd(
                _CROWD,
                lambda item: bucket.put_blob(f"{prefix}/{item[0]}", item[1]),
                bodies.items(),
            )

    async def get_blobs(self, prefix: str, names: Sequence[str]) -> Sequence[bytes]:
        async with self._buckets.open(_NAME) as bucket:

            async def get(name: str) -> bytes:
                async with bucket.fetch_blob(f"{prefix}/{name}") as pieces:
                    return b"".join([piece async for piece in pieces])

            return await crowd(_CROWD, get, names)

    async def upload_file(self, path: str, key: str) -> None:
        await self._buckets.upload_file(path, self._uri(key))

    async def download_file(self, key: str, path: str) -> None:
        await self._buckets.download_file(self._uri(key), path)

    async def upload_tree(self, folder: str, prefix: str) -> None:
        await self._buckets.upload_dir(folder, self._uri(prefix))

    async def download_tree(self, prefix: str, folder: str) -> None:
        await self._buckets.download_dir(self._uri(prefix), folder)

    async def remove_tree(self, prefix: str) -> None:
        await self._buckets.blob_rm(self._uri(prefix), recursive=True)

    async def list_blobs(self, prefix: str) -> Sequence[tuple[str, int, Any]]:
        entries = self._buckets.list_blobs(self._uri(prefix) + "/", recursive=True, limit=None)
        return [(entry.key, entry.size, entry.modified_at) async for entry in entries]

    async def update_up(self, folder: str, prefix: str) -> None:
        await self._buckets.upload_dir(folder, self._uri(prefix), update=True)

    async def update_down(self, prefix: str, folder: str) -> None:
        await self._buckets.download_dir(self._uri(prefix), folder, update=True)


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
        yield Peer(client)


if __name__ == "__main__":
    serve(opened)
