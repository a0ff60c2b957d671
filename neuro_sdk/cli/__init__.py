"""The terminal: ``main`` is the program ``neuro-sdk``, ``blob`` a group for other programs.

A click application mounts the group with ``app.add_command(blob)``; for typer see the how-to page.
"""

try:
    import click as _click  # noqa: F401
    import rich as _rich  # noqa: F401
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "the command line needs click and rich: pip install 'neuro-blob-sdk[cli]'",
        name=_missing.name,
    ) from _missing

from .blob import blob
from .complete import ColonBashComplete
from .main import main

__all__ = ["ColonBashComplete", "blob", "main"]
