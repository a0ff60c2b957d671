"""A PostgreSQL from the packages of the system, where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["postgres_binaries", "postgres_server"]

_SECONDS = 120


def postgres_binaries() -> Path | None:
    """The folder with ``initdb`` and ``postgres``, None where none is installed."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("postgres")
    if found is not None:
        candidates.append(Path(found).parent)
    return next((path for path in candidates if (path / "initdb").exists()), None)


@contextmanager
def postgres_server(binaries: Path) -> Iterator[str]:
    """The URL of a new, empty server that listens on a socket in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        # It refuses to run for root; whom it runs for instead needs to own its folder.
        become: dict[str, str] = {}
        if os.geteuid() == 0:
            become = {"user": "postgres", "group": "postgres"}
            shutil.chown(folder, "postgres", "postgres")
        data = Path(folder) / "data"

        def run(*command: str) -> None:
            subprocess.run(
                [str(binaries / command[0]), *command[1:]],
                check=True,
                capture_output=True,
                cwd=folder,
                timeout=_SECONDS,
                **become,  # type: ignore[call-overload]
            )

        run("initdb", "-D", str(data), "-U", "neuro", "-A", "trust", "--no-sync", "-E", "UTF8")
        options = f"-k {folder} -c listen_addresses= -c fsync=off"
        control = ("pg_ctl", "-D", str(data), "-w", "-t", str(_SECONDS - 10))
        run(*control, "-o", options, "-l", f"{folder}/log", "start")
        try:
            yield f"postgresql+asyncpg://neuro@/postgres?host={folder}"
        finally:
            run(*control, "-m", "immediate", "stop")
