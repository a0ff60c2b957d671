"""Files of BlobFileSystem: one version, whole or nothing, bounded memory."""

from __future__ import annotations

import contextlib
import gc
import gzip
import io
import os
import pickle
import random
import sys
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, cast

import fsspec
import pandas as pd
import pytest

from neuro_sdk import BlobChanged, BlobNotFound, BucketHandle, StorageUnavailable
from neuro_sdk.fsspec import BlobFile, BlobFileSystem, _files

MIB = 1 << 20


class Refused(Exception):
    """What goes wrong in a block."""


class TestReading:
    def test_as_a_file(self, fs: BlobFileSystem) -> None:
        body = random.Random(1).randbytes(3 * MIB)
        fs.pipe("box/a", body)
        chance, plain = random.Random(2), io.BytesIO(body)
        with fs.open("box/a", block_size=64 << 10) as file:
            assert (file.size, file.seekable(), file.writable()) == (len(body), True, False)
            for _ in range(200):
                at, count = chance.randrange(len(body) + 9), chance.randrange(100_000)
                assert file.seek(at) == plain.seek(at)
                assert file.read(count) == plain.read(count)
        with fs.open("box/a", "rb", size=len(body)) as file:
            assert b"".join(file) == body
        with pytest.raises(FileNotFoundError):
            fs.open("box/none")

    def test_text_and_compression(self, fs: BlobFileSystem) -> None:
        fs.pipe("box/a.gz", gzip.compress("größer\n".encode() * 9))
        with fs.open("box/a.gz", "r", compression="infer", encoding="utf-8") as file:
            assert file.read() == "größer\n" * 9

    @pytest.mark.parametrize("cache", ["none", "readahead", "bytes", "all"])
    def test_all_of_it_is_one_version(self, fs: BlobFileSystem, cache: str) -> None:
        fs.pipe("box/a", b"1" * (4 * MIB))
        file = fs.open("box/a", block_size=1 * MIB, cache_type=cache)
        assert file.read(10) == b"1" * 10
        fs.pipe("box/a", b"2" * (4 * MIB))
        if cache == "all":  # it has read the whole version
            assert file.read() == b"1" * (4 * MIB - 10)
        else:
            with pytest.raises(BlobChanged):
                file.read()
        file.close()

    def test_a_pickled_file_goes_on_where_it_was_with_the_same_version(
        self, fs: BlobFileSystem
    ) -> None:
        fs.pipe("box/a", b"0123456789")
        file = fs.open("box/a")
        file.read(3)
        data = pickle.dumps(file)
        with pickle.loads(data) as again:
            assert again.read() == b"3456789"
        fs.pipe("box/a", b"another")
        with pytest.raises(BlobChanged):
            pickle.loads(data)
        with pytest.raises(TypeError, match="written"), fs.open("box/b", "wb") as writing:
            pickle.dumps(writing)
        assert not fs.exists("box/b")
        file.close()


