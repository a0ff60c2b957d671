"""``blob cp``, ``mv`` and ``rm``: what comes to lie where, what is said, and the exit codes."""

from __future__ import annotations

import os
import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ..trees import make_tree, read_tree, set_time
from .terminal import blob, done, objects, summary

TREE = {"a.txt": b"a", "d/b.txt": b"bb", "d/c.tmp": b"ccc", "d/build/x.o": b"o", "empty/": b""}


@pytest.fixture
def tree(at_each_store: Path, tmp_path: Path) -> Path:
    """A tree of files, and a bucket for it."""
    done("mb", "box")
    return make_tree(tmp_path / "tree", TREE)


def keys(place: str = "blob:box") -> dict[str, int]:
    return {entry["key"]: entry["size"] for entry in objects(done("ls", "-r", "--json", place))}


def test_a_tree_goes_up_and_comes_back(tree: Path, tmp_path: Path) -> None:
    size = sum(map(len, TREE.values()))
    up = done("cp", "-r", "--json", tree, "blob:box/tree")
    assert summary(up, copied=4)["bytes"] == size
    assert summary(up, copied=4)["operation"] == "upload"
    down = done("cp", "-r", "--json", "--verify", "blob:box/tree/", tmp_path / "back")
    assert summary(down, copied=4)["operation"] == "download"
    assert read_tree(tmp_path / "back") == TREE


def test_people_get_one_line_on_the_standard_error(tree: Path) -> None:
    result = done("cp", "-r", tree, "blob:box")
    assert result.stdout == ""
    assert result.stderr.startswith("upload: copied 4, skipped 0, failed 0, 7 B in ")
    assert len(result.stderr.splitlines()) == 1
    assert done("cp", "-r", "-q", tree, "blob:box").output == ""


