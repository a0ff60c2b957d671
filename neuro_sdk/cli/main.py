"""The program ``neuro-sdk``."""

from __future__ import annotations

import click

from .blob import blob
from .demo import demo
from .serve_store import serve_store

__all__ = ["main"]


@click.group()
@click.version_option(package_name="neuro-blob-sdk", prog_name="neuro-sdk")
def main() -> None:
    """Blob storage from the terminal."""


main.add_command(blob)
main.add_command(demo)
main.add_command(serve_store)
