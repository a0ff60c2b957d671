"""Progress of transfers: the callback classes and the events they receive.

Callbacks are called on the thread of the event loop, in order: for each file ``start`` once,
``step`` with the bytes acknowledged so far, then ``complete`` once or, in tree operations,
``fail``. ``enter`` and ``leave`` surround the events of a directory. A progress that is an
``AbstractSkipProgress`` too is told what stays as it is. A callback should return quickly, for
the transfer and everything else on the loop wait for it; one that raises cancels the transfer,
and the caller gets its error.

``RichProgress`` is for terminals, ``TqdmProgress`` for notebooks, ``LogProgress`` for logs, and
``CountingProgress`` only counts. rich and tqdm are imported where such a bar is made.
"""

from ._bars import RichProgress, TqdmProgress
from ._contracts import (
    AbstractDeleteProgress,
    AbstractFileProgress,
    AbstractRecursiveFileProgress,
    AbstractSkipProgress,
    StorageProgressComplete,
    StorageProgressDelete,
    StorageProgressEnterDir,
    StorageProgressFail,
    StorageProgressLeaveDir,
    StorageProgressSkip,
    StorageProgressStart,
    StorageProgressStep,
)
from ._counts import CountingProgress
from ._log import LogProgress

__all__ = [
    "AbstractDeleteProgress",
    "AbstractFileProgress",
    "AbstractRecursiveFileProgress",
    "AbstractSkipProgress",
    "CountingProgress",
    "LogProgress",
    "RichProgress",
    "StorageProgressComplete",
    "StorageProgressDelete",
    "StorageProgressEnterDir",
    "StorageProgressFail",
    "StorageProgressLeaveDir",
    "StorageProgressSkip",
    "StorageProgressStart",
    "StorageProgressStep",
    "TqdmProgress",
]
