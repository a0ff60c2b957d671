"""Lines in a log."""

from __future__ import annotations

import logging

from ._contracts import StorageProgressFail
from ._counts import Paced, one_line

__all__ = ["LogProgress"]


class LogProgress(Paced):
    """A line in a log at most every *interval* seconds, and one when its block is left.

    Use it as ``with LogProgress("Upload") as log`` and pass it as ``progress``. Without ``with``
    only the last line is missing. Lines go to *logger*, by default ``neuro_sdk.progress``, at
    *level*; from the first failure on at ``WARNING`` at least, with the last failure.
    """

    def __init__(
        self,
        title: str = "Transfer",
        *,
        interval: float = 10.0,
        logger: logging.Logger | None = None,
        level: int = logging.INFO,
    ) -> None:
        super().__init__(interval)
        self._title = title
        self._logger = logger or logging.getLogger("neuro_sdk.progress")
        self._level = level
        self._last = ""

    def fail(self, data: StorageProgressFail) -> None:
        self._last = f", the last: {one_line(data.message)}"
        super().fail(data)

    def _show(self) -> None:
        level = max(self._level, logging.WARNING) if self.failed else self._level
        self._logger.log(level, "%s: %s%s", self._title, self._line(), self._last)
