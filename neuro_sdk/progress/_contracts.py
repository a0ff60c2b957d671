"""The callback classes and the events they receive."""

from __future__ import annotations

import abc
from dataclasses import dataclass

from yarl import URL

__all__ = [
    "AbstractDeleteProgress",
    "AbstractFileProgress",
    "AbstractRecursiveFileProgress",
    "AbstractSkipProgress",
    "StorageProgressComplete",
    "StorageProgressDelete",
    "StorageProgressEnterDir",
    "StorageProgressFail",
    "StorageProgressLeaveDir",
    "StorageProgressSkip",
    "StorageProgressStart",
    "StorageProgressStep",
]


@dataclass(frozen=True)
class StorageProgressStart:
    """A file begins; ``size`` is its length in bytes."""

    src: URL
    dst: URL
    size: int


@dataclass(frozen=True)
class StorageProgressStep:
    """``current`` of ``size`` bytes are acknowledged; ``current`` never shrinks."""

    src: URL
    dst: URL
    current: int
    size: int


@dataclass(frozen=True)
class StorageProgressComplete:
    """A file is there under its name, whole."""

    src: URL
    dst: URL
    size: int


@dataclass(frozen=True)
class StorageProgressEnterDir:
    """A directory begins."""

    src: URL
    dst: URL


@dataclass(frozen=True)
class StorageProgressLeaveDir:
    """A directory is done, with all that lies below it."""

    src: URL
    dst: URL


@dataclass(frozen=True)
class StorageProgressFail:
    """A file or directory could not be moved; the others go on."""

    src: URL
    dst: URL
    message: str


@dataclass(frozen=True)
class StorageProgressSkip:
    """A file stays as it is at the destination, by ``update``, ``continue_`` or ``sync``."""

    src: URL
    dst: URL
    size: int


@dataclass(frozen=True)
class StorageProgressDelete:
    """A blob, or a directory marker, is gone."""

    uri: URL
    is_dir: bool


class AbstractFileProgress(abc.ABC):
    """Receives the events of one file."""

    @abc.abstractmethod
    def start(self, data: StorageProgressStart) -> None:
        """A file begins."""

    @abc.abstractmethod
    def complete(self, data: StorageProgressComplete) -> None:
        """A file is done."""

    @abc.abstractmethod
    def step(self, data: StorageProgressStep) -> None:
        """More of a file is acknowledged."""


class AbstractRecursiveFileProgress(AbstractFileProgress):
    """Receives the events of a tree; files of one tree move concurrently."""

    @abc.abstractmethod
    def enter(self, data: StorageProgressEnterDir) -> None:
        """A directory begins."""

    @abc.abstractmethod
    def leave(self, data: StorageProgressLeaveDir) -> None:
        """A directory is done."""

    @abc.abstractmethod
    def fail(self, data: StorageProgressFail) -> None:
        """A file or directory could not be moved."""


class AbstractDeleteProgress(abc.ABC):
    """Receives the events of a removal."""

    @abc.abstractmethod
    def delete(self, data: StorageProgressDelete) -> None:
        """A blob is gone."""


class AbstractSkipProgress(abc.ABC):
    """Receives what is skipped too, where a class of another progress is one of these as well."""

    @abc.abstractmethod
    def skip(self, data: StorageProgressSkip) -> None:
        """A file stays as it is."""
