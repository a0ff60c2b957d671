"""Ranges of blobs by plain HTTP, for threads: from the socket into memory of the caller.

OpenDAL's binding copies what it reads twice, into memory that is new each time; with a blob of
many parts that is most of the work.
"""

from __future__ import annotations

import abc
import contextlib
import http.client
import re
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from email.message import Message
from urllib.parse import urlsplit

from ..errors import StorageError, StorageTimeout, StorageUnavailable
from ..protocols import Reading
from .opendal import SOON, check_process
from .pool import tls
from .stat import Stat, described

__all__ = ["Ranges"]

Told = Callable[[Stat], None]
"""Hears what a blob is, in the thread that reads it."""

Sign = Callable[[str, str, Mapping[str, str]], tuple[str, Mapping[str, str]]]
"""For a method, key and headers the path, escaped, and all headers of the request."""

Span = tuple[int, int, int]
"""Its first and last byte, and the size of the blob."""

_IDLE = 5.0  # seconds after which a store may have closed a connection
_PIECE = 1 << 20
_SPAN = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class Ranges:
    """GETs for parts of blobs at *base*, over connections that are used again.

    *name* is what errors call the bucket; no read takes longer than *limit* seconds.
    """

    def __init__(self, base: str, sign: Sign, *, name: str, limit: float) -> None:
        parts = urlsplit(base)
        self.sign = sign
        self.name = name
        self.limit = limit
        self._host, self._port = parts.hostname or "", parts.port
        self._secure = parts.scheme == "https"
        self._idle: deque[tuple[http.client.HTTPConnection, float]] = deque()
        self._closed = False

    def begin(self, key: str, etag: str, size: int, offset: int, length: int) -> Reading:
        """What reads a part of the blob with this *etag* and *size*."""
        check_process()
        return _Part(self, key, etag, (offset, offset + length - 1, size))

    def begin_unknown(self, key: str, told: Told) -> Reading:
        """What reads the beginning of a blob, and before that tells what the blob is."""
        check_process()
        return _Beginning(self, key, told)

    def connection(self) -> http.client.HTTPConnection:
        """One that was used a moment ago, or a new one."""
        with contextlib.suppress(IndexError):
            connection, since = self._idle.pop()
            if time.monotonic() - since < _IDLE:
                return connection
            connection.close()
            while True:  # those below have rested for longer
                self._idle.pop()[0].close()
        if self._secure:
            return http.client.HTTPSConnection(self._host, self._port, timeout=SOON, context=tls())
        return http.client.HTTPConnection(self._host, self._port, timeout=SOON)

    def keep(self, connection: http.client.HTTPConnection) -> None:
        """For whoever asks next."""
        self._idle.append((connection, time.monotonic()))
        if self._closed:
            self.close()

    def close(self) -> None:
        """Close the connections that rest."""
        self._closed = True
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop()[0].close()


class _Reading(abc.ABC):
    """One attempt at one range, in a thread."""

    def __init__(self, ranges: Ranges, key: str) -> None:
        self._ranges = ranges
        self._key = key
        self._socket: socket.socket | None = None
        self._cut = False

    @abc.abstractmethod
    def _wanted(self, length: int) -> Mapping[str, str]:
        """The headers that ask for it."""

    @abc.abstractmethod
    def _given(self, span: Span, headers: Message, length: int) -> int | None:
        """How many bytes come; None if it is not what was wanted."""

    def run(self, into: memoryview) -> None:
        """Fill *into*, or raise an error of our tree."""
        ranges = self._ranges
        connection = ranges.connection()
        kept = connection.sock is not None
        deadline = time.monotonic() + ranges.limit
        whole = False
        try:
            try:
                self._read(connection, into, deadline)
            except (BrokenPipeError, ConnectionResetError):
                if not kept:
                    raise
                connection.close()  # the store had done so; the next call opens it
                self._read(connection, into, deadline)
            whole = True
        except StorageError:
            raise
        except TimeoutError:
            raise self._error(StorageTimeout, "the store has stalled") from None
        except (OSError, http.client.HTTPException) as cause:
            kind = type(cause).__name__
            raise self._error(StorageUnavailable, f"the connection failed: {kind}") from None
        finally:
            self._socket = None
            if whole and connection.sock is not None:
                ranges.keep(connection)
            else:
                connection.close()

    def _read(
        self, connection: http.client.HTTPConnection, into: memoryview, deadline: float
    ) -> None:
        target, headers = self._ranges.sign("GET", self._key, self._wanted(len(into)))
        if connection.sock is None:
            connection.connect()
        self._socket = connection.sock
        self._check_cut()
        connection.request("GET", target, headers=headers)
        answer = connection.getresponse()
        try:
            told = _SPAN.fullmatch(answer.headers.get("Content-Range", ""))
            given = None
            if told is not None and answer.status == 206:
                first, last, size = map(int, told.groups())
                given = self._given((first, last, size), answer.headers, len(into))
            if given is None:
                raise self._error(StorageError, f"status {answer.status} for a range")
            into = into[:given]
            while into:
                count = answer.readinto(into[:_PIECE])
                if not count:
                    raise self._error(StorageUnavailable, "the answer was cut short")
                into = into[count:]
                self._check_cut()
                if time.monotonic() > deadline:
                    raise TimeoutError
        finally:
            if answer.will_close or not answer.isclosed():
                answer.close()
                connection.close()

    def _check_cut(self) -> None:
        if self._cut:
            raise self._error(StorageUnavailable, "nobody waits for it any more")

    def _error(self, kind: type[StorageError], message: str) -> StorageError:
        return kind(message, bucket=self._ranges.name, key=self._key)

    def cut(self) -> None:
        """End ``run`` at once, from any thread; it raises."""
        self._cut = True
        connected = self._socket
        if connected is not None:
            with contextlib.suppress(OSError):
                # Of the socket below that of TLS, which the thread is still using.
                socket.socket.shutdown(connected, socket.SHUT_RDWR)


class _Part(_Reading):
    """A part of a blob that is known."""

    def __init__(self, ranges: Ranges, key: str, etag: str, span: Span) -> None:
        super().__init__(ranges, key)
        self._etag = etag
        self._span = span

    def _wanted(self, length: int) -> Mapping[str, str]:
        del length
        return {"Range": f"bytes={self._span[0]}-{self._span[1]}", "If-Match": self._etag}

    def _given(self, span: Span, headers: Message, length: int) -> int | None:
        del headers
        return length if span == self._span else None


class _Beginning(_Reading):
    """The beginning of a blob that nobody has looked at."""

    def __init__(self, ranges: Ranges, key: str, told: Told) -> None:
        super().__init__(ranges, key)
        self._told: Told | None = told

    def _wanted(self, length: int) -> Mapping[str, str]:
        return {"Range": f"bytes=0-{length - 1}"}

    def _given(self, span: Span, headers: Message, length: int) -> int | None:
        first, last, size = span
        changed, etag = headers.get("Last-Modified", ""), headers.get("ETag", "")
        found = described(self._key, size, changed, etag)
        if found is None or (first, last + 1) != (0, min(length, size)):
            return None
        told, self._told = self._told, None
        if told is None:  # a second attempt, at what may be another version
            return None
        told(found)
        return last + 1
