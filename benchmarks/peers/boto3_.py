"""boto3 with s3transfer.

Clients are shared by threads (boto3 guide, "Multithreading"), large files go by the transfer
manager with ``TransferConfig`` ("File transfer configuration"), and checksums that the store
does not ask for are left out (``request_checksum_calculation``, botocore's ``Config``).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from ..task import Task
from ..worker import serve
from .trees import files_below, stale_blobs, stale_files

T = TypeVar("T")

_THREADS = 16
_TRANSFER = TransferConfig(
    multipart_threshold=16 << 20,
    multipart_chunksize=16 << 20,
    max_concurrency=8,
    io_chunksize=1 << 20,
    preferred_transfer_client="classic",
)


class Peer:
    def __init__(self, client: Any, bucket: str) -> None:
        self._s3 = client
        self._bucket = bucket

    def _all(self, work: Callable[[T], Any], items: Iterable[T]) -> list[Any]:
        with ThreadPoolExecutor(_THREADS) as threads:
            return list(threads.map(work, items))

    def put_blobs(self, prefix: str, bodies: Mapping[str, bytes]) -> None:
        def put(item: tuple[str, bytes]) -> None:
            self._s3.put_object(Bucket=self._bucket, Key=f"{prefix}/{item[0]}", Body=item[1])

        self._all(put, bodies.items())

    def get_blobs(self, prefix: str, names: Sequence[str]) -> Sequence[bytes]:
        return self._all(lambda name: self._get(f"{prefix}/{name}"), names)

    def _get(self, key: str) -> bytes:
        body: bytes = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        return body

    def upload_file(self, path: str, key: str) -> None:
        self._s3.upload_file(path, self._bucket, key, Config=_TRANSFER)

    def download_file(self, key: str, path: str) -> None:
        self._s3.download_file(self._bucket, key, path, Config=_TRANSFER)

    def _upload(self, folder: str, prefix: str, names: Sequence[str]) -> None:
        def put(name: str) -> None:
            with open(os.path.join(folder, name), "rb") as file:
                self._s3.put_object(Bucket=self._bucket, Key=f"{prefix}/{name}", Body=file)

        self._all(put, names)

    def upload_tree(self, folder: str, prefix: str) -> None:
        self._upload(folder, prefix, [name for name, _ in files_below(folder)])

    def _download(self, prefix: str, keys: Sequence[str], folder: str) -> None:
        for parent in {os.path.dirname(key[len(prefix) + 1 :]) for key in keys}:
            os.makedirs(os.path.join(folder, parent), exist_ok=True)

        def get(key: str) -> None:
            with open(os.path.join(folder, key[len(prefix) + 1 :]), "wb") as file:
                file.write(self._get(key))

        self._all(get, keys)

    def download_tree(self, prefix: str, folder: str) -> None:
        self._download(prefix, [key for key, _, _ in self.list_blobs(prefix)], folder)

    def remove_tree(self, prefix: str) -> None:
        keys = [key for key, _, _ in self.list_blobs(prefix)]

        def delete(start: int) -> None:
            objects = [{"Key": key} for key in keys[start : start + 1000]]
            self._s3.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})

        self._all(delete, range(0, len(keys), 1000))

    def list_blobs(self, prefix: str) -> Sequence[tuple[str, int, Any]]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"{prefix}/"
        )
        return [
            (blob["Key"], blob["Size"], blob["LastModified"])
            for page in pages
            for blob in page.get("Contents", ())
        ]

    def update_up(self, folder: str, prefix: str) -> None:
        self._upload(folder, prefix, stale_blobs(folder, prefix, self.list_blobs(prefix)))

    def update_down(self, prefix: str, folder: str) -> None:
        self._download(prefix, stale_files(folder, prefix, self.list_blobs(prefix)), folder)


@asynccontextmanager
async def opened(task: Task) -> AsyncIterator[Peer]:
    access = task.access
    client = boto3.client(
        "s3",
        endpoint_url=access.endpoint,
        region_name=access.region,
        aws_access_key_id=access.user,
        aws_secret_access_key=access.secret,
        config=Config(
            max_pool_connections=_THREADS,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"},
        ),
    )
    yield Peer(client, access.bucket)


if __name__ == "__main__":
    serve(opened)
