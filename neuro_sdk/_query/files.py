"""``blob:`` names as a file system that can be read and nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fsspec.spec import AbstractFileSystem

from .blobs import BlobFile, QueriedBlobs, modified_at

__all__ = ["BlobFileSystem"]


class BlobFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """What a query may read; whatever would write, rename or remove raises PermissionError."""

    protocol = "blob"
    cachable = False

    def __init__(self, blobs: QueriedBlobs) -> None:
        super().__init__()
        self._blobs = blobs

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path

    def glob(self, path: str, maxdepth: int | None = None, **_: Any) -> list[str]:
        del maxdepth
        return self._blobs.glob(path)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "size": self._blobs.look(path).size, "type": "file"}

    def exists(self, path: str, **_: Any) -> bool:
        return bool(self._blobs.glob(path))

    def isfile(self, path: str) -> bool:
        return self.exists(path)

    def isdir(self, path: str) -> bool:
        del path
        return False

    def modified(self, path: str) -> datetime:
        return modified_at(self._blobs.look(path))

    def open(self, path: str, mode: str = "rb", **_: Any) -> BlobFile:
        if mode not in ("rb", "r"):
            raise PermissionError(f"a query only reads, and does not write {path!r}")
        return self._blobs.open(path)

    def _refuse(self, path: str, *_: Any, **__: Any) -> None:
        raise PermissionError(f"a query only reads, and does not change {path!r}")

    mkdir = makedirs = rmdir = rm = rm_file = _rm = mv = cp_file = touch = _refuse