class TestWriting:
    @pytest.mark.parametrize("sizes", [[], [0], [5], [3 * MIB] * 9, [1, 20 * MIB, 1]])
    def test_what_was_written_is_there_when_it_is_closed(
        self, fs: BlobFileSystem, sizes: list[int]
    ) -> None:
        pieces = [os.urandom(size) for size in sizes]
        with fs.open("box/a", "wb") as file:
            for piece in pieces:
                assert file.write(piece) == len(piece)
                assert not fs.exists("box/a")
            assert file.tell() == sum(sizes)
        assert fs.cat_file("box/a") == b"".join(pieces)

    def test_modes(self, fs: BlobFileSystem) -> None:
        for mode, expected in (("ab", b"12"), ("ab", b"1212"), ("wb", b"12")):
            with fs.open("box/a", mode) as file:
                file.write(b"1")
                file.write(b"2")
            assert fs.cat_file("box/a") == expected
        with fs.open("box/a", "a") as text:
            text.write("ü")
        assert fs.cat_file("box/a").decode() == "12ü"
        with fs.open("box/new", "x") as text:
            text.write("new")
        for mode in ("x", "xb"):
            with pytest.raises(FileExistsError):
                fs.open("box/new", mode)
        for mode in ("r+b", "w+", "rw"):
            with pytest.raises(io.UnsupportedOperation, match="modes"):
                fs.open("box/new", mode)
        assert fs.cat_file("box/new") == b"new"

    def test_a_large_blob_is_appended_to(self, fs: BlobFileSystem) -> None:
        body = os.urandom(20 * MIB)
        fs.pipe("box/a", body)
        with fs.open("box/a", "ab") as file:
            assert file.tell() == len(body)
            file.write(b"end")
        assert fs.cat_file("box/a", -5) == body[-2:] + b"end"
        assert fs.size("box/a") == len(body) + 3

    @pytest.mark.parametrize("compression", ["gzip", "bz2", "xz"])
    @pytest.mark.parametrize("mode", ["wb", "w"])
    def test_compression(self, fs: BlobFileSystem, compression: str, mode: str) -> None:
        with fs.open("box/a", mode, compression=compression) as file:
            file.write("text\n" * 1000 if mode == "w" else b"text\n" * 1000)
        assert 20 < fs.size("box/a") < 1000
        with fs.open("box/a", "rb", compression=compression) as file:
            assert file.read() == b"text\n" * 1000

    def test_memory_is_bounded(self, fs: BlobFileSystem) -> None:
        piece = bytes(MIB)
        tracemalloc.start()
        try:
            with fs.open("box/a", "wb") as file:
                for _ in range(300):
                    file.write(piece)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert fs.size("box/a") == 300 * MIB
        assert peak < 100 * MIB

    def test_a_transaction(self, fs: BlobFileSystem) -> None:
        with fs.transaction:
            for name in ("a", "b"):
                with fs.open(f"box/{name}", "wb") as file:
                    file.write(b"x" * (9 * MIB))
            assert fs.find("box") == []
        assert fs.du("box", total=False) == {"box/a": 9 * MIB, "box/b": 9 * MIB}
        with pytest.raises(Refused), fs.transaction:
            with fs.open("box/c", "wb") as file:
                file.write(b"x")
            raise Refused
        with fs.transaction, contextlib.suppress(Refused), fs.open("box/d", "wb") as file:
            file.write(b"x")
            raise Refused
        assert fs.find("box") == ["box/a", "box/b"]


@contextmanager
def generated(file: Any) -> Iterator[Any]:
    try:
        yield file
    finally:
        file.close()


@contextmanager
def stacked(file: Any) -> Iterator[Any]:
    with ExitStack() as stack:
        stack.callback(file.close)
        yield file


