"""What a session has made: the document's words, and what holds beyond them."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

import neuro_sdk
from neuro_sdk import (
    AuthorizationError,
    BlobNotFound,
    BucketHandle,
    Client,
    ClientClosed,
    LocalNotFound,
    NotSupportedError,
    TransferError,
)
from neuro_sdk._core.created import Created, may_be_there, removal_order
from neuro_sdk._core.places import place_id
from neuro_sdk.drivers import OpendalDriver
from neuro_sdk.errors import KeyConflict, StorageTimeout

from .conftest import Place

Journals = Callable[[], list[Path]]


async def _scan(driver: OpendalDriver) -> set[str]:
    return {path async for path in driver.scan()}


async def test_what_counts_as_made(driver: OpendalDriver, tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(b"x")
    async with driver.open("opened/wb", "wb"):
        assert await driver.get_created_resources() == {"opened/wb"}
    for mode in ("w", "ab", "a"):
        async with driver.open(f"opened/{mode}", mode):
            pass
    await driver.create_dir("made/")
    await driver.write_bytes("bytes", b"1")
    await driver.write_from_path("path", tmp_path / "local")
    await driver.copy("bytes", "copied")
    await driver.copy("opened/", "tree/")
    await driver.rename("path", "renamed")
    created = await driver.get_created_resources()
    assert created == {
        *(f"opened/{mode}" for mode in ("wb", "w", "ab", "a")),
        *(f"tree/{mode}" for mode in ("wb", "w", "ab", "a")),
        *("tree/", "made/", "bytes", "copied", "renamed"),
    }
    await driver.read_bytes("bytes")
    async with driver.open("bytes", "rb"):
        pass
    assert await driver.get_created_resources() == created

    await driver.delete("bytes")
    await driver.remove_all("opened")
    await driver.rename("tree", "moved")
    assert await driver.get_created_resources() == {
        *(f"moved/{mode}" for mode in ("wb", "w", "ab", "a")),
        *("moved/", "made/", "copied", "renamed"),
    }


async def test_a_write_that_is_given_up_made_nothing(driver: OpendalDriver) -> None:
    with pytest.raises(ZeroDivisionError):
        async with driver.open("file", "wb") as file:
            await file.write(b"x")
            raise ZeroDivisionError
    assert await driver.get_created_resources() == set()


async def test_what_was_made_is_removed_and_nothing_else(place: Place, journals: Journals) -> None:
    if place.scheme == "memory":
        pytest.skip("memory: what it held is gone with the driver")
    async with place.driver() as before:
        await before.write_bytes("theirs/file", b"1")
        await before.write_bytes("theirs/over", b"1")
    async with place.driver(remove_created_on_close=True) as driver:
        await driver.create_dir("mine/dir/")
        await driver.write_bytes("mine/dir/file", b"2")
        await driver.write_bytes("theirs/mine", b"2")
        await driver.write_bytes("theirs/over", b"2")
        await driver.copy("theirs/", "copy/")
        await driver.create_dir("shared/")
        assert len(journals()) == 1
        async with place.driver() as other:
            await other.write_bytes("shared/theirs", b"3")
            await other.write_bytes("mine2", b"3")
    async with place.driver() as after:
        assert await _scan(after) == {"theirs/file", "shared/theirs", "mine2"}
    assert journals() == []


async def test_nothing_is_removed_by_default(place: Place, journals: Journals) -> None:
    if place.scheme == "memory":
        pytest.skip("memory: what it held is gone with the driver")
    async with place.driver() as driver:
        await driver.write_bytes("a", b"1")
        assert journals() == []
    async with place.driver() as after:
        assert await _scan(after) == {"a"}


async def test_nothing_of_ours_stays_in_a_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    async with OpendalDriver("fs", {"root": str(root)}, remove_created_on_close=True) as driver:
        await driver.create_dir("test/directory/")
        await driver.write_bytes("test/directory/file", b"hello")
        assert (root / "test/directory/file").read_bytes() == b"hello"
    assert list(root.iterdir()) == []


async def test_the_folder_is_never_left(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"theirs")
    async with OpendalDriver("fs", {"root": str(root)}, remove_created_on_close=True) as driver:
        (root / "link").symlink_to(outside)
        (root / "file").symlink_to(outside / "file")
        await driver.write_bytes("file", b"mine")
    assert (outside / "file").read_bytes() == b"theirs"


async def test_an_error_of_the_block_is_the_one_that_is_raised(tmp_path: Path) -> None:
    folder = tmp_path / "root"
    with pytest.raises(ZeroDivisionError) as caught:
        async with OpendalDriver("fs", {"root": str(folder)}, True) as driver:
            await driver.write_bytes("b", b"1")
            folder.rename(tmp_path / "elsewhere")
            raise ZeroDivisionError
    assert any("when the session was closed" in note for note in caught.value.__notes__)


async def test_what_cannot_be_removed_is_named_and_tried_again(
    tmp_path: Path, journals: Journals, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "root"
    place = Place("fs", {"root": str(root)})
    driver = await place.driver(remove_created_on_close=True).connect()
    for name in ("a/1", "b/2", "c/3"):
        await driver.write_bytes(name, b"x")
    # What stands in the way of a removal, for root too: a folder in the file's place.
    (root / "b" / "2").unlink()
    (root / "b").rmdir()
    (root / "b").symlink_to(root / "b")
    with pytest.raises(TransferError, match="'b/2'") as caught:
        await driver.close()
    assert [path for path, _ in caught.value.failures] == ["b/2"]
    assert caught.value.done == 2
    assert not (root / "a/1").exists()
    assert not (root / "c/3").exists()
    assert len(journals()) == 1

    with caplog.at_level(logging.WARNING, "neuro_sdk.session"):
        async with place.driver(remove_created_on_close=True):
            assert "'b/2'" in caplog.text
    assert len(journals()) == 1
    (root / "b").unlink()
    (root / "b").mkdir()
    (root / "b" / "2").write_bytes(b"x")
    async with place.driver(remove_created_on_close=True):
        assert not (root / "b/2").exists()
    assert journals() == []


_KILLED = """
import asyncio, json, os, signal, sys
from neuro_sdk.drivers import OpendalDriver

