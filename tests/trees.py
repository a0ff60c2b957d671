"""Local trees of files: made from a mapping, read back into one."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

__all__ = ["hidden_files", "make_tree", "read_tree", "set_time", "small_files"]

Tree = Mapping[str, bytes]


def make_tree(root: Path, tree: Tree) -> Path:
    """Make *root* with these files; a name that ends in ``/`` is an empty folder."""
    root.mkdir(parents=True, exist_ok=True)
    for name, data in tree.items():
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return root


def read_tree(root: Path) -> dict[str, bytes]:
    """All below *root* in the form that ``make_tree`` takes, hidden files of ours too."""
    found: dict[str, bytes] = {}
    for above, folders, files in os.walk(root):
        below = "" if Path(above) == root else Path(above).relative_to(root).as_posix() + "/"
        for name in files:
            found[below + name] = Path(above, name).read_bytes()
        if below and not files and not folders:
            found[below] = b""
    return found


def hidden_files(root: Path) -> list[str]:
    """What downloads of ours have left below *root* under hidden names."""
    return sorted(name for name in read_tree(root) if "/.neuro-sdk-" in f"/{name}")


def set_time(path: Path, moment: datetime) -> None:
    """Make *moment* the time of the last change."""
    os.utime(path, (moment.timestamp(), moment.timestamp()))


def small_files(count: int, *, seed: str = "small") -> dict[str, bytes]:
    """As many small files in a tree a few folders deep, the same for the same *seed*."""
    chance = random.Random(seed)
    return {
        "/".join(
            [*(f"dir{chance.randrange(6)}" for _ in range(number % 4)), f"file{number}.bin"]
        ): chance.randbytes(chance.randrange(2000))
        for number in range(count)
    }
