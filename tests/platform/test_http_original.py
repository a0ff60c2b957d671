"""The original client of the platform, unmodified, works on a server of ours."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from neuro_sdk._core.roles import Role
from neuro_sdk._platform.seaweedfs import SeaweedFSServer

from ..servers.background import in_background
from .serving import Team, served_team

SCRIPT = Path(__file__).parent / "scripts" / "original.py"
PACKAGE = "apolo-sdk"
INSTALL_SECONDS, RUN_SECONDS = 300, 120


@pytest.fixture(scope="module")
def python() -> Path:
    """An interpreter of an environment of its own, kept for the next time, with the package."""
    home = Path(sys.prefix) / "original-client"
    interpreter, stamp = home / "bin" / "python", home / "installed"
    if not stamp.exists():
        venv.create(home, with_pip=True, clear=True)
        command = [str(interpreter), "-m", "pip", "install", "--quiet", PACKAGE]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_SECONDS)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"{PACKAGE} cannot be installed here: {error}")
        stamp.touch()
    return interpreter


@pytest.mark.timeout(INSTALL_SECONDS + 2 * RUN_SECONDS)
def test_the_main_job(python: Path, tmp_path: Path, seaweedfs: SeaweedFSServer) -> None:
    with in_background(served_team(tmp_path / "home", seaweedfs)) as team:
        done = subprocess.run(
            [str(python), "-W", "ignore", str(SCRIPT), str(tmp_path)],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "PLATFORM_URL": str(team.api),
                "PLATFORM_TOKEN": _token(team),
            },
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "taken: IllegalArgumentError",
        "missing: ResourceNotFound",
        "all done",
    ]


def _token(team: Team) -> str:
    return asyncio.run(team.token("alice", ("vision", Role.OWNER)))
