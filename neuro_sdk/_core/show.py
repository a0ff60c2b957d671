"""Values as people read them: sizes and times, and the tables of notebooks.

A table is static, bounded, and holds nothing but text: whatever a key says is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from itertools import islice

__all__ = ["SHOWN", "bytes_text", "html_table", "printable", "time_text"]

SHOWN = 50
"""Rows of a table; of the rest only the number is told."""
_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")


def printable(text: str) -> str:
    """*text* on one line, with nothing in it that cannot be seen."""
    return text if text.isprintable() else ascii(text)


def bytes_text(count: int) -> str:
    """*count* bytes for people: ``17 B``, ``1.5 MiB``."""
    if count < 1024:
        return f"{count} B"
    value, at = count / 1024, 0
    while value >= 1023.95 and at < len(_UNITS) - 1:
        value, at = value / 1024, at + 1
    return f"{value:.1f} {_UNITS[at]}"


def time_text(time: datetime | None) -> str:
    """*time* to the second, or nothing."""
    return "" if time is None else f"{time:%Y-%m-%d %H:%M:%S %Z}".rstrip()


def html_table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of HTML with the first rows; cells are shown by ``str``."""
    cells = [*rows]
    body = [_row("td", row) for row in islice(cells, SHOWN)]
    more = len(cells) - len(body)
    if more:
        body.append(f'<tr><td colspan="{len(head)}">and {more} more</td></tr>')
    caption = "<br>".join(escape(printable(line)) for line in title.split("\n"))
    return (
        f"<table><caption>{caption}</caption><thead>{_row('th', head)}</thead>"
        f"<tbody>{''.join(body)}</tbody></table>"
    )


def _row(kind: str, cells: Iterable[object]) -> str:
    return (
        f"<tr>{''.join(f'<{kind}>{escape(printable(str(cell)))}</{kind}>' for cell in cells)}</tr>"
    )