async def main():
    driver = OpendalDriver(sys.argv[1], json.loads(sys.stdin.read()), True)
    await driver.connect()
    await driver.create_dir("dir/")
    await driver.write_bytes("dir/file", b"1")
    await driver.write_bytes("gone", b"1")
    await driver.delete("gone")
    async with driver.open("half", "wb") as file:
        await file.write(b"2")
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_after_a_kill_the_next_session_finishes(place: Place, journals: Journals) -> None:
    if place.scheme == "memory":
        pytest.skip("memory: what it held is gone with the process")
    killed = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", _KILLED, place.scheme],
        input=json.dumps(place.kwargs),
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (journal,) = journals()
    assert journal.stat().st_mode & 0o777 == 0o600
    told = journal.read_text()
    assert '"half"' in told
    for name in ("secret_access_key", "account_key", "access_key_id", "token"):
        assert str(place.kwargs.get(name, "not there")) not in told

    async with place.driver() as driver:  # one that does not tidy up leaves the journal alone
        assert await _scan(driver) == {"dir/", "dir/file"}
        await driver.write_bytes("other", b"1")
    assert journals() == [journal]
    async with place.driver(remove_created_on_close=True) as driver:
        assert await _scan(driver) == {"other"}
        assert await driver.get_created_resources() == set()
    assert journals() == []


async def test_a_session_that_lives_keeps_what_it_made(tmp_path: Path) -> None:
    place = Place("fs", {"root": str(tmp_path / "root")})
    async with place.driver(remove_created_on_close=True) as first:
        await first.write_bytes("first", b"1")
        async with place.driver(remove_created_on_close=True) as second:
            await second.write_bytes("second", b"1")
            assert await _scan(second) == {"first", "second"}
        assert await _scan(first) == {"first"}


async def test_a_cut_line_of_a_journal_is_no_path(tmp_path: Path, journals: Journals) -> None:
    root = tmp_path / "root"
    place = Place("fs", {"root": str(root)})
    driver = await place.driver(remove_created_on_close=True).connect()
    await driver.write_bytes("mine", b"1")
    (root / "m").write_bytes(b"theirs")
    (journal,) = journals()
    text = journal.read_text() + '{"made": "../../etc"}\n{"made": "m'
    await driver.close()
    journal.parent.mkdir(exist_ok=True)
    journal.write_text(text)
    (root / "mine").write_bytes(b"left")
    async with place.driver(remove_created_on_close=True) as after:
        assert await _scan(after) == {"m"}


async def test_sessions_on_buckets(anywhere: Client, box: BucketHandle, journals: Journals) -> None:
    await box.put_blob("theirs", b"1")
    buckets = anywhere.buckets
    async with buckets.session("box", remove_created_on_close=True) as session:
        await session.write_bytes("mine/1", b"2")
        async with session.open("mine/2", "w") as file:
            await file.write("text")
        await session.create_dir("mine/dir/")
        await session.rename("mine/2", "mine/3")
        assert await session.get_created_resources() == {"mine/1", "mine/3", "mine/dir/"}
        assert await session.hash("mine/1", "md5") == "c81e728d9d4c2f636f067f89cc14862c"
        assert (await session.stat("mine/3")).content_length == 4
        assert len(journals()) == 1
    assert [entry.key async for entry in box.list_blobs(recursive=True)] == ["theirs"]
    assert journals() == []
    session = await box.session()
    await session.write_bytes("kept", b"3")
    await session.close()
    assert (await box.head_blob("kept")).size == 1


