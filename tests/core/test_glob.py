"""Globs against a matcher that tries everything."""

from __future__ import annotations

import itertools
import pickle
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuro_sdk._core.glob import compile_glob

PIECES = [
    *"ab/*?[]!.-^\\\n",
    "**",
    "/**/",
    "**/",
    "/**",
    "*/",
    "[ab]",
    "[!a]",
    "[a-b]",
    "[]a]",
    "[*]",
]
patterns = st.lists(st.sampled_from(PIECES), max_size=10).map("".join)
keys = st.text(alphabet="ab/.*[]!-\n\\", max_size=8)


def expected(pattern: str, key: str) -> bool:
    return _segments(pattern.split("/"), key.split("/"))


def _segments(pattern: list[str], key: list[str]) -> bool:
    if not pattern:
        return not key
    if pattern[0] == "**":
        if len(pattern) == 1:
            return len(key) > 0
        return any(_segments(pattern[1:], key[at:]) for at in range(len(key) + 1))
    return bool(key) and _segment(pattern[0], key[0]) and _segments(pattern[1:], key[1:])


def _segment(pattern: str, text: str) -> bool:
    if pattern and pattern == "*" * len(pattern):
        return text != ""
    return _characters(pattern, text)


def _characters(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(_characters(pattern[1:], text[at:]) for at in range(len(text) + 1))
    if not text:
        return False
    if pattern[0] == "[":
        negated = pattern[1:2] == "!"
        end = pattern.find("]", 3 if negated else 2)
        if end > 0:
            members = pattern[2 if negated else 1 : end]
            return _in(members, text[0]) != negated and _characters(pattern[end + 1 :], text[1:])
    return pattern[0] in ("?", text[0]) and _characters(pattern[1:], text[1:])


def _in(members: str, character: str) -> bool:
    if not members:
        return False
    if len(members) > 2 and members[1] == "-":
        return members[0] <= character <= members[2] or _in(members[3:], character)
    return members[0] == character or _in(members[1:], character)


def check(pattern: str, key: str) -> bool:
    glob = compile_glob(pattern)
    matches = glob.matches(key)
    assert matches == expected(pattern, key), (pattern, key)
    if matches:
        assert key.startswith(glob.prefix)
        assert glob.recursive or "/" not in key[len(glob.prefix) :]
    return matches


@settings(max_examples=1000, deadline=None)
@given(patterns, keys)
def test_matches_what_trying_everything_matches(pattern: str, key: str) -> None:
    check(pattern, key)


def test_every_short_key_against_random_patterns() -> None:
    random_ = random.Random(1)
    short = ["".join(key) for n in range(1, 6) for key in itertools.product("ab/", repeat=n)]
    hits = 0
    for _ in range(400):
        pattern = "".join(random_.choices(PIECES[:6] + PIECES[12:], k=random_.randint(1, 7)))
        hits += sum(check(pattern, key) for key in short)
    assert hits > 1000


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=12))
def test_an_escaped_key_matches_itself_only(key: str) -> None:
    glob = compile_glob("".join(f"[{char}]" if char in "*?[" else char for char in key))
    assert glob.matches(key)
    assert glob.prefix == key
    assert not glob.recursive
    assert not glob.matches(key + "x")


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("a/*", ["a/b", "a/.b", "a/b\nc"], ["a/", "a/b/", "a/b/c", "A/b"]),
        ("a/*/", ["a/b/"], ["a/b", "a//", "a/b/c/"]),
        ("a/**", ["a/", "a/b", "a/b/c", "a/b/"], ["a", "ab/c"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb", "a/b/"]),
        ("**/b", ["b", "a/b", "x/y/b"], ["ab", "b/"]),
        ("**", ["a", "a/b", "a/"], []),
        ("**/", ["a/", "a/b/"], ["a", "a/b"]),
        ("a**b", ["ab", "axb"], ["a/b"]),
        ("***", ["a"], ["a/b"]),
        ("[a-c]?", ["ax", "c."], ["a", "dx", "a/"]),
        ("[!a]", ["b", "!", "\n", "é"], ["a", "/", ""]),
        ("x[+-9]y", ["x.y", "x0y"], ["x/y"]),
        ("[", ["["], ["a"]),
        ("[a/b]", ["[a/b]"], ["a", "b"]),
        ("[b-a]", [], ["a", "b", "-"]),
        ("[*]", ["*"], ["a"]),
        ("a\\*", ["a\\", "a\\b"], ["a*"]),
        ("a//b", ["a//b"], ["a/b"]),
    ],
)
def test_examples(pattern: str, matching: list[str], others: list[str]) -> None:
    for key in matching:
        assert check(pattern, key), key
    for key in others:
        assert not check(pattern, key), key


@pytest.mark.parametrize(
    ("pattern", "prefix", "recursive"),
    [
        ("", "", False),
        ("a/b.txt", "a/b.txt", False),
        ("a/b*.txt", "a/b", False),
        ("a/b[*]c*", "a/b*c", False),
        ("a/b[*]", "a/b*", False),
        ("a/[bc]", "a/", False),
        ("a/b[", "a/b[", False),
        ("*", "", False),
        ("a*/b", "a", True),
        ("a/*/", "a/", True),
        ("a/**", "a/", True),
        ("a/b**", "a/b", False),
        ("**/a", "", True),
    ],
)
def test_what_to_list(pattern: str, prefix: str, recursive: bool) -> None:
    glob = compile_glob(pattern)
    assert (glob.prefix, glob.recursive) == (prefix, recursive)


@pytest.mark.parametrize(
    "pattern",
    [
        "**/**/**/*a*a*a*b",
        "*a" * 100 + "*b",
        "[ab]*" * 100 + "b",
        "?*" * 100 + "b",
        "**/a/" * 50 + "b",
        "**/*a*/" * 50 + "b",
        "**/*/" * 100 + "b",
        "*/" * 100 + "**/b",
    ],
)
def test_no_pattern_takes_long(pattern: str) -> None:
    glob = compile_glob(pattern)
    began = time.process_time()
    for key in ("a" * 1024, "a/" * 512, "aa/a" * 256, "/" * 1024):
        assert not glob.matches(key)
    assert time.process_time() - began < 1


def test_a_glob_is_a_value() -> None:
    glob = compile_glob("a/**/*.txt")
    assert glob == compile_glob("a/**/*.txt") != compile_glob("a/*.txt")
    assert pickle.loads(pickle.dumps(glob)) == glob
    assert "re.compile" not in repr(glob)
