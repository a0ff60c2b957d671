"""rclone, a command written in Go.

``--transfers``, ``--checkers`` and ``--fast-list`` (docs, "Global flags"), parts of large files
(``--s3-chunk-size``, ``--s3-upload-concurrency``; ``--multi-thread-*`` for downloads), and
without what S3 does not need: ``--s3-no-check-bucket``, ``--s3-no-head``,
``--s3-disable-checksum`` ("Amazon S3", "Reducing costs"), ``--use-server-modtime`` with
``--update`` ("Avoiding HEAD requests"), ``--no-traverse`` where the destination is empty.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..task import Access, Task

__all__ = ["arguments", "environment"]

_COMMON = ["--config", "", "--transfers", "32", "--checkers", "32", "--ignore-checksum"]
_STORE = {
    "s3": [
        "--s3-no-check-bucket",
        "--s3-no-head",
        "--s3-disable-checksum",
        "--s3-upload-cutoff=16M",
        "--s3-chunk-size=16M",
        "--s3-upload-concurrency=8",
        "--s3-use-unsigned-payload=true",
    ],
    "azure": [
        "--azureblob-no-check-container",
        "--azureblob-disable-checksum",
        "--azureblob-chunk-size=16M",
        "--azureblob-upload-concurrency=8",
    ],
}
_PARTS = [
    "--multi-thread-cutoff=16M",
    "--multi-thread-chunk-size=16M",
    "--multi-thread-streams=8",
    "--multi-thread-write-buffer-size=1M",
]
# The listing has told size and time already; at Azure the option takes a folder for a blob.
_NO_HEAD = {"s3": ["--s3-no-head-object"], "azure": []}
_REMOTE = {"s3": ":s3", "azure": ":azureblob"}


def environment(access: Access) -> Mapping[str, str]:
    if access.kind == "azure":
        return {
            "RCLONE_AZUREBLOB_ACCOUNT": access.user,
            "RCLONE_AZUREBLOB_KEY": access.secret,
            "RCLONE_AZUREBLOB_ENDPOINT": access.endpoint,
        }
    return {
        "RCLONE_S3_PROVIDER": "SeaweedFS",
        "RCLONE_S3_ENDPOINT": access.endpoint,
        "RCLONE_S3_REGION": access.region,
        "RCLONE_S3_ACCESS_KEY_ID": access.user,
        "RCLONE_S3_SECRET_ACCESS_KEY": access.secret,
    }


def arguments(task: Task) -> list[str]:
    kind = task.access.kind
    remote = f"{_REMOTE[kind]}:{task.access.bucket}/{task.prefix}"
    local = task.folder
    newer = ["--update", "--use-server-modtime", "--fast-list"]
    match task.workload:
        case "put-blobs" | "upload-tree":
            rest = ["copy", "--no-traverse", local, remote]
        case "get-blobs" | "download-tree":
            rest = ["copy", "--fast-list", *_NO_HEAD[kind], remote, local]
        case "upload-file":
            rest = ["copyto", "--no-traverse", local, remote]
        case "download-file":
            rest = ["copyto", "--no-traverse", *_PARTS, remote, local]
        case "remove-tree":
            rest = ["delete", "--fast-list", remote]
        case "list":
            rest = ["lsf", "-R", "--files-only", "--fast-list", "--format", "tsp", remote]
        case "update-up":
            rest = ["copy", *newer, local, remote]
        case "update-down":
            rest = ["copy", *newer, remote, local]
        case _:
            raise ValueError(task.workload)
    if task.workload == "list":
        rest.append("--use-server-modtime")
    return ["rclone", *rest, *_COMMON, *_STORE[kind]]


def listed(output: str) -> list[tuple[str, int]]:
    """Keys, relative to what was listed, and sizes in the output of ``lsf``."""
    rows = (line.split(";", 2) for line in output.splitlines())
    return [(name, int(size)) for _, size, name in rows]
