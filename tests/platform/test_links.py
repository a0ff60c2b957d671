"""Signed URLs: exact bytes for whoever has one, nothing for whoever changed one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from neuro_sdk._core.models import Bucket
from neuro_sdk._platform.service import EmbeddedPlatform
from neuro_sdk.errors import BucketNotFound

from .opening import SCOPE, open_local, open_platform

BODY = bytes(range(256)) * 40


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[EmbeddedPlatform]:
    async with open_platform(tmp_path / "home") as platform:
        yield platform


@pytest.fixture
async def bucket(platform: EmbeddedPlatform) -> Bucket:
    return await platform.create_bucket("photos", SCOPE)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def put(platform: EmbeddedPlatform, bucket: Bucket, key: str, body: bytes) -> None:
    provider = open_local(bucket, await platform.bucket_credentials(bucket))
    await provider.put(key, body)
    await provider.close()


async def signed(
    platform: EmbeddedPlatform, bucket: Bucket, key: str = "a.bin", body: bytes = BODY
) -> URL:
    await put(platform, bucket, key, body)
    return await platform.sign_url(bucket, key, 60)


async def get(
    session: aiohttp.ClientSession, url: URL, method: str = "GET", **headers: str
) -> tuple[int, Any, bytes]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    async with session.request(method, url, headers=names) as response:
        return response.status, response.headers, await response.read()


class TestWhole:
    async def test_the_bytes_are_exact(
        self, platform: EmbeddedPlatform, bucket: Bucket, session: aiohttp.ClientSession
    ) -> None:
        for size in (0, 1, 3_000_001):
            body = os.urandom(size)
            url = await signed(platform, bucket, f"{size}.bin", body)
            status, headers, got = await get(session, url)
            assert (status, got) == (200, body)
            assert headers["Content-Length"] == str(size)
            assert headers["Accept-Ranges"] == "bytes"
            assert headers["ETag"].startswith('"')
            modified = parsedate_to_datetime(headers["Last-Modified"])
            assert abs(modified.timestamp() - time.time()) < 60

    async def test_head_tells_the_same_without_the_bytes(
        self, platform: EmbeddedPlatform, bucket: Bucket, session: aiohttp.ClientSession
    ) -> None:
        url = await signed(platform, bucket)
        told = []
        for method in ("GET", "HEAD"):
            status, headers, body = await get(session, url, method)
            assert status == 200
            told.append({name: headers[name] for name in headers if name != "Date"})
        assert told[0] == told[1]
        assert body == b""
        assert (await get(session, url))[2] == BODY  # the connection is still in step

    async def test_a_bare_client_can_read(self, platform: EmbeddedPlatform, bucket: Bucket) -> None:
        url = str(await signed(platform, bucket, "deep/a b+c%20?#ü.txt"))

        def read() -> bytes:
            with urllib.request.urlopen(url, timeout=10) as response:
                body: bytes = response.read()
                return body

        assert await asyncio.to_thread(read) == BODY

    @pytest.mark.parametrize(
        "key",
        [
            "a b",
            "100%",
            "a%2Fb",
            "a%20b",
            "q?x=1&y=2",
            "a#b",
            "a+b",
            "a;b=c",
            "ü/é",
            "e\u0301",
            "🦄/✓",
            "a\\b",
            "new\nline",
            'quo"te',
            "'",
            "~home",
            "a:b@c",
            "[x]{y}|<z>",
            "...",
            "a/...b/c",
            "d" * 200 + "/" + "ü" * 100,
        ],
    )
    async def test_any_key_will_do(
        self, platform: EmbeddedPlatform, bucket: Bucket, session: aiohttp.ClientSession, key: str
    ) -> None:
        url = await signed(platform, bucket, key, key.encode())
        status, headers, body = await get(session, url)
        assert (status, body) == (200, key.encode())
        assert "\n" not in headers["Content-Disposition"]

    @pytest.mark.parametrize(
        ("key", "kind"),
        [
            ("a.html", "text/html"),
            ("a.PNG", "image/png"),
            ("a.tar.gz", "application/octet-stream"),
            ("a", "application/octet-stream"),
            ("data:,x.css", "text/css"),
        ],
    )
    async def test_a_page_cannot_run_here(
        self,
        platform: EmbeddedPlatform,
        bucket: Bucket,
        session: aiohttp.ClientSession,
        key: str,
        kind: str,
    ) -> None:
        _, headers, _ = await get(session, await signed(platform, bucket, key, b"x"))
        assert headers["Content-Type"] == kind
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''")


class TestRanges:
    @pytest.mark.parametrize(
        ("asked", "start", "stop"),
        [
            ("bytes=0-0", 0, 1),
            ("bytes=10-19", 10, 20),
            ("bytes=100-", 100, len(BODY)),
            ("bytes=-7", len(BODY) - 7, len(BODY)),
            ("bytes=-99999999", 0, len(BODY)),
            ("bytes=10-99999999", 10, len(BODY)),
        ],
    )
    async def test_a_part(
        self,
        platform: EmbeddedPlatform,
        bucket: Bucket,
        session: aiohttp.ClientSession,
        asked: str,
        start: int,
        stop: int,
    ) -> None:
        url = await signed(platform, bucket)
        status, headers, body = await get(session, url, Range=asked)
        assert (status, body) == (206, BODY[start:stop])
        assert headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(BODY)}"
        status, same, body = await get(session, url, "HEAD", Range=asked)
        assert (status, body) == (206, b"")
        assert same["Content-Length"] == str(stop - start)

    @pytest.mark.parametrize(
        "asked", [f"bytes={len(BODY)}-", "bytes=99999999-999999999", "bytes=-0"]
    )
    async def test_outside(
        self, platform: EmbeddedPlatform, bucket: Bucket, session: aiohttp.ClientSession, asked: str
    ) -> None:
        status, headers, _ = await get(session, await signed(platform, bucket), Range=asked)
        assert status == 416
        assert headers["Content-Range"] == f"bytes */{len(BODY)}"

    async def test_nothing_has_no_parts(
        self, platform: EmbeddedPlatform, bucket: Bucket, session: aiohttp.ClientSession
    ) -> None:
        url = await signed(platform, bucket, "empty", b"")
        for asked in ("bytes=0-", "bytes=0-0", "bytes=-1"):
            assert (await get(session, url, Range=asked))[0] == 416

    @pytest.mark.parametrize(
        "asked",
        [
            "bytes=-",
            "bytes=5-2",
            "bytes=0-1,4-5",
            "lines=1-2",
            "bytes=a-b",
            "",
            "bytes=\u0661-",
            f"bytes={'9' * 5000}-",
        ],
    )
    async def test_what_is_no_range_gives_the_whole(
        self, platform: EmbeddedPlatform, bucket: Bucket, session: aiohttp.ClientSession, asked: str
    ) -> None:
        status, _, body = await get(session, await signed(platform, bucket), Range=asked)
        assert (status, body) == (200, BODY)

    async def test_a_part_of_another_version_gives_the_whole(
        self, platform: EmbeddedPlatform, bucket: Bucket, session: aiohttp.ClientSession
    ) -> None:
        url = await signed(platform, bucket)
        tag = (await get(session, url, "HEAD"))[1]["ETag"]
        assert (await get(session, url, Range="bytes=5-", If_Range=tag))[0] == 206
        await put(platform, bucket, "a.bin", BODY[::-1] + b"more")
        status, _, body = await get(session, url, Range="bytes=5-", If_Range=tag)
        assert (status, body) == (200, BODY[::-1] + b"more")


class TestRefusal:
    async def test_what_was_changed_is_refused(
        self, platform: EmbeddedPlatform, bucket: Bucket, session: aiohttp.ClientSession
    ) -> None:
        url = await signed(platform, bucket)
        other = await platform.create_bucket(None, SCOPE)
        await put(platform, bucket, "b.bin", b"secret")
        await put(platform, other, "a.bin", b"secret")
        text, expires, signature = str(url), url.query["expires"], url.query["signature"]
        changed = [
            text.replace("a.bin", "b.bin"),
            text.replace(bucket.id, other.id),
            text.replace(f"expires={expires}", f"expires={int(expires) + 1}"),
            text.replace(f"expires={expires}", f"expires=0{expires}"),
            text.replace(f"expires={expires}", "expires="),
            text.replace(signature, signature[:-1] + ("0" if signature[-1] != "0" else "1")),
            text.replace(signature, signature.upper()),
            text.replace(signature, ""),
            text.replace(signature, "%C3%BC%00"),
            text.replace("a.bin", "%FF"),
            text.replace("/a.bin", ""),
            text.replace("/a.bin", "/../a.bin"),
            text.partition("?")[0],
            str(url.origin()) + "/",
        ]
        for wrong in changed:
            status, _, body = await get(session, URL(wrong, encoded=True))
            assert (status, b"secret" in body) == (403, False), wrong
        assert (await get(session, url))[0] == 200

    async def test_it_expires(
        self, platform: EmbeddedPlatform, bucket: Bucket, session: aiohttp.ClientSession
    ) -> None:
        await put(platform, bucket, "a", b"data")
        begun = time.time()
        url = await platform.sign_url(bucket, "a", 1)
        assert (await get(session, url))[0] == 200
        assert begun + 1 <= int(url.query["expires"]) < begun + 2.5
        await asyncio.sleep(int(url.query["expires"]) - time.time() + 0.02)
        assert (await get(session, url))[0] == 403

    @pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "OPTIONS", "PATCH"])
    async def test_it_only_reads(
        self,
        platform: EmbeddedPlatform,
        bucket: Bucket,
        session: aiohttp.ClientSession,
        method: str,
    ) -> None:
        url = await signed(platform, bucket)
        status, headers, _ = await get(session, url, method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD")
        assert (await get(session, url))[2] == BODY

    async def test_what_is_gone_is_not_found(
        self, platform: EmbeddedPlatform, bucket: Bucket, session: aiohttp.ClientSession
    ) -> None:
        url = await signed(platform, bucket)
        absent = [await platform.sign_url(bucket, key, 60) for key in ("b", "a.bin/b", "deep")]
        await put(platform, bucket, "deep/er", b"data")
        for link in absent:
            assert (await get(session, link))[0] == 404
            assert (await get(session, link, "HEAD"))[0] == 404
        await platform.delete_bucket(bucket, force=True)
        assert (await get(session, url))[0] == 404

    async def test_another_client_does_not_honour_it(
        self,
        platform: EmbeddedPlatform,
        bucket: Bucket,
        session: aiohttp.ClientSession,
        tmp_path: Path,
    ) -> None:
        url = await signed(platform, bucket)
        async with open_platform(tmp_path / "home") as other:
            port = (await other.sign_url(bucket, "a.bin", 60)).port
            assert (await get(session, url.with_port(port)))[0] == 403


class TestServer:
    async def test_it_listens_on_this_machine_only_and_only_when_asked(
        self, platform: EmbeddedPlatform, bucket: Bucket
    ) -> None:
        assert platform._links._runner is None
        links = [platform.sign_url(bucket, "a", 60) for _ in range(5)]
        urls = await asyncio.gather(*links)
        assert {url.host for url in urls} == {"127.0.0.1"}
        assert len({url.port for url in urls}) == 1

    async def test_no_log_tells_the_signature(
        self,
        platform: EmbeddedPlatform,
        bucket: Bucket,
        session: aiohttp.ClientSession,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level("DEBUG")
        url = await signed(platform, bucket)
        await get(session, url)
        assert url.query["signature"] not in caplog.text

    async def test_closing_does_not_wait_for_a_download(
        self, tmp_path: Path, session: aiohttp.ClientSession
    ) -> None:
        async with open_platform(tmp_path / "home") as platform:
            bucket = await platform.create_bucket(None, SCOPE)
            url = await signed(platform, bucket, "big", bytes(32 << 20))
            response = await session.get(url)
            assert await response.content.readexactly(1000) == bytes(1000)
            begun = time.monotonic()
        assert time.monotonic() - begun < 5
        with pytest.raises(aiohttp.ClientError):
            await response.read()
        response.close()
        with pytest.raises(aiohttp.ClientError):
            await get(session, url)

    async def test_a_blob_that_shrinks_is_no_whole_answer(
        self,
        platform: EmbeddedPlatform,
        bucket: Bucket,
        session: aiohttp.ClientSession,
        tmp_path: Path,
    ) -> None:
        url = await signed(platform, bucket, "big", bytes(32 << 20))
        async with session.get(url) as response:
            await response.content.readexactly(1000)
            os.truncate(tmp_path / "home" / "blobs" / bucket.id / "big", 8 << 20)
            with pytest.raises(aiohttp.ClientError):
                await response.read()

    async def test_a_blob_replaced_meanwhile_is_never_mixed(
        self, platform: EmbeddedPlatform, bucket: Bucket, session: aiohttp.ClientSession
    ) -> None:
        url = await signed(platform, bucket, "big", b"a" * (32 << 20))
        async with session.get(url) as response:
            first = await response.content.readexactly(1000)
            await put(platform, bucket, "big", b"b" * (32 << 20))
            with contextlib.suppress(aiohttp.ClientError):
                assert set(first + await response.read()) == {ord("a")}

    async def test_a_removed_bucket_cannot_be_signed(
        self, platform: EmbeddedPlatform, bucket: Bucket
    ) -> None:
        await platform.delete_bucket(bucket)
        with pytest.raises(BucketNotFound):
            await platform.sign_url(bucket, "a", 60)

    async def test_many_at_once(
        self, platform: EmbeddedPlatform, bucket: Bucket, session: aiohttp.ClientSession
    ) -> None:
        url = await signed(platform, bucket)
        answers = await asyncio.gather(*[get(session, url) for _ in range(40)])
        assert all(body == BODY for _, _, body in answers)

    async def test_a_wrong_link_in_a_bare_client(
        self, platform: EmbeddedPlatform, bucket: Bucket
    ) -> None:
        url = str(await signed(platform, bucket)) + "0"

        def read() -> int:
            try:
                with urllib.request.urlopen(url, timeout=10) as response:
                    status: int = response.status
                    return status
            except urllib.error.HTTPError as error:
                with error:
                    return error.code

        assert await asyncio.to_thread(read) == 403
