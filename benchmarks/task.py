"""What one process has to do, and where: values that travel as JSON.

Every interpreter of every peer reads them, so this needs the standard library only.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Access", "Task", "blob_names", "tree_names"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A bucket at a store of the kind ``s3`` or ``azure``, and the keys to it."""

    kind: str
    endpoint: str
    user: str
    secret: str = field(repr=False)
    bucket: str
    region: str = "us-east-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One workload for one process.

    ``prefix`` ends without a slash; it is the key itself where the workload moves one file.
    ``folder`` is what is read or written: a folder, or the path of that file. ``names`` are the
    blobs below the prefix, where the workload is about single ones. ``home`` is a folder that
    the peer may keep state in from run to run.
    """

    workload: str
    access: Access
    prefix: str
    folder: str
    home: str
    names: tuple[str, ...] = ()

    def dump(self, path: Path) -> None:
        path.touch(mode=0o600)
        path.write_text(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def load(cls, path: Path) -> Task:
        fields = json.loads(path.read_text())
        fields["access"] = Access(**fields["access"])
        fields["names"] = tuple(fields["names"])
        return cls(**fields)


def blob_names(count: int) -> list[str]:
    """Names side by side."""
    return [f"b{number:06d}" for number in range(count)]


def tree_names(count: int) -> list[str]:
    """Names in folders of a hundred."""
    return [f"d{number // 100:04d}/f{number:06d}.bin" for number in range(count)]