def test_where_there_is_no_terminal_there_is_a_line_now_and_then(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neuro_sdk.cli.transfer._LINES", 0.0)
    lines = done("cp", "-r", tree, "blob:box").stderr.splitlines()
    assert lines[-2] == "Upload: 4/4 files, 7 B"
    assert lines[-1].startswith("upload: copied 4, ")
    assert all(re.fullmatch(r"Upload: \d/\d files, \d B", line) for line in lines[:-1])


def test_patterns_and_ignore_files(tree: Path, tmp_path: Path) -> None:
    (tree / ".gitignore").write_text("build/\n")
    how = ("--exclude", "*.tmp", "--ignore-file", ".gitignore", "--exclude", "/empty")
    done("cp", "-r", *how, tree, "blob:box/one")
    assert set(keys("blob:box/one/")) == {"one/.gitignore", "one/a.txt", "one/d/b.txt"}
    done("cp", "-r", "--include", "*.txt", "--include", "*.o", "--exclude", "a.*", tree, "blob:box")
    assert set(keys()) - set(keys("blob:box/one/")) == {"d/b.txt", "d/build/x.o", "empty/"}
    done("cp", "-r", "--include", "b.*", "blob:box/one", tmp_path / "back")
    assert read_tree(tmp_path / "back") == {"d/b.txt": b"bb"}
    done("cp", "-r", "--exclude", "d", "blob:box/one", "blob:box/two")
    assert set(keys("blob:box/two/")) == {"two/.gitignore", "two/a.txt"}


def test_single_files_and_where_they_land(tree: Path, tmp_path: Path) -> None:
    done("cp", tree / "a.txt", "blob:box/exact")
    done("cp", tree / "a.txt", "blob:box")
    done("cp", tree / "a.txt", tree / "d/b.txt", "blob:box/into/")
    done("cp", (tree / "d/b.txt").as_uri(), "blob:box/b%20c")
    assert keys() == {"exact": 1, "a.txt": 1, "into/a.txt": 1, "into/b.txt": 2, "b c": 2}
    here = tmp_path / "here"
    here.mkdir()
    done("cp", "blob:box/into/a.txt", "blob:box/b c", here)
    done("cp", "blob:box/exact", here / "other")
    done("cp", "blob:box/exact", f"{tmp_path}/new/")
    assert read_tree(here) == {"a.txt": b"a", "b c": b"bb", "other": b"a"}
    assert (tmp_path / "new" / "exact").read_bytes() == b"a"


def test_between_buckets(tree: Path) -> None:
    done("mb", "other")
    done("cp", "-r", tree, "blob:box/tree")
    result = done("cp", "-r", "--json", "blob:box/tree", "blob:other/copy")
    assert summary(result, copied=4)["operation"] == "copy"
    assert set(keys("blob:other")) == {f"copy/{path}" for path in TREE}
    again = done("cp", "-r", "-u", "--json", "blob:box/tree", "blob:other/copy")
    summary(again, skipped=4)
    summary(done("cp", "--json", "blob:box/tree/a.txt", "blob:other/"), copied=1)
    assert keys("blob:other/a") == {"a.txt": 1}


def test_update_skips_and_says_so(tree: Path, tmp_path: Path) -> None:
    for path in ("a.txt", "d/b.txt", "d/c.tmp", "d/build/x.o"):
        set_time(tree / path, datetime.now(UTC) - timedelta(hours=1))
    done("cp", "-r", tree, "blob:box")
    (tree / "a.txt").write_bytes(b"newer")
    set_time(tree / "a.txt", datetime.now(UTC) + timedelta(hours=1))
    found = summary(done("cp", "-r", "-u", "--json", tree, "blob:box"), copied=1, skipped=3)
    assert found["bytes"] == 5
    summary(done("cp", "-u", "--json", tree / "d/b.txt", "blob:box/d/"), skipped=1)


def test_continue_goes_on_where_it_ended(tree: Path, tmp_path: Path) -> None:
    body = os.urandom(300_000)
    (tree / "large").write_bytes(body)
    done("cp", tree / "large", "blob:box")
    back = tmp_path / "back"
    back.write_bytes(body[:200_000])
    set_time(back, datetime.now(UTC) + timedelta(hours=1))
    inode = back.stat().st_ino
    done("cp", "--continue", "blob:box/large", back)
    assert back.read_bytes() == body
    assert back.stat().st_ino == inode
    done("cp", "--continue", tree / "large", "blob:box/again")
    assert keys("blob:box/again") == {"again": 300_000}


def test_the_standard_input_and_output(tree: Path) -> None:
    body = os.urandom(3 << 20)
    result = done("cp", "--json", "-", "blob:box/piped", stdin=body)
    assert summary(result, copied=1)["bytes"] == len(body)
    assert done("cp", "blob:box/piped", "-").stdout_bytes == body
    assert done("cat", "blob:box/piped", "blob:box/piped").stdout_bytes == body * 2
    part = done("cat", "--offset", "5", "--length", "7", "blob:box/piped").stdout_bytes
    assert part == body[5:12]


def test_what_fails_is_named_and_the_others_go(tree: Path) -> None:
    (tree / "bad\x1b ").write_bytes(b"?")  # no key ends in a blank
    result = blob("cp", "-r", "--json", tree, "blob:box")
    assert result.exit_code == 1
    found = summary(result, copied=4, failed=1)
    assert found["failures"][0]["path"] == "bad\x1b "
    assert set(keys()) == set(TREE)
    assert "failed: bad\\x1b : " in result.stderr
    assert "\x1b" not in result.output
    several = blob("cp", tree / "a.txt", tree / "none", "blob:box/more/")
    assert several.exit_code == 1
    assert "copied 1, skipped 0, failed 1" in several.stderr
    assert keys("blob:box/more/") == {"more/a.txt": 1}


def test_a_missing_source_or_bucket_is_1(tree: Path, tmp_path: Path) -> None:
    for wrong in (
        ("cp", "-r", "blob:box/none", tmp_path / "back"),
        ("cp", "blob:box/none", tmp_path / "back"),
        ("cp", "-r", tmp_path / "none", "blob:box"),
        ("cp", tree, "blob:box/tree"),
        ("cp", tree / "a.txt", "blob:nobucket/a"),
        ("mv", "blob:box/none", "blob:box/other"),
        ("rm", "blob:box/none"),
    ):
        result = blob(*wrong)
        assert result.exit_code == 1, wrong
        assert "failed: " in result.stderr
    assert not (tmp_path / "back").exists()


def test_directories_and_files_are_told_apart(tree: Path, tmp_path: Path) -> None:
    def told(*arguments: str | Path) -> str:
        result = blob(*arguments)
        assert result.exit_code == 1
        return result.stderr.splitlines()[0].rpartition("; ")[2]

    done("cp", "-r", tree, "blob:box/tree")
    assert told("cp", tree, "blob:box/x") == "-r takes a directory"
    assert told("cp", "blob:box/d/", tmp_path) == "-r takes a directory"
    assert told("rm", "blob:box/tree") == "-r takes a directory"
    assert told("cp", "-r", tree / "a.txt", "blob:box/x") == "leave -r away"
    assert told("cp", "-r", "blob:box/tree/a.txt", tmp_path / "x") == "leave -r away"


def test_a_dry_run_changes_nothing(tree: Path, tmp_path: Path) -> None:
    result = done("cp", "-r", "-n", "--json", tree, "blob:box/tree")
    (plan,) = objects(result)
    assert (plan["operation"], plan["copied"], plan["bytes"]) == ("upload", 5, 7)
    assert {step["path"] for step in plan["steps"] if step["action"] == "copy"} == set(TREE)
    assert "copy" in done("cp", "-n", tree / "a.txt", tree / "d/b.txt", "blob:box/x/").stdout
    assert keys() == {}
    done("cp", "-r", tree, "blob:box/tree")
    assert objects(done("cp", "-n", "--json", "blob:box/tree/a.txt", tmp_path / "back"))[0] == {
        **plan,
        "operation": "download",
        "source": "blob:box/tree/a.txt",
        "target": str(tmp_path / "back"),
        "copied": 1,
        "bytes": 1,
        "requests": 0,
        "steps": [{"action": "copy", "path": "a.txt", "size": 1, "reason": ""}],
    }
    done("cp", "-r", "-n", "blob:box/tree", "blob:box/copy")
    done("cp", "-r", "-n", "blob:box/tree", tmp_path / "back")
    (removal,) = objects(done("rm", "-r", "-n", "--json", "blob:box/tree"))
    assert removal["removed"] == 5
    assert not (tmp_path / "back").exists()
    assert set(keys()) == {f"tree/{path}" for path in TREE}
    assert blob("cp", "-n", tree / "none", "blob:box").exit_code == 1
    (tree / "bad ").write_bytes(b"?")
    assert blob("cp", "-r", "-n", tree, "blob:box").exit_code == 1


def test_blobs_are_moved(tree: Path) -> None:
    done("mb", "other")
    done("cp", "-r", tree, "blob:box")
    done("mv", "blob:box/a.txt", "blob:box/moved.txt")
    result = done("mv", "--json", "blob:box/d/b.txt", "blob:box/d/c.tmp", "blob:other/in/")
    assert summary(result, copied=2)["operation"] == "move"
    assert set(keys()) == {"moved.txt", "d/build/x.o", "empty/"}
    assert keys("blob:other") == {"in/b.txt": 2, "in/c.tmp": 3}


def test_removal_stays_inside(tree: Path) -> None:
    for key in ("logs/a", "logs/b", "logs.json", "logs2/c"):
        done("cp", "-", f"blob:box/{key}", stdin=b"x")
    assert blob("rm", "blob:box/logs").exit_code == 1
    summary(done("rm", "-r", "--json", "blob:box/logs"), removed=2)
    assert set(keys()) == {"logs.json", "logs2/c"}
    some = blob("rm", "--json", "blob:box/none", "blob:box/logs.json")
    assert some.exit_code == 1
    assert summary(some, removed=1, failed=1)["failures"][0]["path"] == "blob:box/none"
    assert done("rm", "-r", "blob:box").stderr.startswith("remove: removed 1, failed 0 in ")
    assert keys() == {}


@pytest.mark.parametrize(
    "arguments",
    [
        "cp a",
        "cp a b",
        "cp - -",
        "cp - blob:box/x extra blob:box/",
        "cp -r - blob:box/x",
        "cp --json blob:box/x -",
        "cp -r a b blob:box",
        "cp a blob:box/x blob:box/",
        "cp --include x a blob:box",
        "cp --ignore-file x a blob:box",
        "cp -r --ignore-file x blob:box a",
        "cp -r --exclude ! a blob:box",
        "cp -c blob:box/a blob:box/b",
        "cp --verify -r blob:box/a blob:box/b",
        "cp -u blob:box/a blob:box/b",
        "cp -n -u a blob:box",
        "cp '' blob:box",
        "mv a blob:box/a",
        "mv blob:box/a b",
        "sync a b",
        "sync blob:a blob:b",
        "sync - blob:b",
        "sync --max-delete -1 a blob:b",
        "sync --max-delete few a blob:b",
        "rm",
        "rm local",
        "rm -n blob:box/a",
        "rm -rn blob:box/a blob:box/b",
        "ls local",
        "import nowhere there",
        "import aws there",
        "sign-url --expires soon blob:box/a",
        "sign-url --expires 0 blob:box/a",
        "cat --offset -1 blob:box/a",
        "credentials create",
        "nothing",
    ],
)
def test_wrong_usage_is_2_and_opens_nothing(
    arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "platform"
    monkeypatch.setenv("NEURO_SDK_PLATFORM", f"local:{home}")
    result = blob(*shlex.split(arguments))
    assert result.exit_code == 2, result.output
    assert "Usage: " in result.stderr
    assert "Error: " in result.stderr
    assert not home.exists()


def test_several_sources_need_a_directory(tree: Path, tmp_path: Path) -> None:
    up = blob("cp", tree / "a.txt", tree / "d/b.txt", "blob:box/exact")
    down = blob("cp", "blob:box/x", "blob:box/y", tmp_path / "none")
    move = blob("mv", "blob:box/x", "blob:box/y", "blob:box/z")
    same = blob("cp", tree / "a.txt", tree / "d" / ".." / "a.txt", "blob:box/")
    assert "two of the sources are called 'a.txt'" in same.stderr
    for result in (up, down, move, same, blob("cp", "-", "blob:box/", stdin=b"")):
        assert result.exit_code == 2, result.output
    assert keys() == {}
