"""A store of one's own for the embedded platform: SeaweedFS beside its registry."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from .._core.models import Bucket
from ..errors import ConfigError, local_error
from .cluster import read_cluster
from .seaweedfs import SeaweedFSServer, run_seaweedfs
from .service import STORE_FILE

__all__ = ["serve_own_store"]

_DATA = "seaweedfs"
_HEAD = "# Written by neuro-sdk serve-store; its keys open the store beside this file."


@asynccontextmanager
async def serve_own_store(home: Path, *, port: int | None = None) -> AsyncIterator[SeaweedFSServer]:
    """Run SeaweedFS for the platform in *home* until the block is left.

    Its data lie in ``seaweedfs`` below *home*, and ``store.toml`` there tells the platform to
    make its buckets at it, from now on. A ``store.toml`` that describes another store is left
    alone, and ConfigError is raised.
    """
    path = home / STORE_FILE
    await asyncio.to_thread(_check_is_ours, path)
    async with run_seaweedfs(home / _DATA, port=port) as server:
        try:
            await asyncio.to_thread(_write, path, server)
        except OSError as cause:
            raise local_error(cause, cause.filename or path) from cause
        yield server


def _check_is_ours(path: Path) -> None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except OSError as cause:
        raise local_error(cause, path) from cause
    if not text.startswith(_HEAD) or read_cluster(path).provider is not Bucket.Provider.SEAWEEDFS:
        raise ConfigError(
            f"{str(path)!r} describes another store; use another home, or remove that file"
        )


def _write(path: Path, server: SeaweedFSServer) -> None:
    # Text in JSON is text in TOML too, escapes included.
    lines = [
        _HEAD,
        'provider = "seaweedfs"',
        f"endpoint_url = {json.dumps(server.endpoint)}",
        f"access_key_id = {json.dumps(server.access_key)}",
        f"secret_access_key = {json.dumps(server.secret_key)}",
    ]
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write("\n".join(lines) + "\n")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
