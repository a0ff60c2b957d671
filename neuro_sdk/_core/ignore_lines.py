"""What one line of an ignore file means.

It is said here, for pathspec's own reading takes whole paths of files, where ``foo`` also matches
``foo/bar``, but a walker asks about one entry after the other and needs an answer for a directory
too; and it raises for lines that git passes over. ``?`` and sets take characters, where git takes
bytes.
"""

from __future__ import annotations

import re
from typing import AnyStr

from pathspec import RegexPattern

from .glob import DEEP, STAR, Segment, char_set, path_regex

__all__ = ["IgnoreLine"]


class IgnoreLine(RegexPattern):
    """One line of an ignore file; it matches ``path`` or, for a directory, ``path/``."""

    __slots__ = ()

    @classmethod
    def pattern_to_regex(cls, pattern: AnyStr) -> tuple[AnyStr | None, bool | None]:
        """The regular expression and whether a match drops the path; None for no rule."""
        assert isinstance(pattern, str)
        text = _trim(pattern)
        if text.startswith("#"):
            return None, None
        drop = not text.startswith("!")
        text = text if drop else text[1:]
        only_dirs = text.endswith("/")
        text = text.removesuffix("/")
        segments = _segments(text.removeprefix("/") if "/" in text else f"**/{text}")
        if not text or segments is None:
            return None, None
        return rf"\A(?s:{path_regex(segments)}){'/' if only_dirs else '/?'}\Z", drop


def _trim(line: str) -> str:
    """Without the spaces at its end, save one that a backslash keeps."""
    text = line.rstrip(" ")
    escapes = len(text) - len(text.rstrip("\\"))
    return text + " " if escapes % 2 and len(text) < len(line) else text


def _segments(text: str) -> list[Segment] | None:
    """The segments of a pattern, or None if it can match nothing."""
    segments: list[list[str]] = [[]]
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "[":
            parsed = _set(text, at)
            if parsed is None:
                return None
            regex, at = parsed
        elif char == "*":
            regex = STAR
        elif char == "?":
            regex = "[^/]"
        else:
            if char == "\\":
                char = text[at : at + 1]
                at += 1
            regex = re.escape(char)
        if not char:
            return None
        if char == "/":
            segments.append([])
        else:
            segments[-1].append(regex)
    result = [DEEP if len(part) > 1 and not any(part) else tuple(part) for part in segments]
    # "a/**" takes what lies below "a", never "a/" itself.
    return [*result, (STAR,)] if result[-1] == DEEP else result


_MEMBER = re.compile(
    r"\[:(?P<name>[^]]*):\]|(?P<low>\\.|[^\\])(?:-(?P<high>\\.|[^]\\]))?", re.DOTALL
)
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t-\r ",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}


def _set(text: str, at: int) -> tuple[str, int] | None:
    """The regular expression of the set that begins before *at*, and where it ends."""
    negated = text[at : at + 1] in ("!", "^")
    first = at = at + negated
    ranges, classes = [], ""
    while at == first or text[at : at + 1] != "]":
        member = _MEMBER.match(text, at)
        if member is None or member["name"] not in (None, *_CLASSES):
            return None
        at = member.end()
        if member["name"]:
            classes += _CLASSES[member["name"]]
        else:
            low, high = member["low"], member["high"] or member["low"]
            # git takes the first character even of a range that runs backwards.
            ranges += [(low[-1], low[-1]), (low[-1], high[-1])]
    return char_set(ranges, negated=negated, classes=classes), at + 1
