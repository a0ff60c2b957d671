"""From a command to the event loop and back to an exit code."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

import click

from .. import NeuroError

__all__ = ["async_command"]

P = ParamSpec("P")


def async_command(command: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async command to its end.

    Exit codes: 0 all done, 1 something failed, 2 wrong usage, 130 interrupted, 143 terminated.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            asyncio.run(_until_terminated(command(*args, **kwargs)))
        except NeuroError as error:
            raise click.ClickException(str(error)) from error
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
