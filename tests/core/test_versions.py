"""Versions of blobs, and directories that overlap: decided from values alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuro_sdk import BlobObject, Bucket
from neuro_sdk._core.keys import KeyRules, is_below, overlap, tree_prefix
from neuro_sdk._core.versions import content_tag, same_version, tags_differ
from neuro_sdk.errors import InvalidKey

NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)
BUCKET = Bucket(
    id="bucket-1",
    owner="me",
    name="box",
    provider=Bucket.Provider.AWS,
    created_at=NOON,
    cluster_name="c",
)
ONE, OTHER = "0123456789abcdef" * 2, "fedcba9876543210" * 2

directories = st.lists(st.sampled_from(["a", "b", "ab", "a.b"]), max_size=4).map("/".join)


def blob(etag: str | None, size: int = 5) -> BlobObject:
    return BlobObject(key="k", bucket=BUCKET, size=size, modified_at=NOON, etag=etag)


@pytest.mark.parametrize(
    ("tag", "content"),
    [
        (f'"{ONE}"', ONE),
        (ONE.upper(), ONE),
        (f'"{ONE}-3"', None),  # of parts
        (f'W/"{ONE}"', None),
        ('"0x8DC5E8B0D1A2B3C"', None),  # Azure counts
        ('"1709208000.000000-5"', None),  # a local blob has its time and size
        ("", None),
        (None, None),
    ],
)
def test_only_a_plain_md5_tells_of_the_content(tag: str | None, content: str | None) -> None:
    assert content_tag(tag) == content


def test_tags_differ_only_where_both_tell() -> None:
    assert tags_differ(blob(ONE), blob(OTHER))
    assert not tags_differ(blob(ONE), blob(f'"{ONE.upper()}"'))
    for unclear in (None, f"{OTHER}-2", '"0x1"'):
        assert not tags_differ(blob(ONE), blob(unclear))
        assert not tags_differ(blob(unclear), blob(ONE))


def test_one_version_has_one_size_tag_and_time() -> None:
    mine = blob(ONE)
    assert same_version(mine, replace(mine, key="other"))
    assert not same_version(mine, replace(mine, size=6))
    assert not same_version(mine, replace(mine, etag=OTHER))
    assert not same_version(mine, replace(mine, modified_at=NOON + timedelta(seconds=1)))


@given(directories, directories, st.sampled_from(["", "/"]))
def test_overlap_is_a_matter_of_whole_segments(one: str, other: str, slash: str) -> None:
    left, right = one.split("/") if one else [], other.split("/") if other else []
    shorter = min(len(left), len(right))
    expected = left[:shorter] == right[:shorter]
    assert overlap(one + slash * bool(one), other) is expected
    assert overlap(other, one) is expected


@given(directories, directories)
def test_a_tree_prefix_never_takes_a_neighbour(directory: str, key: str) -> None:
    prefix = tree_prefix(directory, KeyRules(), bucket="box")
    assert key.startswith(prefix) is is_below(key, directory)
    assert tree_prefix(prefix, KeyRules(), bucket="box") == prefix


@pytest.mark.parametrize("directory", ["/", "a//", "../a", "a/./b"])
def test_a_tree_prefix_is_checked(directory: str) -> None:
    with pytest.raises(InvalidKey):
        tree_prefix(directory, KeyRules(), bucket="box")
