"""Keys that are accepted come back as they were from the real engine."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import opendal
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuro_sdk._core.keys import (
    LOCAL_RULES,
    KeyRules,
    all_plain,
    check_key,
    common_text,
    is_below,
    is_plain,
    key_error,
    key_errors,
    key_problem,
    listable_prefix,
    parents,
)
from neuro_sdk._providers.azure import AZURE_RULES
from neuro_sdk._providers.gcs import GCS_RULES
from neuro_sdk.errors import InvalidKey

ANY = KeyRules()
DISK = KeyRules(max_segment=255, forbidden="\0")
TRIMMED = [*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B)]
TRIMMED += [0x2028, 0x2029, 0x202F, 0x205F, 0x3000]
NASTY = ["/", "//", ".", "..", " ", "\n", "\t", "\u3000", "\x1f", "\ufeff", "\0", "\\", "a", "b"]
NASTY += ["%2F", "%", "?", "#", "*", "é", "e\u0301", "\U0001f600", ":", "\x7f", "\r", "\x85"]

keys = st.one_of(st.text(max_size=20), st.lists(st.sampled_from(NASTY), max_size=6).map("".join))


@pytest.fixture(scope="module")
def memory() -> opendal.Operator:
    return opendal.Operator("memory")


def _put(engine: opendal.Operator, key: str) -> None:
    if key.endswith("/"):
        engine.create_dir(key)
    else:
        engine.write(key, key.encode())


def _listed(engine: opendal.Operator, prefix: str = "") -> list[str]:
    return [entry.path for entry in engine.list(prefix, recursive=True)]


@settings(max_examples=500, deadline=None)
@given(keys)
def test_memory_keeps_what_is_accepted(memory: opendal.Operator, key: str) -> None:
    if key_problem(key, ANY) is None:
        _put(memory, key)
        assert _listed(memory) == [key]
        if not key.endswith("/"):
            assert memory.read(key) == key.encode()
        memory.delete(key)
        assert _listed(memory) == []


@settings(max_examples=500, deadline=None)
@given(keys)
def test_a_disk_keeps_what_is_accepted(key: str) -> None:
    if key_problem(key, DISK) is not None:
        return
    with tempfile.TemporaryDirectory() as folder:
        engine = opendal.Operator("fs", root=folder)
        _put(engine, key)
        path = Path(folder, key)
        assert path.is_dir() if key.endswith("/") else path.read_bytes() == key.encode()
        # The names come from the disk: this service, asked for a list, cuts off the white
        # space at the end of a directory's name.
        found = [str(path.relative_to(folder)) for path in _ends(Path(folder))]
        assert found == [key.removesuffix("/")]
        if not key.endswith("/"):
            assert engine.read(key) == key.encode()


WORDS = ["a", "b.c", "d-e", "_", ".", "..", "/", "//", ".a", "a.", "*", "x" * 30, "é", "\n"]


@settings(max_examples=500)
@given(
    st.lists(st.sampled_from(WORDS), max_size=12).map("".join),
    st.builds(
        KeyRules,
        max_bytes=st.integers(1, 60),
        max_segment=st.none() | st.integers(1, 40),
        max_segments=st.none() | st.integers(1, 5),
        reserved=st.sets(st.sampled_from(["a", "b.c", ".a", "x"])).map(frozenset),
        forbidden=st.sampled_from(["", "\0", "*", ".", "/", "a"]),
        forbidden_first=st.sampled_from(["", "*", ".", "d"]),
        forbidden_last=st.sampled_from(["", ".", "e"]),
    ),
)
def test_a_plain_key_is_judged_as_any_other(key: str, rules: KeyRules) -> None:
    closely = dataclasses.replace(rules)
    object.__setattr__(closely, "plain", 0)
    assert key_problem(key, rules) == key_problem(key, closely)


@settings(max_examples=500)
@given(
    st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map("".join), max_size=4),
    st.sampled_from([ANY, LOCAL_RULES, KeyRules(max_bytes=6), KeyRules(reserved=frozenset("a"))]),
)
def test_many_keys_are_judged_as_each_alone(keys: list[str], rules: KeyRules) -> None:
    each = [key_error(key, rules, bucket="b") for key in keys]
    assert list(map(str, key_errors(keys, rules, bucket="b"))) == list(map(str, each))
    if all_plain(keys, rules):
        assert all(is_plain(key) and len(key) <= rules.plain for key in keys)


def test_plain_keys_need_no_closer_look_anywhere() -> None:
    for rules in (ANY, DISK, LOCAL_RULES, AZURE_RULES, GCS_RULES):
        assert rules.plain >= 250
    assert is_plain("logs/2026-01/part_00.tar.gz")
    for key in ("", "/a", "a//b", "a/./b", "a..b", "a b", "é", "a.", "a/\n", "a\n"):
        assert not is_plain(key)
        assert not all_plain(["a/b.c", key], ANY)
    assert all_plain(["a", "logs/2026-01/part_00.tar.gz", "a/b/"], ANY)
    assert all_plain([], ANY)


def _ends(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir() and any(path.iterdir()):
            yield from _ends(path)
        else:
            yield path


def test_white_space_is_refused_exactly_where_the_engine_cuts_it_off(
    memory: opendal.Operator,
) -> None:
    refused = []
    for code in [*range(0x3100), 0xFEFF, 0xFFFD, 0x1F600, sys.maxunicode]:
        if code == ord("/"):
            continue
        for key in (f"{chr(code)}x", f"x{chr(code)}"):
            problem = key_problem(key, ANY)
            memory.write(key, b"")
            assert (memory.exists(key) and _listed(memory) == [key]) == (problem is None), key
            memory.delete(key)
            if problem is not None:
                refused.append(code)
    assert sorted(set(refused)) == TRIMMED


@pytest.mark.parametrize("code", TRIMMED)
def test_white_space_is_refused_at_the_ends_only(code: int) -> None:
    blank = chr(code)
    for key in (blank, f"{blank}x", f"x{blank}", f"x/{blank}", f"{blank}/", f"{blank}x/y"):
        assert key_problem(key, ANY) == (
            "begins or ends with white space, which the engine would cut off"
        )
    for key in (f"x{blank}y", f"x/{blank}/y", f"x/{blank}y", f"x{blank}/y", f"x{blank}/"):
        assert key_problem(key, ANY) is None


@pytest.mark.parametrize(
    "key",
    [
        *("", "/", "//", "/lead", "//lead", "a//b", "e//", "x/ ", " sp", "sp ", "nl\n", "a\r"),
        *(".", "..", "./x", "../x", "a/./b", "a/../b", "a/..", "a/.", "../", "a/../", "./"),
        *("a\udcff", "\ud800", "a/\udc80/b", "x" * 1025, "é" * 513),
    ],
)
def test_refused(key: str) -> None:
    assert key_problem(key, ANY) is not None
    with pytest.raises(InvalidKey, match="the key ") as caught:
        check_key(key, ANY, bucket="photos", marker=True)
    assert (caught.value.bucket, caught.value.key) == ("photos", key)


@pytest.mark.parametrize(
    "key",
    [
        *("a%2Fb", "a%", "?", "#", "+&=;:,@|^{}[]`$!()*~'\"<>\\", "é", "e\u0301", "\U0001f600"),
        *("\x01", "\x7f", "\0", "...", "a/..b", ".a", "a.", "a/.../b", "~", "-", "in\nnl", "a /b"),
        *("\x1c", "x\x1f", "\u200b", "\u2060", "\ufeff", "x" * 1024, "a/", "a/b /"),
    ],
)
def test_accepted(key: str) -> None:
    check_key(key, ANY, bucket="photos", marker=True)


@pytest.mark.parametrize(
    ("rules", "good", "bad"),
    [
        (KeyRules(max_bytes=4), ["abcd", "éé"], ["abcde", "ééa"]),
        (KeyRules(max_segment=2), ["ab/cd/", "é"], ["abc", "a/éb", "abc/"]),
        (KeyRules(reserved=frozenset({".own"})), ["a.own", ".own2/a"], [".own", "a/.own/b"]),
        (KeyRules(forbidden="\0:"), ["a"], ["a:", "a\0"]),
    ],
)
def test_what_a_store_adds(rules: KeyRules, good: list[str], bad: list[str]) -> None:
    assert [key for key in good + bad if key_problem(key, rules) is not None] == bad


def test_a_slash_at_the_end_is_for_markers() -> None:
    check_key("a/", ANY, bucket="photos", marker=True)
    with pytest.raises(InvalidKey, match="directory"):
        check_key("a/", ANY, bucket="photos")
    with pytest.raises(TypeError, match="bytes"):
        check_key(b"a", ANY, bucket="photos")  # type: ignore[arg-type]


@settings(max_examples=300, deadline=None)
@given(st.lists(keys, max_size=5), keys)
def test_a_listable_prefix_misses_nothing(stored: list[str], prefix: str) -> None:
    engine = opendal.Operator("memory")
    stored = sorted({key for key in stored if key_problem(key, ANY) is None})
    for key in stored:
        _put(engine, key)
    listable = listable_prefix(prefix)
    assert prefix.startswith(listable)
    expected = [key for key in stored if key.startswith(listable)]
    assert sorted(_listed(engine, listable)) == expected


def test_what_lies_below() -> None:
    below = [is_below(key, "logs") for key in ("logs/a", "logs/", "logs", "logs.json", "logs2/a")]
    assert below == [True, True, False, False, False]
    assert is_below("logs/a", "logs/")
    assert is_below("a", "")
    assert list(parents("a/b/c")) == list(parents("a/b/c/")) == ["a/b/", "a/"]
    assert list(parents("a")) == []


@given(st.lists(keys, max_size=6), st.text(max_size=5))
def test_the_common_text_of_keys(several: list[str], first: str) -> None:
    several = [first + key for key in several]
    common = common_text(several)
    assert all(key.startswith(common) for key in several)
    longer = {key[: len(common) + 1] for key in several}
    assert len(longer) != 1 or longer == {common}
