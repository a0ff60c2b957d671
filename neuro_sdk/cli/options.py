"""Options that several commands have, and what they stand for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

__all__ = ["Filter", "as_json", "dry_run", "filters", "path_filter", "quiet", "verify"]

Filter = Callable[[str], Awaitable[bool]]

as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON, for machines.")
quiet = click.option(
    "-q", "--quiet", is_flag=True, help="Say nothing but what failed: no bars, no summary."
)
dry_run = click.option(
    "-n", "--dry-run", is_flag=True, help="Say what would be done, and change nothing."
)
verify = click.option(
    "--verify", is_flag=True, help="Read again what was stored, and compare it with the source."
)


def filters(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which paths of a tree are meant."""
    for option in (
        click.option(
            "--ignore-file",
            "ignore_files",
            multiple=True,
            metavar="NAME",
            help="Obey files of this name in the local tree, such as .gitignore.",
        ),
        click.option(
            "--exclude",
            multiple=True,
            metavar="PATTERN",
            help="Leave out what matches, with the rules of a .gitignore; may be repeated.",
        ),
        click.option(
            "--include",
            multiple=True,
            metavar="PATTERN",
            help="Take only files that match, less what --exclude says; may be repeated.",
        ),
    ):
        command = option(command)
    return command


def path_filter(include: Sequence[str], exclude: Sequence[str]) -> Filter | None:
    """What the API takes as ``filter``; None where all is wanted.

    Patterns are those of a .gitignore at the root of the tree. UsageError for one that is none.
    """
    wanted, unwanted = _spec(include, "--include"), _spec(exclude, "--exclude")
    if wanted is None and unwanted is None:
        return None

    async def wants(path: str) -> bool:
        if unwanted is not None and unwanted.match_file(path):
            return False
        # A directory is entered for what may lie in it.
        return wanted is None or path.endswith("/") or wanted.match_file(path)

    return wants


def _spec(patterns: Sequence[str], option: str) -> GitIgnoreSpec | None:
    if not patterns:
        return None
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}") from error
