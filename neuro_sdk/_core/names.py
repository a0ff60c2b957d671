"""The rule for names of buckets and of persistent credentials."""

from __future__ import annotations

import re

from ..errors import InvalidName

__all__ = ["check_name"]

_NAME = re.compile(r"[a-z][a-z0-9_-]{2,39}")


def check_name(name: str | None, what: str = "bucket") -> None:
    """Raise InvalidName unless *name* is None or 3 to 40 of ``a-z 0-9 - _``, a letter first."""
    if name is None:
        return
    if not isinstance(name, str):
        raise TypeError(f"a {what} name is a str or None, not {type(name).__name__}")
    if not _NAME.fullmatch(name):
        raise InvalidName(
            f"the {what} name {name!r} must have 3 to 40 characters, a letter a-z first, "
            "then a-z, 0-9, '-' and '_'"
        )
