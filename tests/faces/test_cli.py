"""The terminal: the demo, the commands, and the group in other people's programs."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from click.testing import CliRunner, Result
from typer.testing import CliRunner as TyperRunner

import neuro_sdk
from neuro_sdk.cli import blob, main

from ..servers.azurite import install

FORWARD = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


def run(command: click.Command, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


def test_version() -> None:
    result = run(main, "--version")
    assert result.exit_code == 0
    assert version("neuro-blob-sdk") in result.output


def test_demo_moves_a_tree_and_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep" / "er").mkdir(parents=True)
    for number in range(30):
        (source / "deep" / "er" / f"{number}.py").write_text(f"x = {number}\n")
    (source / "large.bin").write_bytes(bytes(range(256)) * 80_000)
    home = tmp_path / "home"
    result = run(main, "demo", "--plain", "--source", str(source), "--path", str(home))
    assert result.exit_code == 0, result.output
    assert "31 files have the same SHA-256" in result.output
    assert "30 match **/*.py" in result.output
    assert not [path for path in home.rglob("*") if path.suffix == ".py"]


def test_demo_of_an_empty_tree_fails(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run(main, "demo", "--plain", "--source", str(tmp_path / "empty"))
    assert result.exit_code == 1
    assert "no files" in result.output


def test_demo_with_the_standard_library() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from neuro_sdk.cli import main; main()", "demo"],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if "have the same SHA-256" in line)
    count = int(next(word for word in line.split() if word.isdigit()))
    assert count > 1000
    assert done.stderr == ""


def _odd_tree(folder: Path) -> Path:
    """Names that a terminal library would take for markup, a link, and a loop of links."""
    for name in ("a [b]/x", "a[/b]big[red]", "plain.py", "100% #1?.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    (folder / "link").symlink_to("a [b]")
    return folder


def test_demo_takes_any_names(tmp_path: Path) -> None:
    result = run(main, "demo", "--plain", "--source", str(_odd_tree(tmp_path / "odd")))
    assert result.exit_code == 0, result.output
    assert "5 files have the same SHA-256" in result.output
    assert "bytes of a[/b]big[red] by " in result.output


def test_demo_without_curl_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    # A proxy that does not answer: what is on this machine is asked directly.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    result = run(main, "demo", "--plain", "--source", str(_odd_tree(tmp_path / "odd")))
    assert result.exit_code == 0, result.output
    assert "urllib, for curl is not installed" in result.output


def test_demo_with_curl_goes_by_no_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    result = run(main, "demo", "--plain", "--source", str(_odd_tree(tmp_path / "odd")))
    assert result.exit_code == 0, result.output
    assert "by curl" in result.output


def test_demo_at_a_real_s3_store(tmp_path: Path) -> None:
    source = str(_odd_tree(tmp_path / "odd"))
    result = run(main, "demo", "--plain", "--store", "seaweedfs", "--source", source)
    assert result.exit_code == 0, result.output
    assert "Start SeaweedFS: http://127.0.0.1:" in result.output
    assert "5 files have the same SHA-256" in result.output


def test_demo_at_azure_s_emulator(tmp_path: Path) -> None:
    install()
    source = str(_odd_tree(tmp_path / "odd"))
    result = run(main, "demo", "--plain", "--store", "azurite", "--source", source)
    assert result.exit_code == 0, result.output
    assert "Start Azurite: http://127.0.0.1:" in result.output
    assert "5 files have the same SHA-256" in result.output


def test_demo_tells_how_to_get_the_emulator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    source = str(_odd_tree(tmp_path / "odd"))
    result = run(main, "demo", "--plain", "--store", "azurite", "--source", source)
    assert result.exit_code != 0
    assert "npm install --global azurite" in result.output


@pytest.mark.parametrize("damage", ["changed", "missing", "added"])
def test_demo_finds_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    download = neuro_sdk.Buckets.download_dir

    async def damaged(self: neuro_sdk.Buckets, src: Any, dst: Path, **how: Any) -> None:
        await download(self, src, dst, **how)
        if damage == "changed":
            (dst / "plain.py").write_bytes(b"plain.pz")
        elif damage == "missing":
            (dst / "plain.py").unlink()
        else:
            (dst / "more.py").write_bytes(b"")

    monkeypatch.setattr(neuro_sdk.Buckets, "download_dir", damaged)
    result = run(main, "demo", "--plain", "--source", str(_odd_tree(tmp_path / "odd")))
    assert result.exit_code == 1
    name = "more.py" if damage == "added" else "plain.py"
    assert f"1 files differ: {name}" in result.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_demo_cleans_up_when_it_is_stopped(tmp_path: Path, number: int, code: int) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", "from neuro_sdk.cli import main; main()", "demo", "--plain"],
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    while "Make a bucket" not in (line := program.stdout.readline()):
        assert line, "it ended too early"
    assert [path.name[:15] for path in tmp_path.iterdir()] == ["neuro-sdk-demo-"]
    program.send_signal(number)
    _, complaint = program.communicate(timeout=60)
    assert program.returncode == code
    assert complaint in ("interrupted\n", "terminated\n")
    assert list(tmp_path.iterdir()) == []


def test_buckets_from_the_terminal(platform: Path) -> None:
    made = run(main, "blob", "mb", "photos")
    assert made.exit_code == 0
    assert made.output.startswith("blob://local/")
    listed = run(main, "blob", "lsbuckets")
    assert listed.output.split()[-1] == "photos"
    assert run(main, "blob", "mb", "photos").exit_code == 1
    assert "NotAName" in run(main, "blob", "mb", "NotAName").output
    assert run(main, "blob", "rb", "photos").exit_code == 0
    gone = run(main, "blob", "rb", "photos")
    assert gone.exit_code == 1
    assert "photos" in gone.output


async def _put(platform: Path, key: str = "a/b.txt") -> None:
    async with neuro_sdk.local(platform) as client:
        await client.buckets.create("photos")
        await client.buckets.put_blob("photos", key, b"\x00bytes\xff")


def test_list_and_cat(platform: Path) -> None:
    asyncio.run(_put(platform))
    assert run(main, "blob", "ls", "blob:photos").output.split()[-2:] == ["DIR", "a/"]
    deep = run(main, "blob", "ls", "-r", "blob:photos").output.split()
    assert deep[-2:] == ["7", "a/b.txt"]
    assert run(main, "blob", "cat", "blob:photos/a/b.txt").stdout_bytes == b"\x00bytes\xff"
    missing = run(main, "blob", "cat", "blob:photos/none")
    assert missing.exit_code == 1
    assert "none" in missing.output
    assert run(main, "blob", "rb", "photos").exit_code == 1
    assert run(main, "blob", "rb", "--force", "photos").exit_code == 0


def test_keys_do_not_command_the_terminal(platform: Path) -> None:
    asyncio.run(_put(platform, "a\x1b[2Jb\nc"))
    lines = run(main, "blob", "ls", "blob:photos").output.splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("  a\\x1b[2Jb\\nc")


def test_commands_run_beside_the_main_thread(platform: Path) -> None:
    codes = []
    other = threading.Thread(target=lambda: codes.append(run(main, "blob", "mb", "abc").exit_code))
    other.start()
    other.join()
    assert codes == [0]


@pytest.mark.parametrize(
    ("use", "missing"),
    [
        ("import neuro_sdk.cli", "click"),
        ("import neuro_sdk.cli", "rich"),
        ("from neuro_sdk.progress import RichProgress; RichProgress()", "rich"),
    ],
)
def test_without_the_extra_the_message_says_what_to_install(use: str, missing: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; {use}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "pip install 'neuro-blob-sdk[cli]'" in done.stderr.splitlines()[-1]


def test_the_api_needs_neither_click_nor_rich() -> None:
    program = "import sys; sys.modules.update(click=None, rich=None); import neuro_sdk"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_wrong_usage_is_2(platform: Path) -> None:
    assert run(main, "blob", "ls").exit_code == 2
    assert run(main, "nothing").exit_code == 2


def test_nothing_configured_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEURO_SDK_PLATFORM", raising=False)
    monkeypatch.setenv("NEURO_SDK_CONFIG", str(tmp_path / "none.toml"))
    result = run(main, "blob", "lsbuckets")
    assert result.exit_code == 1
    assert "NEURO_SDK_PLATFORM=local:" in result.output


def test_the_group_mounts_in_a_click_program(platform: Path) -> None:
    @click.group()
    def app() -> None:
        """Somebody's program."""

    app.add_command(blob)
    assert run(app, "blob", "mb", "mounted").exit_code == 0
    assert "mounted" in run(app, "blob", "lsbuckets").output


def test_the_group_mounts_in_a_typer_program(platform: Path) -> None:
    tool = typer.Typer()

    @tool.callback()
    def tool_main() -> None:
        """Somebody's program."""

    @tool.command("blob", context_settings=FORWARD)
    def tool_blob(context: typer.Context) -> None:
        blob.main(context.args, prog_name="tool blob")

    runner = TyperRunner()
    assert runner.invoke(tool, ["blob", "mb", "mounted"]).exit_code == 0
    assert "mounted" in runner.invoke(tool, ["blob", "lsbuckets"]).output
    assert "Usage: tool blob" in runner.invoke(tool, ["blob", "--help"]).output
    assert runner.invoke(tool, ["blob", "mb", "mounted"]).exit_code == 1
    assert runner.invoke(tool, ["blob", "ls"]).exit_code == 2
