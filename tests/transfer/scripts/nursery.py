"""Runs ``short.py`` many times: in children forked after the imports, through a whole exit.

Arguments: a folder, ``close`` or ``forget``, how many, how many at a time. Prints a line for
each that did not exit with 0 in silence, and how many there were. Both cores are kept busy.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from pathlib import Path

import sqlalchemy.dialects.sqlite.aiosqlite  # noqa: F401

# What a client imports when it is opened; the children would each do it again.
import neuro_sdk._platform.service
import neuro_sdk._platform.sqlite
import neuro_sdk._providers.services
import neuro_sdk._settings  # noqa: F401
from tests.transfer.scripts.short import main

_SECONDS = 20


def spin() -> int:
    """Keep a core busy; the process ends with its parent."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        while os.getppid() == parent:
            for _ in range(100_000):
                pass
        os._exit(0)
    return pid


def redirect(path: Path) -> None:
    """Let this process print into a file."""
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)


class Nursery:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[int, tuple[Path, float]] = {}
        self.wrong: list[str] = []

    def wait(self) -> None:
        """Wait until a child ends, or has taken too long."""
        while True:
            for pid, (place, began) in self.running.items():
                ended, status = os.waitpid(pid, os.WNOHANG)
                if not ended and time.monotonic() - began > _SECONDS:
                    os.kill(pid, signal.SIGKILL)
                    ended, status = os.waitpid(pid, 0)
                if ended:
                    said = (place / "said").read_text()
                    code = os.waitstatus_to_exitcode(status)
                    if code != 0 or said:
                        self.wrong.append(f"{place.name}: exit code {code}, said {said!r}")
                    del self.running[pid]
                    return
            time.sleep(0.002)


def run() -> tuple[Path, str] | None:
    """The answer is what a child has to do, None for the parent once all is over."""
    folder, how, count, width = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    spinners = [spin() for _ in range(os.cpu_count() or 1)]
    nursery = Nursery(folder)
    gc.freeze()  # at its end a child looks for garbage in what it has made, not in what we have
    for number in range(count):
        place = folder / str(number)
        place.mkdir()
        (place / "said").touch()
        pid = os.fork()
        if pid == 0:
            redirect(place / "said")
            return place, how
        nursery.running[pid] = (place, time.monotonic())
        if len(nursery.running) == width:
            nursery.wait()
    while nursery.running:
        nursery.wait()
    for pid in spinners:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    print("\n".join([*nursery.wrong, f"{count} runs, {len(nursery.wrong)} wrong"]))
    return None


todo = run()
if todo is not None:
    asyncio.run(main(*todo))
