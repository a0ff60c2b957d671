"""Commands of the program, run in this process or in one of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from neuro_sdk.cli import main

__all__ = ["PROGRAM", "blob", "done", "objects", "start", "summary"]

PROGRAM = [str(Path(sys.executable).parent / "neuro-sdk")]


def blob(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    """``neuro-sdk blob ...`` in this process."""
    texts = ["blob", *map(str, arguments)]
    return CliRunner().invoke(main, texts, input=stdin, catch_exceptions=False)


def done(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    """The same; it must go well."""
    result = blob(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    return result


def objects(result: Result) -> list[dict[str, Any]]:
    """The objects that a command has written, one a line."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def summary(result: Result, **expected: object) -> dict[str, Any]:
    """The one object of a transfer, which says what is *expected* and else counts nothing."""
    (found,) = objects(result)
    counts = {"copied": 0, "skipped": 0, "failed": 0, "removed": 0, **expected}
    assert {name: found[name] for name in counts} == counts
    assert found["seconds"] >= 0
    assert found["interrupted"] is False
    assert len(found["failures"]) == counts["failed"]
    return found


def start(*arguments: str | Path, **how: Any) -> subprocess.Popen[bytes]:
    """``neuro-sdk ...`` in a process of its own."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*PROGRAM, *map(str, arguments)], **{**pipes, **how})
