"""Progress of transfers: the callback classes and the events they receive.

Callbacks are called on the thread of the event loop, in order: for each file ``start`` once,
``step`` with the bytes acknowledged so far, then ``complete`` once or, in tree operations,
``fail``. ``enter`` and ``leave`` surround the events of a directory. A callback should return
quickly, for the transfer waits for it; one that raises cancels the transfer, and the caller
gets its error.
"""

from ._bars import RichProgress
from ._contracts import (
    AbstractDeleteProgress,
    AbstractFileProgress,
    AbstractRecursiveFileProgress,
    StorageProgressComplete,
    StorageProgressDelete,
    StorageProgressEnterDir,
    StorageProgressFail,
    StorageProgressLeaveDir,
    StorageProgressStart,
    StorageProgressStep,
)

__all__ = [
    "AbstractDeleteProgress",
    "AbstractFileProgress",
    "AbstractRecursiveFileProgress",
    "RichProgress",
    "StorageProgressComplete",
    "StorageProgressDelete",
    "StorageProgressEnterDir",
    "StorageProgressFail",
    "StorageProgressLeaveDir",
    "StorageProgressStart",
    "StorageProgressStep",
]
