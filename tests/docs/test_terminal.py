"""The picture of the terminal shows the session that its script runs, in commands that exist."""

from __future__ import annotations

import html
import re
import runpy
import shlex
from pathlib import Path

import click

from neuro_sdk.cli import main

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_the_picture_is_that_of_the_session() -> None:
    session = runpy.run_path(str(DOCS / "terminal.py"))["SESSION"]
    picture = (DOCS / "terminal.svg").read_text(encoding="utf-8")
    text = html.unescape(re.sub(r"<[^>]+>", "", picture)).replace("\xa0", " ")
    for command in session:
        assert command in text
        name, *words = shlex.split(command)
        assert name == "neuro-sdk"
        found: click.Command = main
        while isinstance(found, click.Group):
            found = found.commands[words.pop(0)]
    assert "Upload" in text, "there is a bar"
    assert "docs/terminal.svg" in (DOCS.parent / "README.md").read_text(encoding="utf-8")
