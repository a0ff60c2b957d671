"""The arguments of commands that name a place: a bucket, a blob, a local path, ``-``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

import neuro_sdk

from .complete import complete_bucket, complete_local, complete_uri

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = [
    "BLOB",
    "BUCKET",
    "PLACE",
    "check_into",
    "find_bucket",
    "is_blob",
    "last_part",
]


def is_blob(place: str) -> bool:
    """Whether *place* is a ``blob:`` URI; all else is a local path."""
    return place.lower().startswith("blob:")


def last_part(path: str) -> str:
    """The name at the end of a key or a local path, slashes there aside."""
    return path.rstrip("/").rpartition("/")[2]


def check_into(sources: Sequence[str], into: bool) -> None:
    """UsageError where several *sources* would become one file or blob."""
    if len(sources) > 1 and not into:
        raise click.UsageError("several sources need a destination that ends in /")
    names = [last_part(source) for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise click.UsageError(f"two of the sources are called {name!r}; copy one by one")


async def find_bucket(client: neuro_sdk.Client, place: str) -> neuro_sdk.Bucket:
    """The bucket that *place* names by its name, its id or a URI."""
    if not is_blob(place):
        return await client.buckets.get(place)
    handle, key = await client.buckets.locate(place)
    if key:
        raise click.UsageError(f"{place!r} names a blob; a bucket is meant, as in blob:BUCKET")
    return handle.bucket


class _Place(click.ParamType):  # type: ignore[type-arg]  # generic only in newer versions
    """A ``click`` type that takes any text and completes names of the platform."""

    def __init__(self, name: str, *, local: bool = False, buckets: bool = False) -> None:
        self.name = name
        self._local = local
        self._buckets = buckets

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value:
            self.fail("it is empty", param, ctx)
        if not self._local and not self._buckets and not is_blob(value):
            self.fail(f"{value!r} is not a blob: URI; write blob:BUCKET/KEY", param, ctx)
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        del param
        if self._buckets and not is_blob(incomplete):
            return complete_bucket(ctx, incomplete)
        if self._local and not is_blob(incomplete):
            return complete_local(incomplete)
        return complete_uri(ctx, incomplete)


BLOB = _Place("URI")
"""A ``blob:`` URI."""
BUCKET = _Place("BUCKET", buckets=True)
"""The name or id of a bucket, or its URI."""
PLACE = _Place("PLACE", local=True)
"""A ``blob:`` URI, a local path, or ``-``."""
