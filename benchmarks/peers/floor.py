"""No peer: the least that a client can do, to see what the store allows.

Requests are signed before the clock runs. Then threads send them over kept connections, from
files by ``sendfile``, and read answers as far as their length demands. Nothing is checked but the
status; the names below a prefix are known without asking.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from queue import SimpleQueue
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ..task import Task
from ..worker import serve
from .trees import files_below

T = TypeVar("T")

_THREADS = 64
_LARGE_THREADS = 4
_PART = 16 << 20
_BUFFER = 1 << 20


class Connection:
    """One kept connection."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(_BUFFER)
        self._host = f"{host}:{port}"

    def ask(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        headers: str = "",
        file: tuple[str, int, int] | None = None,
        sink: Callable[[memoryview], object] | None = None,
    ) -> tuple[str, bytes]:
        """Head and body of the answer; the body goes to *sink* instead if there is one."""
        length = file[2] if file is not None else len(body)
        head = (
            f"{method} {target} HTTP/1.1\r\nHost: {self._host}\r\n"
            f"Content-Length: {length}\r\n{headers}\r\n"
        ).encode()
        self._socket.sendall(head + body)
        if file is not None:
            with open(file[0], "rb") as source:
                self._socket.sendfile(source, file[1], file[2])
        return self._answer(sink)

    def _answer(self, sink: Callable[[memoryview], object] | None) -> tuple[str, bytes]:
        view = memoryview(self._buffer)
        filled = 0
        while (end := self._buffer.find(b"\r\n\r\n", 0, filled)) < 0:
            filled += self._received(view[filled:])
        told = bytes(view[:end]).decode("latin-1")
        if not told.startswith("HTTP/1.1 2"):
            raise OSError(told + bytes(view[end:filled]).decode("latin-1"))
        found = re.search(r"(?i)\ncontent-length: (\d+)", told)
        start = end + 4
        if found is None and re.search(r"(?i)\ntransfer-encoding: chunked", told):
            return told, self._chunked(bytes(view[start:filled]))
        left = int(found[1]) if found else 0
        pieces = []
        while True:
            piece = view[start:filled]
            left -= len(piece)
            if sink is not None:
                sink(piece)
            else:
                pieces.append(bytes(piece))
            if left <= 0:
                return told, b"".join(pieces)
            start, filled = 0, self._received(view[: min(left, _BUFFER)])

    def _chunked(self, data: bytes) -> bytes:
        body = b""
        while True:
            while b"\r\n" not in data:
                data += self._more()
            size, _, data = data.partition(b"\r\n")
            length = int(size, 16)
            while len(data) < length + 2:
                data += self._more()
            if length == 0:
                return body
            body, data = body + data[:length], data[length + 2 :]

    def _more(self) -> bytes:
        return bytes(self._buffer[: self._received(memoryview(self._buffer))])

    def _received(self, view: memoryview) -> int:
        count = self._socket.recv_into(view)
        if count == 0:
            raise OSError("the store hung up")
        return count


