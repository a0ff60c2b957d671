"""What S3 lists: read in two ways that must say the same, and page by page or side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from itertools import cycle
from typing import Any
from xml.sax.saxutils import escape

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from neuro_sdk import TransferConfig
from neuro_sdk._core.sigv4 import Keys
from neuro_sdk._providers.s3 import S3Access, S3Requests, parse
from neuro_sdk._providers.s3_engine import S3Engine
from neuro_sdk._providers.s3_listing import answers
from neuro_sdk._providers.s3_pages import entries, read, scanned
from neuro_sdk._providers.stat import Stat
from neuro_sdk.errors import StorageError
from neuro_sdk.protocols import Likely

_TEXT = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=1)
_BLOBS = st.lists(st.tuples(_TEXT, st.integers(0, 1 << 50)), max_size=8)
_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_QUOTES = st.sampled_from(["&quot;", "&#34;", '"'])
_FORMS = {
    "aws": "Key LastModified ETag ChecksumAlgorithm Size StorageClass",
    "seaweedfs": "Key ETag Size StorageClass LastModified",
    "owner": "Key LastModified ETag Size Owner StorageClass",
}


def _blob(form: str, key: str, size: int, quote: str, kind: str = "X") -> str:
    values = {
        "Key": escape(key),
        "LastModified": "2026-01-02T03:04:05.000Z",
        "ETag": f"{quote}tag{size}{quote}",
        "Size": str(size),
        "Owner": "<ID>Key</ID><DisplayName>Size</DisplayName>",
    }
    told = "".join(f"<{name}>{values.get(name, kind)}</{name}>" for name in form.split())
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


@given(
    form=st.sampled_from([*_FORMS]),
    blobs=_BLOBS,
    quote=_QUOTES,
    kinds=st.sampled_from([["STANDARD"], ["STANDARD", "GLACIER_IR", "*"], ["", "(.*)"]]),
)
def test_both_ways_say_the_same(
    form: str, blobs: list[tuple[str, int]], quote: str, kinds: list[str]
) -> None:
    answer = _answer(
        *(
            _blob(_FORMS[form], key, size, quote, kind)
            for (key, size), kind in zip(blobs, cycle(kinds), strict=False)
        )
    )
    expected = [Stat(key, size, _TIME, f'"tag{size}"') for key, size in blobs]
    assert read(parse(answer)) == expected
    found = scanned(answer)
    assert found is not None
    assert len(found.rows) == len(blobs)
    pages = entries(answer, sort=False)
    assert [row for page in pages for row in page.rows()] == [stat[:5] for stat in expected]


@pytest.mark.parametrize(
    "text",
    [
        "<Contents><Key>a</Key><Size>1</Size></Contents>",
        "<Contents><Key>a</Key><Size>1</Size><LastModified/><ETag>t</ETag></Contents>",
        _blob(_FORMS["aws"], "a", 1, '"') + "<Contents><Key>b</Key></Contents>",
        "<Contents><Key>a</Key></Contents>" + _blob(_FORMS["aws"], "b", 1, '"'),
        _blob(_FORMS["aws"], "a", 1, '"').replace("<Key>a<", "<Key><![CDATA[a]]><"),
        _blob(_FORMS["aws"], "a", 1, '"') + _blob(_FORMS["seaweedfs"], "b", 2, '"'),
        _blob(_FORMS["aws"], "a", 1, '"') + _blob(_FORMS["aws"], "b", 2, ""),
        _blob(_FORMS["aws"], "a", 1, "&#34;") + _blob(_FORMS["aws"], "b", 2, "&quot;"),
        "<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>",
    ],
)
def test_what_is_written_in_another_way_is_parsed(text: str) -> None:
    answer = _answer(text)
    assert scanned(answer) is None
    assert [entry.path[0] for entry in read(parse(answer))] == ["a", "b"][: text.count("<Key") or 1]


def test_many_that_are_written_in_another_way_are_found_out_at_once() -> None:
    first = _blob(_FORMS["aws"], "a", 1, '"')
    rest = [_blob(_FORMS["aws"], f"b{number}", 1, "") for number in range(1000)]
    assert scanned(_answer(first, *rest)) is None
    rest = [text.replace("<LastModified>", "<Changed>") for text in rest]
    assert scanned(_answer(first, *rest)) is None


def test_what_is_no_listing() -> None:
    for answer in (b"", b"<html></html>", b'{"keys": []}', b"<ListBucketResult>\xff"):
        with pytest.raises(ValueError, match="no listing"):
            _ = [*entries(answer, sort=False)]


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
    pages_there = [_page("a", token="x&amp;y="), _page("b", token="z"), _page("c")]
    async with _store(pages_there) as (engine, asked):
        pages = [page async for page in engine.pages("", recursive=True)]
        assert [key for page in pages for key in page.keys] == ["a", "b", "c"]
        assert [told.get("continuation-token") for told in asked] == [None, "x&y=", "z"]


async def test_one_who_wants_few_asks_for_few() -> None:
    async with _store([_page("a", token="x"), _page("b")]) as (engine, asked):
        listing = engine.pages("p", recursive=False, most=1)
        assert [*(await anext(listing)).keys] == ["a"]
        await listing.aclose()
        assert asked == [{"list-type": "2", "prefix": "p", "delimiter": "/", "max-keys": "1"}]


@pytest.mark.parametrize("token", ["<NextContinuationToken>x</NextContinuationToken>", ""])
async def test_a_listing_without_an_end_ends(token: str) -> None:
    endless = _answer(f"<IsTruncated>true</IsTruncated>{token}")
    async with _store([endless] * 5) as (engine, asked):
        with pytest.raises(StorageError, match="no end"):
            _ = [page async for page in engine.pages("", recursive=True)]
        assert len(asked) <= 2


async def test_what_is_no_listing_is_told() -> None:
    async with _store([b"<html></html>"] * 2) as (engine, _):
        with pytest.raises(StorageError, match="no listing"):
            _ = [page async for page in engine.pages("a/", recursive=True)]


class _Keys:
    """A store with these keys, in some order, which it lists so many at a time."""

    def __init__(self, keys: Sequence[str], *, size: int, follows: bool = True) -> None:
        self._keys = keys
        self._size = size
        self._follows = follows
        self.asked: list[Mapping[str, str]] = []
        self.failing = False
        self.first, self.further = asyncio.Event(), asyncio.Event()
        self.first.set()
        self.further.set()

    async def ask(self, query: Mapping[str, str]) -> bytes:
        self.asked.append(query)
        await asyncio.sleep(0)
        start = int(query.get("continuation-token", 0))
        if (after := query.get("start-after")) is None:
            await self.first.wait()
        elif not self.further.is_set():
            await self.further.wait()
        elif self.failing:
            raise StorageError("out of order")
        elif self._follows:
            # By the text of keys, whatever the order of the listing is.
            start = next((n for n, key in enumerate(self._keys) if key > after), len(self._keys))
        end = start + self._size
        token = str(end) if end < len(self._keys) else ""
        return _page(*self._keys[start:end], token=token)

    async def listed(self, likely: Likely | None = None) -> list[str]:
        found = []
        coming = answers(self.ask, {"prefix": ""}, bucket="box", likely=likely)
        async with aclosing(coming) as pages:
            async for (answer,) in pages:
                found += [key for page in entries(answer, sort=False) for key in page.keys]
        return found


def _likely(keys: Sequence[str]) -> Likely:
    async def likely(_: int) -> AsyncGenerator[str, None]:
        for key in keys:
            await asyncio.sleep(0)
            yield key

    return likely


_ALPHABET = st.text("ab/-&<é", min_size=1, max_size=4)
_SOME = st.lists(_ALPHABET, max_size=40, unique=True)


@given(
    keys=_SOME,
    likely=_SOME,
    there=st.lists(st.integers(0, 39)),
    size=st.integers(1, 12),
    follows=st.booleans(),
    by_folders=st.booleans(),
)
def test_what_is_likely_changes_nothing(
    keys: list[str],
    likely: list[str],
    there: list[int],
    size: int,
    follows: bool,
    by_folders: bool,
) -> None:
    if by_folders:
        keys.sort(key=lambda key: key.split("/"))
    else:
        keys.sort()
    # Some that are there, some that are not, and in no order.
    likely += [keys[number] for number in there if number < len(keys)]
    store = _Keys(keys, size=size, follows=follows)
    assert asyncio.run(store.listed(_likely(likely))) == keys


_MANY = [f"{number:04}" for number in range(2000)]
_APART = _MANY[94::95]  # for pages of a hundred


async def test_pages_come_side_by_side() -> None:
    store = _Keys(_MANY, size=100)
    store.first.clear()
    listing = asyncio.create_task(store.listed(_likely(_APART)))
    for _ in range(200):
        await asyncio.sleep(0)
    assert len(store.asked) == 4  # a few are on their way before the first is there
    store.first.set()
    assert await listing == _MANY
    assert [query.get("start-after") for query in store.asked] == [None, *_APART]
    assert not any("continuation-token" in query for query in store.asked)


async def test_a_name_that_is_no_text_is_no_key() -> None:
    store = _Keys(_MANY, size=100)
    store.first.clear()
    listing = asyncio.create_task(store.listed(_likely(["0050\udcff", *_APART])))
    for _ in range(200):
        await asyncio.sleep(0)
    store.first.set()
    assert await listing == _MANY
    assert [query.get("start-after") for query in store.asked] == [None, *_APART]


async def test_after_the_last_page_nothing_is_waited_for() -> None:
    store = _Keys(_MANY[:97], size=100)
    store.first.clear()
    store.further.clear()
    listing = asyncio.create_task(store.listed(_likely(_APART)))
    for _ in range(200):
        await asyncio.sleep(0)
    assert len(store.asked) == 4
    store.first.set()
    async with asyncio.timeout(10):
        assert await listing == _MANY[:97]


async def test_what_is_likely_elsewhere_is_not_asked_for_long() -> None:
    store = _Keys(_MANY, size=100)
    elsewhere = [f"{key}x" for key in _MANY[::5]]
    assert await store.listed(_likely(elsewhere)) == _MANY
    assert len(store.asked) <= 20 + 6


async def test_one_that_fails_is_asked_for_in_its_turn() -> None:
    store = _Keys(_MANY, size=100)
    store.failing = True
    assert await store.listed(_likely(_APART)) == _MANY


async def test_leaving_ends_what_is_on_its_way() -> None:
    store = _Keys(_MANY, size=100)
    listing = answers(store.ask, {"prefix": ""}, bucket="box", likely=_likely(_APART))
    await anext(listing)
    await listing.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}
