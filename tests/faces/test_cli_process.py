"""Real processes: Ctrl-C, pipes, a terminal; nothing half done, and a true exit code."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from neuro_sdk._platform.seaweedfs import SeaweedFSServer

from ..servers.s3 import s3_client
from ..trees import hidden_files, make_tree, read_tree
from .terminal import blob, done, start

LARGE = 400 << 20
SECONDS = 60


def _until(condition: Callable[[], bool], command: subprocess.Popen[bytes]) -> None:
    """Wait until *condition* holds; the command must not have ended before."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert command.poll() is None, "it ended too early"
        assert time.monotonic() < end
        time.sleep(0.002)


def _interrupted(command: subprocess.Popen[bytes], number: int = signal.SIGINT) -> bytes:
    """What the command wrote, once it was interrupted; it must end soon."""
    command.send_signal(number)
    out, said = command.communicate(timeout=SECONDS)
    assert command.returncode == (130 if number == signal.SIGINT else 143), said
    assert said.splitlines()[-1] in (b"interrupted", b"terminated")
    assert b"Traceback" not in said
    return out


def _zeros(path: Path, size: int = 8 << 20) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_while_the_standard_input_waits(at_each_store: Path, number: int) -> None:
    done("mb", "box")
    done("cp", "-", "blob:box/a", stdin=b"old")
    command = start("blob", "cp", "--json", "-", "blob:box/a", stdin=subprocess.PIPE)
    assert command.stdin is not None
    os.set_blocking(command.stdin.fileno(), True)
    command.stdin.write(b"new" * 100_000)  # more than a pipe holds, so some of it was read
    command.stdin.flush()
    end = open(os.dup(command.stdin.fileno()), "wb")  # noqa: SIM115
    with end:  # it stays open, so that the command goes on waiting
        command.send_signal(number)
        assert command.stdout is not None
        found = json.loads(command.stdout.readline())
        assert (found["interrupted"], found["copied"]) == (True, 0)
        command.wait(timeout=SECONDS)
    assert command.returncode == (130 if number == signal.SIGINT else 143)
    command.communicate()
    assert done("cat", "blob:box/a").stdout == "old"


def test_ctrl_c_in_an_upload_leaves_the_old_blob(platform: Path, tmp_path: Path) -> None:
    done("mb", "box")
    done("cp", "-", "blob:box/tree/large", stdin=b"old")
    large = _zeros(make_tree(tmp_path / "tree", {"small": b"s"}) / "large", LARGE)
    before = {path for path in platform.rglob("*") if path.is_file()}
    command = start("blob", "cp", "-r", "--json", large.parent, "blob:box/tree")

    def under_way() -> bool:
        new = {path for path in platform.rglob("*") if path.is_file()} - before
        return any(path.name != "small" and path.stat().st_size > 1 << 20 for path in new)

    _until(lambda: _seen(under_way), command)
    found = json.loads(_interrupted(command))
    assert found["interrupted"] is True
    assert done("cat", "blob:box/tree/large").stdout == "old"
    left = {path for path in platform.rglob("*") if path.is_file()} - before
    assert {path.name for path in left} <= {"small"}


def _seen(look: Callable[[], bool]) -> bool:
    try:
        return look()
    except FileNotFoundError:  # it came and went
        return False


def test_ctrl_c_in_a_download_leaves_the_old_file_and_it_can_go_on(
    platform: Path, tmp_path: Path
) -> None:
    done("mb", "box")
    done("cp", _zeros(tmp_path / "large", LARGE), "blob:box")
    back = make_tree(tmp_path / "back", {"large": b"old"})
    command = start("blob", "cp", "blob:box/large", back)
    _until(lambda: bool(list(back.glob(".neuro-sdk-*.part"))), command)
    assert _interrupted(command) == b""
    assert (back / "large").read_bytes() == b"old"
    (back / "large").unlink()
    done("cp", "--continue", "blob:box/large", back)
    assert (back / "large").stat().st_size == LARGE
    assert hidden_files(back) == []


def test_ctrl_c_in_a_tree_to_a_real_store(at_seaweedfs: Path, tmp_path: Path) -> None:
    done("mb", "box")
    tree = make_tree(tmp_path / "tree", {f"{number:05}": b"x" * 500 for number in range(20_000)})
    command = start("blob", "cp", "-r", "--json", tree, "blob:box/tree")
    _until(lambda: bool(done("ls", "-r", "blob:box/tree/00001").stdout), command)
    found = json.loads(_interrupted(command))
    assert 0 < found["copied"] < 20_000
    back = tmp_path / "back"
    done("cp", "-r", "-q", "blob:box/tree", back)
    came = read_tree(back)
    assert found["copied"] <= len(came) < 20_000
    assert set(came.values()) == {b"x" * 500}


