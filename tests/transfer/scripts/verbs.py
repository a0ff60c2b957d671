"""The transfers that are interrupted, each by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from neuro_sdk import AbstractRecursiveFileProgress, Client

__all__ = ["URI", "Steps", "run"]

URI = "blob:photos/tree"


class Steps(AbstractRecursiveFileProgress):
    """Calls back at every step."""

    def __init__(self, step: Callable[[int], None]) -> None:
        self._step = step

    def start(self, data: object) -> None:
        """Nothing to do."""

    complete = enter = leave = fail = start

    def step(self, data: object) -> None:
        self._step(getattr(data, "current", 0))


async def run(client: Client, verb: str, folder: Path, step: Callable[[int], None]) -> None:
    """Transfer the tree, or its largest file alone, between *folder* and the bucket."""
    buckets, file, progress = client.buckets, folder / "big", Steps(step)
    match verb:
        case "upload_dir":
            await buckets.upload_dir(folder, URI, progress=progress)
        case "upload_file":
            await buckets.upload_file(file, f"{URI}/big", progress=progress)
        case "download_dir":
            await buckets.download_dir(URI, folder, progress=progress)
        case "download_file":
            await buckets.download_file(f"{URI}/big", file, progress=progress)
        case "continue_dir":
            await buckets.download_dir(URI, folder, continue_=True, progress=progress)
        case "continue_file":
            await buckets.download_file(f"{URI}/big", file, continue_=True, progress=progress)
        case _:
            raise ValueError(verb)
