"""What S3 lists, read in two ways that must say the same."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from neuro_sdk import TransferConfig
from neuro_sdk._core.sigv4 import Keys
from neuro_sdk._providers.opendal import Stat
from neuro_sdk._providers.s3 import S3Access, S3Requests, parse
from neuro_sdk._providers.s3_engine import S3Engine, read, scanned
from neuro_sdk.errors import StorageError

_TEXT = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=1)
_BLOBS = st.lists(st.tuples(_TEXT, st.integers(0, 1 << 50)), max_size=8)
_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_QUOTES = st.sampled_from(["&quot;", "&#34;", '"'])
_FORMS = {
    "aws": "Key LastModified ETag ChecksumAlgorithm Size StorageClass",
    "seaweedfs": "Key ETag Size StorageClass LastModified",
    "owner": "Key LastModified ETag Size Owner StorageClass",
}


def _blob(form: str, key: str, size: int, quote: str) -> str:
    values = {
        "Key": escape(key),
        "LastModified": "2026-01-02T03:04:05.000Z",
        "ETag": f"{quote}tag{size}{quote}",
        "Size": str(size),
        "Owner": "<ID>Key</ID><DisplayName>Size</DisplayName>",
    }
    told = "".join(f"<{name}>{values.get(name, 'X')}</{name}>" for name in form.split())
    return f"<Contents>{told}</Contents>"


def _answer(*parts: str, token: str = "") -> bytes:
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
    end = more if token else "<IsTruncated>false</IsTruncated>"
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>'
        f"<Prefix></Prefix>{''.join(parts)}{end}</ListBucketResult>"
    )
    return text.encode()


@given(form=st.sampled_from([*_FORMS]), blobs=_BLOBS, quote=_QUOTES)
def test_both_ways_say_the_same(form: str, blobs: list[tuple[str, int]], quote: str) -> None:
    answer = _answer(*(_blob(_FORMS[form], key, size, quote) for key, size in blobs))
    expected = [Stat(key, size, _TIME, f'"tag{size}"') for key, size in blobs]
    assert read(parse(answer)) == expected
    rows = scanned(answer)
    assert rows is not None
    assert len(rows) == len(blobs)
    engine = S3Engine.__new__(S3Engine)
    pages = engine._entries(answer, "", sort=False)
    assert [entry for page in pages for entry in page] == expected


@pytest.mark.parametrize(
    "text",
    [
        "<Contents><Key>a</Key><Size>1</Size></Contents>",
        "<Contents><Key>a</Key><Size>1</Size><LastModified/><ETag>t</ETag></Contents>",
        _blob(_FORMS["aws"], "a", 1, '"').replace("<Key>a<", "<Key><![CDATA[a]]><"),
        _blob(_FORMS["aws"], "a", 1, '"') + _blob(_FORMS["seaweedfs"], "b", 2, '"'),
        "<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>",
    ],
)
def test_what_is_written_in_another_way_is_parsed(text: str) -> None:
    answer = _answer(text)
    assert scanned(answer) is None
    assert [entry.path[0] for entry in read(parse(answer))] == ["a", "b"][: text.count("<Key") or 1]


def test_what_is_no_listing() -> None:
    engine = S3Engine.__new__(S3Engine)
    engine.bucket = "box"
    for answer in (b"", b"<html></html>", b'{"keys": []}', b"<ListBucketResult>\xff"):
        with pytest.raises(StorageError, match="no listing"):
            _ = [*engine._entries(answer, "a/", sort=False)]


@asynccontextmanager
async def _store(answers: Sequence[bytes]) -> AsyncGenerator[tuple[S3Engine, list[Any]], None]:
    """The engine of a bucket at a store that lists *answers*, and what it was asked."""
    asked: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(dict(request.query))
        return web.Response(body=answers[len(asked) - 1], content_type="application/xml")

    app = web.Application()
    app.router.add_get("/b/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    keys = Keys(access_key="who", secret_key="hidden")
    access = S3Access(bucket="b", endpoint=url, region="r", virtual_host=False, keys=keys)
    transfer = TransferConfig(retries=0)
    requests = S3Requests(access, name="box", transfer=transfer)
    options = {"bucket": "b", "endpoint": url, "region": "r"}
    try:
        yield S3Engine(options, requests, bucket="box", transfer=transfer), asked
    finally:
        await requests.close()
        await runner.cleanup()


def _page(*keys: str, token: str = "") -> bytes:
    return _answer(*(_blob(_FORMS["aws"], key, 1, '"') for key in keys), token=token)


async def test_the_token_of_a_page_asks_for_the_next() -> None:
    answers = [_page("a", token="x&amp;y="), _page("b", token="z"), _page("c")]
    async with _store(answers) as (engine, asked):
        pages = [page async for page in engine.pages("", recursive=True)]
        assert [entry.path for page in pages for entry in page] == ["a", "b", "c"]
        assert [told.get("continuation-token") for told in asked] == [None, "x&y=", "z"]


async def test_one_who_wants_few_asks_for_few() -> None:
    async with _store([_page("a", token="x"), _page("b")]) as (engine, asked):
        listing = engine.pages("p", recursive=False, most=1)
        assert [entry.path for entry in await anext(listing)] == ["a"]
        await listing.aclose()
        assert asked == [{"list-type": "2", "prefix": "p", "delimiter": "/", "max-keys": "1"}]


@pytest.mark.parametrize("token", ["<NextContinuationToken>x</NextContinuationToken>", ""])
async def test_a_listing_without_an_end_ends(token: str) -> None:
    endless = _answer(f"<IsTruncated>true</IsTruncated>{token}")
    async with _store([endless] * 5) as (engine, asked):
        with pytest.raises(StorageError, match="no end"):
            _ = [page async for page in engine.pages("", recursive=True)]
        assert len(asked) <= 2
