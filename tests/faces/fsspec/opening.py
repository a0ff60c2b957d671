"""File systems for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neuro_sdk._platform.seaweedfs import SeaweedFSServer
from neuro_sdk.fsspec import BlobFileSystem

from ...servers.seaweedfs import store_file


@contextmanager
def file_system(home: Path) -> Iterator[BlobFileSystem]:
    """One of the blocking kind with the empty bucket ``box``."""
    fs = BlobFileSystem(path=home, skip_instance_cache=True)
    fs.mkdir("box")
    try:
        yield fs
    finally:
        fs.close()


def keep_at(server: SeaweedFSServer, home: Path) -> None:
    """Let the platform in *home* make its buckets at *server*."""
    home.mkdir(exist_ok=True)
    store_file(home / "store.toml", server)
