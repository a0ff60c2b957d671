"""``DummyDriver``: objects in the memory of this process, to try what uses a driver."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from .base import BaseS3Driver, answers

__all__ = ["DummyDriver"]


@dataclass(frozen=True, slots=True)
class _Object:
    data: bytes
    metadata: dict[str, str]
    modified_at: datetime


class DummyDriver(BaseS3Driver):
    """Needs nothing of its configuration and forgets all when it is closed."""

    thread_safe: ClassVar[bool] = True

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self._objects: dict[str, _Object] = {}
        self._lock = threading.Lock()

    @answers(lambda: False)
    def upload(self, key: str, data: bytes, metadata: dict[str, str] | None = None) -> bool:
        """See :meth:`BaseS3Driver.upload`."""
        _check(key)
        told = {name.lower(): value for name, value in (metadata or {}).items()}
        with self._lock:
            self._objects[key] = _Object(bytes(data), told, datetime.now(UTC))
        return True

    @answers(lambda: None)
    def download(self, key: str) -> bytes | None:
        """See :meth:`BaseS3Driver.download`."""
        return self._get(key).data

    @answers(lambda: False)
    def delete(self, key: str) -> bool:
        """See :meth:`BaseS3Driver.delete`."""
        _check(key)
        with self._lock:
            self._objects.pop(key, None)
        return True

    @answers(list[str])
    def list_objects(self, prefix: str = "", max_keys: int = 1000) -> list[str]:
        """See :meth:`BaseS3Driver.list_objects`."""
        with self._lock:
            keys = sorted(key for key in self._objects if key.startswith(prefix))
        return keys[: max(0, max_keys)]

    @answers(lambda: None)
    def head_object(self, key: str) -> dict[str, Any] | None:
        """See :meth:`BaseS3Driver.head_object`."""
        found = self._get(key)
        digest = hashlib.md5(found.data, usedforsecurity=False).hexdigest()
        return {
            "size": len(found.data),
            "etag": f'"{digest}"',
            "last_modified": found.modified_at,
            "metadata": dict(found.metadata),
        }

    def close(self) -> None:
        """Forget all."""
        with self._lock:
            self._objects.clear()

    def _get(self, key: str) -> _Object:
        with self._lock:
            found = self._objects.get(key)
        if found is None:
            raise KeyError("no such object")
        return found


def _check(key: str) -> None:
    if not isinstance(key, str) or not key:
        raise ValueError("a key is text and not empty")
