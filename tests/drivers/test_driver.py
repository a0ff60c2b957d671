"""The file-like API of a driver, at each place."""

from __future__ import annotations

import hashlib
import io
import os
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from neuro_sdk import (
    BlobChanged,
    BlobIsADirectory,
    BlobNotFound,
    ClientClosed,
    ClientStateError,
    IllegalArgumentError,
    InvalidKey,
    NotSupportedError,
)
from neuro_sdk.drivers import OpendalDriver, PresignedRequest

from .conftest import Place

BIG = os.urandom(1 << 20) * 11


async def test_what_is_written_is_read(driver: OpendalDriver, tmp_path: Path) -> None:
    await driver.write_bytes("a/ü b%20?.bin", b"hello")
    assert await driver.read_bytes("a/ü b%20?.bin") == b"hello"
    assert await driver.hash("a/ü b%20?.bin", "md5") == "5d41402abc4b2a76b9719d911017c592"
    digest = hashlib.sha256(b"hello").hexdigest()
    assert await driver.hash("a/ü b%20?.bin", "sha256") == digest

    (tmp_path / "big").write_bytes(BIG)
    await driver.write_from_path("big", tmp_path / "big")
    await driver.read_into_path("big", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == BIG
    found = await driver.stat("big")
    assert found.mode.is_file()
    assert not found.mode.is_dir()
    assert found.content_length == len(BIG)


async def test_streams_are_written(driver: OpendalDriver) -> None:
    async def body() -> AsyncIterator[bytes]:
        for at in range(0, len(BIG), 1 << 20):
            yield BIG[at : at + (1 << 20)]

    await driver.write_bytes("stream", body())
    assert await driver.read_bytes("stream") == BIG


async def test_files_are_read_and_sought(driver: OpendalDriver) -> None:
    await driver.write_bytes("file", BIG)
    async with driver.open("file", "rb") as file:
        assert (file.readable(), file.writable(), file.seekable()) == (True, False, True)
        assert await file.read(5) == BIG[:5]
        assert await file.tell() == 5
        assert await file.seek(-7, os.SEEK_END) == len(BIG) - 7
        assert await file.read() == BIG[-7:]
        assert await file.read(1) == b""
        assert await file.seek(3 << 20) == 3 << 20
        assert await file.seek(4, os.SEEK_CUR) == (3 << 20) + 4
        assert await file.read(2 << 20) == BIG[(3 << 20) + 4 : (5 << 20) + 4]
        with pytest.raises(io.UnsupportedOperation, match="opened to read"):
            await file.write(b"x")
        with pytest.raises(IllegalArgumentError, match="before the start"):
            await file.seek(-1)
    assert file.closed
    with pytest.raises(ValueError, match="is closed"):
        await file.read()


async def test_text_is_decoded_by_characters(driver: OpendalDriver) -> None:
    text = "grüße\r\n🎈 und mehr\n" * 3
    async with driver.open("text", "w") as file:
        assert await file.write(text) == len(text)
    assert await driver.read_bytes("text") == text.encode()
    async with driver.open("text", "r") as file:
        assert await file.read(8) == text[:8]
        assert await file.tell() == len(text[:8].encode())
        assert await file.read() == text[8:]
        assert await file.read() == ""
        await file.seek(0)
        assert await file.read() == text
    with pytest.raises(TypeError, match="takes str"):
        async with driver.open("text", "w") as file:
            await file.write(b"bytes")
    assert await driver.read_bytes("text") == text.encode()


async def test_writing_may_go_back(driver: OpendalDriver) -> None:
    async with driver.open("file", "wb") as file:
        await file.write(b"hello world")
        await file.seek(0)
        await file.write(b"H")
        await file.seek(0, os.SEEK_END)
        await file.write(b"!")
    assert await driver.read_bytes("file") == b"Hello world!"


async def test_appending_adds(driver: OpendalDriver) -> None:
    async with driver.open("log", "ab") as file:
        await file.write(b"one,")
    async with driver.open("log", "a") as file:
        assert await file.tell() == 4
        assert not file.seekable()
        await file.write("zwei")
        with pytest.raises(io.UnsupportedOperation, match="append"):
            await file.seek(0)
    assert await driver.read_bytes("log") == b"one,zwei"
    async with driver.open("log", "ab") as file:
        await file.write(BIG)
    assert await driver.read_bytes("log") == b"one,zwei" + BIG


@pytest.mark.parametrize("mode", ["wb", "ab"])
@pytest.mark.parametrize("size", [10, len(BIG)])
async def test_a_block_that_fails_publishes_nothing(
    driver: OpendalDriver, mode: str, size: int
) -> None:
    await driver.write_bytes("kept", b"as it was")
    for path in ("kept", "new"):
        with pytest.raises(ZeroDivisionError):
            async with driver.open(path, mode) as file:
                await file.write(BIG[:size])
                raise ZeroDivisionError
        assert file.closed
    assert await driver.read_bytes("kept") == b"as it was"
    assert not await driver.exists("new")
    assert [path async for path in driver.scan()] == ["kept"]


async def test_a_body_that_fails_publishes_nothing(driver: OpendalDriver) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(12):
            yield BIG[: 1 << 20]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await driver.write_bytes("new", body())
    assert not await driver.exists("new")


async def test_a_file_is_of_one_version(driver: OpendalDriver, place: Place) -> None:
    if place.scheme == "memory":
        pytest.skip("memory: its blobs have neither tags nor times")
    await driver.write_bytes("file", BIG)
    async with driver.open("file") as file:
        await file.read(1)
        await driver.write_bytes("file", BIG[::-1])
        with pytest.raises(BlobChanged):
            while await file.read(1 << 20):
                pass


async def test_directories_are_made_listed_and_removed(driver: OpendalDriver) -> None:
    await driver.create_dir("dir/empty/")
    await driver.create_dir("plain")
    await driver.write_bytes("dir/file", b"1")
    await driver.write_bytes("dir/deep/er", b"2")
    await driver.write_bytes("dir2", b"3")
    assert sorted([path async for path in driver.list()]) == ["dir/", "dir2", "plain/"]
    assert sorted([path async for path in driver.list("dir")]) == [
        "dir/deep/",
        "dir/empty/",
        "dir/file",
    ]
    assert [path async for path in driver.list("dir2")] == ["dir2"]
    assert [path async for path in driver.list("nothing/")] == []
    assert sorted([path async for path in driver.scan("dir/")]) == [
        "dir/deep/er",
        "dir/empty/",
        "dir/file",
    ]
    for path in ("dir", "dir/", "dir/empty/", "dir/deep", "", "/"):
        assert (await driver.stat(path)).mode.is_dir(), path
        assert await driver.exists(path)
    assert not await driver.exists("di")
    with pytest.raises(BlobIsADirectory):
        await driver.read_bytes("dir")
    await driver.remove_all("dir")
    assert sorted([path async for path in driver.scan("/")]) == ["dir2", "plain/"]
    await driver.remove_all("never/there/")
    await driver.delete("never")
    await driver.remove_all("/")
    assert [path async for path in driver.scan("/")] == []


async def test_files_and_directories_are_copied_and_renamed(driver: OpendalDriver) -> None:
    await driver.write_bytes("a", b"1")
    await driver.copy("a", "b")
    await driver.rename("b", "c/d")
    assert [path async for path in driver.scan()] == ["a", "c/d"]
    await driver.create_dir("c/empty/")
    await driver.copy("c", "e/")
    await driver.rename("e", "f")
    found = {path async for path in driver.scan()}
    assert found == {"a", "c/d", "c/empty/", "f/d", "f/empty/"}
    assert await driver.read_bytes("f/d") == b"1"
    for source, target in (("a", "a"), ("c", "c/inside"), ("c/", "c")):
        with pytest.raises(IllegalArgumentError):
            await driver.rename(source, target)
    with pytest.raises(BlobNotFound):
        await driver.rename("nothing", "x")
    assert {path async for path in driver.scan()} == found


@pytest.mark.parametrize("path", ["../out", "/lead", "a//b", "a/../../b", "", " a", "dir/"])
async def test_paths_that_would_be_others_are_refused(driver: OpendalDriver, path: str) -> None:
    with pytest.raises(InvalidKey):
        await driver.write_bytes(path, b"x")
    with pytest.raises(InvalidKey):
        await driver.open(path, "wb")
    with pytest.raises((InvalidKey, BlobNotFound)):
        await driver.copy(path, "x")
    with pytest.raises(InvalidKey):
        await driver.presign_read(path)
    assert await driver.get_created_resources() == set()
    assert [path async for path in driver.scan()] == []


async def test_what_is_signed_is_good_for_what_it_says(driver: OpendalDriver, place: Place) -> None:
    can = await driver.capability()
    assert can.presign == (place.scheme in ("s3", "azblob"))
    if not can.presign:
        for sign in (driver.presign_read, driver.presign_stat, driver.presign_write):
            with pytest.raises(NotSupportedError, match="signs no requests"):
                await sign("a/ü b", 60)
        return
    assert _send(await driver.presign_write("a/ü b", 60), b"by anybody") == b""
    assert await driver.read_bytes("a/ü b") == b"by anybody"
    reading = await driver.presign_read("a/ü b", 60)
    assert reading.method == "GET"
    assert _send(reading) == b"by anybody"
    assert "http" not in repr(reading)
    assert _send(await driver.presign_stat("a/ü b", 60)) == b""
    with pytest.raises(urllib.error.HTTPError):
        _send(reading.model_copy(update={"method": "PUT"}), b"forged")
    with pytest.raises(IllegalArgumentError, match="604800"):
        await driver.presign_read("a", 604_801)
    assert await driver.read_bytes("a/ü b") == b"by anybody"


def _send(request: PresignedRequest, body: bytes | None = None) -> bytes:
    sent = urllib.request.Request(
        request.url, data=body, method=request.method, headers=request.headers
    )
    with urllib.request.urlopen(sent, timeout=20) as answer:
        data: bytes = answer.read()
    return data


async def test_what_is_closed_says_so(place: Place) -> None:
    driver = place.driver()
    with pytest.raises(ClientStateError, match=r"await connect\(\)"):
        await driver.read_bytes("a")
    await driver.connect()
    await driver.connect()
    await driver.write_bytes("a", b"1")
    file = await driver.open("b", "wb")
    await file.write(b"2")
    await driver.close()
    await driver.close()
    with pytest.raises(ClientClosed):
        await driver.read_bytes("a")
    with pytest.raises(ClientClosed):
        await file.close()
    with pytest.raises(ClientClosed):
        await driver.connect()


async def test_wrong_arguments_are_named(driver: OpendalDriver) -> None:
    with pytest.raises(IllegalArgumentError, match="'rw'"):
        await driver.open("a", "rw")
    with pytest.raises(IllegalArgumentError, match="'crc'"):
        await driver.hash("a", "crc")
    for path in ("a", "a/"):
        with pytest.raises(BlobNotFound):
            await driver.stat(path)
    with pytest.raises(BlobNotFound):
        await driver.open("a")
