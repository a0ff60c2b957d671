"""The program ``neuro-sdk``."""

from __future__ import annotations

import os
from typing import Any

import click
from click.shell_completion import add_completion_class

from .blob import blob
from .complete import ColonBashComplete
from .demo import demo
from .load import load
from .login import login, logout, switch, whoami
from .profile import profile
from .serve import role, serve, token
from .serve_store import serve_store

__all__ = ["main"]


class _Program(click.Group):
    def main(self, *args: Any, **kwargs: Any) -> Any:
        if "_NEURO_SDK_COMPLETE" in os.environ:
            # Here and not for every program that mounts a command: it is said for a process.
            add_completion_class(ColonBashComplete)
        return super().main(*args, **kwargs)


@click.group(cls=_Program)
@click.version_option(package_name="neuro-blob-sdk", prog_name="neuro-sdk")
def main() -> None:
    """Blob storage from the terminal: buckets, blobs, whole trees, and who may use them.

    Each command has a --help with examples. With NEURO_SDK_PLATFORM=local: everything works on
    this machine's disk, without a login.
    """


for command in (
    blob,
    demo,
    load,
    login,
    logout,
    profile,
    role,
    serve,
    serve_store,
    switch,
    token,
    whoami,
):
    main.add_command(command)
