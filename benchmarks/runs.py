"""One task in a process of its own, measured and checked."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .machine import Look
from .peers import Peer
from .task import Task

__all__ = ["Failed", "Outcome", "Run", "run"]

_ROOT = Path(__file__).parent.parent
_LAUNCH = Path(__file__).with_name("launch.py")
_SECONDS = 900


class Failed(Exception):
    """A peer ended with an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one process took.

    Seconds and bytes. ``wall`` and ``cpu`` are of the work alone for a Python peer, whose
    interpreter and client were ready before; of the whole process for a command. ``whole`` and
    ``whole_cpu`` are of the whole process for everybody. ``served`` is the CPU that the store and
    the proxy took meanwhile, ``others`` how many cores were busy with something else.
    """

    peer: str
    workload: str
    latency: float
    wall: float
    cpu: float
    rss: int
    whole: float
    whole_cpu: float
    start: float
    served: float
    others: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run, and what the process told of its result."""

    run: Run
    digest: str | None
    rows: list[tuple[str, int]] | None


async def run(
    peer: Peer,
    task: Task,
    latency: float,
    servers: Sequence[int] = (),
    extra: Mapping[str, str] | None = None,
) -> Outcome:
    """Run the task in a process; Failed with its last words if it ends with an error.

    *servers* are the processes that serve it; *extra* are environment variables.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        at = Path(folder)
        task.dump(at / "task.json")
        command = peer.command(task, at / "task.json", at / "result.json")
        launcher = [sys.executable, "-I", "-S", str(_LAUNCH), str(at / "usage.json"), str(_SECONDS)]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "TMPDIR": folder,
            "PYTHONPATH": str(_ROOT),
            **peer.variables(task.access),
            **(extra or {}),
        }
        before = Look.now(servers)
        with (at / "out").open("wb") as out, (at / "errors").open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *launcher,
                *command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                env=environment,
                cwd=folder,
                start_new_session=True,
            )
            try:
                await process.wait()
            finally:
                if process.returncode is None:  # this is told to stop
                    os.killpg(process.pid, signal.SIGKILL)
                    await process.wait()
        after = Look.now(servers)
        used = json.loads((at / "usage.json").read_text())
        if used["status"] != 0:
            words = (at / "errors").read_text(errors="replace")[-3000:]
            raise Failed(f"{peer.name} {task.workload}: status {used['status']}: {words}")
        told = used | {"start": 0.0}
        rows = None
        if peer.module is not None:
            told |= json.loads((at / "result.json").read_text())
        elif task.workload == "list" and peer.listed is not None:
            rows = peer.listed((at / "out").read_text())
        measured = Run(
            peer=peer.name,
            workload=task.workload,
            latency=latency,
            wall=told["wall"],
            cpu=told["cpu"],
            rss=used["rss"],
            whole=used["wall"],
            whole_cpu=used["cpu"],
            start=told["start"],
            served=after.known - before.known,
            others=before.others(after, used["cpu"]),
        )
        return Outcome(measured, told.get("digest"), rows)
