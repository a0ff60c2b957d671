"""What an answer to ListObjectsV2 says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple
from xml.etree import ElementTree

from .._core.pages import Columns
from .._core.versions import quoted
from .s3 import parse, tag
from .stat import Stat

__all__ = [
    "Divided",
    "continues",
    "divide",
    "entries",
    "last_key",
    "next_token",
    "read",
    "scanned",
]

_BEGIN, _END = b"<Contents>", b"</Contents>"


def next_token(answer: bytes) -> str | None:
    """The token of the page after this one; None after the last, "" if there should be one.

    It is found in the bytes, for it is asked for before an answer is parsed.
    """
    if _text(answer, b"IsTruncated").strip() != b"true":
        return None
    return _plain(_text(answer, b"NextContinuationToken").decode())


def _text(answer: bytes, name: bytes) -> bytes:
    """What the element holds, or nothing; keys are escaped, so no key looks like one."""
    start = answer.find(b"<%s>" % name) + len(name) + 2
    if start > len(name) + 1:
        return answer[start : answer.find(b"<", start)]
    found = re.search(rb"<\w+:%s>([^<]*)<" % name, answer)
    return b"" if found is None else found[1]


def last_key(answer: bytes) -> str:
    """The last blob, or ""."""
    text = answer[answer.rfind(b"<Key>") :].decode(errors="replace")
    return _plain(text[5 : text.find("<")]) if text.startswith("<Key>") else ""


class Divided(NamedTuple):
    """One answer as two."""

    before: bytes
    after: bytes
    blobs: bytes
    """The elements of *after* alone."""


def divide(answer: bytes, key: str) -> Divided | None:
    """The answer up to the blob *key* and from there on; None if there is no such, or no more."""
    at = answer.find(f"<Key>{key}</Key>".encode())
    first = answer.find(_BEGIN)
    if at < 0 or first < 0:
        return None
    end = answer.find(_END, at) + len(_END)
    last = answer.rfind(_END) + len(_END)
    if end == last:
        return None
    whole = memoryview(answer)
    before, after = (whole[:end], whole[last:]), (whole[:first], whole[end:])
    return Divided(b"".join(before), b"".join(after), answer[end:last])


def continues(answer: bytes, blobs: bytes) -> bool:
    """True if the answer lists these *blobs*, to the letter, before any other."""
    first = answer.find(_BEGIN)
    return first >= 0 and answer.startswith(blobs, first)


def entries(answer: bytes, *, sort: bool) -> Iterator[Columns]:
    """What an answer lists, some at a time; ValueError if it is no listing."""
    found = None if sort else scanned(answer)
    if found is not None:
        for start in range(0, len(found.rows), _PAGE):
            yield _columns(found, found.rows[start : start + _PAGE])
        return
    root = parse(answer)
    if tag(root) != "ListBucketResult":
        raise ValueError("no listing")
    listed = sorted(read(root), key=lambda entry: entry.path.encode())
    if listed:
        yield Columns.of(listed)


# What lives at once is kept small, and is nothing but the result: a tree of elements has ten
# objects for each entry, and Python's collector looks at all it knows after so many.
_PAGE = 250

_FIELDS = {"Key": "([^<]+)", "Size": "([0-9]+)", "LastModified": "([^<]+)", "ETag": "([^<]*)"}
_QUOTES = ("&#34;", "&quot;", '"')


class Scanned(NamedTuple):
    """The fields of blobs as they stand in an answer, escaped, and in which order they do.

    ``quote`` is what stood around each tag, and is left away.
    """

    form: Sequence[str]
    rows: Sequence[Sequence[str]]
    quote: str


def scanned(answer: bytes) -> Scanned | None:
    """All that an answer lists, where that is blobs alone, and all in one form."""
    try:
        text = answer.decode()
    except UnicodeDecodeError:
        return None
    start, end = text.find("<Contents>"), text.find("</Contents>")
    around = text[:start] + text[text.rfind("</Contents>") :]
    if "<ListBucketResult" not in around or "<CommonPrefixes" in around:
        return None  # where none were asked for, none stand between blobs
    if "!" in text and "<!" in text:  # to find one character takes no time
        return None
    form = sorted(_FIELDS, key=lambda name: text.find(f"<{name}>", start, end))
    first = text[start:end]
    quote = next((quote for quote in _QUOTES if f"<ETag>{quote}" in first), "")
    rows = re.findall(_pattern(form, first, quote), text, re.DOTALL)
    # Each begins with an element of its own: if all are there, none reaches into another.
    return Scanned(form, rows, quote) if len(rows) == text.count("<Contents>") else None


def _pattern(form: Sequence[str], first: str, quote: str) -> str:
    """Finds elements whose fields come as in *form*, and soonest those like the *first*."""
    pattern, end = "<Contents>", len("<Contents>")
    for name in form:
        value = _FIELDS[name]
        if name == "ETag" and quote:
            value = f"{quote}([^{quote[0]}]*){quote}"
        start = first.find(f"<{name}>")
        # What is between is mostly the same, and to skip what is known takes half the time.
        between = re.escape(first[end:start])
        search = f"(?:{between}|.*?)" if between else ".*?"
        # What was found stays found: else entries unlike the first are searched for in all ways.
        pattern += f"(?>{search}<{name}>){value}</{name}>"
        end = first.find(f"</{name}>", start) + len(f"</{name}>")
    return pattern


def _columns(found: Scanned, rows: Sequence[Sequence[str]]) -> Columns:
    told = dict(zip(found.form, zip(*rows, strict=True), strict=True))
    keys, tags = _texts(told["Key"]), _texts(told["ETag"])
    times = [*map(datetime.fromisoformat, told["LastModified"])]
    whole = [f'"{tag}"' if found.quote else quoted(tag) for tag in tags]
    return Columns(keys, [*map(int, told["Size"])], times, whole, [None] * len(keys))


def _texts(escaped: Sequence[str]) -> Sequence[str]:
    return [*map(_plain, escaped)] if "&" in "".join(escaped) else escaped


def read(root: ElementTree.Element) -> list[Stat]:
    """The entries of any answer."""
    space = root.tag.removesuffix("ListBucketResult")
    found = []
    for blob in root.iterfind(f"{space}Contents"):
        key, size, time, etag = (blob.findtext(f"{space}{name}", "") for name in _FIELDS)
        found.append(Stat(key, int(size or 0), _time(time), quoted(etag)))
    for common in root.iterfind(f"{space}CommonPrefixes"):
        found.append(Stat(common.findtext(f"{space}Prefix", "")))
    return found


def _plain(text: str) -> str:
    if "&" not in text:
        return text
    return ElementTree.fromstring(f"<a>{text}</a>").text or ""  # noqa: S314 - see parse


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
