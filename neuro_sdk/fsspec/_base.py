"""What every method of the file system stands on: its options, its client, its paths."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from fsspec.asyn import AsyncFileSystem, sync_wrapper
from fsspec.spec import make_instance
from fsspec.utils import stringify_path

import neuro_sdk

from .. import BucketHandle, TransferConfig
from ..errors import BlobNotFound, BucketNotFound, IllegalArgumentError
from ._clients import Clients
from ._paths import split, strip

__all__ = ["AT_ONCE", "Based"]

AT_ONCE = 32
"""Requests that one call has under way."""
_OF_FSSPEC = frozenset({"use_listings_cache", "listings_expiry_time", "max_paths"})


class Based(AsyncFileSystem):
    """See ``BlobFileSystem``."""

    protocol = "blob"

    def __init__(
        self,
        *,
        path: str | os.PathLike[str] | None = None,
        profile: str | None = None,
        cluster: str | None = None,
        org: str | None = None,
        project: str | None = None,
        transfer: TransferConfig | None = None,
        asynchronous: bool = False,
        loop: asyncio.AbstractEventLoop | None = None,
        batch_size: int | None = None,
        **options: Any,
    ) -> None:
        """The options; nothing is opened yet."""
        unknown = sorted(options.keys() - _OF_FSSPEC)
        if unknown:
            raise TypeError(
                f"the file system of blob:// takes no option {unknown[0]!r}; it takes path, "
                "profile, cluster, org, project and transfer"
            )
        if path is not None and profile is not None:
            raise IllegalArgumentError("give path or profile, not both")
        super().__init__(
            asynchronous=asynchronous, loop=loop, batch_size=batch_size or AT_ONCE, **options
        )
        home = None if path is None else _absolute(path)
        self._home = home

        self._clients = Clients(
            lambda: (
                neuro_sdk.get(profile, transfer=transfer)
                if home is None
                else neuro_sdk.local(home, transfer=transfer)
            ),
            lambda client: client.within(cluster=cluster, org=org, project=project),
        )
        weakref.finalize(self, self._clients.close_from_outside, wait=False).atexit = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of the blocking methods; ForkedProcessError in a forked child."""
        self._clients.check_process()
        return self._loop  # type: ignore[no-any-return]

    def __reduce__(self) -> tuple[Any, ...]:
        options = {name: value for name, value in self.storage_options.items() if name != "loop"}
        if self._home is not None:
            options["path"] = self._home
        return make_instance, (type(self), (), options)

    async def aclose(self) -> None:
        """Close the client of the running loop; a later call opens another."""
        await self._clients.close()

    close = sync_wrapper(aclose)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    # Paths

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return strip(str(stringify_path(path)))

    @asynccontextmanager
    async def _at(self, path: str) -> AsyncIterator[tuple[BucketHandle, str]]:
        """The bucket of *path* and the key; a bucket that is missing is a missing file."""
        name, key = split(self._strip_protocol(path))
        if not name:
            raise IllegalArgumentError(f"{path!r} names no bucket; write blob://BUCKET/KEY")
        client = await self._clients.get()
        try:
            yield await client.buckets.open(name), key
        except BucketNotFound as error:
            raise BlobNotFound("no such bucket", bucket=name, key=key or None) from error


def _absolute(path: str | os.PathLike[str]) -> str:
    # So that another process finds the same folder, whatever directory it works in.
    text = os.fspath(path)
    return text if text.lower().startswith("file:") else os.path.abspath(text)
