"""CONTRIBUTING.md gives a reason for each dependency that there is, and for no other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_dependencies_are_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].items()
    asked = {("", needed) for needed in project["dependencies"]}
    asked |= {(extra, needed) for extra, all_needed in extras for needed in all_needed}
    there = {(extra, re.split(r"[^a-z0-9-]", needed)[0]) for extra, needed in asked}

    page = (ROOT / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| ([a-z0-9, -]+) \| (?:`([a-z0-9]+)`)? ?\| .+ \|$", page, re.MULTILINE)
    told = {(extra, name) for names, extra in rows for name in names.split(", ")}
    told.discard(("", "dependency"))
    assert told == {(extra, name) for extra, name in there if name != project["name"]}
