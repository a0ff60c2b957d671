"""s5cmd, a command written in Go.

``--numworkers`` is how many objects move at once, ``--concurrency`` and ``--part-size`` are for
the parts of a large one (s5cmd README, "Configuring Concurrency"). It moves files only, so
single blobs come from and go to a folder.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..task import Access, Task

__all__ = ["arguments", "environment"]

_WORKERS = 64
_PARTS = ["--concurrency", "8", "--part-size", "16"]


def environment(access: Access) -> Mapping[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": access.user,
        "AWS_SECRET_ACCESS_KEY": access.secret,
        "AWS_REGION": access.region,
        "S3_ENDPOINT_URL": access.endpoint,
    }


def arguments(task: Task) -> list[str]:
    bucket = f"s3://{task.access.bucket}"
    remote, local = f"{bucket}/{task.prefix}", task.folder
    match task.workload:
        case "put-blobs" | "upload-tree":
            rest = ["cp", f"{local}/", f"{remote}/"]
        case "get-blobs" | "download-tree":
            rest = ["cp", f"{remote}/*", f"{local}/"]
        case "upload-file":
            rest = ["cp", *_PARTS, local, remote]
        case "download-file":
            rest = ["cp", *_PARTS, remote, local]
        case "remove-tree":
            rest = ["rm", f"{remote}/*"]
        case "list":
            rest = ["ls", f"{remote}/*"]
        case "update-up":
            rest = ["sync", f"{local}/", f"{remote}/"]
        case "update-down":
            rest = ["sync", f"{remote}/*", f"{local}/"]
        case _:
            raise ValueError(task.workload)
    quiet = [] if task.workload == "list" else ["--log", "error"]
    return ["s5cmd", "--numworkers", str(_WORKERS), *quiet, *rest]


def listed(output: str) -> list[tuple[str, int]]:
    """Keys, relative to what was listed, and sizes in the output of ``ls``."""
    rows = (line.split(maxsplit=3) for line in output.splitlines())
    return [(name, int(size)) for _, _, size, name in rows]