class TestWholeOrNothing:
    """A block that an exception leaves publishes nothing, whoever closes the file for it."""

    @pytest.mark.parametrize("size", [1, 9 * MIB])
    @pytest.mark.parametrize("around", [contextlib.nullcontext, closing, generated, stacked])
    @pytest.mark.parametrize("compression", [None, "gzip"])
    @pytest.mark.parametrize("text", [True, False])
    def test_our_files(
        self,
        fs: BlobFileSystem,
        size: int,
        around: Callable[[Any], Any],
        compression: str | None,
        text: bool,
    ) -> None:
        fs.pipe("box/old", b"old")
        part: Any = "x" * size if text else os.urandom(size)
        for name in ("old", "new"):
            opened = fs.open(f"box/{name}", "w" if text else "wb", compression=compression)
            block = opened if around is contextlib.nullcontext else around(opened)
            with pytest.raises(Refused), block as file:
                file.write(part)
                raise Refused
            assert opened.closed
        assert fs.cat_file("box/old") == b"old"
        assert fs.find("box") == ["box/old"]

    @pytest.mark.parametrize("compression", ["gzip", "bz2", "xz"])
    def test_what_packed_the_rest_says_nothing_when_it_is_collected(
        self, fs: BlobFileSystem, compression: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = cast(Any, fs.open("box/new", "wb", compression=compression))
        inside = dict(vars(file._packer)) if compression == "gzip" else {}
        with pytest.raises(Refused), file:
            file.write(b"part")
            raise Refused
        told: list[Any] = []
        monkeypatch.setattr(sys, "unraisablehook", told.append)
        del file
        gc.collect()
        inside.clear()  # the collector may come to the parts of a packer in any order
        gc.collect()
        assert told == []
        assert fs.find("box") == []

    @pytest.mark.parametrize("mode", ["w", "wb"])
    @pytest.mark.parametrize("compression", [None, "gzip"])
    def test_fsspec_open(
        self, fs: BlobFileSystem, home: Path, mode: str, compression: str | None
    ) -> None:
        def opened() -> Any:
            return fsspec.open("blob://box/a", mode, compression=compression, path=home)

        part: Any = "part" if mode == "w" else b"part"
        with pytest.raises(Refused), opened() as file:
            file.write(part)
            raise Refused
        assert not fs.exists("box/a")
        with opened() as file:
            file.write(part)
        with fs.open("box/a", "rb", compression=compression) as file:
            assert file.read() == b"part"

    def test_pandas(self, fs: BlobFileSystem, home: Path) -> None:
        class Bad:
            def __str__(self) -> str:
                raise Refused

        frame = pd.DataFrame({"a": [*range(100_000), Bad()]})
        with pytest.raises(Refused):
            frame.to_csv("blob://box/a.csv", storage_options={"path": str(home)}, chunksize=1000)
        assert not fs.exists("box/a.csv")

    def test_an_exception_that_is_being_handled_is_no_reason(self, fs: BlobFileSystem) -> None:
        try:
            raise Refused
        except Refused:
            with fs.open("box/a", "wb") as file:
                file.write(b"report")
            with fsspec.open("blob://box/b", "w", **fs.storage_options) as file:
                file.write("report")
        late = fs.open("box/c", "wb")
        try:
            raise Refused
        except Refused:
            late.write(b"report")
            late.close()
        assert set(fs.cat(fs.find("box")).values()) == {b"report"}

    def test_discard(self, fs: BlobFileSystem) -> None:
        for mode in ("wb", "w"):
            file = fs.open("box/a", mode)
            file.write("x" if mode == "w" else b"x")
            file.discard()
            file.discard()
            with pytest.raises(ValueError, match=r"closed|write mode"):
                file.write("x" if mode == "w" else b"x")
            file.close()
        assert not fs.exists("box/a")

    @pytest.mark.parametrize("how", [{"mode": "wb"}, {"mode": "w"}, {"compression": "gzip"}])
    def test_one_that_is_forgotten(self, fs: BlobFileSystem, how: dict[str, Any]) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            file = fs.open("box/a", **{"mode": "wb", **how})
            file.write("x" * 9 * MIB if how.get("mode") == "w" else b"x" * 9 * MIB)
            del file
        assert ["'box/a' was never closed" in str(one.message) for one in caught] == [True]
        assert caught[0].category is RuntimeWarning
        assert not fs.exists("box/a")

    def test_a_store_that_fails(self, fs: BlobFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
        async def put_blob(self: BucketHandle, key: str, body: Any) -> None:
            async for _ in body:
                raise StorageUnavailable("no route", key=key)

        monkeypatch.setattr(BucketHandle, "put_blob", put_blob)
        with pytest.raises(StorageUnavailable), fs.open("box/a", "wb") as file:
            for _ in range(10):
                file.write(bytes(8 * MIB))
        file = fs.open("box/a", "wb")
        file.write(b"x")
        with pytest.raises(StorageUnavailable):
            file.close()
        assert file.closed
        monkeypatch.undo()
        assert not fs.exists("box/a")

    def test_an_interrupt_while_a_block_is_handed_over(
        self, fs: BlobFileSystem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nobody knows whether it was, and it must not be there twice."""
        handed: list[str] = []

        def interrupted(fs: BlobFileSystem, call: Any, *args: Any) -> Any:
            result = wait(fs, call, *args)
            handed.append(call.__name__)
            if call.__name__ == "put":
                raise KeyboardInterrupt
            return result

        wait = _files._wait
        file = fs.open("box/a", "wb")
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(_files, "_wait", interrupted)
            try:
                file.write(bytes(9 * MIB))
            finally:
                file.close()
        assert handed == ["_begin", "put"]
        with pytest.raises(ValueError, match="given up"):
            file.commit()
        with pytest.raises(ValueError, match=r"closed|write mode"):
            file.write(b"x")
        assert not fs.exists("box/a")

    def test_an_old_blob_that_changes_while_it_is_appended_to(
        self, fs: BlobFileSystem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fs.pipe("box/a", b"1")
        with pytest.raises(BlobChanged), fs.open("box/a", "ab") as file:
            file.write(b"2")
            fs.pipe("box/a", b"other")
        assert fs.cat_file("box/a") == b"other"

    def test_files_are_told_apart_from_what_is_not_there(self, fs: BlobFileSystem) -> None:
        with pytest.raises(BlobNotFound, match="no such bucket"):
            fs.open("nobox/a", "wb")
        file = fs.open("box/a", "wb")
        assert isinstance(file, BlobFile)
        file.discard()
