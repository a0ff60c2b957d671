"""Names of the platform for the shell's completion: one level at a time, soon or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import warnings
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote, unquote

import click
from click.shell_completion import BashComplete, CompletionItem, split_arg_string

from .run import open_client, remember_profile

__all__ = ["ColonBashComplete", "complete_bucket", "complete_local", "complete_uri"]

_SECONDS = 3.0
_SECONDS_VARIABLE = "NEURO_SDK_COMPLETE_SECONDS"
_MOST = 200
_SAFE = "/=@:,+~"  # what no shell minds


def complete_bucket(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """The names of buckets that begin with *incomplete*."""
    return [CompletionItem(name) for name in _ask(ctx, lambda: _buckets(incomplete))]


def complete_uri(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Buckets for ``blob:p``, and what lies in a directory for ``blob:photos/2``.

    Only the short form of URIs is completed.
    """
    rest = incomplete[len("blob:") :] if incomplete.lower().startswith("blob:") else ""
    bucket, slash, _ = rest.partition("/")
    if not slash:
        found = _ask(ctx, lambda: _buckets(unquote(rest)))
        return [CompletionItem(f"blob:{quote(name, safe=_SAFE)}/") for name in found]
    if not bucket:
        return []
    head = incomplete[: incomplete.rindex("/") + 1]
    names = _ask(ctx, lambda: _names(incomplete))
    return [CompletionItem(head + quote(name, safe=_SAFE)) for name in names]


def complete_local(incomplete: str) -> list[CompletionItem]:
    """``blob:`` where it may be meant, else what the shell knows about files."""
    if incomplete and "blob:".startswith(incomplete):
        return [CompletionItem("blob:")]
    return [CompletionItem(incomplete, type="file")]


async def _buckets(start: str) -> list[str]:
    names: list[str] = []
    async with open_client() as client, client.buckets.list() as buckets:
        async for bucket in buckets:
            if bucket.name is not None and bucket.name.startswith(start):
                names.append(bucket.name)
            if len(names) == _MOST:
                break
    return names


async def _names(uri: str) -> list[str]:
    async with (
        open_client() as client,
        client.buckets.list_blobs(uri, limit=_MOST) as entries,
    ):
        found = [entry async for entry in entries]
    # A blob of the directory's own name is the directory, and would be completed to itself.
    names = [(entry.name, "/" if entry.is_dir() else "") for entry in found]
    return [name + end for name, end in names if name and name.isprintable()]


def _ask(ctx: click.Context, ask: Callable[[], Coroutine[Any, Any, list[str]]]) -> list[str]:
    """What the platform says within the time there is; nothing, and not a word, otherwise."""
    context: click.Context | None = ctx
    while context is not None:
        remember_profile(ctx, context.params.get("profile"))
        context = context.parent

    async def bounded() -> list[str]:
        seconds = float(os.environ.get(_SECONDS_VARIABLE) or _SECONDS)
        return await asyncio.wait_for(ask(), seconds)

    logging.disable()
    try:
        with warnings.catch_warnings(), ctx.scope(cleanup=False):
            warnings.simplefilter("ignore")
            with contextlib.suppress(Exception):
                return asyncio.run(bounded())
    finally:
        logging.disable(logging.NOTSET)
    return []


class ColonBashComplete(BashComplete):
    """Completion for bash, which takes ``:`` and ``=`` for ends of words.

    The whole line is looked at instead of bash's words, and only what bash would replace is
    given back.
    """

    source_template = """\
%(complete_func)s() {
    local IFS=$'\\n' response kind value
    response=$(env COMP_LINE="${COMP_LINE:0:$COMP_POINT}" COMP_WORD="${COMP_WORDS[COMP_CWORD]}" \\
        %(complete_var)s=bash_complete $1)
    COMPREPLY=()
    for completion in $response; do
        kind="${completion%%%%,*}"
        value="${completion#*,}"
        if [[ $kind == "dir" ]]; then
            compopt -o dirnames
        elif [[ $kind == "file" ]]; then
            compopt -o default
        else
            COMPREPLY+=("$value")
            [[ $value == */ || $value == *: ]] && compopt -o nospace
        fi
    done
    return 0
}
%(complete_func)s_setup() {
    complete -o nosort -F %(complete_func)s %(prog_name)s
}
%(complete_func)s_setup;
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_LINE")
        if line is None:
            return super().get_completion_args()
        words = split_arg_string(line)
        incomplete = words.pop() if len(words) > 1 and not line[-1].isspace() else ""
        return words[1:], incomplete

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        found = super().get_completions(args, incomplete)
        word = os.environ.get("COMP_WORD")
        if word is None:
            return found
        kept = "" if word in (":", "=") else word
        known = len(incomplete) - len(kept) if incomplete.endswith(kept) else 0
        for item in found:
            if item.type == "plain":
                item.value = item.value[known:]
        return found
