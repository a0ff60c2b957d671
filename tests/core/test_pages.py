"""Pages of listings in columns."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from neuro_sdk._core.models import BlobObject, Bucket
from neuro_sdk._core.pages import Blobs, Columns, Row
from neuro_sdk._core.plan import Side
from tests.core.test_models import BUCKET

_MOMENT = datetime(2026, 1, 2, tzinfo=UTC)
_TIMES = st.sampled_from([None, _MOMENT])
_ROWS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(["a", "b", "/"]), min_size=1, max_size=3).map("".join),
        st.integers(0, 9),
        _TIMES,
        st.sampled_from([None, '"t"']),
        _TIMES,
    ),
    max_size=6,
)


def _blob(row: Row, bucket: Bucket = BUCKET) -> BlobObject:
    key, size, modified_at, etag, created_at = row
    return BlobObject(
        key=key,
        bucket=bucket,
        size=0 if key.endswith("/") else size,
        modified_at=modified_at,
        etag=etag,
        created_at=created_at,
    )


@given(_ROWS)
def test_a_page_is_a_sequence_of_its_blobs(rows: list[Row]) -> None:
    expected = [_blob(row) for row in rows]
    page = Blobs(BUCKET, Columns.of(rows))
    assert len(page) == len(expected)
    assert [*page] == expected
    assert [page[number] for number in range(-len(rows), len(rows))] == expected * 2
    assert [*page.keys] == [blob.key for blob in expected]
    assert [*reversed(page)] == expected[::-1]
    for part in (slice(2), slice(1, 3), slice(None, None, -1), slice(7, 9)):
        assert [*page[part]] == expected[part]
        assert isinstance(page[part], Blobs)


@given(_ROWS)
def test_sides_are_as_the_store_tells_them(rows: list[Row]) -> None:
    page = Blobs(BUCKET, Columns.of(rows))
    assert [*page.sides()] == [Side(row[1], row[2]) for row in rows]
    assert all(isinstance(side, Side) for side in page.sides())


@given(_ROWS, st.sampled_from(["", "a", "a/", "/"]))
def test_what_does_not_lie_below_is_left_out(rows: list[Row], prefix: str) -> None:
    below = Columns.of(rows).below(prefix)
    assert [*below.rows()] == [row for row in rows if row[0].startswith(prefix)]


@given(_ROWS.filter(bool))
def test_blobs_that_were_made_are_a_page_too(rows: list[Row]) -> None:
    blobs = [_blob(row) for row in rows]
    page = Blobs.of(blobs)
    assert [*page] == blobs
    assert Blobs.of(page) is page
