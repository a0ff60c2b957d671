"""The program ``neuro-sdk``."""

from __future__ import annotations

import click

from .blob import blob
from .demo import demo
from .load import load
from .login import login, logout, switch
from .serve import role, serve, token
from .serve_store import serve_store

__all__ = ["main"]


@click.group()
@click.version_option(package_name="neuro-blob-sdk", prog_name="neuro-sdk")
def main() -> None:
    """Blob storage from the terminal."""


for command in (blob, demo, load, login, logout, role, serve, serve_store, switch, token):
    main.add_command(command)
