"""What notebooks show: tables of text, bounded, whatever the text says."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuro_sdk import (
    Action,
    BlobCommonPrefix,
    BlobObject,
    Bucket,
    BucketCredentials,
    BucketUsage,
    Listing,
    PersistentBucketCredentials,
    Plan,
    PlannedStep,
)
from neuro_sdk._core.show import html_table, time_text

BUCKET = Bucket(
    id="bucket-1",
    owner="alice",
    name="photos",
    provider=Bucket.Provider.LOCAL,
    created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    cluster_name="local",
    project_name="vision",
    public=True,
)
EVIL = "<script>alert('x')</script>&amp;\"><img src=x onerror=y>\u202e"
TAGS = {"table", "caption", "thead", "tbody", "tr", "th", "td", "br"}


class Reader(HTMLParser):
    """The cells of a table; raises at anything but a table of text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.caption = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        assert [name for name, _ in attrs] in ([], ["colspan"])
        if tag == "br":
            return
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1] == "caption":
            self.caption += data
        else:
            assert self.open[-1] in ("td", "th")
            self.rows[-1][-1] += data


def blob(key: str, size: int = 3) -> BlobObject:
    return BlobObject(key=key, bucket=BUCKET, size=size, modified_at=BUCKET.created_at)


def test_a_bucket() -> None:
    shown = Reader(BUCKET._repr_html_())
    assert shown.caption == "blob://local/vision/photos"
    assert shown.rows == [
        ["bucket", "project", "provider", "created", "kind"],
        ["photos", "vision", "local", "2026-01-02 03:04:05 UTC", "public"],
    ]


def test_an_entry() -> None:
    shown = Reader(blob("a b/c", 1536)._repr_html_())
    assert shown.caption == "blob://local/vision/photos/a%20b/c"
    assert shown.rows[1:] == [["a b/c", "1.5 KiB", "2026-01-02 03:04:05 UTC"]]
    assert Reader(BlobCommonPrefix(key="d/", bucket=BUCKET)._repr_html_()).rows[1] == ["d/", "", ""]


def test_usage() -> None:
    shown = Reader(BucketUsage(total_bytes=2048, object_count=7)._repr_html_())
    assert shown.rows == [["blobs", "bytes"], ["7", "2.0 KiB"]]


def test_listings() -> None:
    shown = Reader(Listing([blob("a"), BlobCommonPrefix(key="d/", bucket=BUCKET)])._repr_html_())
    assert shown.caption == "2 entries, 3 B"
    assert [row[0] for row in shown.rows] == ["key", "a", "d/"]
    assert Reader(Listing([BUCKET])._repr_html_()).caption == "1 entry"
    assert Reader(Listing([])._repr_html_()).caption == "0 entries"
    listing = Listing([blob("a")])
    assert listing == [blob("a")]
    assert repr(listing) == repr([blob("a")])


def test_a_long_listing_is_cut() -> None:
    text = Listing([blob("k" * 1024) for _ in range(10_000)])._repr_html_()
    assert len(text) < 100_000
    shown = Reader(text)
    assert len(shown.rows) == 1 + 50 + 1
    assert shown.rows[-1] == ["and 9950 more"]
    assert shown.caption.startswith("10000 entries, ")


def test_secrets_are_not_shown() -> None:
    credentials = PersistentBucketCredentials(
        id="c",
        owner="alice",
        name="n",
        read_only=True,
        cluster_name="local",
        credentials=[
            BucketCredentials(
                bucket_id="b", provider=Bucket.Provider.LOCAL, credentials={"key": "s3cret"}
            )
        ],
    )
    assert "s3cret" not in Listing([credentials])._repr_html_()


def test_a_plan() -> None:
    steps = tuple(PlannedStep(Action.COPY, f"f{n}", 1024, "new", 1) for n in range(60))
    plan: Plan[None] = Plan("upload", "/tmp/<b>", "blob:b/c", steps, refused="too <i>much</i>")
    html = plan._repr_html_()
    totals, _, rest = html.partition("</table>")
    shown = Reader(totals + "</table>")
    assert shown.caption == "upload /tmp/<b> -> blob:b/crefused: too <i>much</i>"
    assert shown.rows == [["action", "files", "bytes"], [Action.COPY.value, "60", "60.0 KiB"]]
    shown = Reader(rest)
    assert shown.caption == "about 60 requests"
    assert shown.rows[1] == [Action.COPY.value, "1.0 KiB", "f0", "new"]
    assert shown.rows[-1] == ["and 10 more"]


@pytest.mark.parametrize("text", [EVIL, "a\nb", "\0", "\u2028", "<!--", "]]>", "&lt;"])
def test_keys_are_text(text: str) -> None:
    for html in (blob(text)._repr_html_(), Listing([blob(text)])._repr_html_()):
        (cell, *_) = Reader(html).rows[1]
        assert cell in (text, ascii(text))
        assert cell.isprintable()


@given(st.lists(st.lists(st.text(), min_size=2, max_size=2), max_size=5), st.text())
def test_whatever_a_table_holds(rows: list[list[str]], title: str) -> None:
    shown = Reader(html_table(title, ("a", "b"), rows))
    expected = [[c if c.isprintable() else ascii(c) for c in row] for row in rows]
    assert shown.rows == [["a", "b"], *expected]


def test_times() -> None:
    assert time_text(None) == ""
    assert time_text(BUCKET.created_at) == "2026-01-02 03:04:05 UTC"
