"""Text that shows itself only to those who mean to read it."""

from __future__ import annotations

__all__ = ["Hidden"]


class Hidden(str):
    """Text whose ``repr`` is ``'***'``: no log, traceback or repr of what holds it shows it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"
