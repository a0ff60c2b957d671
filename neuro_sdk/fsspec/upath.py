"""``UPath("blob://BUCKET/KEY")``: what universal-pathlib loads for the protocol ``blob``."""

from __future__ import annotations

from upath import UPath

__all__ = ["BlobPath"]


class BlobPath(UPath):
    """A path of a ``BlobFileSystem``; its options are the keyword arguments."""

    __slots__ = ()
