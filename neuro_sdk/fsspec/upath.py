"""``UPath("blob://BUCKET/KEY")``: what universal-pathlib loads for the protocol ``blob``."""

from __future__ import annotations

from fsspec import register_implementation
from upath import UPath

from ._system import BlobFileSystem

__all__ = ["BlobPath"]

# A protocol that fsspec has by its entry point but has not loaded yet has no rules for paths,
# and UPath warns that it makes some up.
register_implementation("blob", BlobFileSystem)


class BlobPath(UPath):
    """A path of a ``BlobFileSystem``; its options are the keyword arguments."""

    __slots__ = ()
