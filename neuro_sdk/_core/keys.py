"""Which keys can be kept faithfully, and which must be refused before anything is sent.

The engine below (OpenDAL) trims Unicode white space at both ends of a path, strips leading
slashes, merges empty segments, and lets HTTP clients resolve ``.`` and ``..``: each of these
would silently address another blob. Such keys are refused here, in one place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ..errors import InvalidKey

__all__ = [
    "LOCAL_INTERNAL",
    "LOCAL_MARKER",
    "LOCAL_RULES",
    "KeyRules",
    "all_plain",
    "check_key",
    "common_text",
    "is_below",
    "is_plain",
    "key_error",
    "key_errors",
    "key_problem",
    "listable_prefix",
    "overlap",
    "parents",
    "tree_prefix",
]

# Unicode's White_Space; str.strip() would take four control characters more.
_TRIMMED = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B)))
_TRIMMED += "\u2028\u2029\u202f\u205f\u3000"
_PLAIN = re.compile(r"[\w-]+(?:[./][\w-]+)*/?", re.ASCII)
# What plain keys consist of: words, what divides them, and between keys the end of a line.
_SHAPES = {"\n": "\n", ".": ".", "/": "."}
_SHAPE = "".join(
    _SHAPES.get(char, "a" if _PLAIN.fullmatch(char) else "?") for char in map(chr, range(256))
).encode()
_NOT_PLAIN = (b"?", b"..", b"\n.", b"\n\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRules:
    """What a store adds to the common rules.

    ``max_segment`` is the longest part between slashes in UTF-8 bytes, None for no limit.
    ``max_segments`` is how many of those parts there may be. ``reserved`` are segments the
    store needs for itself. ``forbidden`` are characters it cannot hold, ``forbidden_first``
    those it cannot hold at the beginning of a key, ``forbidden_last`` at the end of a segment.
    """

    max_bytes: int = 1024
    max_segment: int | None = None
    max_segments: int | None = None
    reserved: frozenset[str] = frozenset()
    forbidden: str = ""
    forbidden_first: str = ""
    forbidden_last: str = ""
    plain: int = field(init=False, compare=False)
    """A plain key (``is_plain``) that is no longer than this needs no closer look."""

    def __post_init__(self) -> None:
        words = {*self.reserved, *self.forbidden, *self.forbidden_first, *self.forbidden_last}
        limits = (self.max_bytes, self.max_segment, self.max_segments)
        shortest = min(limit for limit in limits if limit is not None)
        # A plain segment neither begins nor ends with a dot.
        none = any(map(_PLAIN.fullmatch, words)) or not {*"./"}.isdisjoint(self.forbidden)
        object.__setattr__(self, "plain", 0 if none else shortest)


LOCAL_INTERNAL = ".neuro-sdk"
"""Folder at the root of a local bucket for what is no blob yet."""
LOCAL_MARKER = ".neuro-sdk-dir"
"""File that makes the folder it lies in a directory marker of a local bucket."""
LOCAL_RULES = KeyRules(
    max_segment=255, reserved=frozenset({LOCAL_INTERNAL, LOCAL_MARKER}), forbidden="\0"
)
"""Rules of a bucket in a folder of this machine."""


def is_plain(key: str) -> bool:
    """True for words of ASCII with single dots and slashes between them, as most keys are."""
    return _PLAIN.fullmatch(key) is not None


def all_plain(keys: Sequence[str], rules: KeyRules) -> bool:
    """True if no key of many needs a closer look; in a third of the time that each alone takes."""
    text = "\n".join(["", *keys, ""])
    if not text.isascii() or text.count("\n") > len(keys) + 1 or ".\n" in text:
        return False
    shape = text.encode().translate(_SHAPE)
    return max(map(len, keys), default=0) <= rules.plain and not any(
        ending in shape for ending in _NOT_PLAIN
    )


def key_problem(key: str, rules: KeyRules) -> str | None:
    """Why *key* cannot be used, as the end of the sentence "the key ...", or None if it can.

    A trailing slash is allowed here: it makes the key a directory marker.
    """
    if len(key) <= rules.plain and is_plain(key):
        return None
    if not key:
        return "is empty"
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        return "holds a lone surrogate, which is no text; rename the file"
    if len(encoded) > rules.max_bytes:
        return f"is {len(encoded)} bytes long in UTF-8; at most {rules.max_bytes} are allowed"
    if key.startswith("/"):
        return "begins with a slash"
    if key != key.strip(_TRIMMED):
        return "begins or ends with white space, which the engine would cut off"
    for character in rules.forbidden:
        if character in key:
            return f"holds the character {character!r}, which this store cannot keep"
    if key[0] in rules.forbidden_first:
        return f"begins with {key[0]!r}, which this store cannot keep"
    segments = key.removesuffix("/").split("/")
    if rules.max_segments is not None and len(segments) > rules.max_segments:
        return f"has more than {rules.max_segments} segments"
    for segment in segments:
        if not segment:
            return "has two slashes in a row"
        if segment in (".", ".."):
            return f"has the segment {segment!r}, which would point at another key"
        if segment in rules.reserved:
            return f"has the segment {segment!r}, which this store keeps for itself"
        if rules.max_segment is not None and len(segment.encode()) > rules.max_segment:
            return f"has a segment longer than {rules.max_segment} bytes in UTF-8"
        if segment[-1] in rules.forbidden_last:
            return f"has a segment that ends with {segment[-1]!r}, which this store would cut off"
    return None


def key_error(key: str, rules: KeyRules, *, bucket: str) -> InvalidKey | None:
    """The error that says why *key* cannot be used, or None; see ``key_problem``."""
    problem = key_problem(key, rules)
    return None if problem is None else _invalid(problem, bucket, key)


def key_errors(keys: Sequence[str], rules: KeyRules, *, bucket: str) -> Sequence[InvalidKey | None]:
    """What ``key_error`` says of each."""
    if all_plain(keys, rules):
        return [None] * len(keys)
    return [key_error(key, rules, bucket=bucket) for key in keys]


def check_key(key: str, rules: KeyRules, *, bucket: str, marker: bool = False) -> None:
    """Raise InvalidKey unless *key* is kept faithfully.

    A key that ends in ``/`` passes only with *marker*.
    """
    if not isinstance(key, str):
        raise TypeError(f"a key is a str, not {type(key).__name__}")
    problem = key_problem(key, rules)
    if problem is None and key.endswith("/") and not marker:
        problem = "ends with a slash, so it stands for a directory"
    if problem is not None:
        raise _invalid(problem, bucket, key)


def _invalid(problem: str, bucket: str, key: str) -> InvalidKey:
    return InvalidKey(f"the key {problem}", bucket=bucket, key=key)


def listable_prefix(prefix: str) -> str:
    """The longest beginning of *prefix* that the engine asks the store for as it stands."""
    if prefix != prefix.lstrip(_TRIMMED) or prefix.startswith("/"):
        return ""
    double = prefix.find("//")
    if double >= 0:
        prefix = prefix[: double + 1]
    return prefix.rstrip(_TRIMMED)


def is_below(key: str, directory: str) -> bool:
    """True if *key* lies in *directory*; ``logs.json`` does not lie in ``logs``."""
    return directory == "" or key.startswith(directory.removesuffix("/") + "/")


def overlap(one: str, other: str) -> bool:
    """True if two directories are one, or one lies below the other."""
    return any(is_below(f"{a.removesuffix('/')}/", b) for a, b in ((one, other), (other, one)))


def common_text(keys: Sequence[str]) -> str:
    """The longest text that all *keys* begin with; nothing where there are none."""
    first, last = min(keys, default=""), max(keys, default="")
    same = 0
    for one, other in zip(first, last, strict=False):
        if one != other:
            break
        same += 1
    return first[:same]


def tree_prefix(directory: str, rules: KeyRules, *, bucket: str) -> str:
    """What the keys below *directory* begin with: nothing, or a text that ends in a slash.

    The slash is what keeps ``logs.json`` and ``logs2/`` out of ``logs``. Raises InvalidKey.
    """
    if not directory:
        return ""
    prefix = directory.removesuffix("/") + "/"
    check_key(prefix, rules, bucket=bucket, marker=True)
    return prefix


def parents(key: str) -> Iterator[str]:
    """The directories above *key*, nearest first, each ending in a slash: ``a/b/`` and ``a/``."""
    head = key.removesuffix("/")
    while "/" in head:
        head = head.rpartition("/")[0]
        yield head + "/"
