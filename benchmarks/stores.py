"""The stores that everybody is measured at: real servers on the loopback address."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from email.utils import formatdate
from pathlib import Path

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from neuro_sdk._platform.seaweedfs import run_seaweedfs

from .task import Access

__all__ = ["STORES", "Store"]

_BUCKET = "bench"
_START_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A server that runs; ``tidy`` gives back the room of what has been removed."""

    name: str
    access: Access
    pid: int
    tidy: Callable[[], None]

    def at(self, endpoint: str) -> Access:
        """The same bucket, reached another way."""
        return replace(self.access, endpoint=endpoint)


@asynccontextmanager
async def _seaweedfs(folder: Path) -> AsyncIterator[Store]:
    async with run_seaweedfs(folder) as server:
        access = Access(
            kind="s3",
            endpoint=server.endpoint,
            user=server.access_key,
            secret=server.secret_key,
            bucket=_BUCKET,
        )
        async with AioSession().create_client(
            "s3",
            endpoint_url=access.endpoint,
            region_name=access.region,
            aws_access_key_id=access.user,
            aws_secret_access_key=access.secret,
            config=AioConfig(s3={"addressing_style": "path"}),
        ) as s3:
            await s3.create_bucket(Bucket=_BUCKET)
        master = json.loads((folder / "ports.json").read_text())["master"]

        def tidy() -> None:
            url = f"http://127.0.0.1:{master}/vol/vacuum?garbageThreshold=0.01"
            with urllib.request.urlopen(url, timeout=120) as answer:
                answer.read()

        yield Store(name="seaweedfs", access=access, pid=server.pid, tidy=tidy)


@asynccontextmanager
async def _azurite(folder: Path) -> AsyncIterator[Store]:
    program = shutil.which("azurite-blob", path=str(Path(sys.executable).parent))
    if program is None:
        raise SystemExit(
            "Azurite is not installed; run: npm install --global "
            f"--prefix={sys.prefix} --omit=dev azurite"
        )
    folder.mkdir(parents=True)
    port, account = _free_port(), "bench"
    key = b64encode(secrets.token_bytes(64)).decode()
    command = [program, "--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    command += ["--location", str(folder), "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    environment = {"PATH": os.environ["PATH"], "AZURITE_ACCOUNTS": f"{account}:{key}"}
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.DEVNULL, cwd=folder, env=environment
    )
    try:
        access = Access(
            kind="azure",
            endpoint=f"http://127.0.0.1:{port}/{account}",
            user=account,
            secret=key,
            bucket=_BUCKET,
        )
        await asyncio.to_thread(_create_container, access)
        yield Store(name="azurite", access=access, pid=process.pid, tidy=lambda: None)
    finally:
        process.kill()
        await process.wait()


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def _create_container(access: Access) -> None:
    """Put the container with a request signed by the shared key."""
    date = formatdate(usegmt=True)
    version = "2021-12-02"
    name = access.bucket
    to_sign = (
        "PUT" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:{version}\n"
        f"/{access.user}/{access.user}/{name}\nrestype:container"
    )
    digest = hmac.digest(b64decode(access.secret), to_sign.encode(), "sha256")
    request = urllib.request.Request(
        f"{access.endpoint}/{name}?restype=container",
        method="PUT",
        headers={
            "x-ms-date": date,
            "x-ms-version": version,
            "Authorization": f"SharedKey {access.user}:{b64encode(digest).decode()}",
            "Content-Length": "0",
        },
    )
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10):
                return
        except urllib.error.HTTPError:
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


STORES = {"seaweedfs": _seaweedfs, "azurite": _azurite}
"""What starts each, with its data in the folder that it is given."""
