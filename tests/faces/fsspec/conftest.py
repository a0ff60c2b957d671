"""A file system on the embedded platform."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from neuro_sdk.fsspec import BlobFileSystem

from .opening import file_system


@pytest.fixture
def fs(home: Path) -> Iterator[BlobFileSystem]:
    """One of the blocking kind with the empty bucket ``box``."""
    with file_system(home) as opened:
        yield opened
