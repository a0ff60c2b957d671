"""No key lands outside the destination, and what lands is found again under its name."""

from __future__ import annotations

import ntpath
import os
import tempfile
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuro_sdk._core.landing import Collisions, landing_path
from neuro_sdk.errors import InvalidKey, KeyConflict

PIECES = [".", "..", "/", "//", "\\", "..\\", "\0", "\n", " ", "a", "b", "A", ":", "C:", "~", "é"]
PIECES += ["NUL", "com1.", "aux ", "\x01", "*", "$HOME", "%2e%2e", "\u2215", "\ud800", "\udcff"]

keys = st.one_of(
    st.text(st.characters(), max_size=20),
    st.lists(st.sampled_from(PIECES), max_size=7).map("".join),
)


@settings(max_examples=700, deadline=None)
@given(keys)
def test_stays_inside(key: str) -> None:
    try:
        segments = landing_path(key, "")
    except InvalidKey:
        return
    root = os.path.realpath(tempfile.gettempdir())
    landed = os.path.realpath(os.path.join(root, *segments))
    assert os.path.commonpath([root, landed]) == root != landed
    assert "/".join(segments) == key.removesuffix("/")


@settings(max_examples=300, deadline=None)
@given(keys)
def test_is_found_again(key: str) -> None:
    try:
        segments = landing_path(key, "")
    except InvalidKey:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, *segments)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        found = [
            os.path.relpath(os.path.join(above, name), folder)
            for above, _, names in os.walk(folder)
            for name in names
        ]
    assert found == [key.removesuffix("/")]


def _is_reserved(name: str) -> bool:
    reserved = getattr(ntpath, "isreserved", None)  # from Python 3.13 on
    return bool(reserved(name) if reserved else PureWindowsPath("x", name).is_reserved())


@settings(max_examples=700, deadline=None)
@given(keys)
def test_stays_inside_on_windows(key: str) -> None:
    try:
        segments = landing_path(key, "", windows=True)
    except InvalidKey:
        return
    root = "D:\\root"
    landed = ntpath.normpath(ntpath.join(root, *segments))
    assert landed == "\\".join([root, *segments])
    assert not any(_is_reserved(segment) for segment in segments)


@pytest.mark.parametrize(
    ("key", "prefix", "segments"),
    [
        ("a", "", ("a",)),
        ("a/b/c", "a/", ("b", "c")),
        ("a/b/", "a/", ("b",)),
        ("a/", "a/", ()),
        ("a/b c \n", "", ("a", "b c \n")),
        ("a\\b:c", "", ("a\\b:c",)),
        ("CON/...", "", ("CON", "...")),
        ("../a", "../", ("a",)),
    ],
)
def test_lands(key: str, prefix: str, segments: tuple[str, ...]) -> None:
    assert landing_path(key, prefix) == segments


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        *(("", ""), ("/", ""), ("/a", ""), ("a//b", ""), ("a//", ""), ("a//b", "a/")),
        *((".", ""), ("..", ""), ("a/../b", ""), ("a/./b", ""), ("a/..", "a/"), ("a/../", "a/")),
        *(("a\0b", ""), ("\ud800", ""), ("a\udcff", ""), ("ab", "a/"), ("", "a/"), ("a", "a/")),
    ],
)
def test_is_refused(key: str, prefix: str) -> None:
    with pytest.raises(InvalidKey) as caught:
        landing_path(key, prefix, bucket="photos")
    assert (caught.value.bucket, caught.value.key) == ("photos", key)


@pytest.mark.parametrize(
    "segment",
    [
        *("a\\b", "a:b", "C:", "a<", "a>", 'a"', "a|", "a?", "a*", "\x01", "a\x1f", "\n"),
        *(
            "a.",
            "a ",
            "...",
            " ",
            "CON",
            "con",
            "nul.txt",
            "Aux.tar.gz",
            "prn .x",
            "COM1",
            "lpt9.x",
        ),
        *("COM¹", "CONIN$", "conout$"),
    ],
)
def test_is_refused_on_windows_only(segment: str) -> None:
    for key in (segment, f"a/{segment}/b"):
        assert landing_path(key, "") == tuple(key.split("/"))
        with pytest.raises(InvalidKey, match="Windows"):
            landing_path(key, "", windows=True)


@pytest.mark.parametrize("segment", ["CONSOLE", "com", "COM10", "a.con", ".x", " a", "é", "lpt0x"])
def test_is_fine_on_windows(segment: str) -> None:
    assert landing_path(segment, "", windows=True) == (segment,)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a/README", "a/readme"),
        ("A/b", "a/b"),
        ("é", "e\u0301"),
        ("É", "e\u0301"),
        ("ß", "SS"),
        ("Σ", "ς"),
        ("\u212b", "å"),
        ("\u0345\u0301", "\u0301\u0345"),
    ],
)
def test_collisions_name_both(first: str, second: str) -> None:
    seen = Collisions(case_insensitive=True)
    assert [seen.add(path) for path in (first, "other", first)] == [None] * 3
    error = seen.add(second)
    assert isinstance(error, KeyConflict)
    assert repr(first) in str(error)
    assert error.key == second
    exact = Collisions(case_insensitive=False)
    assert [exact.add(first), exact.add(second)] == [None, None]


def test_different_names_do_not_collide() -> None:
    seen = Collisions(case_insensitive=True)
    for path in ("a", "b", "a/b", "A/c", "a/d", "ab", "e", "é"):
        assert seen.add(path) is None
