"""Trees whose files are known by name and version, and what may be found of them."""

from __future__ import annotations

import os
import random
from collections.abc import Collection, Mapping
from pathlib import Path

from neuro_sdk import TransferConfig

STEPS = TransferConfig(part_size=64 << 10, concurrency=4)
"""So small that a few MiB take many steps."""

LARGE = ("big", "sub/large", "sub/larger")


def content(name: str, version: int) -> bytes:
    """What the file *name* holds in this *version*; the size changes too."""
    chance = random.Random(f"{name} {version}")
    middle = (1 << 20) if name in LARGE else 6000
    return chance.randbytes(middle + chance.randrange(middle // 2))


def tree(version: int) -> dict[str, bytes]:
    """A few MiB: files of many parts, and small ones."""
    names = [*LARGE, *(f"sub/deep/{number}" for number in range(8)), *"abcd"]
    return {name: content(name, version) for name in names}


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put *files* into *folder* as they are."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def read(folder: Path) -> dict[str, bytes]:
    """All files of *folder* but the hidden ones of ours."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".neuro-sdk")
    }


def hidden(folder: Path) -> list[str]:
    """The files of ours in *folder* that are not under a final name."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and ".neuro-sdk" in os.fspath(path.relative_to(folder))
    )


def changed(
    found: Mapping[str, bytes], before: Mapping[str, bytes], after: Mapping[str, bytes]
) -> Collection[str]:
    """The names whose content is new; AssertionError if any is neither old nor new, but whole."""
    for name in {*found, *before, *after}:
        if name in found:
            data = found[name]
            assert data in (before.get(name), after.get(name)), f"{name}: {len(data)} bytes"
        else:
            assert name not in before, f"{name} is gone"
    return [name for name, data in found.items() if data == after.get(name)]
