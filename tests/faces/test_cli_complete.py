"""Completion of remote names, by the protocol that shells speak and in bash itself."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from .terminal import PROGRAM, done

KEYS = ("a.txt", "date=2024/x", "date=2024/y/z", "my file", "odd\x1bkey")


@pytest.fixture
def box(platform: Path) -> Path:
    done("mb", "photos")
    done("mb", "phony")
    for key in KEYS:
        done("cp", "-", f"blob:photos/{key}", stdin=b"x")
    return platform


def ask(*words: str, shell: str = "bash", **environment: str) -> list[str]:
    """What the program answers for the last of *words*, as a shell asks it."""
    asked = subprocess.run(
        PROGRAM,
        env={
            **os.environ,
            "_NEURO_SDK_COMPLETE": f"{shell}_complete",
            "NEURO_SDK_COMPLETE_SECONDS": "60",  # the machine may be busy
            "COMP_WORDS": " ".join(["neuro-sdk", *words]),
            "COMP_CWORD": words[-1] if shell == "fish" else str(len(words)),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert asked.returncode == 0
    assert asked.stderr == ""
    return asked.stdout.split()


def test_buckets_and_keys_one_level_at_a_time(box: Path) -> None:
    assert ask("blob", "ls", "blob:ph") == ["plain,blob:photos/", "plain,blob:phony/"]
    assert ask("blob", "rb", "phon") == ["plain,phony"]
    level = ["plain,blob:photos/a.txt", "plain,blob:photos/date=2024/"]
    assert ask("blob", "ls", "blob:photos/")[:3] == [*level, "plain,blob:photos/my%20file"]
    assert ask("blob", "cat", "blob:photos/date=2024/") == [
        "plain,blob:photos/date=2024/x",
        "plain,blob:photos/date=2024/y/",
    ]
    assert ask("blob", "cp", "-r", "x", "blob:photos/my") == ["plain,blob:photos/my%20file"]
    assert not any("odd" in line for line in ask("blob", "ls", "blob:photos/"))


def test_places_may_be_local(box: Path) -> None:
    assert ask("blob", "cp", "bl") == ["plain,blob:"]
    assert ask("blob", "cp", "READ") == ["file,READ"]


def test_other_shells(box: Path) -> None:
    assert ask("blob", "ls", "blob:phot", shell="zsh")[1] == "blob:photos/"
    assert ask("blob", "ls", "blob:phot", shell="fish") == ["plain,blob:photos/"]


def test_the_profile_is_obeyed(box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEURO_SDK_PLATFORM")
    (tmp_path / "config.toml").write_text(f'[profiles.disk]\nplatform = "local:{box}"\n')
    assert ask("blob", "rb", "phon") == []
    assert ask("blob", "--profile", "disk", "rb", "phon") == ["plain,phony"]


def test_trouble_is_silent(box: Path) -> None:
    assert ask("blob", "ls", "blob:none/") == []
    assert ask("blob", "ls", "blob:%FF/") == []
    assert ask("blob", "ls", "blob://local/x") == []
    assert ask("blob", "ls", "blob:ph", NEURO_SDK_PLATFORM="nonsense") == []


def test_a_platform_that_does_not_answer_is_not_waited_for(platform: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/api/v1"
        asked = {"NEURO_SDK_PLATFORM": address, "NEURO_SDK_TOKEN": "x"}
        asked["NEURO_SDK_COMPLETE_SECONDS"] = ""  # three
        begun = time.monotonic()
        assert ask("blob", "ls", "blob:", **asked) == []
    assert time.monotonic() - begun < 20, "without a limit it would be a minute at least"


LINES = [
    ("blob ls blob:pho", ["blob", ":", "pho"], ["photos/", "phony/"]),
    ("blob ls blob:", ["blob", ":"], ["photos/", "phony/"]),
    ("blob cp x blob:photos/date=", ["x", "blob", ":", "photos/date", "="], ["2024/"]),
    ("blob ls blob:photos/date=20", ["blob", ":", "photos/date", "=", "20"], ["2024/"]),
    ("blob ls blob:photos/my", ["blob", ":", "photos/my"], ["photos/my%20file"]),
    ("blob rb phon", ["phon"], ["phony"]),
    ("blob ls --js", ["--js"], ["--json"]),
]
"""What is typed, how bash cuts its end, and what takes the place of the last piece."""

SCRIPT = """
eval "$(_NEURO_SDK_COMPLETE=bash_source neuro-sdk)"
compopt() { :; }
ask() {
    COMP_LINE="$1"; COMP_POINT=${#1}; shift
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    _neuro_sdk_completion neuro-sdk
    echo "${COMPREPLY[@]}"
}
"""


def test_bash_itself(box: Path) -> None:
    """bash cuts words at ``:`` and ``=``, and replaces the last piece only."""
    bash = shutil.which("bash")
    assert bash is not None, "bash is needed; on Debian: apt-get install bash"
    asks = [
        shlex.join(["ask", f"neuro-sdk {line}", "neuro-sdk", *line.split()[:2], *end])
        for line, end, _ in LINES
    ]
    asked = subprocess.run(
        [bash, "--norc", "-c", SCRIPT + "\n".join(asks)],
        env={
            **os.environ,
            "NEURO_SDK_COMPLETE_SECONDS": "60",
            "PATH": f"{Path(PROGRAM[0]).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert asked.stderr == ""
    assert [line.split() for line in asked.stdout.splitlines()] == [each[2] for each in LINES]
