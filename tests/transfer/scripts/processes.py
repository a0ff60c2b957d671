"""Child processes: forked from a clean server, or scripts of their own."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

__all__ = ["HERE", "NOISE", "ask", "call", "run_script", "start", "start_script"]

HERE = Path(__file__).parent
_ROOT = HERE.parents[2]
_SECONDS = 60
_SCRIPT_SECONDS = 280  # some run fifty processes, on a machine that others use too

NOISE = (
    "panicked",
    "Event loop is closed",
    "never retrieved",
    "never awaited",
    "Exception ignored",
)
"""What a process must not print, however it ends."""

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([f"{__package__}.work"])


def start(work: Callable[..., None], *args: object) -> tuple[BaseProcess, Connection]:
    """Run ``work(connection, *args)`` in a process; the other end of the connection is ours."""
    ours, theirs = _processes.Pipe()
    process = _processes.Process(target=work, args=(theirs, *args))
    process.start()
    theirs.close()
    return process, ours


def call(work: Callable[..., None], *args: object) -> str:
    """What *work* sends at last, run in a process that must end by itself."""
    process, connection = start(work, *args)
    try:
        answer = ask(connection)
        process.join(_SECONDS)
        assert process.exitcode == 0
    finally:
        process.kill()
        process.join()
    return answer


def ask(connection: Connection) -> str:
    """The next message, which must come in time."""
    assert connection.poll(_SECONDS), "the process says nothing"
    return str(connection.recv())


def start_script(
    name: str, *args: object, options: tuple[str, ...] = (), env: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a script of this folder."""
    return subprocess.Popen(
        [sys.executable, *options, str(HERE / name), *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(_ROOT), **(env or {})},
    )


def run_script(
    name: str, *args: object, options: tuple[str, ...] = (), env: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Exit code, output and errors of a script, which must end in time."""
    with start_script(name, *args, options=options, env=env) as process:
        try:
            out, err = process.communicate(timeout=_SCRIPT_SECONDS)
        finally:
            process.kill()
    return process.returncode, out, err