class Peer:
    def __init__(self, task: Task) -> None:
        access = task.access
        url = urlsplit(access.endpoint)
        assert url.hostname is not None
        assert url.port is not None
        self._where = (url.hostname, url.port)
        self._bucket = access.bucket
        self._base = f"{access.endpoint}/{access.bucket}"
        self._signer = S3SigV4QueryAuth(
            Credentials(access.user, access.secret), "s3", access.region, expires=3600
        )
        self._size = 0
        self._upload = ""
        self._targets: dict[str, str] = {}
        match task.workload:
            case "put-blobs" | "upload-tree":
                self._sign("PUT", task)
            case "get-blobs" | "download-tree":
                self._sign("GET", task)
            case "download-file":
                head, _ = Connection(*self._where).ask(
                    "GET", self._target("GET", task.prefix), headers="Range: bytes=0-0\r\n"
                )
                found = re.search(r"(?i)content-range: bytes 0-0/(\d+)", head)
                assert found is not None
                self._size = int(found[1])
            case "upload-file":
                _, body = Connection(*self._where).ask(
                    "POST", self._target("POST", task.prefix, uploads="")
                )
                found = re.search(r"<UploadId>(.+)</UploadId>", body.decode())
                assert found is not None
                self._upload = found[1]
        self._names = task.names

    def _target(self, method: str, key: str, **query: str) -> str:
        url = f"{self._base}/{key}" + (f"?{urlencode(query)}" if query else "")
        request = AWSRequest(method=method, url=url)
        self._signer.add_auth(request)
        signed = urlsplit(request.url)
        return f"{signed.path}?{signed.query}"

    def _sign(self, method: str, task: Task) -> None:
        for name in task.names:
            self._targets[name] = self._target(method, f"{task.prefix}/{name}")

    def _all(
        self, threads: int, work: Callable[[Connection, T], Any], items: Iterable[T]
    ) -> list[Any]:
        queue = list(items)
        free: SimpleQueue[Connection] = SimpleQueue()
        for _ in range(min(threads, len(queue))):
            free.put(Connection(*self._where))

        def one(item: T) -> Any:
            connection = free.get()
            try:
                return work(connection, item)
            finally:
                free.put(connection)

        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(one, queue))

    def put_blobs(self, prefix: str, bodies: Mapping[str, bytes]) -> None:
        def put(connection: Connection, item: tuple[str, bytes]) -> None:
            connection.ask("PUT", self._targets[item[0]], item[1])

        self._all(_THREADS, put, bodies.items())

    def get_blobs(self, prefix: str, names: Sequence[str]) -> Sequence[bytes]:
        def get(connection: Connection, name: str) -> bytes:
            return connection.ask("GET", self._targets[name])[1]

        return self._all(_THREADS, get, names)

    def upload_file(self, path: str, key: str) -> None:
        size = os.path.getsize(path)

        def put(connection: Connection, start: int) -> str:
            number = str(start // _PART + 1)
            target = self._target("PUT", key, partNumber=number, uploadId=self._upload)
            length = min(_PART, size - start)
            head, _ = connection.ask("PUT", target, file=(path, start, length))
            found = re.search(r"(?i)\netag: (\S+)", head)
            assert found is not None
            return f"<Part><PartNumber>{number}</PartNumber><ETag>{found[1]}</ETag></Part>"

        parts = self._all(_LARGE_THREADS, put, range(0, size, _PART))
        body = f"<CompleteMultipartUpload>{''.join(parts)}</CompleteMultipartUpload>".encode()
        target = self._target("POST", key, uploadId=self._upload)
        Connection(*self._where).ask("POST", target, body)

    def download_file(self, key: str, path: str) -> None:
        target = self._target("GET", key)
        with open(path, "wb") as file:
            number = file.fileno()

            def get(connection: Connection, start: int) -> None:
                position = start

                def sink(piece: memoryview) -> None:
                    nonlocal position
                    position += os.pwrite(number, piece, position)

                end = min(start + _PART, self._size) - 1
                connection.ask("GET", target, headers=f"Range: bytes={start}-{end}\r\n", sink=sink)

            self._all(_LARGE_THREADS, get, range(0, self._size, _PART))

    def upload_tree(self, folder: str, prefix: str) -> None:
        def put(connection: Connection, name: str) -> None:
            with open(f"{folder}/{name}", "rb") as file:
                connection.ask("PUT", self._targets[name], file.read())

        self._all(_THREADS, put, [name for name, _ in files_below(folder)])

    def download_tree(self, prefix: str, folder: str) -> None:
        for parent in {os.path.dirname(name) for name in self._names}:
            os.makedirs(os.path.join(folder, parent), exist_ok=True)

        def get(connection: Connection, name: str) -> None:
            with open(f"{folder}/{name}", "wb", buffering=0) as file:
                connection.ask("GET", self._targets[name], sink=file.write)

        self._all(_THREADS, get, self._names)

    def remove_tree(self, prefix: str) -> None:
        target = self._target("POST", "", delete="")

        def remove(connection: Connection, start: int) -> None:
            names = self._names[start : start + 1000]
            keys = (f"<Object><Key>{prefix}/{name}</Key></Object>" for name in names)
            body = f"<Delete><Quiet>true</Quiet>{''.join(keys)}</Delete>"
            _, answer = connection.ask("POST", target, body.encode())
            assert b"<Error>" not in answer

        self._all(_LARGE_THREADS, remove, range(0, len(self._names), 1000))

    def list_blobs(self, prefix: str) -> Sequence[tuple[str, int, str]]:
        connection = Connection(*self._where)
        rows: list[tuple[str, int, str]] = []
        query = {"list-type": "2", "prefix": f"{prefix}/", "max-keys": "1000"}
        while True:
            _, body = connection.ask("GET", self._target("GET", "", **query))
            text = body.decode()
            keys = re.findall(r"<Key>(.*?)</Key>", text)
            sizes = re.findall(r"<Size>(\d+)</Size>", text)
            times = re.findall(r"<LastModified>(.*?)</LastModified>", text)
            rows += zip(keys, map(int, sizes), times, strict=True)
            found = re.search(r"<NextContinuationToken>(.*?)</NextContinuationToken>", text)
            if found is None:
                return rows
            query["continuation-token"] = found[1]

    def update_up(self, folder: str, prefix: str) -> None:
        assert len(self.list_blobs(prefix)) == len(list(files_below(folder)))

    def update_down(self, prefix: str, folder: str) -> None:
        self.update_up(folder, prefix)


@asynccontextmanager
async def opened(task: Task) -> AsyncIterator[Peer]:
    yield Peer(task)


if __name__ == "__main__":
    serve(opened)
