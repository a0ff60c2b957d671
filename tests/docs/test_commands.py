"""Every command that a page shows runs, and every command of the program is on a page."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from benchmarks.__main__ import options as benchmark_options
from neuro_sdk.cli import main

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HERE = Path(sys.executable).parent


def _commands(page: Path) -> list[str]:
    lines = [line for block in _BLOCK.findall(page.read_text()) for line in block.splitlines()]
    commands = [line.removeprefix("$ ").split("  #")[0].strip() for line in lines]
    assert all(line.startswith("$ ") for line in lines), f"{page.name} shows what no test compares"
    return commands


WITH_COMMANDS = [page for page in PAGES if "_build" not in page.parts and _commands(page)]


def test_the_pages_have_commands() -> None:
    assert {page.name for page in WITH_COMMANDS} >= {"README.md", "command-line.md"}


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.stem)
def test_commands_run(page: Path, tmp_path: Path) -> None:
    environment = {
        "HOME": str(tmp_path),
        "PATH": f"{_HERE}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
    }
    with contextlib.ExitStack() as running:
        _run(page, tmp_path, environment, running)


def _run(
    page: Path, tmp_path: Path, environment: dict[str, str], running: contextlib.ExitStack
) -> None:
    script, port = [], 8080
    for command in _commands(page):
        match shlex.split(command):
            case ["make", "bench", *options]:
                for option in options:
                    name, _, value = option.partition("=")
                    assert name == "BENCH", command
                    benchmark_options(shlex.split(value))
            case ["make", *targets]:
                assert set(targets) <= _targets(), command
            case ["pip", "install", wanted]:
                assert _extras_of(wanted) <= _extras(), command
            case ["neuro-sdk", "serve-store", *_]:
                _starts_and_stops(command, tmp_path, environment)
            case ["neuro-sdk", "serve", *_]:
                port = running.enter_context(_serving(command, tmp_path, environment))
            case ["neuro-sdk", "demo", *options] if "--source" not in options:
                # The standard library, which it takes by itself, is carried in tests/faces.
                script.append(f"{command} --source {shlex.quote(str(ROOT / 'docs/how-to'))}")
            case ["neuro-sdk" | "export" | "unset" | "mkdir" | "echo", *_]:
                script.append(command.replace(":8080/", f":{port}/"))
            case _:
                pytest.fail(f"no test knows what to do with {command!r}")
    done = subprocess.run(
        ["bash", "-euc", "\n".join(script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def _serving(command: str, folder: Path, environment: dict[str, str]) -> Iterator[int]:
    """Run the server of a page in a terminal of its own, at a free port."""
    errors = folder / "serve.log"
    with errors.open("w") as log:
        server = subprocess.Popen(
            [*shlex.split(command), "--port", "0"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert server.stdout is not None
        told = re.search(r"http://127\.0\.0\.1:(\d+)/api/v1", server.stdout.readline())
        assert told, errors.read_text()
        yield int(told[1])
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)
    assert server.returncode == 0


def _targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text()
    return set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


def _extras() -> set[str]:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return set(config["project"]["optional-dependencies"])


def _extras_of(wanted: str) -> set[str]:
    found = re.fullmatch(r"(?:\.|neuro-blob-sdk)(?:\[([a-z0-9,]+)\])?", wanted)
    assert found, wanted
    return set(found[1].split(",")) if found[1] else set()


def _starts_and_stops(command: str, folder: Path, environment: dict[str, str]) -> None:
    server = subprocess.Popen(
        shlex.split(command), cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        assert "http://127.0.0.1:" in server.stdout.readline()
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)
    assert server.returncode == 0


def _paths(command: click.Command, path: str) -> list[str]:
    if not isinstance(command, click.Group):
        return [path]
    return [
        deep
        for name in command.commands
        for deep in _paths(command.commands[name], path + " " + name)
    ]


@pytest.mark.parametrize("path", _paths(main, "neuro-sdk"))
def test_every_command_is_documented(path: str) -> None:
    assert f"`{path}" in (ROOT / "docs/how-to/command-line.md").read_text()


def test_what_error_messages_tell_to_install_exists() -> None:
    told = {
        extra
        for file in (ROOT / "neuro_sdk").rglob("*.py")
        for found in re.findall(r"neuro-blob-sdk\[([a-z0-9,]+)\]", file.read_text())
        for extra in found.split(",")
    }
    assert told
    assert told <= _extras()
