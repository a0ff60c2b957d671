"""The verbs on blobs as the API document calls them, at every store."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from neuro_sdk import (
    AsyncStream,
    BlobChanged,
    BlobCommonPrefix,
    BlobIsADirectory,
    BlobNotFound,
    BlobObject,
    BucketEntry,
    BucketHandle,
    BucketNotFound,
    Buckets,
    Client,
    IllegalArgumentError,
    InvalidKey,
    InvalidURI,
    ListingTruncated,
    ResourceNotFound,
)
from neuro_sdk._core.keys import key_problem

from ..recording import DeleteRecorder
from .provider import ODD_KEYS, stream
from .stores import PROVIDERS, each

store = each(PROVIDERS)


@pytest.fixture
async def buckets(anywhere: Client, box: BucketHandle) -> Buckets:
    """A platform with the empty bucket ``box``."""
    return anywhere.buckets


async def keys_of(entries: AsyncStream[BucketEntry]) -> list[str]:
    async with entries as opened:
        return [entry.key async for entry in opened]


async def read(pieces: AsyncStream[bytes]) -> bytes:
    async with pieces as opened:
        return b"".join([piece async for piece in opened])


async def fill(buckets: Buckets, *keys: str) -> None:
    for key in keys:
        await buckets.put_blob("box", key, b"" if key.endswith("/") else key.encode())


class TestHead:
    async def test_as_the_document_calls_it(self, buckets: Buckets) -> None:
        await buckets.put_blob("box", "folder/file.txt", b"12345")
        blob = await buckets.head_blob("box", "folder/file.txt")
        assert isinstance(blob, BlobObject)
        assert (blob.key, blob.name, blob.size) == ("folder/file.txt", "file.txt", 5)
        assert blob.is_file()
        assert not blob.is_dir()
        assert blob.bucket == await buckets.get("box")
        assert blob.uri == blob.bucket.uri / "folder" / "file.txt"
        assert await buckets.head_blob(bucket_id_or_name=blob.bucket.id, key=blob.key) == blob

    async def test_missing(self, buckets: Buckets) -> None:
        with pytest.raises(ResourceNotFound) as caught:
            await buckets.head_blob("box", "gone")
        assert isinstance(caught.value, FileNotFoundError)
        assert (caught.value.bucket, caught.value.key) == ("box", "gone")
        with pytest.raises(BucketNotFound) as none:
            await buckets.head_blob("nobox", "gone")
        assert none.value.bucket == "nobox" or "nobox" in str(none.value)


class TestPutAndFetch:
    async def test_as_the_document_calls_them(self, buckets: Buckets, tmp_path: Path) -> None:
        lines = [b"line %d\n" % number for number in range(1000)]

        async def body_stream() -> AsyncIterator[bytes]:
            for line in lines:
                yield line

        await buckets.put_blob(bucket_id_or_name="box", key="large_file.dat", body=body_stream)
        async with buckets.fetch_blob("box", key="large_file.dat") as content:
            got = [data async for data in content]
        assert b"".join(got) == b"".join(lines)

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    async def test_bytes_like(self, buckets: Buckets, kind: Callable[[bytes], Any]) -> None:
        for body in (b"", b"\0\xff" * 1000):
            await buckets.put_blob("box", "key", kind(body))
            assert await read(buckets.fetch_blob("box", "key")) == body

    async def test_a_body_that_is_changed_afterwards(self, buckets: Buckets) -> None:
        body = bytearray(b"before")
        await buckets.put_blob("box", "key", body)
        body[:] = b"later!"
        assert await read(buckets.fetch_blob("box", "key")) == b"before"

    async def test_async_iterables(self, buckets: Buckets) -> None:
        class Plain:
            def __aiter__(self) -> AsyncIterator[bytes]:
                return stream([b"ab", b"", b"c"])

        async def mixed() -> AsyncIterator[Any]:
            yield b"a"
            yield bytearray(b"b")
            yield memoryview(b"c")

        for body in (stream([b"abc"]), Plain(), mixed(), mixed):
            await buckets.put_blob("box", "key", body)
            assert await read(buckets.fetch_blob("box", "key")) == b"abc"

    async def test_a_blob_streamed_into_another(self, buckets: Buckets) -> None:
        await buckets.put_blob("box", "a", b"x" * (9 << 20))
        await buckets.put_blob("box", "b", buckets.fetch_blob("box", "a"))
        assert (await buckets.head_blob("box", "b")).size == 9 << 20

    async def test_text_is_refused_and_the_key_named(self, buckets: Buckets) -> None:
        async def chunks() -> AsyncIterator[Any]:
            yield b"fine"
            yield "text"

        def plain() -> list[bytes]:
            return [b"x"]

        await buckets.put_blob("box", "old", b"old")
        wrong: list[Any] = ["text", chunks(), chunks, [b"x"], None, 7, plain]
        for body in wrong:
            for key in ("old", "new/key"):
                if asyncio.iscoroutine(body):
                    continue
                with pytest.raises(TypeError, match=repr(key)):
                    await buckets.put_blob("box", key, body if body is not wrong[1] else chunks())
        assert await keys_of(buckets.list_blobs("blob:box", recursive=True)) == ["old"]
        assert await read(buckets.fetch_blob("box", "old")) == b"old"

    async def test_a_generator_that_is_called_for_the_caller_is_closed_too(
        self, buckets: Buckets
    ) -> None:
        closed = []

        async def wrong() -> AsyncIterator[Any]:
            try:
                yield b"fine"
                yield "text"
            finally:
                closed.append("wrong")

        async def long() -> AsyncIterator[bytes]:
            try:
                while True:
                    started.set()
                    yield b"x" * (1 << 20)
            finally:
                closed.append("long")

        with pytest.raises(TypeError):
            await buckets.put_blob("box", "key", wrong)
        assert closed == ["wrong"]
        started = asyncio.Event()
        put = asyncio.create_task(buckets.put_blob("box", "key", long))
        await started.wait()
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put
        assert closed == ["wrong", "long"]
        assert await keys_of(buckets.list_blobs("blob:box")) == []

    async def test_ranges(self, buckets: Buckets) -> None:
        await buckets.put_blob("box", "key", b"0123456789")
        assert await read(buckets.fetch_blob("box", "key", 3)) == b"3456789"
        assert await read(buckets.fetch_blob("box", "key", offset=3, length=4)) == b"3456"
        assert await read(buckets.fetch_blob("box", "key", 10)) == b""
        assert await read(buckets.fetch_blob("box", "key", 11)) == b""
        assert await read(buckets.fetch_blob("box", "key", length=0)) == b""
        wrongs: list[dict[str, Any]] = [{"offset": -1}, {"length": -1}]
        for wrong in wrongs:
            with pytest.raises(IllegalArgumentError) as caught:
                await read(buckets.fetch_blob("box", "key", **wrong))
            assert (caught.value.bucket, caught.value.key) == ("box", "key")

    async def test_several_calls_on_one_version(self, buckets: Buckets, box: BucketHandle) -> None:
        await fill(buckets, "other")
        await buckets.put_blob("box", "key", b"0123456789")
        (listed,) = [entry async for entry in buckets.list_blobs("blob:box/key")]
        assert isinstance(listed, BlobObject)
        for known in (await buckets.head_blob("box", "key"), listed):
            assert await read(buckets.fetch_blob("box", "key", known=known)) == b"0123456789"
            assert await read(buckets.fetch_blob("box", "key", 2, length=3, known=known)) == b"234"
            assert await read(box.fetch_blob("key", 8, known=known)) == b"89"
        await buckets.put_blob("box", "key", b"9876543210")
        for offset, length in ((0, None), (2, 3)):
            with pytest.raises(BlobChanged) as changed:
                await read(buckets.fetch_blob("box", "key", offset, length=length, known=listed))
            assert (changed.value.bucket, changed.value.key) == ("box", "key")
        with pytest.raises(IllegalArgumentError, match="'key'"):
            await read(buckets.fetch_blob("box", "other", known=listed))

    async def test_fetch_of_a_missing_one(self, buckets: Buckets) -> None:
        pieces = buckets.fetch_blob("box", "gone")
        with pytest.raises(BlobNotFound):
            await anext(pieces)

    async def test_refused_keys_reach_no_store(self, buckets: Buckets) -> None:
        verbs: list[Callable[[str], Awaitable[object]]] = [
            lambda key: buckets.put_blob("box", key, b"x"),
            lambda key: buckets.head_blob("box", key),
            lambda key: read(buckets.fetch_blob("box", key)),
            lambda key: buckets.delete_blob("box", key),
        ]
        for key in ("", "/", "/a", "a//b", "a/../b", "./a", " a", "a\t", "a/\u3000", "\ud800"):
            for verb in verbs:
                with pytest.raises(InvalidKey) as caught:
                    await verb(key)
                assert (caught.value.bucket, caught.value.key) == ("box", key)
        assert await keys_of(buckets.list_blobs("blob:box")) == []
        for verb in verbs:
            with pytest.raises(TypeError):
                await verb(b"bytes")  # type: ignore[arg-type]

    async def test_markers(self, buckets: Buckets) -> None:
        await buckets.put_blob("box", "empty/", b"")
        assert (await buckets.head_blob("box", "empty/")).is_dir()
        for body in (b"x", stream([])):
            with pytest.raises(InvalidKey):
                await buckets.put_blob("box", "empty/", body)
        assert await keys_of(buckets.list_blobs("blob:box", recursive=True)) == ["empty/"]


class TestDelete:
    async def test_one_and_the_same_again(self, buckets: Buckets) -> None:
        await fill(buckets, "a", "ab", "d/e", "m/")
        await buckets.delete_blob("box", "a")
        await buckets.delete_blob("box", "a")
        await buckets.delete_blob("box", "d")
        await buckets.delete_blob("box", "m/")
        assert await keys_of(buckets.list_blobs("blob:box", recursive=True)) == ["ab", "d/e"]


class TestListAndGlob:
    async def test_as_the_document_calls_them(self, buckets: Buckets) -> None:
        await fill(buckets, "path/in/bucket/a", "path/in/bucket/b/c", "path/in/bucket2", "z")
        async with buckets.list_blobs(URL("blob:box/path/in/bucket")) as blobs:
            entries = [entry async for entry in blobs]
        assert [(type(entry), entry.key) for entry in entries] == [
            (BlobCommonPrefix, "path/in/bucket/"),
            (BlobObject, "path/in/bucket2"),
        ]
        assert entries[0].is_dir()
        assert entries[0].name == "bucket"
        assert entries[0].size == 0
        below = buckets.list_blobs(uri=URL("blob:box/path/in/bucket/"), recursive=True)
        assert await keys_of(below) == ["path/in/bucket/a", "path/in/bucket/b/c"]
        assert await keys_of(buckets.list_blobs(URL("blob:box"))) == ["path/", "z"]

    async def test_glob_as_the_document_calls_it(self, buckets: Buckets) -> None:
        await fill(
            buckets,
            "folder1/a.txt",
            "folder1/b.bin",
            "folder1/x/y/c.txt",
            "folder2/d.txt",
            "folder1.txt",
        )
        async with buckets.glob_blobs(uri=URL("blob:box/folder1/**/*.txt")) as blobs:
            found = [blob.key async for blob in blobs]
        assert found == ["folder1/a.txt", "folder1/x/y/c.txt"]

    async def test_patterns_as_text(self, buckets: Buckets) -> None:
        await fill(buckets, "a.txt", "d/a.txt", "d/e/a.txt", "b?c", "q[1].csv")
        for pattern, keys in {
            "*": ["a.txt", "b?c", "q[1].csv"],
            "?.txt": ["a.txt"],
            "d/?.txt": ["d/a.txt"],
            "**": ["a.txt", "b?c", "d/a.txt", "d/e/a.txt", "q[1].csv"],
            "**/a.txt": ["a.txt", "d/a.txt", "d/e/a.txt"],
            "b[?]c": ["b?c"],
            "q[[]1].csv": ["q[1].csv"],
            "d/*": ["d/a.txt"],
            "a.txt": ["a.txt"],
            "nothing": [],
        }.items():
            found = await keys_of(buckets.glob_blobs(f"blob:box/{pattern}"))
            assert sorted(found) == sorted(keys), pattern

    async def test_a_url_would_take_a_question_mark_for_a_query(self, buckets: Buckets) -> None:
        with pytest.raises(InvalidURI):
            await keys_of(buckets.glob_blobs(URL("blob:box/?.txt")))
        await fill(buckets, "a.txt")
        assert await keys_of(buckets.glob_blobs(URL("blob:box/%3F.txt", encoded=True))) == ["a.txt"]

    async def test_both_ways_and_left_early(self, buckets: Buckets) -> None:
        await fill(buckets, *map(str, range(10)))
        found = []
        async for entry in buckets.list_blobs("blob:box"):
            found.append(entry.key)
        assert found == [*map(str, range(10))]
        async with buckets.list_blobs("blob:box") as entries:
            async for _ in entries:
                break
        with pytest.raises(StopAsyncIteration):
            await anext(entries)

    async def test_collected(self, buckets: Buckets) -> None:
        await fill(buckets, "a", "b/c", "d")
        entries = buckets.list_blobs("blob:box")
        first = await anext(entries)
        left = await entries.collect()
        assert isinstance(left, list)
        assert sorted(entry.key for entry in [first, *left]) == ["a", "b/", "d"]
        assert await entries.collect() == []
        assert [b.name for b in await buckets.list().collect() if b.name == "box"] == ["box"]

    async def test_odd_keys_by_their_uris(self, buckets: Buckets, box: BucketHandle) -> None:
        rules = (await box._opened()).rules
        keys = [key for key in ODD_KEYS if len(key) < 100 and key_problem(key, rules) is None]
        assert len(keys) > 20
        await fill(buckets, *keys)
        entries = [entry async for entry in buckets.list_blobs("blob:box", True, limit=None)]
        assert sorted(entry.key for entry in entries) == sorted(keys)
        for entry in entries:
            for uri in (entry.uri, str(entry.uri)):
                assert entry.key in await keys_of(buckets.list_blobs(uri, recursive=True))
        for entry in entries[::2]:
            await buckets.blob_rm(entry.uri)
        for entry in entries[1::2]:
            await buckets.blob_rm(str(entry.uri))
        assert await keys_of(buckets.list_blobs("blob:box", recursive=True)) == []

    async def test_escapes_are_decoded(self, buckets: Buckets) -> None:
        await fill(buckets, "a b", "a%20b")
        assert await keys_of(buckets.list_blobs("blob:box/a%20b")) == ["a b"]
        assert await keys_of(buckets.list_blobs("blob:box/a b")) == ["a b"]
        assert await keys_of(buckets.list_blobs("blob:box/a%2520b")) == ["a%20b"]
        assert await keys_of(buckets.list_blobs(URL("blob:box/a b"))) == ["a b"]

    async def test_limit(self, buckets: Buckets) -> None:
        await fill(buckets, *"abcde")
        for limit in (1, 3, 5, 6, None):
            keys = await keys_of(buckets.list_blobs("blob:box", limit=limit))
            assert keys == [*"abcde"][:limit]
        for wrong in (0, -1):
            with pytest.raises(IllegalArgumentError):
                await keys_of(buckets.list_blobs("blob:box", limit=wrong))

    async def test_only_the_default_limit_warns_when_it_cuts(
        self, buckets: Buckets, box: BucketHandle, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bucket = await buckets.get("box")

        class Endless:
            """A provider with a great many blobs."""

            async def pages(
                self, prefix: str, *, recursive: bool, most: int | None
            ) -> AsyncGenerator[Sequence[BucketEntry], None]:
                numbers = range(self.count)
                for start in range(0, self.count, 4000):
                    page = numbers[start : start + 4000]
                    yield [BlobObject(key=f"{number:06}", bucket=bucket) for number in page]

            count = 10_000

        many = Endless()

        async def opened() -> Any:
            return many

        monkeypatch.setattr(box, "_opened", opened)
        assert len(await keys_of(box.list_blobs())) == 10_000
        many.count = 10_001
        with pytest.warns(ListingTruncated, match="10000") as caught:
            assert len(await keys_of(box.list_blobs())) == 10_000
        assert len(caught) == 1
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(await keys_of(box.list_blobs(limit=9_999))) == 9_999
            assert len(await keys_of(box.list_blobs(limit=None))) == 10_001

    @pytest.mark.parametrize(
        "uri", ["box/key", "file:///box", "blob:", "blob:/", "http://box/key", "blob://", ""]
    )
    async def test_what_is_no_blob_uri(self, buckets: Buckets, uri: str) -> None:
        with pytest.raises(InvalidURI):
            await keys_of(buckets.list_blobs(uri))
        with pytest.raises(InvalidURI):
            await buckets.blob_is_dir(uri)


class TestIsDir:
    async def test_all_kinds(self, buckets: Buckets) -> None:
        await fill(buckets, "folder/sub_folder/x", "marker/", "file", "folder2")
        for key, answer in {
            "": True,
            "/": True,
            "/folder": True,
            "/folder/": True,
            "/folder/sub_folder": True,
            "/marker": True,
            "/marker/": True,
            "/file": False,
            "/folder/sub_folder/x": False,
            "/fold": False,
            "/folder2": False,
            "/gone": False,
        }.items():
            assert await buckets.blob_is_dir(URL(f"blob:box{key}")) is answer, key
            assert await buckets.blob_is_dir(f"blob:box{key}") is answer, key


class TestRemove:
    LOGS = ("logs.json", "logs/a", "logs/b/c", "logs2/d", "log", "logs-old/e")

    async def left(self, buckets: Buckets) -> set[str]:
        return set(await keys_of(buckets.list_blobs("blob:box", recursive=True)))

    @pytest.mark.parametrize("uri", ["blob:box/logs", "blob:box/logs/"])
    async def test_a_directory_takes_nothing_beside_it(self, buckets: Buckets, uri: str) -> None:
        await fill(buckets, *self.LOGS)
        progress = DeleteRecorder()
        with pytest.raises(IsADirectoryError) as caught:
            await buckets.blob_rm(URL(uri), progress=progress)
        assert isinstance(caught.value, BlobIsADirectory)
        assert caught.value.bucket == "box"
        assert await self.left(buckets) == set(self.LOGS)
        await buckets.blob_rm(URL(uri), recursive=True, progress=progress)
        assert await self.left(buckets) == {"logs.json", "logs2/d", "log", "logs-old/e"}
        bucket = await buckets.get("box")
        assert sorted((event.uri, event.is_dir) for event in progress.events) == [
            (bucket.uri / "logs" / "a", False),
            (bucket.uri / "logs" / "b" / "c", False),
        ]

    async def test_a_single_blob_with_and_without_recursive(self, buckets: Buckets) -> None:
        await fill(buckets, *self.LOGS)
        progress = DeleteRecorder()
        await buckets.blob_rm("blob:box/log", recursive=True, progress=progress)
        await buckets.blob_rm("blob:box/logs.json", progress=progress)
        assert await self.left(buckets) == set(self.LOGS) - {"log", "logs.json"}
        assert [event.uri.name for event in progress.events] == ["log", "logs.json"]

    async def test_a_marker(self, buckets: Buckets) -> None:
        await fill(buckets, "empty/", "emptyx")
        with pytest.raises(IsADirectoryError):
            await buckets.blob_rm("blob:box/empty")
        progress = DeleteRecorder()
        await buckets.blob_rm("blob:box/empty", recursive=True, progress=progress)
        assert [event.is_dir for event in progress.events] == [True]
        assert await self.left(buckets) == {"emptyx"}

    async def test_missing(self, buckets: Buckets) -> None:
        await fill(buckets, "logs2/x", "file")
        for key in ("logs", "logs/", "file/", "file/x", "logs2/x/"):
            for recursive in (False, True):
                with pytest.raises(BlobNotFound) as caught:
                    await buckets.blob_rm(f"blob:box/{key}", recursive=recursive)
                assert caught.value.bucket == "box"
                assert caught.value.key is not None
                assert caught.value.key.rstrip("/") == key.rstrip("/")
        assert await self.left(buckets) == {"logs2/x", "file"}

    async def test_the_whole_bucket(self, buckets: Buckets) -> None:
        await buckets.blob_rm("blob:box", recursive=True)
        await fill(buckets, *self.LOGS, "m/")
        with pytest.raises(IsADirectoryError):
            await buckets.blob_rm("blob:box")
        await buckets.blob_rm("blob:box/", recursive=True)
        assert await self.left(buckets) == set()

    async def test_a_callback_that_raises_ends_it_with_its_error(self, buckets: Buckets) -> None:
        await fill(buckets, "d/a", "d/b")

        def explode(_: object) -> None:
            raise ZeroDivisionError("planted")

        for uri, recursive in (("blob:box/d/a", False), ("blob:box/d", True)):
            with pytest.raises(ZeroDivisionError, match="planted"):
                await buckets.blob_rm(uri, recursive=recursive, progress=DeleteRecorder(explode))

    @pytest.mark.parametrize("key", ["a//b", "/a", "a/../b", " a"])
    async def test_keys_that_cannot_be(self, box: BucketHandle, key: str) -> None:
        for recursive in (False, True):
            with pytest.raises(InvalidKey):
                await box.blob_rm(key, recursive=recursive)


class TestHandle:
    async def test_keys_are_taken_as_they_are(self, box: BucketHandle) -> None:
        for key in ("a%20b", "a b", "q?x=1#y", "d/e f/g"):
            await box.put_blob(key, key.encode())
            assert await read(box.fetch_blob(key)) == key.encode()
            assert (await box.head_blob(key)).key == key
        assert await keys_of(box.list_blobs("a%")) == ["a%20b"]
        assert set(await keys_of(box.list_blobs())) == {"a b", "a%20b", "d/", "q?x=1#y"}
        assert await keys_of(box.glob_blobs("**/g")) == ["d/e f/g"]
        assert await box.blob_is_dir("d/e f")
        await box.blob_rm("d", recursive=True)
        await box.delete_blob("a b")
        assert await keys_of(box.list_blobs(recursive=True)) == ["a%20b", "q?x=1#y"]

    async def test_opened_either_way(self, anywhere: Client, box: BucketHandle) -> None:
        async with anywhere.buckets.open(box.bucket.id) as handle:
            await handle.put_blob("key", b"x")
            assert handle.bucket == box.bucket
        handle = await anywhere.buckets.open("box")
        assert (await handle.head_blob("key")).size == 1
        with pytest.raises(BucketNotFound):
            await anywhere.buckets.open("nobox")
