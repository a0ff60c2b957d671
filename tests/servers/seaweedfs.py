"""SeaweedFS as the package itself runs it for people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neuro_sdk._platform.seaweedfs import SeaweedFSServer, run_seaweedfs

from .background import in_background


@contextmanager
def seaweedfs_server(data: Path) -> Iterator[SeaweedFSServer]:
    """A SeaweedFS with S3, IAM and STS on a free port of this machine."""
    with in_background(run_seaweedfs(data)) as server:
        yield server
