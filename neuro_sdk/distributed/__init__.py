"""Trees too large for one machine, moved by the workers of a Dask cluster.

Each function does what the method of :class:`neuro_sdk.Buckets` of the same name does: a plan is
made on the machine of the caller and cut into tasks, each task is done on a worker by the same
engine, and the scheduler repeats a task whose worker is lost. Every worker opens a client of its
own, by *profile* or *path*, so no credential passes through the cluster. It must see the local
folder under the same path: a file system that all machines share.
"""

try:
    import distributed as _distributed  # noqa: F401
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "neuro_sdk.distributed needs Dask: pip install 'neuro-blob-sdk[distributed]'",
        name=_missing.name,
    ) from _missing

from ._calls import copy_dir, download_dir, sync_down, sync_up, upload_dir
from ._cutting import Summary
from ._operation import ClusterOptions

__all__ = [
    "ClusterOptions",
    "Summary",
    "copy_dir",
    "download_dir",
    "sync_down",
    "sync_up",
    "upload_dir",
]
