"""``OpendalS3Driver``: this package's own way to a bucket, as a driver."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, ClassVar

from ..._core.config import TransferConfig
from ..._core.keys import check_key
from ..._providers.schemes import SchemeService, open_scheme
from ...errors import ConfigError, IllegalArgumentError
from ..loop import LoopThread
from .base import BaseS3Driver, answers

__all__ = ["OpendalS3Driver"]

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_SETTINGS = ("part_size", "window", "timeout", "retries")


class OpendalS3Driver(BaseS3Driver):
    """Objects by OpenDAL, with what this package adds to it. Any number of threads may use it.

    ``driver_config`` takes ``session_token``, ``root`` (a prefix of all keys), and ``part_size``,
    ``window``, ``timeout`` and ``retries`` of :class:`TransferConfig`.

    What is larger than ``part_size`` goes up in parts, unless it has metadata. Their names come
    back in lower case; a name or value that the store would change is refused.
    """

    thread_safe: ClassVar[bool] = True

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.need("endpoint", "access_key", "secret_key", "bucket")
        unknown = sorted(set(self.driver_config) - {"session_token", "root", *_SETTINGS})
        if unknown:
            raise ConfigError(
                f"'driver_config' has the unknown setting {unknown[0]!r}; "
                f"it knows: session_token, root, {', '.join(_SETTINGS)}"
            )
        settings = {
            name: self.driver_config[name] for name in _SETTINGS if name in self.driver_config
        }
        try:
            self._transfer = TransferConfig(**settings)
        except TypeError:
            raise ConfigError(
                f"the settings {', '.join(settings)} of 'driver_config' are numbers"
            ) from None
        options = {
            "bucket": self.bucket,
            "endpoint": self.endpoint,
            "region": self.region,
            "access_key_id": self.access_key,
            "secret_access_key": self.secret_key,
            "session_token": str(self.driver_config.get("session_token") or ""),
            "root": str(self.driver_config.get("root") or ""),
        }
        self._loop = LoopThread("neuro-sdk-s3-driver")
        try:
            self._service: SchemeService = self._loop.run(
                open_scheme("s3", options, self._transfer)
            )
        except BaseException:
            self._loop.close()
            raise

    @answers(lambda: False)
    def upload(self, key: str, data: bytes, metadata: dict[str, str] | None = None) -> bool:
        """See :meth:`BaseS3Driver.upload`."""
        self._check(key)
        told = _checked(metadata or {})
        if told or len(data) <= self._transfer.part_size:
            self._loop.run(self._service.put_described(key, bytes(data), told))
        else:
            self._loop.run(self._service.provider.put(key, _pieces(data)))
        return True

    @answers(lambda: None)
    def download(self, key: str) -> bytes | None:
        """See :meth:`BaseS3Driver.download`."""
        self._check(key)
        return self._loop.run(self._fetched(key))

    async def _fetched(self, key: str) -> bytes:
        async with aclosing(self._service.provider.fetch(key)) as pieces:
            return b"".join([piece async for piece in pieces])

    @answers(lambda: False)
    def delete(self, key: str) -> bool:
        """See :meth:`BaseS3Driver.delete`."""
        self._check(key)
        self._loop.run(self._service.provider.delete(key))
        return True

    @answers(list[str])
    def list_objects(self, prefix: str = "", max_keys: int = 1000) -> list[str]:
        """See :meth:`BaseS3Driver.list_objects`."""
        return self._loop.run(self._listed(prefix, max_keys))

    async def _listed(self, prefix: str, most: int) -> list[str]:
        keys: list[str] = []
        if most < 1:
            return keys
        listing = self._service.provider.pages(prefix, recursive=True, most=most)
        async with aclosing(listing) as pages:
            async for page in pages:
                keys += [entry.key for entry in page]
                if len(keys) >= most:
                    break
        return keys[:most]

    @answers(lambda: None)
    def head_object(self, key: str) -> dict[str, Any] | None:
        """See :meth:`BaseS3Driver.head_object`."""
        self._check(key)
        found = self._loop.run(self._service.details(key))
        return {
            "size": found.content_length,
            "etag": found.etag,
            "last_modified": found.last_modified,
            "metadata": dict(found.user_metadata or {}),
        }

    def close(self) -> None:
        """End the connections and the thread."""
        if not self._loop.closed:
            try:
                self._loop.run(self._service.close())
            finally:
                self._loop.close()

    def _check(self, key: str) -> None:
        check_key(key, self._service.provider.rules, bucket=self.bucket)


def _checked(metadata: Mapping[str, str]) -> dict[str, str]:
    told: dict[str, str] = {}
    for name, value in metadata.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name.lower() in told:
            raise IllegalArgumentError(
                f"the name {name!r} of metadata must be of letters, digits, '-' and '_', once"
            )
        if (
            not isinstance(value, str)
            or not value
            or value != value.strip()
            or not (value.isascii() and value.isprintable())
        ):
            raise IllegalArgumentError(
                f"the value of {name!r} must be printable ASCII without blanks around it"
            )
        told[name.lower()] = value
    return told


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    view = memoryview(data)
    for at in range(0, len(view), 1 << 20):
        yield bytes(view[at : at + (1 << 20)])
