"""Glob patterns for keys: which keys match, and what to list to find them all.

``*``, ``?`` and sets such as ``[a-z]`` or ``[!a]`` stay within one segment; a ``*`` that is a
whole segment takes at least one character. ``**`` as a whole segment is any number of segments,
also none, and at the end all that lies below. Nothing else is special: ``[*]`` is a literal ``*``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

__all__ = ["DEEP", "STAR", "Glob", "Segment", "char_set", "compile_glob", "path_regex"]

Segment = tuple[str, ...]
"""Regular expressions for one character each, with STAR for any number of characters."""

STAR = ""
DEEP: Segment = ("**",)
"""Stands for any number of whole segments."""


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern, ready to match keys.

    Every match begins with the text ``prefix``. Unless ``recursive``, no match has a slash
    after it, so that one non-recursive listing of ``prefix`` finds them all.
    """

    pattern: str
    prefix: str
    recursive: bool
    _regex: re.Pattern[str] = field(repr=False)

    def matches(self, key: str) -> bool:
        """True if the whole of *key* matches; a directory marker's last slash counts."""
        return self._regex.fullmatch(key) is not None


def compile_glob(pattern: str) -> Glob:
    """Read *pattern*; every text means something, so this never fails."""
    parts = pattern.split("/")
    parsed = [list(_tokens(part)) for part in parts]
    chars = [char for tokens in parsed for char in ("/", *(char for _, char in tokens))][1:]
    wild = chars.index(None) if None in chars else len(chars)
    segments = [
        DEEP if part == "**" else tuple(regex for regex, _ in tokens)
        for part, tokens in zip(parts, parsed, strict=True)
    ]
    return Glob(
        pattern=pattern,
        prefix="".join(char for char in chars[:wild] if char is not None),
        recursive=DEEP in segments or "/" in chars[wild:],
        _regex=re.compile(path_regex(segments), re.DOTALL),
    )


def _tokens(part: str) -> Iterator[tuple[str, str | None]]:
    """The regular expression of each token, and the character it stands for if it is one."""
    at = 0
    while at < len(part):
        char = part[at]
        # A "]" that comes first is a member of the set.
        first = at + 1 + part.startswith("!", at + 1)
        end = part.find("]", first + 1) if char == "[" else -1
        if end != -1:
            negated, members = first == at + 2, list(_members(part[first:end]))
            yield char_set(members, negated=negated), _only(members, negated)
            at = end
        elif char == "*":
            yield STAR, None
        elif char == "?":
            yield "[^/]", None
        else:
            yield re.escape(char), char
        at += 1


def _members(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        is_range = text[at + 1 : at + 2] == "-" and at + 2 < len(text)
        yield text[at], text[at + 2 * is_range]
        at += 1 + 2 * is_range


def _only(members: Sequence[tuple[str, str]], negated: bool) -> str | None:
    low, high = members[0]
    return low if len(members) == 1 and low == high and not negated else None


def char_set(ranges: Sequence[tuple[str, str]], *, negated: bool, classes: str = "") -> str:
    """The regular expression of one character in, or not in, *ranges*; never a slash.

    *classes* is text for the inside of a set of the regular expression.
    """
    inside = classes + "".join(
        f"{re.escape(low)}-{re.escape(high)}" for low, high in ranges if low <= high
    )
    if negated:
        return f"[^/{inside}]"
    return f"(?!/)[{inside}]" if inside else "(?!)"


def path_regex(segments: Sequence[Segment]) -> str:
    """The regular expression that the whole of a path must match.

    It never backtracks into what lies before a ``**``, or before the last star of a segment:
    the leftmost match there leaves most to what follows, so no other could do better. The time
    is bounded by the length of the path times that of the pattern, for each segment of the path.
    """
    runs: list[list[str]] = [[]]
    for segment in segments:
        if segment != DEEP:
            runs[-1].append(_segment_regex(segment))
        elif runs[-1] or len(runs) == 1:
            runs.append([])
    if len(runs) == 1:
        return "/".join(runs[0])
    head = "".join(f"{part}/" for part in runs[0])
    blocks = ("".join(f"{part}/" for part in run) for run in runs[1:-1])
    middle = "".join(f"(?>(?:[^/]*+/)*?{block})" for block in blocks)
    tail = "(?:[^/]*+/)*?" + "/".join(runs[-1]) if runs[-1] else ".*"
    return head + middle + tail


def _segment_regex(segment: Segment) -> str:
    pieces = [""]
    for regex in segment:
        if regex == STAR:
            pieces.append("")
        else:
            pieces[-1] += regex
    if len(pieces) == 1:
        return pieces[0]
    if not any(pieces):
        return "[^/]++"
    first, *middle, last = pieces
    blocks = "".join(f"(?>[^/]*?{piece})" for piece in middle if piece)
    return f"{first}{blocks}[^/]*{last}"
