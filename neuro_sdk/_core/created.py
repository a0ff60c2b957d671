"""Which paths a session has made: decided from what was done, by paths alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..errors import StorageError
from .keys import is_below

__all__ = ["Created", "may_be_there", "removal_order"]


class Created:
    """The paths that were made and not removed since; those of directories end in a slash.

    Each method gives back what changed, so that a journal can be told just that.
    """

    def __init__(self, paths: Iterable[str] = ()) -> None:
        self._paths = set(paths)

    def __contains__(self, path: object) -> bool:
        return path in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def add(self, path: str) -> bool:
        """*path* is being made; False if that was known."""
        if path in self._paths:
            return False
        self._paths.add(path)
        return True

    def discard(self, path: str) -> list[str]:
        """*path* is gone."""
        gone = [path] if path in self._paths else []
        self._paths.difference_update(gone)
        return gone

    def discard_tree(self, path: str) -> list[str]:
        """*path* is gone, and all below it; without a slash at its end a file of that name too."""
        names = {path, f"{path.removesuffix('/')}/"}
        gone = [known for known in self._paths if known in names or is_below(known, path)]
        self._paths.difference_update(gone)
        return gone


def removal_order(paths: Iterable[str]) -> list[str]:
    """Files before the directories they lie in, the deepest first."""
    return sorted(paths, key=lambda path: (path.endswith("/"), -path.count("/"), path))


def may_be_there(error: BaseException) -> bool:
    """True if a write that failed with *error* may have been taken by the store all the same.

    What was refused, or had no body to the end, was not written; what was cut off or never
    answered may have been.
    """
    return isinstance(error, StorageError) or not isinstance(error, Exception)
