"""URIs: what goes in comes out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from neuro_sdk._core.uri import BlobURI, Scope, file_url, local_path, parse_blob_uri
from neuro_sdk.errors import InvalidURI

PLAIN = Scope(cluster_name="C", project_name="U")
IN_ORG = Scope(cluster_name="C", org_name="acme", project_name="U")

NASTY = [
    "%",
    "%2F",
    "%25",
    "%zz",
    "?",
    "#",
    "/",
    "//",
    ".",
    "..",
    "./",
    "../",
    " ",
    "+",
    "\n",
    "\0",
]
NASTY += ["&", "=", ";", ":", "@", "~", "\\", "[", "]", "*", "{", "|", "é", "e\u0301", "\U0001f600"]
NASTY += ["\t", "\r", "\x7f", "\ufeff", "\u3000", '"', "<", "^", "`", "blob:", "file://"]

keys = st.one_of(st.text(max_size=20), st.lists(st.sampled_from(NASTY), max_size=8).map("".join))
names = st.from_regex(r"[a-z0-9][a-zA-Z0-9_.-]{0,10}", fullmatch=True)


@settings(max_examples=500, deadline=None)
@given(keys, names, st.sampled_from([PLAIN, IN_ORG]))
def test_a_blob_uri_comes_back(key: str, name: str, scope: Scope) -> None:
    uri = BlobURI(
        cluster_name="onprem-1", org_name=scope.org_name, project_name="p", bucket=name, key=key
    )
    url = uri.to_url()
    assert parse_blob_uri(url, scope) == uri
    assert parse_blob_uri(str(url), scope) == uri
    assert parse_blob_uri(str(uri), scope) == uri
    if not {".", ".."} & set(key.split("/")):
        assert parse_blob_uri(URL(str(url)), scope) == uri  # as someone types it: yarl quotes again


@settings(max_examples=500, deadline=None)
@given(keys)
def test_a_key_without_a_percent_sign_is_written_as_it_is(key: str) -> None:
    if "%" not in key:
        assert parse_blob_uri(f"blob:b/{key}", PLAIN).key == key


@pytest.mark.parametrize(
    ("text", "project", "bucket", "key"),
    [
        ("blob:b", "U", "b", ""),
        ("blob:b/", "U", "b", ""),
        ("blob:b/k", "U", "b", "k"),
        ("blob:b/k/", "U", "b", "k/"),
        ("blob:b//k", "U", "b", "/k"),
        ("blob:./b/k", "U", "b", "k"),
        ("blob:123", "U", "123", ""),
        ("BLOB:b/k", "U", "b", "k"),
        ("blob:b/my file", "U", "b", "my file"),
        ("blob:b/my%20file", "U", "b", "my file"),
        ("blob:b/a%2Fb", "U", "b", "a/b"),
        ("blob:b/a%23c%3Fd", "U", "b", "a#c?d"),
        ("blob:/p2/b/k", "p2", "b", "k"),
        ("blob:///p2/b/k", "p2", "b", "k"),
        ("blob:////p2/b/k", "p2", "b", "k"),
        ("blob:/p2/b", "p2", "b", ""),
    ],
)
@pytest.mark.parametrize("scope", [PLAIN, IN_ORG], ids=["without-org", "in-org"])
def test_short_forms(scope: Scope, text: str, project: str, bucket: str, key: str) -> None:
    expected = BlobURI(
        cluster_name="C", org_name=scope.org_name, project_name=project, bucket=bucket, key=key
    )
    assert parse_blob_uri(text, scope) == expected
    assert parse_blob_uri(URL(text), scope) == expected
    assert parse_blob_uri(expected.to_url(), scope) == expected


def test_the_full_form_has_an_org_where_the_scope_has_one() -> None:
    plain = parse_blob_uri("blob://other/p2/b/k/l", PLAIN)
    assert (plain.cluster_name, plain.org_name, plain.project_name) == ("other", None, "p2")
    assert (plain.bucket, plain.key) == ("b", "k/l")
    in_org = parse_blob_uri("blob://other/org2/p2/b/k/l", IN_ORG)
    assert (in_org.cluster_name, in_org.org_name, in_org.project_name) == ("other", "org2", "p2")
    assert (in_org.bucket, in_org.key) == ("b", "k/l")


@pytest.mark.parametrize("key", ["a?b", "a#b", "*.[ch]", "a?", "a#", "100%", "%zz", "a?b#c%20"])
def test_text_takes_marks_as_they_are(key: str) -> None:
    assert parse_blob_uri(f"blob:b/{key}", PLAIN).key == key.replace("%20", " ")


@pytest.mark.parametrize(
    "text",
    [
        *("", "b/k", "/p/b/k", "s3://b/k", "storage:b/k", "file:///x", "blobb:b", ":b"),
        *("blob:", "blob:/", "blob://", "blob:///", "blob:/p", "blob://c", "blob://c/", "blob:./"),
        *("blob://c/p", "blob://c//b/k", "blob://c/p//k", "blob:/p//k"),
        *("blob:../b/k", "blob:/../b/k", "blob:/p/../k", "blob:%2E%2E/k", "blob:."),
        *("blob://u@c/p/b/k", "blob://u:pw@c/p/b/k", "blob://c:80/p/b/k"),
        *("blob:~b/k", "blob:/~p/b/k", "blob://~c/p/b/k", "blob:%7Eb/k"),
        *("blob:b/%ff", "blob:b/%ED%A0%80", "blob:%ff/k"),
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(InvalidURI) as caught:
        parse_blob_uri(text, PLAIN)
    assert repr(text)[1:-1] in str(caught.value)


@pytest.mark.parametrize("text", ["blob:b/k?x", "blob:b/k#x", "blob://c/p/b/?x=y", "blob:b/*?x#"])
def test_a_url_with_a_query_or_fragment_is_refused(text: str) -> None:
    with pytest.raises(InvalidURI, match=r"%3F|%23"):
        parse_blob_uri(URL(text), PLAIN)


@pytest.mark.parametrize("uri", [b"blob:b/k", None, Path("b"), 1])
def test_other_types_are_refused(uri: object) -> None:
    with pytest.raises(TypeError, match=type(uri).__name__):
        parse_blob_uri(uri, PLAIN)  # type: ignore[arg-type]


paths = st.lists(
    st.one_of(
        st.sampled_from([b" ", b"%", b"%20", b"#", b"?", b"\\", b"~", b":", b"\xff", b"a", b"\n"]),
        st.binary(min_size=1, max_size=5).filter(lambda raw: not {0, ord("/")} & set(raw)),
    ),
    min_size=1,
    max_size=6,
).map(lambda parts: os.fsdecode(b"/" + b"/".join(parts)))


@settings(max_examples=500, deadline=None)
@given(paths)
def test_a_file_url_comes_back(path: str) -> None:
    expected = Path(os.path.abspath(path))
    url = file_url(expected)
    assert url.scheme == "file"
    assert local_path(url) == local_path(str(url)) == local_path(expected) == expected
    assert local_path(path) == expected  # a path is never decoded


def test_local_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for relative in ("a b", "./a b", Path("a b"), "x/../a b", "file:a%20b", "file:a b", URL("a b")):
        assert local_path(relative) == tmp_path / "a b", relative
    for absolute in ("/a#b?", "file:/a%23b%3F", "file:///a#b?", "file://localhost/a%23b?"):
        assert local_path(absolute) == Path("/a#b?"), absolute
    assert local_path("50%25.txt") == tmp_path / "50%25.txt"
    assert local_path("./s3:x") == tmp_path / "s3:x"


@pytest.mark.parametrize("path", ["", "a\0b", "file:", "file:///a%00", "file://host/a", "blob:b/k"])
def test_local_forms_refused(path: str) -> None:
    with pytest.raises(InvalidURI):
        local_path(path)
    if path.startswith("blob:") or "host" in path:
        with pytest.raises(InvalidURI):
            local_path(URL(path))


def test_a_local_url_with_a_query_is_refused() -> None:
    with pytest.raises(InvalidURI, match="%3F"):
        local_path(URL("file:///a?b"))
