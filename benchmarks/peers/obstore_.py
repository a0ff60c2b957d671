"""obstore: the object_store crate for Python.

Its guide of performance advises concurrent requests by ``asyncio.gather``; ``put`` takes the
part size and its concurrency, and a large object is read fastest by ranges
(developmentseed.org/obstore: "Performance", ``put``, ``get_range``).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import obstore
from obstore.store import AzureStore, ObjectStore, S3Store

from ..task import Access, Task
from ..worker import serve
from .trees import crowd, files_below, stale_blobs, stale_files

_CROWD = 64
_PART = 8 << 20
_PARTS = 8


def store_at(access: Access) -> ObjectStore:
    """The bucket as obstore knows it; the harness uses it too."""
    if access.kind == "azure":
        return AzureStore(
            access.bucket,
            account_name=access.user,
            account_key=access.secret,
            endpoint=access.endpoint,
            client_options={"allow_http": True},
        )
    return S3Store(
        access.bucket,
        endpoint=access.endpoint,
        region=access.region,
        access_key_id=access.user,
        secret_access_key=access.secret,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


class Peer:
    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put_blobs(self, prefix: str, bodies: Mapping[str, bytes]) -> None:
        async def put(item: tuple[str, bytes]) -> None:
            await obstore.put_async(self._store, f"{prefix}/{item[0]}", item[1])

        await crowd(_CROWD, put, bodies.items())

    async def get_blobs(self, prefix: str, names: Sequence[str]) -> Sequence[Any]:
        async def get(name: str) -> Any:
            answer = await obstore.get_async(self._store, f"{prefix}/{name}")
            return await answer.bytes_async()

        return await crowd(_CROWD, get, names)

    async def upload_file(self, path: str, key: str) -> None:
        await obstore.put_async(
            self._store, key, Path(path), chunk_size=_PART, max_concurrency=_PARTS
        )

    async def download_file(self, key: str, path: str) -> None:
        size = (await obstore.head_async(self._store, key))["size"]
        with open(path, "wb") as file:

            async def part(start: int) -> None:
                end = min(start + _PART, size)
                data = await obstore.get_range_async(self._store, key, start=start, end=end)
                os.pwrite(file.fileno(), data, start)

            await crowd(_PARTS, part, range(0, size, _PART))

    async def _upload(self, folder: str, prefix: str, names: Sequence[str]) -> None:
        async def put(name: str) -> None:
            await obstore.put_async(self._store, f"{prefix}/{name}", Path(folder, name))

        await crowd(_CROWD, put, names)

    async def upload_tree(self, folder: str, prefix: str) -> None:
        await self._upload(folder, prefix, [name for name, _ in files_below(folder)])

    async def _download(self, prefix: str, keys: Sequence[str], folder: str) -> None:
        for parent in {os.path.dirname(key[len(prefix) + 1 :]) for key in keys}:
            os.makedirs(os.path.join(folder, parent), exist_ok=True)

        async def get(key: str) -> None:
            answer = await obstore.get_async(self._store, key)
            data = await answer.bytes_async()
            with open(os.path.join(folder, key[len(prefix) + 1 :]), "wb") as file:
                file.write(data)

        await crowd(_CROWD, get, keys)

    async def download_tree(self, prefix: str, folder: str) -> None:
        keys = [key for key, _, _ in await self.list_blobs(prefix)]
        await self._download(prefix, keys, folder)

    async def remove_tree(self, prefix: str) -> None:
        keys = [key for key, _, _ in await self.list_blobs(prefix)]
        await obstore.delete_async(self._store, keys)

    async def list_blobs(self, prefix: str) -> Sequence[tuple[str, int, Any]]:
        listing = obstore.list(self._store, f"{prefix}/", chunk_size=1000)
        return [
            (blob["path"], blob["size"], blob["last_modified"])
            async for page in listing
            for blob in page
        ]

    async def update_up(self, folder: str, prefix: str) -> None:
        stale = stale_blobs(folder, prefix, await self.list_blobs(prefix))
        await self._upload(folder, prefix, stale)

    async def update_down(self, prefix: str, folder: str) -> None:
        stale = stale_files(folder, prefix, await self.list_blobs(prefix))
        await self._download(prefix, stale, folder)


@asynccontextmanager
async def opened(task: Task) -> AsyncIterator[Peer]:
    yield Peer(store_at(task.access))


if __name__ == "__main__":
    serve(opened)