async def test_ctrl_c_leaves_no_parts_at_a_real_store(
    at_seaweedfs: Path, seaweedfs: SeaweedFSServer, tmp_path: Path
) -> None:
    await asyncio.to_thread(done, "mb", "box")
    shown = await asyncio.to_thread(done, "credentials", "temporary", "--json", "box")
    there = json.loads(shown.stdout)["credentials"]["bucket_name"]
    await asyncio.to_thread(_zeros, tmp_path / "large", LARGE)
    async with s3_client(seaweedfs.endpoint, seaweedfs.access_key, seaweedfs.secret_key) as s3:
        command = await asyncio.to_thread(start, "blob", "cp", tmp_path / "large", "blob:box")
        while not (await s3.list_multipart_uploads(Bucket=there)).get("Uploads"):
            assert command.poll() is None, "it ended too early"
            await asyncio.sleep(0.01)
        await asyncio.to_thread(_interrupted, command)
        assert not (await s3.list_multipart_uploads(Bucket=there)).get("Uploads")
        assert (await s3.list_objects_v2(Bucket=there))["KeyCount"] == 0


def test_a_reader_that_goes_away_is_no_traceback(platform: Path, tmp_path: Path) -> None:
    done("mb", "box")
    done("cp", _zeros(tmp_path / "large"), "blob:box")
    with start("blob", "cat", "blob:box/large") as command:
        assert command.stdout is not None
        assert command.stdout.read(10) == bytes(10)
        command.stdout.close()
        assert command.stderr is not None
        assert command.stderr.read() == b""
        assert command.wait(timeout=SECONDS) == 1


def test_a_reader_that_stops_does_not_stop_ctrl_c(platform: Path, tmp_path: Path) -> None:
    done("mb", "box")
    done("cp", _zeros(tmp_path / "large"), "blob:box")
    with start("blob", "cat", "blob:box/large") as command:
        assert command.stdout is not None
        assert command.stdout.read(10) == bytes(10)
        time.sleep(0.3)  # the pipe is full now
        command.send_signal(signal.SIGINT)
        assert command.wait(timeout=SECONDS) == 130
        assert command.stderr is not None
        assert command.stderr.read() == b"interrupted\n"


def test_pipes_between_real_processes(at_each_store: Path, tmp_path: Path) -> None:
    done("mb", "box")
    body = os.urandom(20 << 20)  # several parts
    (tmp_path / "body").write_bytes(body)
    with (tmp_path / "body").open("rb") as file:
        up = start("blob", "cp", "-", "blob:box/a", stdin=file)
        out, said = up.communicate(timeout=SECONDS)
    assert (up.returncode, out) == (0, b"")
    assert said.startswith(b"upload: copied 1, skipped 0, failed 0, 20.0 MiB in ")
    down = start("blob", "cp", "-q", "blob:box/a", "-")
    assert down.communicate(timeout=SECONDS) == (body, b"")
    assert down.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("blob", "lsbuckets"), 0),
        (("blob", "cat", "blob:box/none"), 1),
        (("blob", "cp", "a", "b"), 2),
        (("whoami",), 0),
    ],
)
def test_exit_codes(platform: Path, arguments: tuple[str, ...], code: int) -> None:
    done("mb", "box")
    command = start(*arguments)
    said = command.communicate(timeout=SECONDS)[1]
    assert command.returncode == code
    assert bool(said) == bool(code)


def _on_a_terminal(*arguments: str | Path) -> tuple[bytes, str]:
    """The standard output, and what a terminal of 100 columns was sent as standard error."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    command = start(*arguments, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # how the end of a terminal looks on Linux
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert command.stdout is not None
    out = command.stdout.read()
    command.communicate(timeout=SECONDS)
    assert command.returncode in (0, 1)
    return out, shown.decode()


def test_bars_on_a_terminal_and_data_apart(platform: Path, tmp_path: Path) -> None:
    done("mb", "box")
    tree = make_tree(tmp_path / "tree", {"a\x1b]0;evil\x07 ": b"x", "b": b"y"})
    _zeros(tree / "large")
    out, shown = _on_a_terminal("blob", "cp", "-r", "--json", tree, "blob:box")
    found = json.loads(out)
    assert (found["copied"], found["failed"]) == (2, 1)
    assert "\x1b[?25l" in shown, "the cursor is hidden while bars are drawn"
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "and comes back"
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert re.search(r"Upload .*8\.0/8\.0 MiB.*2/2 files, 1 failed", plain)
    assert "failed: " in plain
    assert "\\x1b]0;evil\\x07" in plain
    assert "\x1b]" not in shown
    assert "\x07" not in shown
    out, shown = _on_a_terminal("blob", "cp", "-r", "-q", "--exclude", "a*", tree, "blob:box")
    assert (out, shown) == (b"", "")


def test_where_there_is_no_terminal_there_are_no_escapes(platform: Path, tmp_path: Path) -> None:
    done("mb", "box")
    command = start("blob", "cp", _zeros(tmp_path / "large"), "blob:box")
    out, said = command.communicate(timeout=SECONDS)
    assert out == b""
    assert re.fullmatch(rb"upload: copied 1, skipped 0, failed 0, 8\.0 MiB in [0-9.]+ s\n", said)


def test_rich_is_imported_only_to_draw(platform: Path) -> None:
    assert blob("mb", "box").exit_code == 0
    script = (
        "import sys; from neuro_sdk.cli import main; main(standalone_mode=False); "
        "print([name for name in sys.modules if name.startswith('rich.')], file=sys.stderr)"
    )
    command = subprocess.run(
        [sys.executable, "-c", script, "blob", "cp", "-", "blob:box/a"],
        input=b"x",
        capture_output=True,
        timeout=SECONDS,
        check=True,
    )
    assert command.stderr.splitlines()[-1] in (b"[]", b"['rich._extension']")
