"""moto: S3, IAM and STS of Amazon as far as answers go; it enforces no policies."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_START_SECONDS = 60
_STOP_SECONDS = 10
_STARTS = 3


@dataclass(frozen=True)
class MotoServer:
    endpoint: str
    pid: int
    access_key: str = "AKIAMOTOMOTOMOTOMOTO"
    secret_key: str = "moto-takes-any-secret"


@contextmanager
def moto_server(folder: Path) -> Iterator[MotoServer]:
    """A moto server on a free port of this machine; its output goes to a file in *folder*."""
    for attempt in range(_STARTS):
        port = free_port()
        with open(folder / "moto.log", "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={"PATH": os.defpath, "HOME": str(folder)},
                start_new_session=True,
            )
        try:
            if _answers(process, f"http://127.0.0.1:{port}/moto-api/data.json"):
                yield MotoServer(endpoint=f"http://127.0.0.1:{port}", pid=process.pid)
                return
        finally:
            _stop(process)
        assert attempt + 1 < _STARTS, (folder / "moto.log").read_text()


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    """True once it answers, False if it has ended."""
    deadline = time.monotonic() + _START_SECONDS
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while process.poll() is None:
        try:
            with opener.open(url, timeout=5) as answer:
                answer.read()
            return True
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < deadline, "moto does not answer"
            time.sleep(0.05)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
