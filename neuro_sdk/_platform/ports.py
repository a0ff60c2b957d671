"""Free ports of the loopback interface for the parts of a SeaweedFS."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from pathlib import Path

from ..errors import ConfigError

__all__ = ["HOST", "ports_for"]

HOST = "127.0.0.1"
_PARTS = {
    part + kind for part in ("master", "volume", "filer", "admin", "s3") for kind in ("", ".grpc")
}
_GRPC = 10_000  # how far above the port of a part the others look for its second one


def ports_for(path: Path, s3: int | None, *, again: bool) -> dict[str, int]:
    """The ports of the last time if they are free, else others; remembered in the file *path*.

    *s3* is the port that is asked for, if any. *again* says that the server could not use those.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        last = {str(part): int(number) for part, number in json.loads(path.read_text()).items()}
        if not again and set(last) == _PARTS and s3 in (None, last["s3"]):
            with contextlib.ExitStack() as held:
                for number in last.values():
                    held.enter_context(_bound(number))
            return last
    ports = _free_ports(s3)
    path.write_text(json.dumps(ports))
    return ports


def _free_ports(s3: int | None) -> dict[str, int]:
    ports = {}
    with contextlib.ExitStack() as held:
        if s3 is not None:
            try:
                held.enter_context(_bound(s3))
            except (OSError, OverflowError) as cause:
                raise ConfigError(f"port {s3} cannot be used: {cause}") from cause
        for part in ("master", "volume", "filer", "admin"):
            ports[part], ports[f"{part}.grpc"] = _pair(held)
        for part in ("s3", "s3.grpc"):
            ports[part] = held.enter_context(_bound(0)).getsockname()[1]
    return {**ports, "s3": s3 or ports["s3"]}


def _pair(held: contextlib.ExitStack) -> tuple[int, int]:
    """A free port, and one as far above it as the parts of the server expect."""
    while True:
        port = held.enter_context(_bound(0)).getsockname()[1]
        for first, other in ((port, port + _GRPC), (port - _GRPC, port - _GRPC)):
            with contextlib.suppress(OSError, OverflowError):
                held.enter_context(_bound(other))
                return first, first + _GRPC


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    try:
        if port and sys.platform != "win32":  # connections that have ended do not count
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
    except BaseException:
        bound.close()
        raise
    return bound
