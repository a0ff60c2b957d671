"""Ignore files against git itself."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from neuro_sdk._core.ignore import IgnoreRules, parse_ignore

NAMES = ["a", "b", "ab", "foo", "foo.txt", "x.log", ".hid", "a b", "A", "a-b", "[x]", "n\nl"]
NAMES += ["sp ", "#h", "!n", "b\\s", "1", "z", "b]", "tab\t", "~", "a^b"]
SEGMENTS = ["*", "*.txt", "a*", "**", "***", "\\a", "a\\", "*b*", "**b", "f**o", "#h", "!n"]
SEGMENTS += ["\\[x\\]", "\\#h", "\\!n", "sp\\ ", "b\\\\s"]
SETS = ["?", "?b", "??", "[ab]", "[!a]", "[^a]", "[a-c]*", "[[:alpha:]]", "[[:digit:][:punct:]]*"]
SETS += ["[z-a]", "[", "a[", "[]b]", "[a\\]]*", "[[:nope:]]", "[[:]", "[[:alpha:]", "[!-~]"]
SETS += ["[a-]", "[--b]*", "[\\[]x]", "*[!a-z]"]
PIECES = [*"ab*?[]!/\\ -^:#", "**", "[a", "[!", "[[:alpha:]", "**/", "/**", ".txt"]

# Where git does not do what its manual says: "x**/" takes slashes after plain text, as if it
# were "**/" and "**\/" is not quite "**/".
ODD = re.compile(r"[^/*]\*\*+(/|$)|\*\*\\/")


class Forest:
    """Random trees with ignore files at every level."""

    def __init__(self, seed: int, names: list[str], segments: list[str], pieces: list[str]) -> None:
        self._random = random.Random(seed)
        self._names = names
        self._segments = segments + 2 * names
        self._pieces = pieces

    def grow(self, folder: Path, depth: int) -> None:
        draw = self._random
        folder.mkdir()
        if depth == 3 or draw.random() < 0.5:
            end = draw.choice(["\n", "\n", "\r\n"])
            text = end.join(self._lines()) + draw.choice(["", end])
            bom = draw.choice([b"", b"", b"\xef\xbb\xbf"])
            (folder / ".gitignore").write_bytes(bom + text.encode())
        for name in draw.sample(self._names, draw.randint(1, 4)):
            if depth and draw.random() < 0.5:
                self.grow(folder / name, depth - 1)
            else:
                (folder / name).touch()

    def _lines(self) -> Iterator[str]:
        draw = self._random
        for _ in range(draw.randint(1, 6)):
            if draw.random() < 0.25:
                line = "".join(draw.choices(self._pieces, k=draw.randint(1, 7)))
            else:
                parts = draw.choices(self._segments, k=draw.choice([1, 1, 1, 2, 2, 3]))
                line = draw.choice(["", "", "/"]) + "/".join(parts)
                line += draw.choice(["", "", "", "/", "/*", "/**", " ", "  "])
            if not ODD.search(line.rstrip(" ")) and "\n" not in line:
                yield draw.choice(["", "", "!"]) + line


def _walk(folder: str, rules: IgnoreRules) -> Iterator[str]:
    file = Path(folder, ".gitignore")
    if file.exists():
        rules = rules.extended(folder, parse_ignore(file.read_bytes()))
    for entry in os.scandir(folder):
        if not rules.ignores(entry.path, is_dir=entry.is_dir()):
            if entry.is_dir():
                yield from _walk(entry.path, rules)
            else:
                yield entry.path


def _git(repository: Path, *args: str) -> bytes:
    home = repository.parent / "home"
    home.mkdir(exist_ok=True)
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-c", f"core.excludesFile={os.devnull}", *args]
    return subprocess.run(
        command, cwd=repository, env=env, check="check-ignore" not in args, capture_output=True
    ).stdout


WORDS = ["é", "café.txt", "ü", "日本", "e\u0301", "a"]


@pytest.mark.skipif(shutil.which("git") is None, reason="git, which decides here, is missing")
@pytest.mark.parametrize(
    ("seed", "forest"),
    [
        (1, (NAMES, SEGMENTS + SETS, PIECES)),
        (2, (NAMES, SEGMENTS + SETS, PIECES)),
        # git's "?" and sets see bytes, ours see characters, so these do without them.
        (3, (WORDS, SEGMENTS, ["é", "*", "/", "!", "日"])),
    ],
    ids=["first", "second", "beyond-ascii"],
)
def test_keeps_what_git_keeps(
    tmp_path: Path, seed: int, forest: tuple[list[str], list[str], list[str]]
) -> None:
    trees = Forest(seed, *forest)
    repository = tmp_path / "repository"
    repository.mkdir()
    _git(repository, "init", "--quiet", "--template=")
    for case in range(300):
        trees.grow(repository / f"tree{case}", 3)
    listed = _git(repository, "ls-files", "--others", "--exclude-standard", "-z")
    theirs = {os.fsdecode(path) for path in listed.split(b"\0") if path}
    every = {
        os.path.relpath(f"{folder}/{name}", repository)
        for case in range(300)
        for folder, _, names in os.walk(repository / f"tree{case}")
        for name in names
    }
    ours = {
        os.path.relpath(path, repository)
        for case in range(300)
        for path in _walk(f"{repository}/tree{case}", IgnoreRules())
    }
    assert ours == theirs
    assert 0.4 * len(every) < len(ours) < 0.9 * len(every)


def ignores(rules: IgnoreRules, *paths: str) -> list[bool]:
    return [rules.ignores(path.rstrip("/"), is_dir=path.endswith("/")) for path in paths]


def test_a_deeper_file_wins_in_whatever_order_it_is_added() -> None:
    above, below = ("/r", ["*.txt", "!/d/a.txt"]), ("/r/d", ["!b.txt", "a.txt"])
    for first, second in ((above, below), (below, above)):
        rules = IgnoreRules().extended(*first).extended(*second)
        paths = "/r/b.txt", "/r/d/b.txt", "/r/d/a.txt", "/r/d/c.txt", "/r/d/c"
        assert ignores(rules, *paths) == [True, False, True, True, False]


def test_of_two_files_in_one_directory_the_later_wins() -> None:
    rules = IgnoreRules().extended("/r", ["a", "!b"]).extended("/r", ["!a", "b"])
    assert ignores(rules, "/r/a", "/r/b") == [False, True]


@pytest.mark.parametrize("root", ["", "/"])
def test_the_root_directory_has_rules_too(root: str) -> None:
    rules = IgnoreRules().extended(root, ["/a", "b/"])
    assert ignores(rules, "/a", "/b", "/b/", "/x/a", "/x/b/") == [True, False, True, False, True]


def test_rules_hold_below_their_directory_only() -> None:
    rules = IgnoreRules().extended("/r", ["*"])
    assert ignores(rules, "/r/a", "/r2", "/r2/a", "/") == [True, False, False, False]


def test_each_path_is_judged_on_its_own() -> None:
    rules = IgnoreRules().extended("/r", ["build"])
    assert ignores(rules, "/r/build/", "/r/build/x") == [True, False]


def test_rules_never_change() -> None:
    rules = IgnoreRules().extended("/r", ["a"])
    assert rules.extended("/r/d", ["!a"]) != rules
    assert rules.extended("/r/d", ["", "# only a remark", "   "]) is rules
    assert ignores(rules, "/r/d/a") == [True]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", [""]),
        (b"\xef\xbb\xbfa\r\nb\n", ["a", "b", ""]),
        (b"a\rb\r\r\nc \r\n", ["a\rb\r", "c ", ""]),
        ("é\u2028x\x0cy".encode(), ["é\u2028x\x0cy"]),
        (b"\xff*", ["\udcff*"]),
    ],
)
def test_lines_of_an_ignore_file(data: bytes, lines: list[str]) -> None:
    assert parse_ignore(data) == lines


def test_names_that_are_not_utf8() -> None:
    rules = IgnoreRules().extended("/r", parse_ignore(b"\xff*\n?x"))
    assert ignores(rules, "/r/\udcffa", "/r/\udcfea", "/r/\udcfex") == [True, False, True]


def test_a_question_mark_is_one_character() -> None:
    rules = IgnoreRules().extended("/r", ["?", "[é].txt"])
    assert ignores(rules, "/r/é", "/r/日", "/r/ab", "/r/é.txt") == [True, True, False, True]


def test_many_paths_and_long_patterns_take_no_time() -> None:
    rules = IgnoreRules().extended("/r", [*(f"*.x{n}" for n in range(10)), "**/a/**/b", "/dist"])
    empty = IgnoreRules()
    began = time.process_time()
    for number in range(100_000):
        empty.ignores(f"/r/a/c/{number}", is_dir=False)
    for number in range(20_000):
        rules.ignores(f"/r/a/c/{number}", is_dir=False)
    hostile = IgnoreRules().extended("/r", ["*a" * 100 + "b", "**/a/" * 50 + "b"])
    assert not hostile.ignores("/r/" + "a" * 1000, is_dir=False)
    assert not hostile.ignores("/r/" + "a/" * 500 + "a", is_dir=False)
    assert time.process_time() - began < 3
