"""OpenDAL, and nothing else of ours imports it.

``Engine`` is the operator of one bucket with what its binding lacks: errors of our tree that
name bucket and key, a loud answer after a fork, an exit that does not abort, and writers that
never publish what failed.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import math
import os
import re
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

import opendal
from opendal import config as services
from opendal import exceptions as failures
from opendal.layers import RetryLayer, TimeoutLayer

from .._aio import read_ahead, to_its_end
from .._core.config import TransferConfig
from .._core.models import BlobObject
from .._core.pages import Columns
from ..errors import (
    AuthenticationError,
    AuthorizationError,
    BlobChanged,
    BlobIsADirectory,
    BlobNotFound,
    BucketNotFound,
    ConfigError,
    ConflictError,
    ForkedProcessError,
    IllegalArgumentError,
    KeyConflict,
    NeuroError,
    NotSupportedError,
    StorageError,
    StorageTimeout,
    StorageUnavailable,
    local_error,
)
from .stat import Stat

if TYPE_CHECKING:
    from .._core.described import Metadata, PresignedRequest
    from ..protocols import Likely, Reading

T = TypeVar("T")

__all__ = [
    "ERRORS",
    "SOON",
    "Engine",
    "Options",
    "check_process",
    "pinned",
    "schemes",
    "translate",
]


SOON = 5.0
"""Seconds after which one attempt is given up where more are to follow, with longer limits."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a scheme may be told, and what it must be."""

    allowed: frozenset[str]
    required: frozenset[str]


@cache
def schemes() -> Mapping[str, Options]:
    """Every store that the binding's types know."""
    return dict(_schemes())


def _schemes() -> Iterator[tuple[str, Options]]:
    # The binding takes any option without a word; its types say which mean something.
    for name, kind in vars(services).items():
        if not name.endswith("Config") or not hasattr(kind, "__annotations__"):
            continue
        told = {
            key: str(getattr(hint, "__forward_arg__", hint))
            for key, hint in kind.__annotations__.items()
        }
        scheme = re.search(r"Literal\['([^']+)'\]", told.pop("scheme", ""))
        if scheme is not None:
            needed = (key for key, hint in told.items() if hint.startswith("Required"))
            yield scheme[1], Options(frozenset(told), frozenset(needed))


# One row for each class of the binding; they share no base, so they are caught as a tuple.
ERRORS: Mapping[type[Exception], type[NeuroError]] = {
    failures.AlreadyExists: KeyConflict,
    failures.ConditionNotMatch: BlobChanged,
    failures.ConfigInvalid: ConfigError,
    failures.Conflict: ConflictError,
    failures.IsADirectory: BlobIsADirectory,
    failures.IsSameFile: IllegalArgumentError,
    failures.NotADirectory: KeyConflict,
    failures.NotFound: BlobNotFound,
    failures.PermissionDenied: AuthorizationError,
    failures.RangeNotSatisfied: BlobChanged,  # nothing past the known end is ever asked for
    failures.RateLimited: StorageUnavailable,
    failures.Unexpected: StorageError,
    failures.Unsupported: NotSupportedError,
}
_BY_NAME = {kind.__name__: ours for kind, ours in ERRORS.items()}
# The binding's file objects raise a bare OSError whose text begins with the name of the kind.
_CAUGHT: tuple[type[Exception], ...] = (*ERRORS, OSError)

# First match decides, before the table above: what the kind alone does not tell.
_BY_TEXT: tuple[tuple[re.Pattern[str], type[NeuroError]], ...] = (
    (
        re.compile(r"NoSuchBucket|ContainerNotFound|ContainerBeingDeleted|bucket does not exist"),
        BucketNotFound,
    ),
    (re.compile(r"code: \"InvalidRange\""), BlobChanged),  # as RangeNotSatisfied above
    (
        re.compile(
            r"ExpiredToken|TokenRefreshRequired|InvalidAccessKeyId|SignatureDoesNotMatch|"
            r"InvalidToken|AuthenticationFailed|failed to load signing credential|status: 401"
        ),
        AuthenticationError,
    ),
    (re.compile(r"timeout reached|operation timed out|write part timeout"), StorageTimeout),
    (
        re.compile(
            r"tcp connect error|dns error|reset by peer|connection closed|connection error|"
            r"broken pipe|end of file before message|error sending request|status: 50[0234]"
        ),
        StorageUnavailable,
    ),
)
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_HEAD = re.compile(r"^(\w+) \(\w+\) at .*?=>\s*(.*)")
_SECRET = re.compile(r"(?i)((?:sig|signature|x-amz-security-token|token)=)[^&\s\"']+")

