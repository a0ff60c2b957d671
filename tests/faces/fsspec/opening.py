"""File systems for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neuro_sdk.fsspec import BlobFileSystem


@contextmanager
def file_system(home: Path) -> Iterator[BlobFileSystem]:
    """One of the blocking kind with the empty bucket ``box``."""
    fs = BlobFileSystem(path=home, skip_instance_cache=True)
    fs.mkdir("box")
    try:
        yield fs
    finally:
        fs.close()