async def test_a_bucket_signs_reads(client: Client) -> None:
    await client.buckets.create("tests")
    async with client.buckets.session("tests") as session:
        await session.write_bytes("a", b"1")
        can = await session.capability()
        assert (can.presign_read, can.presign_write) == (True, False)
        signed = await session.presign_read("a", 60)
        async with aiohttp.ClientSession() as http, http.get(signed.url) as answer:
            assert await answer.read() == b"1"
        with pytest.raises(NotSupportedError, match="OpendalDriver"):
            await session.presign_write("a", 60)


async def test_a_session_whose_client_is_closed_leaves_its_journal(
    home: Path, journals: Journals
) -> None:
    async with neuro_sdk.local(home) as client:
        await client.buckets.create("tests")
        session = await client.buckets.session("tests", remove_created_on_close=True)
        await session.write_bytes("a", b"1")
    with pytest.raises(ClientClosed):
        await session.close()
    assert len(journals()) == 1
    async with (
        neuro_sdk.local(home) as client,
        client.buckets.session("tests", remove_created_on_close=True) as session,
    ):
        assert not await session.exists("a")
    assert journals() == []


async def test_a_failed_write_does_not_cost_the_file_that_was_there(tmp_path: Path) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"half"
        raise ZeroDivisionError

    place = Place("fs", {"root": str(tmp_path / "root")})
    async with place.driver() as before:
        for name in ("body", "path", "copied", "opened"):
            await before.write_bytes(name, b"theirs")
    async with place.driver(remove_created_on_close=True) as driver:
        with pytest.raises(ZeroDivisionError):
            await driver.write_bytes("body", failing())
        with pytest.raises(LocalNotFound):
            await driver.write_from_path("path", tmp_path / "nothing")
        with pytest.raises(BlobNotFound):
            await driver.copy("nothing", "copied")
        with pytest.raises(ZeroDivisionError):
            async with driver.open("opened", "ab") as file:
                await file.write(b"x")
                raise ZeroDivisionError
        async with driver.open("body", "rb"):
            pass
        with pytest.raises(KeyConflict):  # a file stands where a folder is needed
            async with driver.open("body/below", "wb") as file:
                await file.write(b"x")
        assert await driver.get_created_resources() == set()
    async with place.driver() as after:
        assert await _scan(after) == {"body", "path", "copied", "opened"}


async def test_calls_under_way_end_before_the_removal(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"x" * (2 << 20)
        begun.set()
        await asyncio.sleep(60)

    place = Place("fs", {"root": str(tmp_path / "root")})
    driver = await place.driver(remove_created_on_close=True).connect()
    await driver.write_bytes("done", b"1")
    writing = asyncio.create_task(driver.write_bytes("slow", slow()))
    await begun.wait()
    await driver.close()
    with pytest.raises(ClientClosed):
        await writing
    assert list((tmp_path / "root").iterdir()) == []


def test_paths_are_told_apart_by_directories() -> None:
    created = Created(["logs", "logs/", "logs/a", "logs2", "logs2/b", "x"])
    assert sorted(created.discard_tree("logs/")) == ["logs/", "logs/a"]
    assert sorted(created) == ["logs", "logs2", "logs2/b", "x"]
    assert created.discard_tree("logs") == ["logs"]
    assert created.discard_tree("logs2/b/") == []
    assert created.discard("x") == ["x"]
    assert created.discard("x") == []
    assert not created.add("logs2")


def test_files_go_before_the_directories_that_hold_them() -> None:
    order = removal_order(["a/", "a/b/", "a/b/c", "d"])
    assert order == ["a/b/c", "d", "a/b/", "a/"]


def test_what_was_refused_was_not_written() -> None:
    assert may_be_there(StorageTimeout("no answer"))
    assert may_be_there(asyncio.CancelledError())
    assert not may_be_there(AuthorizationError("no"))
    assert not may_be_there(KeyConflict("no"))
    assert not may_be_there(ZeroDivisionError())


def test_a_place_is_known_without_its_secrets() -> None:
    options = {"bucket": "b", "endpoint": "http://u:p@h:1", "root": "r"}
    same = {**options, "endpoint": "http://h:1", "secret_access_key": "s", "session_token": "t"}
    assert place_id("s3", options) == place_id("s3", same)
    assert place_id("s3", options) == place_id("s3", {**options, "root": "/r/"})
    assert place_id("s3", options) != place_id("s3", {**options, "root": "r2"})
    assert place_id("s3", options) != place_id("s3", {**options, "endpoint": "http://h:2"})