_used_in: int | None = None


def check_process() -> None:
    """Raise ForkedProcessError where the native runtime was started by a parent process.

    Its threads do not survive a fork, so a call would wait for ever.
    """
    if _used_in is not None and _used_in != os.getpid():
        raise ForkedProcessError(
            "the parent of this process has used blob storage, and its native threads did not "
            "survive the fork; start workers with the 'spawn' or 'forkserver' method"
        )


def _mark_used() -> None:
    global _used_in
    check_process()
    if _used_in is None:
        _used_in = os.getpid()
        # A native thread that is just handing over a result when the interpreter ends aborts
        # the process; a moment of rest lets it finish.
        atexit.register(_rest)


def _rest() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        time.sleep(0.02)


def translate(
    cause: Exception, *, bucket: str, key: str | None, path: str | None = None
) -> NeuroError:
    """The error of our tree for an error of the binding; *path* is the local root, if any."""
    text = str(cause)
    head = _HEAD.match(text)
    kind = head[1] if head else type(cause).__name__
    first_line = text.partition("\n")[0]
    reason = _SECRET.sub(r"\1***", (head[2].partition("\n")[0] if head else first_line))
    number = _OS_ERROR.search(text)
    if number is not None and path is not None:
        error = os.strerror(int(number[1]))
        if kind not in ("NotFound", "AlreadyExists", "IsADirectory", "NotADirectory"):
            failure = local_error(OSError(int(number[1]), error), path)
            failure.bucket, failure.key = bucket, key
            return failure
    for pattern, ours in _BY_TEXT:
        if pattern.search(text):
            if ours is BucketNotFound:
                return ours("the bucket is not there at its provider", bucket=bucket)
            return ours(f"the store said: {reason}", bucket=bucket, key=key)
    ours = _BY_NAME.get(kind, StorageError)
    if ours is BlobNotFound:
        return ours("no such blob", bucket=bucket, key=key)
    if ours is BlobChanged:
        return ours("the blob was replaced while it was read", bucket=bucket, key=key)
    return ours(f"the store said: {reason}", bucket=bucket, key=key)


def _scrubbed(cause: Exception) -> Exception:
    text = str(cause)
    clean = _SECRET.sub(r"\1***", text)
    return cause if clean == text else type(cause)(clean)


