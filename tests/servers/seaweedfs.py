"""SeaweedFS as the package itself runs it for people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neuro_sdk._platform.seaweedfs import SeaweedFSServer, run_seaweedfs

from .background import in_background
from .moto import MotoServer


@contextmanager
def seaweedfs_server(data: Path) -> Iterator[SeaweedFSServer]:
    """A SeaweedFS with S3, IAM and STS on a free port of this machine."""
    with in_background(run_seaweedfs(data)) as server:
        yield server


def store_file(
    path: Path,
    server: SeaweedFSServer | MotoServer,
    endpoint: str | None = None,
    provider: str = "seaweedfs",
) -> Path:
    """Write what has an embedded platform make its buckets at *server*, or at what is before it."""
    path.write_text(
        f'provider = "{provider}"\nendpoint_url = "{endpoint or server.endpoint}"\n'
        f'access_key_id = "{server.access_key}"\nsecret_access_key = "{server.secret_key}"\n'
    )
    return path
