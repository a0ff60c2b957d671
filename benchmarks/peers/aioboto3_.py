"""aioboto3: boto3's calls on asyncio, with file transfers of its own.

One client for all tasks, its pool as large as the crowd (``max_pool_connections``); large files
by its ``upload_file`` and ``download_file`` with ``S3TransferConfig`` (aioboto3, "Usage").
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aioboto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from ..task import Task
from ..worker import serve
from .trees import crowd, files_below, stale_blobs, stale_files

_CROWD = 32
_TRANSFER = TransferConfig(
    multipart_threshold=16 << 20, multipart_chunksize=16 << 20, max_concurrency=8
)


class Peer:
    def __init__(self, client: Any, bucket: str) -> None:
        self._s3 = client
        self._bucket = bucket

    async def put_blobs(self, prefix: str, bodies: Mapping[str, bytes]) -> None:
        async def put(item: tuple[str, bytes]) -> None:
            await self._s3.put_object(Bucket=self._bucket, Key=f"{prefix}/{item[0]}", Body=item[1])

        await crowd(_CROWD, put, bodies.items())

    async def get_blobs(self, prefix: str, names: Sequence[str]) -> Sequence[bytes]:
        return await crowd(_CROWD, lambda name: self._get(f"{prefix}/{name}"), names)

    async def _get(self, key: str) -> bytes:
        answer = await self._s3.get_object(Bucket=self._bucket, Key=key)
        async with answer["Body"] as body:
            data: bytes = await body.read()
        return data

    async def upload_file(self, path: str, key: str) -> None:
        await self._s3.upload_file(path, self._bucket, key, Config=_TRANSFER)

    async def download_file(self, key: str, path: str) -> None:
        await self._s3.download_file(self._bucket, key, path, Config=_TRANSFER)

    async def _upload(self, folder: str, prefix: str, names: Sequence[str]) -> None:
        async def put(name: str) -> None:
            with open(os.path.join(folder, name), "rb") as file:
                body = file.read()
            await self._s3.put_object(Bucket=self._bucket, Key=f"{prefix}/{name}", Body=body)

        await crowd(_CROWD, put, names)

    async def upload_tree(self, folder: str, prefix: str) -> None:
        await self._upload(folder, prefix, [name for name, _ in files_below(folder)])

    async def _download(self, prefix: str, keys: Sequence[str], folder: str) -> None:
        for parent in {os.path.dirname(key[len(prefix) + 1 :]) for key in keys}:
            os.makedirs(os.path.join(folder, parent), exist_ok=True)

        async def get(key: str) -> None:
            data = await self._get(key)
            with open(os.path.join(folder, key[len(prefix) + 1 :]), "wb") as file:
                file.write(data)

        await crowd(_CROWD, get, keys)

    async def download_tree(self, prefix: str, folder: str) -> None:
        keys = [key for key, _, _ in await self.list_blobs(prefix)]
        await self._download(prefix, keys, folder)

    async def remove_tree(self, prefix: str) -> None:
        keys = [key for key, _, _ in await self.list_blobs(prefix)]

        async def delete(start: int) -> None:
            objects = [{"Key": key} for key in keys[start : start + 1000]]
            await self._s3.delete_objects(
                Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True}
            )

        await crowd(_CROWD, delete, range(0, len(keys), 1000))

    async def list_blobs(self, prefix: str) -> Sequence[tuple[str, int, Any]]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"{prefix}/"
        )
        return [
            (blob["Key"], blob["Size"], blob["LastModified"])
            async for page in pages
            for blob in page.get("Contents", ())
        ]

    async def update_up(self, folder: str, prefix: str) -> None:
        stale = stale_blobs(folder, prefix, await self.list_blobs(prefix))
        await self._upload(folder, prefix, stale)

    async def update_down(self, prefix: str, folder: str) -> None:
        stale = stale_files(folder, prefix, await self.list_blobs(prefix))
        await self._download(prefix, stale, folder)


@asynccontextmanager
async def opened(task: Task) -> AsyncIterator[Peer]:
    access = task.access
    async with aioboto3.Session().client(
        "s3",
        endpoint_url=access.endpoint,
        region_name=access.region,
        aws_access_key_id=access.user,
        aws_secret_access_key=access.secret,
        config=Config(
            max_pool_connections=_CROWD,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"},
        ),
    ) as client:
        yield Peer(client, access.bucket)


if __name__ == "__main__":
    serve(opened)
