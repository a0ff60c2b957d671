"""Pages of listings in columns.

To make a blob of each entry takes as long as to read the answer of the store, and most are
asked for nothing but a key, a size or a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import compress
from operator import attrgetter, itemgetter, methodcaller
from typing import Any, overload

from .models import BlobObject, Bucket, BucketEntry, blob_objects
from .plan import Side, as_side

__all__ = ["Blobs", "Columns", "Row"]

Row = tuple[str, int, datetime | None, str | None, datetime | None]
"""Key, size, time of change, tag and time of creation of an entry."""
_Longer = tuple[str, int, datetime | None, str | None, datetime | None, bool]
"""A ``Row``, and what one path was asked about besides."""

_row: Callable[[BucketEntry], Row] = attrgetter("key", "size", "modified_at", "etag", "created_at")


@dataclass(frozen=True, slots=True)
class Columns:
    """Some entries of a listing; the columns are equally long."""

    keys: Sequence[str]
    sizes: Sequence[int]
    times: Sequence[datetime | None]
    tags: Sequence[str | None]
    created: Sequence[datetime | None]

    @classmethod
    def of(cls, rows: Iterable[Row | _Longer]) -> Columns:
        """The same entries, given one by one."""
        columns: Sequence[Any] = [*zip(*rows, strict=True)] or [()] * 5
        keys, sizes, times, tags, created = columns[:5]
        return cls(keys, sizes, times, tags, created)

    def __len__(self) -> int:
        return len(self.keys)

    def rows(self) -> Iterable[Row]:
        """The entries one by one."""
        return zip(self.keys, self.sizes, self.times, self.tags, self.created, strict=True)

    def below(self, prefix: str) -> Columns:
        """The entries whose keys begin with the text *prefix*."""
        wanted = [*map(methodcaller("startswith", prefix), self.keys)]
        return self if all(wanted) else self.each(lambda column: [*compress(column, wanted)])

    def each(self, change: Callable[[Sequence[Any]], Sequence[Any]]) -> Columns:
        """The same with a *change* in each column."""
        columns = (self.keys, self.sizes, self.times, self.tags, self.created)
        return Columns(*map(change, columns))


class Blobs(Sequence[BlobObject]):
    """Blobs of one bucket, each of which is made when it is asked for."""

    __slots__ = ("_columns", "bucket")

    def __init__(self, bucket: Bucket, columns: Columns) -> None:
        self.bucket = bucket
        self._columns = columns

    @classmethod
    def of(cls, page: Sequence[BucketEntry]) -> Blobs:
        """The same blobs; there must be one, and no common prefix."""
        if isinstance(page, Blobs):
            return page
        return cls(page[0].bucket, Columns.of(map(_row, page)))

    @property
    def keys(self) -> Sequence[str]:
        """The key of each."""
        return self._columns.keys

    def sides(self) -> Sequence[Side]:
        """Size and time of each, as the store tells them of markers too."""
        return [*map(as_side, zip(self._columns.sizes, self._columns.times, strict=True))]

    def __len__(self) -> int:
        return len(self._columns)

    def __iter__(self) -> Iterator[BlobObject]:
        return iter(blob_objects(self.bucket, self._columns.rows()))

    @overload
    def __getitem__(self, index: int) -> BlobObject: ...

    @overload
    def __getitem__(self, index: slice) -> Blobs: ...

    def __getitem__(self, index: int | slice) -> BlobObject | Blobs:
        if isinstance(index, slice):
            return Blobs(self.bucket, self._columns.each(itemgetter(index)))
        columns = self._columns
        row = (
            columns.keys[index],
            columns.sizes[index],
            columns.times[index],
            columns.tags[index],
            columns.created[index],
        )
        return blob_objects(self.bucket, [row])[0]
