"""From a command to the event loop and back to an exit code."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

import click

import neuro_sdk

from .show import lines_of

__all__ = ["async_command", "open_client", "remember_profile", "warn_of_environment"]

P = ParamSpec("P")

_PROFILE = "neuro_sdk.profile"


def async_command(command: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async command to its end.

    Exit codes: 0 all done, 1 something failed, 2 wrong usage, 130 interrupted, 143 terminated.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            asyncio.run(_until_terminated(command(*args, **kwargs)))
        except neuro_sdk.NeuroError as error:
            raise click.ClickException(lines_of(str(error))) from error
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            raise click.exceptions.Exit(130) from None
        except asyncio.CancelledError:
            click.echo("terminated", err=True)
            raise click.exceptions.Exit(143) from None

    return run


async def _until_terminated(work: Coroutine[Any, Any, None]) -> None:
    """Let SIGTERM unwind the command as Ctrl-C does, so that nothing temporary stays."""
    task = asyncio.current_task()
    assert task is not None
    # Not on Windows, nor in a program that runs its commands in a thread.
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await work


def remember_profile(context: click.Context, profile: str | None) -> None:
    """Have the commands below *context* open the platform of this profile."""
    if profile is not None:
        context.meta[_PROFILE] = profile


def open_client() -> neuro_sdk.Opening[neuro_sdk.Client]:
    """The platform of ``--profile``, or else the one that is configured."""
    context = click.get_current_context(silent=True)
    return neuro_sdk.get(None if context is None else context.meta.get(_PROFILE))


def warn_of_environment() -> None:
    """Say so where the environment has the last word, whatever the profile file says."""
    for name in ("NEURO_SDK_PLATFORM", "NEURO_SDK_PROFILE"):
        if os.environ.get(name):
            click.echo(f"note: {name} is set, and used instead of the default profile", err=True)
            return
