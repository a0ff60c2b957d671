"""What went wrong in a tree operation that could go on without it."""

from __future__ import annotations

from ..errors import (
    AuthError,
    BucketNotFound,
    ClientStateError,
    ConfigError,
    LocalDiskFull,
    NeuroError,
    NotSupportedError,
    StorageTimeout,
    StorageUnavailable,
    TransferError,
)

__all__ = ["Report"]

# After one of these every other file would fail in the same way.
_HOPELESS = (
    AuthError,
    BucketNotFound,
    ClientStateError,
    ConfigError,
    LocalDiskFull,
    NotSupportedError,
    StorageTimeout,
    StorageUnavailable,
)
_KEPT = 1000
_SHOWN = 5


class Report:
    """Counts what was done and keeps what failed, up to a bound."""

    def __init__(self, what: str, bucket: str) -> None:
        self._what = what
        self._bucket = bucket
        self._failures: list[tuple[str, Exception]] = []
        self._failed = 0
        self.done = 0

    def fail(self, path: str, error: NeuroError) -> None:
        """Note that *path* failed; raise *error* if there is no point in going on."""
        if isinstance(error, _HOPELESS):
            raise error
        self.note(path, error)

    def note(self, path: str, error: Exception) -> None:
        """Note that *path* failed."""
        self._failed += 1
        if len(self._failures) < _KEPT:
            self._failures.append((path, error))

    def conclude(self) -> None:
        """Raise TransferError if anything failed."""
        if not self._failed:
            return
        lines = [f"{path!r}: {error}" for path, error in self._failures[:_SHOWN]]
        if self._failed > _SHOWN:
            lines.append(f"and {self._failed - _SHOWN} more")
        raise TransferError(
            f"{self._failed} could not be {self._what}, {self.done} were: " + "; ".join(lines),
            failures=self._failures,
            failed=self._failed,
            done=self.done,
            bucket=self._bucket,
        )