class Engine:
    """One operator; paths are relative to its root, *key* names the blob in errors.

    *options* are the service's own, as text. With *limits* failed requests are repeated and
    each wait ends, ``limit`` seconds at most for the whole; the local disk needs neither.
    """

    def __init__(
        self,
        scheme: str,
        options: Mapping[str, str],
        *,
        bucket: str,
        limits: TransferConfig | None = None,
    ) -> None:
        _mark_used()
        self.bucket = bucket
        self._quick_from = -math.inf
        self._local = options.get("root") if scheme == "fs" else None
        self.limit: float | None = None
        try:
            operator: Any = opendal.AsyncOperator(scheme, **options)
        except _CAUGHT as cause:
            raise self._error(cause, None) from _scrubbed(cause)
        self._plain = operator
        if limits is not None:
            # The inner layer ends an attempt, the outer one repeats it. A peer that sends a
            # little and stalls begins the count anew each time, so the whole has a limit too. It
            # leaves room for many refusals, which come at once, but not for as many stalls.
            wait = limits.timeout
            operator = operator.layer(TimeoutLayer(timeout=wait, io_timeout=wait)).layer(
                RetryLayer(
                    max_times=limits.retries, min_delay=0.1, factor=2.0, max_delay=5.0, jitter=True
                )
            )
            self.limit = (wait + 5) * min(limits.retries + 1, _STALLS)
        self._operator = operator

    async def _call(self, key: str | None, operation: Callable[[], Awaitable[T]]) -> T:
        check_process()
        try:
            if self.limit is None:
                return await to_its_end(operation())
            async with asyncio.timeout(self.limit):
                return await operation()
        except NeuroError:
            raise
        except _CAUGHT as cause:
            raise self._error(cause, key) from _scrubbed(cause)
        finally:
            del operation  # an error that is kept must not keep a file open

    def _error(self, cause: Exception, key: str | None) -> NeuroError:
        if isinstance(cause, TimeoutError):
            message = f"no answer within {self.limit:.0f} seconds"
            return StorageTimeout(message, bucket=self.bucket, key=key)
        return translate(cause, bucket=self.bucket, key=key, path=self._local)

    @cached_property
    def _once(self) -> Any:
        # One attempt: what is repeated may come from another version in its midst.
        return self._plain.layer(TimeoutLayer(timeout=SOON, io_timeout=SOON))

    @cached_property
    def _blocking(self) -> Any:
        # The limit is what a cancelled caller waits for at the most.
        return self._once.to_operator()

    @property
    def is_quick(self) -> bool:
        """False while what has to end within seconds is not worth trying."""
        return time.monotonic() >= self._quick_from

    def note_slow(self) -> None:
        """Some answer took too long: such a store wants longer limits, and nothing sent twice."""
        self._quick_from = time.monotonic() + _SLOW_SECONDS

    def write_now(self, path: str, body: bytes, key: str) -> None:
        """As ``write``, blocking, once and for seconds at the most."""
        self._call_now(key, lambda: self._blocking.write(path, body))

    def read_now(self, known: BlobObject) -> bytes:
        """All of a blob, blocking, once and for seconds at the most."""
        path = known.key
        data: bytes = self._call_now(path, lambda: self._blocking.read(path, **pinned(known)))
        return data

    def reading(self, known: BlobObject, offset: int, length: int) -> Reading | None:
        """As ``Direct.read``."""
        del known, offset, length  # the binding reads into memory of its own
        return None

    def beginning(self, key: str, told: Callable[[Stat], None]) -> Reading | None:
        """As ``Direct.begin``."""
        del key, told
        return None

    def _call_now(self, key: str, operation: Callable[[], T]) -> T:
        check_process()
        try:
            return operation()
        except _CAUGHT as cause:
            raise self._error(cause, key) from _scrubbed(cause)

    async def stat(self, path: str, key: str) -> Stat:
        """What is at *path*; BlobNotFound if nothing."""
        found = await self._call(key, lambda: self._operator.stat(path))
        return Stat(path, *_told(found), is_file=found.mode.is_file())

    async def write(self, path: str, body: bytes, key: str, **options: Any) -> None:
        """One request, or one file, whatever the size; *options* are the binding's."""
        await self._call(key, lambda: self._operator.write(path, body, **options))

    async def write_stream(
        self, path: str, pieces: AsyncIterator[bytes], key: str, **options: Any
    ) -> None:
        """Write the *pieces*; on any failure the writer is dropped, never closed.

        Closing it would publish what had been written.
        """
        writer: Any = await self._call(key, lambda: self._operator.open(path, "wb", **options))
        try:
            async for piece in pieces:
                await self._call(key, partial(writer.write, piece))
            await self._call(key, writer.close)
        finally:
            del writer

    async def stream(self, path: str, key: str, **options: Any) -> AsyncGenerator[bytes, None]:
        """The bytes of *path*, in pieces as they come; *options* are the binding's."""
        reader: Any = await self._call(key, lambda: self._operator.open(path, "rb", **options))
        try:
            while True:
                piece: bytes = await self._call(key, partial(reader.read, _PIECE))
                if not piece:
                    return
                yield piece
        finally:
            del reader

    async def read_small(self, path: str, key: str, most: int) -> bytes | None:
        """All of *path* with one request; None if it is more than *most* bytes.

        One attempt, which may fail for any reason.
        """

        async def read() -> bytes | None:
            reader: Any = await self._once.open(path, "rb")
            pieces, size = [], 0
            while piece := await reader.read(most + 1 - size):
                pieces.append(piece)
                size += len(piece)
                if size > most:
                    return None
            return b"".join(pieces)

        try:
            return await self._call(key, read)
        except StorageTimeout:
            self.note_slow()
            raise

    async def read_known(self, known: BlobObject, offset: int, length: int) -> bytes:
        """That part of a blob at once; BlobChanged if it is of another version."""
        part = {} if length == known.size else {"offset": offset, "size": length}
        return await self.read(known.key, known.key, **part, **pinned(known))

    async def read(self, path: str, key: str, **options: Any) -> bytes:
        """The bytes of *path* at once."""
        data: bytes = await self._call(key, lambda: self._operator.read(path, **options))
        return data

    async def pages(
        self,
        prefix: str,
        *,
        recursive: bool,
        most: int | None = None,
        likely: Likely | None = None,
    ) -> AsyncGenerator[Columns, None]:
        """What the store lists for *prefix*, as ``Provider.pages`` says."""
        del likely  # the binding asks for one page after another
        listing = read_ahead(self._batches(prefix, recursive, most), most is None)
        async with aclosing(listing) as batches:
            async for batch in batches:
                yield Columns.of([Stat(entry.path, *_told(entry.metadata)) for entry in batch])

    async def _batches(
        self, prefix: str, recursive: bool, most: int | None
    ) -> AsyncGenerator[Sequence[Any], None]:
        entries: Any = await self._call(
            None, lambda: self._operator.list(prefix, recursive=recursive, limit=most)
        )
        size = most or _BATCH
        while True:
            batch = await self._call(prefix, partial(_take, entries, size))
            if batch:
                yield batch
            if len(batch) < size:
                return

    async def make_folder(self, path: str, key: str) -> None:
        """Put a directory marker; *path* ends in a slash."""
        await self._call(key, lambda: self._operator.create_dir(path))

    async def rename(self, source: str, target: str, key: str) -> None:
        """Move *source*, taking the place of a file at *target*."""
        await self._call(key, lambda: self._operator.rename(source, target))

    async def copy(self, source: str, target: str, key: str) -> None:
        """Copy within the store."""
        await self._call(key, lambda: self._operator.copy(source, target))

    async def delete(self, path: str, key: str) -> None:
        """Remove exactly *path*; nothing there is no error."""
        await self._call(key, lambda: self._operator.delete(path))

    def can(self, what: str) -> bool:
        """Whether the binding says that the store can do *what*, by the name it has there."""
        return bool(getattr(self._operator.capability(), what))

    async def details(self, path: str, key: str) -> Metadata:
        """All that the store tells of the file at *path*; BlobNotFound if nothing is there."""
        from .._core.described import EntryMode, Metadata  # pydantic, which few need

        found: Any = await self._call(key, lambda: self._operator.stat(path))
        return Metadata(
            mode=EntryMode(entry_is_file=found.mode.is_file(), entry_is_dir=found.mode.is_dir()),
            content_length=found.content_length,
            content_type=found.content_type,
            content_disposition=found.content_disposition,
            content_md5=found.content_md5,
            etag=found.etag,
            last_modified=found.last_modified,
            user_metadata=found.user_metadata,
        )

    async def presign(self, operation: str, path: str, seconds: int, key: str) -> PresignedRequest:
        """Sign a request to ``stat``, ``read`` or ``write`` *path*."""
        from .._core.described import PresignedRequest

        sign = getattr(self._operator, f"presign_{operation}")
        signed: Any = await self._call(key, lambda: sign(path, seconds))
        return PresignedRequest(url=signed.url, method=signed.method, headers=dict(signed.headers))


def pinned(known: BlobObject) -> dict[str, Any]:
    """The option that keeps what is read to this version."""
    return {} if known.etag is None else {"if_match": known.etag}


_PIECE = 4 << 20
_SLOW_SECONDS = 60.0
_STALLS = 5
_BATCH = 1000  # what S3 has in a page, so that it never asks for one more


async def _take(entries: Any, size: int) -> list[Any]:
    """The next entries, *size* of them but at the end; a limit on each would cost more."""
    batch = []
    async for entry in entries:
        batch.append(entry)
        if len(batch) == size:
            break
    return batch


def _told(found: Any) -> tuple[int, datetime | None, str | None]:
    return found.content_length, found.last_modified, found.etag
