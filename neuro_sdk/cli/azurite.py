"""Azurite, Microsoft's emulator of Azure Blob Storage, for a demo and for tests."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import secrets
import shutil
import socket
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from neuro_sdk.errors import ConfigError, StorageUnavailable

__all__ = ["AzuriteServer", "run_azurite"]

_HOST = "127.0.0.1"
_ACCOUNT = "neurosdk"
_START_SECONDS = 120
_STOP_SECONDS = 15
_STARTS = 3
_PAUSE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class AzuriteServer:
    """An emulated storage account that runs."""

    endpoint: str
    account_name: str
    account_key: str = field(repr=False)
    pid: int

    def save(self, path: Path) -> None:
        """Write the file that makes an embedded platform keep its buckets there."""
        fields = {
            "provider": "azure",
            "storage_endpoint": self.endpoint,
            "account_name": self.account_name,
            "account_key": self.account_key,
        }
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            # Text in JSON is text in TOML too, escapes included.
            file.writelines(f"{name} = {json.dumps(value)}\n" for name, value in fields.items())


@asynccontextmanager
async def run_azurite(folder: Path) -> AsyncIterator[AzuriteServer]:
    """Run Azurite on a free port of this machine until the block is left.

    Its blobs are in *folder*, and so is what it says, in ``azurite.log``. Programs that are
    installed beside the interpreter are preferred to those of the machine.
    """
    command = await asyncio.to_thread(_find)
    for attempt in range(1, _STARTS + 1):
        process, server = await _spawn(command, folder)
        try:
            if await asyncio.to_thread(_answers, process, server.endpoint):
                yield server
                return
        finally:
            await _stop(process)
        if attempt == _STARTS:  # each time somebody else took the port, or it is no Azurite
            said = await asyncio.to_thread((folder / "azurite.log").read_text, errors="replace")
            raise StorageUnavailable(f"Azurite ended at its start: {said[-500:].strip()}")


def _find() -> list[str]:
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    node, azurite = (shutil.which(name, path=path) for name in ("node", "azurite-blob"))
    if node is None or azurite is None:
        raise ConfigError(
            "Azurite is not installed; with Node.js at hand, run: npm install --global azurite"
        )
    return [node, os.path.realpath(azurite)]


async def _spawn(
    command: list[str], folder: Path
) -> tuple[asyncio.subprocess.Process, AzuriteServer]:
    with socket.socket() as bound:
        bound.bind((_HOST, 0))
        port = bound.getsockname()[1]
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    log = await asyncio.to_thread(
        os.open, folder / "azurite.log", os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_APPEND, 0o600
    )
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            *("--blobHost", _HOST, "--blobPort", str(port), "--location", str(folder)),
            *("--silent", "--disableTelemetry", "--skipApiVersionCheck"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env={
                "HOME": str(folder),
                "PATH": os.environ.get("PATH", os.defpath),
                "AZURITE_ACCOUNTS": f"{_ACCOUNT}:{key}",
            },
            # Ctrl-C is for us, who stop it in order.
            start_new_session=True,
        )
    finally:
        os.close(log)
    return process, AzuriteServer(
        endpoint=f"http://{_HOST}:{port}/{_ACCOUNT}",
        account_name=_ACCOUNT,
        account_key=key,
        pid=process.pid,
    )


def _answers(process: asyncio.subprocess.Process, endpoint: str) -> bool:
    """True once it answers, False if it has ended."""
    deadline = time.monotonic() + _START_SECONDS
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while process.returncode is None:
        try:
            with opener.open(endpoint, timeout=5):
                return True
        except urllib.error.HTTPError:
            return True  # it wants a signature
        except OSError:
            if time.monotonic() > deadline:
                raise StorageUnavailable(
                    f"Azurite did not start in {_START_SECONDS} seconds"
                ) from None
            time.sleep(_PAUSE)
    return False


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
