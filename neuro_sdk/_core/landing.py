"""Where a key lands below the destination of a download, or why it cannot land there."""

from __future__ import annotations

import unicodedata

from ..errors import InvalidKey, KeyConflict
from .keys import is_plain

__all__ = ["Collisions", "folded", "landing_path"]

_WINDOWS_FORBIDDEN = frozenset('\\:<>"|?*') | {chr(code) for code in range(32)}
_WINDOWS_DEVICES = frozenset(
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"]
    + [port + number for port in ("COM", "LPT") for number in "123456789¹²³"]
)


def landing_path(
    key: str, prefix: str, *, windows: bool = False, bucket: str | None = None
) -> tuple[str, ...]:
    """The parts of the path, relative to the destination, of a *key* in the directory *prefix*.

    *prefix* is empty or ends in a slash. A directory marker lands as a directory; the marker
    of *prefix* itself gives no parts. Raises InvalidKey for a key that would land outside the
    destination or that a disk, with *windows* also one of that system, would not keep exactly.
    """
    assert not prefix or prefix.endswith("/")
    if not key or not key.startswith(prefix):
        raise InvalidKey(f"the key is not in the directory {prefix!r}", bucket=bucket, key=key)
    below = key.removeprefix(prefix)
    if not below:
        return ()
    segments = tuple(below.removesuffix("/").split("/"))
    if not windows and is_plain(below):
        return segments
    for segment in segments:
        problem = _problem(segment) or (_windows_problem(segment) if windows else None)
        if problem is not None:
            raise InvalidKey(
                f"the key cannot become a local path: {problem}", bucket=bucket, key=key
            )
    return segments


def _problem(segment: str) -> str | None:
    if not segment:
        return "it begins with a slash or has two in a row"
    if segment in (".", ".."):
        return f"it has the segment {segment!r}"
    if "\0" in segment:
        return "it holds the character NUL"
    try:
        segment.encode()
    except UnicodeEncodeError:
        return "it holds a lone surrogate, which is no text"
    return None


def _windows_problem(segment: str) -> str | None:
    for character in segment:
        if character in _WINDOWS_FORBIDDEN:
            return f"no name may hold {character!r} on Windows"
    if segment.endswith((".", " ")):
        return f"Windows would cut off the end of {segment!r}"
    if segment.partition(".")[0].rstrip(" ").upper() in _WINDOWS_DEVICES:
        return f"{segment!r} is a device on Windows"
    return None


def folded(path: str) -> str:
    """The same text for all paths that are one file on a disk that ignores case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())


class Collisions:
    """Finds different paths that are one file on a disk that ignores case.

    Such a disk is taken to ignore the Unicode normal form too. For other disks nothing is
    remembered.
    """

    def __init__(self, case_insensitive: bool) -> None:
        self._seen: dict[str, str] | None = {} if case_insensitive else None

    def add(self, path: str) -> KeyConflict | None:
        """Remember a path; the error if another one that was added would be the same file.

        A slash at its end makes no difference.
        """
        if self._seen is None:
            return None
        path = path.removesuffix("/")
        first = self._seen.setdefault(folded(path), path)
        if first == path:
            return None
        return KeyConflict(
            f"{path!r} and {first!r} would be one file on this disk, which ignores case",
            key=path,
        )
