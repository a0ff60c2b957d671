"""BlobFileSystem beyond fsspec's own suite."""

from __future__ import annotations

import asyncio
import os
import pickle
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import fsspec
import pytest
from fsspec.callbacks import Callback

import neuro_sdk
from neuro_sdk import (
    BlobIsADirectory,
    BlobNotFound,
    BucketHandle,
    BucketNotEmpty,
    Buckets,
    IllegalArgumentError,
    InvalidKey,
    InvalidURI,
    StorageUnavailable,
    TransferConfig,
)
from neuro_sdk._core.keys import LOCAL_RULES, key_problem
from neuro_sdk.fsspec import BlobFileSystem
from tests.contracts.provider import ODD_KEYS

KEYS = [key for key in ODD_KEYS if key_problem(key, LOCAL_RULES) is None]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each verb of a handle is called."""
    counts: Counter[str] = Counter()

    def counted(name: str) -> None:
        verb = getattr(BucketHandle, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            counts[name] += 1
            return verb(*args, **kwargs)

        monkeypatch.setattr(BucketHandle, name, call)

    for name in ("head_blob", "fetch_blob", "list_blobs", "blob_is_dir", "delete_blob", "blob_rm"):
        counted(name)
    return counts


class TestPaths:
    @pytest.mark.parametrize(
        ("path", "stripped"),
        [
            ("blob://box/a/b", "box/a/b"),
            ("blob:box/a/b", "box/a/b"),
            ("box/a/b/", "box/a/b"),
            ("/box/a", "box/a"),
            ("blob://box/100%25?#x", "box/100%25?#x"),
            ("blob:box/100%25?#%20x", "box/100%?# x"),
            ("blob://", ""),
            ("", ""),
            ("/", ""),
        ],
    )
    def test_every_form(self, path: str, stripped: str) -> None:
        assert BlobFileSystem._strip_protocol(path) == stripped
        assert BlobFileSystem._strip_protocol([path]) == [stripped]
        assert BlobFileSystem._strip_protocol(f"blob://{stripped}") == stripped

    @pytest.mark.parametrize("path", ["blob:/project/box/a", "blob:box/%FF"])
    def test_what_means_nothing_here(self, path: str) -> None:
        with pytest.raises(InvalidURI, match=r"project=|UTF-8"):
            BlobFileSystem._strip_protocol(path)

    def test_odd_keys_come_back_as_they_went_in(self, fs: BlobFileSystem, home: Path) -> None:
        assert len(KEYS) > 25
        for key in KEYS:
            with fsspec.open(f"blob://box/{key}", "wb", path=home) as file:
                file.write(key.encode())
        assert fs.find("box") == sorted(f"box/{key}" for key in KEYS)
        for key in KEYS:
            path = f"box/{key}"
            assert fs.cat_file(path) == fs.cat(path) == key.encode()
            assert fs.info(path)["name"] == path
            assert fs.cat_file(f"blob:box/{quote(key)}") == key.encode()
            assert fs.ls(path, detail=False) == [path]
        for key in KEYS:
            fs.rm(f"box/{key}")
            assert not fs.exists(f"box/{key}")
        assert fs.find("box") == []

    def test_a_pattern_that_is_a_blob_is_that_blob(self, fs: BlobFileSystem) -> None:
        fs.pipe({"box/a?b": b"1", "box/axb": b"2", "box/a*": b"3"})
        assert sorted(fs.expand_path(["box/a?b", "box/ax*"])) == ["box/a?b", "box/axb"]
        fs.rm("box/a?b")
        assert fs.ls("box", detail=False) == ["box/a*", "box/axb"]
        fs.rm("box/a?b")  # now it is a pattern
        assert fs.ls("box", detail=False) == ["box/a*"]
        with pytest.raises(FileNotFoundError, match="x"):
            fs.rm("box/x*")

    @pytest.mark.parametrize("key", ["a//b", "a/../b", " a", "a/."])
    def test_keys_that_cannot_be_kept_are_refused(self, fs: BlobFileSystem, key: str) -> None:
        for call in (fs.cat_file, fs.info, fs.exists, fs.isfile, lambda path: fs.pipe(path, b"x")):
            with pytest.raises(InvalidKey):
                call(f"box/{key}")
        with pytest.raises(InvalidKey), fs.open(f"box/{key}", "wb") as file:
            file.write(b"x")
        assert fs.find("box") == []


def mark(home: Path, key: str) -> None:
    """Make a directory marker, as others may have."""

    async def put() -> None:
        async with neuro_sdk.local(home) as client:
            await client.buckets.put_blob("box", key, b"")

    asyncio.run(put())


class TestLooking:
    def test_info_of_each_kind(self, fs: BlobFileSystem) -> None:
        before = datetime.now(UTC) - timedelta(seconds=2)
        fs.pipe("box/a/b", b"12345")
        info = fs.info("box/a/b")
        assert (info["size"], info["type"]) == (5, "file")
        assert before <= info["mtime"] <= datetime.now(UTC)
        assert fs.modified("box/a/b") == info["mtime"]
        assert info["etag"]
        assert fs.info("box/a")["type"] == fs.info("box/a/")["type"] == "directory"
        assert fs.info("box")["type"] == fs.info("")["type"] == "directory"
        assert before <= fs.created("box")
        with pytest.raises(neuro_sdk.NotSupportedError, match="box/a"):
            fs.modified("box/a")
        for missing in ("box/c", "box/a/b/c", "box/a/bb", "nobox", "nobox/a"):
            with pytest.raises(BlobNotFound) as caught:
                fs.info(missing)
            assert isinstance(caught.value, FileNotFoundError)
            assert not fs.exists(missing)
            assert not fs.isdir(missing)
            assert not fs.isfile(missing)

    def test_a_checksum_is_that_of_a_version(self, fs: BlobFileSystem) -> None:
        fs.pipe({"box/a": b"1", "box/b": b"1"})
        first = fs.checksum("box/a"), fs.ukey("box/a")
        assert (fs.checksum("box/a"), fs.ukey("box/a")) == first
        fs.pipe("box/a", b"2")
        assert fs.checksum("box/a") != first[0]
        assert fs.ukey("box/a") != first[1]

    def test_ls(self, fs: BlobFileSystem, home: Path) -> None:
        fs.pipe({"box/a/b": b"1", "box/a/c/d": b"22", "box/a.txt": b"333", "box/aa/x": b""})
        mark(home, "empty/")
        assert fs.ls("", detail=False) == ["box"]
        for form in ("box", "box/", "blob://box/", "blob:box"):
            assert sorted(fs.ls(form, detail=False)) == [
                "box/a",
                "box/a.txt",
                "box/aa",
                "box/empty",
            ]
        for form in ("box/a", "box/a/"):
            found = {info["name"]: (info["type"], info["size"]) for info in fs.ls(form)}
            assert found == {"box/a/b": ("file", 1), "box/a/c": ("directory", 0)}
        assert fs.ls("box/a/b") == [fs.info("box/a/b")]
        assert fs.ls("box/empty") == []
        for missing in ("box/b", "nobox", "nobox/a"):
            with pytest.raises(FileNotFoundError):
                fs.ls(missing)

    def test_nothing_is_cached(self, fs: BlobFileSystem, home: Path) -> None:
        assert fs.ls("box") == []
        other = BlobFileSystem(path=home, skip_instance_cache=True, project=None)
        other.pipe("box/a", b"1")
        assert fs.ls("box", detail=False) == ["box/a"]
        assert fs.exists("box/a")
        other.rm("box/a")
        assert not fs.exists("box/a")
        other.close()

    def test_find_walk_and_glob_take_one_listing(
        self, fs: BlobFileSystem, calls: Counter[str]
    ) -> None:
        fs.pipe({f"box/d{n}/e{m}/f": b"x" for n in range(4) for m in range(4)})
        calls.clear()
        assert len(fs.find("box")) == 16
        assert fs.du("box") == 16
        assert fs.glob("box/d[12]/*/f") == [f"box/d{n}/e{m}/f" for n in (1, 2) for m in range(4)]
        assert calls == {"list_blobs": 3}
        assert fs.find("box", maxdepth=1) == []
        assert fs.find("box", maxdepth=2, withdirs=True)[:3] == ["box", "box/d0", "box/d0/e0"]
        assert len(fs.find("", withdirs=True)) == 1 + 4 + 16 + 16
        assert fs.find("box/d0/e0/f") == ["box/d0/e0/f"]
        assert fs.find("box/none") == fs.find("nobox") == []
        assert [len(files) for _, _, files in fs.walk("box/d0")] == [0, 1, 1, 1, 1]
        with pytest.raises(ValueError, match="maxdepth"):
            fs.find("box", maxdepth=0)

    def test_walk(self, fs: BlobFileSystem) -> None:
        fs.pipe({"box/a/b/c": b"1", "box/a/d": b"22", "box/e": b""})
        tree = [("box", ["a"], ["e"]), ("box/a", ["b"], ["d"]), ("box/a/b", [], ["c"])]
        assert [*fs.walk("box")] == tree
        assert [*fs.walk("blob://box/", topdown=False)] == tree[::-1]
        assert [*fs.walk("box", maxdepth=2)] == tree[:2]
        assert [*fs.walk("")] == [("", ["box"], []), *tree]
        for path, dirs, _ in fs.walk("box"):
            dirs.clear()
            assert path == "box"
        (_, dirs, files), *_ = fs.walk("box/a", detail=True)
        assert (dirs["b"]["type"], files["d"]["size"]) == ("directory", 2)
        assert [*fs.walk("box/none")] == [("box/none", [], [])]
        told: list[OSError] = []
        assert [*fs.walk("box/none", on_error=told.append)] == [("box/none", [], [])]
        assert [type(error) for error in told] == [BlobNotFound]
        with pytest.raises(BlobNotFound):
            [*fs.walk("box/none", on_error="raise")]
        with pytest.raises(ValueError, match="maxdepth"):
            [*fs.walk("box", maxdepth=0)]

    def test_the_network_down_is_not_nothing_there(
        self, fs: BlobFileSystem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def down(*_: object, **__: object) -> None:
            raise StorageUnavailable("no route")

        monkeypatch.setattr(BucketHandle, "head_blob", down)
        monkeypatch.setattr(Buckets, "get", down)
        for call in (fs.exists, fs.isfile, fs.isdir, fs.info):
            with pytest.raises(StorageUnavailable):
                call("box/a")

        async def listing(*_: object, **__: object) -> Any:
            raise StorageUnavailable("no route")
            yield

        monkeypatch.setattr(BucketHandle, "list_blobs", listing)
        with pytest.raises(StorageUnavailable):
            list(fs.walk("box"))
        with pytest.raises(StorageUnavailable):
            fs.find("box")
        assert [*fs.walk("nobox")] == [("nobox", [], [])]

    async def test_sign(self, fs: BlobFileSystem) -> None:
        await asyncio.to_thread(fs.pipe, "box/a b", b"signed")
        url = await asyncio.to_thread(fs.sign, "box/a b", 60)
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert await answer.read() == b"signed"


class TestReading:
    @pytest.mark.parametrize("size", [0, 1, 10])
    def test_ranges_are_slices(self, fs: BlobFileSystem, size: int) -> None:
        body = bytes(range(size))
        fs.pipe("box/a", body)
        ends = (None, 0, 1, 3, 9, 10, 11, 99, -1, -3, -10, -11)
        spans = [(start, end) for start in ends for end in ends]
        for start, end in spans:
            assert fs.cat_file("box/a", start, end) == body[start:end], (start, end)
        starts, stops = zip(*spans, strict=True)
        for gap in (None, 0, 2):
            got = fs.cat_ranges(["box/a"] * len(spans), [*starts], [*stops], max_gap=gap)
            assert got == [body[start:end] for start, end in spans]

    def test_many_ranges_take_few_requests(self, fs: BlobFileSystem, calls: Counter[str]) -> None:
        body = os.urandom(20 << 20)
        fs.pipe("box/a", body)
        calls.clear()
        starts = [*range(0, 4 << 20, 4096), 19 << 20]
        got = fs.cat_ranges(["box/a"] * len(starts), starts, [at + 100 for at in starts])
        assert got == [body[at : at + 100] for at in starts]
        assert calls == {"head_blob": 1, "fetch_blob": 2}

    def test_ranges_of_blobs_that_are_not_there(self, fs: BlobFileSystem) -> None:
        fs.pipe("box/a", b"0123")
        good, missing = fs.cat_ranges(["box/a", "box/b"], 1, 3)
        assert good == b"12"
        assert isinstance(missing, BlobNotFound)
        with pytest.raises(BlobNotFound, match="'b'"):
            fs.cat_ranges(["box/a", "box/b"], 1, 3, on_error="raise")
        assert fs.cat_ranges([], 0, 1) == []
        with pytest.raises(ValueError, match="one length"):
            fs.cat_ranges(["box/a"], [1, 2], [3])

    def test_progress_of_files(self, fs: BlobFileSystem, tmp_path: Path) -> None:
        class Kept(Callback):
            def __init__(self) -> None:
                super().__init__()
                self.values: list[tuple[int, int]] = []

            def call(self, *_: Any, **__: Any) -> None:
                self.values.append((self.value, self.size))

        body = os.urandom(20 << 20)
        (tmp_path / "up").write_bytes(body)
        up, down = Kept(), Kept()
        fs.put_file(tmp_path / "up", "box/a", callback=up)
        fs.get_file("box/a", tmp_path / "down", callback=down)
        assert (tmp_path / "down").read_bytes() == body
        for kept in (up, down):
            assert kept.values[0] == (0, len(body))
            assert kept.values[-1] == (len(body), len(body))
            done = [value for value, _ in kept.values]
            assert done == sorted(done)
            assert len(done) > 3

    def test_a_callback_that_raises_cancels(self, fs: BlobFileSystem, tmp_path: Path) -> None:
        def raising(*_: Any, **__: Any) -> None:
            raise KeyError("hook")

        fs.pipe("box/a", b"x" * 1000)
        with pytest.raises(KeyError, match="hook"):
            fs.get_file("box/a", tmp_path / "a", callback=Callback(hooks={"x": raising}))
        assert not (tmp_path / "a").exists()


class TestWriting:
    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    @pytest.mark.parametrize("size", [0, 9, 20 << 20])
    def test_pipe(self, fs: BlobFileSystem, kind: type, size: int) -> None:
        body = os.urandom(size)
        fs.pipe_file("box/a", kind(body))
        assert fs.cat_file("box/a") == body

    def test_wrong_values(self, fs: BlobFileSystem) -> None:
        with pytest.raises(TypeError, match="'a'"):
            fs.pipe_file("box/a", "text")
        with pytest.raises(ValueError, match="creat"):
            fs.pipe_file("box/a", b"", mode="creat")
        with pytest.raises(IllegalArgumentError, match="no bucket"):
            fs.pipe_file("", b"x")
        assert fs.find("box") == []

    def test_directories_are_what_something_lies_in(self, fs: BlobFileSystem) -> None:
        fs.mkdir("box/a")
        fs.makedirs("box/a/b", exist_ok=True)
        assert fs.find("box", withdirs=True) == ["box"]
        fs.touch("box/a/b")
        with pytest.raises(FileExistsError):
            fs.makedirs("box/a")
        with pytest.raises(FileExistsError):
            fs.mkdir("box")
        with pytest.raises(FileExistsError):
            fs.makedirs("box")
        fs.makedirs("box", exist_ok=True)
        for wrong in (fs.mkdir, fs.makedirs):
            with pytest.raises(FileNotFoundError, match="bucket"):
                wrong("nobox/a")
        fs.mkdirs("other")
        assert fs.ls("", detail=False) == ["box", "other"]

    def test_rmdir(self, fs: BlobFileSystem, home: Path) -> None:
        mark(home, "a/")
        fs.pipe("box/b/c", b"x")
        fs.rmdir("box/a")
        assert not fs.exists("box/a")
        for path, error in (("box/b", OSError), ("box/c", FileNotFoundError)):
            with pytest.raises(error):
                fs.rmdir(path)
        with pytest.raises(BucketNotEmpty):
            fs.rmdir("box")
        fs.rm("box/b/c")
        fs.rmdir("box")
        assert fs.ls("") == []
        with pytest.raises(FileNotFoundError):
            fs.rmdir("box")

    def test_touch(self, fs: BlobFileSystem) -> None:
        fs.touch("box/a")
        assert fs.cat_file("box/a") == b""
        fs.pipe("box/a", b"x")
        with pytest.raises(neuro_sdk.NotSupportedError):
            fs.touch("box/a", truncate=False)
        assert fs.cat_file("box/a") == b"x"

    def test_copies_and_moves(self, fs: BlobFileSystem) -> None:
        fs.mkdir("other")
        fs.pipe({"box/a/b": b"1", "box/a/c/d": b"2"})
        fs.cp("box/a", "other/a", recursive=True)
        assert fs.find("other") == ["other/a/b", "other/a/c/d"]
        fs.mv("box/a/b", "other/moved")
        assert fs.cat_file("other/moved") == b"1"
        assert fs.find("box") == ["box/a/c/d"]
        fs.mv("box/a", "other/z", recursive=True)
        assert fs.find("box") == []
        assert fs.cat_file("other/z/c/d") == b"2"
        with pytest.raises(FileNotFoundError):
            fs.cp("box/none", "box/new")


class TestRemoval:
    def test_a_tree_goes_by_one_listing_and_its_siblings_stay(
        self, fs: BlobFileSystem, home: Path, calls: Counter[str]
    ) -> None:
        fs.pipe({f"box/logs/{n}/x": b"" for n in range(50)})
        fs.pipe({"box/logs.json": b"", "box/logs2/x": b""})
        mark(home, "logs/")
        calls.clear()
        fs.rm("box/logs", recursive=True)
        assert fs.find("box") == ["box/logs.json", "box/logs2/x"]
        assert calls == {"blob_rm": 1, "list_blobs": 1}  # the listing is that of find

    def test_what_is_refused(self, fs: BlobFileSystem) -> None:
        fs.pipe({"box/a/b": b"", "box/c": b""})
        with pytest.raises(BlobIsADirectory):
            fs.rm("box/a")
        with pytest.raises(FileNotFoundError):
            fs.rm("box/x")
        with pytest.raises(FileNotFoundError):
            fs.rm_file("box/x")
        with pytest.raises(IllegalArgumentError, match="no bucket"):
            fs.rm("", recursive=True)
        assert len(fs.find("box")) == 2

    def test_lists_patterns_and_depths(self, fs: BlobFileSystem) -> None:
        names = ["a/b", "a/c/d", "e", "f1", "f2", "g/h"]
        fs.pipe({f"box/{name}": b"" for name in names})
        fs.rm(["box/e", "box/f*"])
        assert fs.find("box") == ["box/a/b", "box/a/c/d", "box/g/h"]
        fs.rm("box/a", recursive=True, maxdepth=1)
        assert fs.find("box") == ["box/a/c/d", "box/g/h"]
        fs.rm(["box/a", "box/a/c", "box/**"], recursive=True)
        assert fs.find("box") == []

    def test_a_bucket_goes_when_it_is_named(self, fs: BlobFileSystem) -> None:
        fs.pipe("box/a", b"")
        with pytest.raises(BlobIsADirectory):
            fs.rm("box")
        fs.rm("box", recursive=True)
        assert fs.ls("") == []

    def test_one_failure_does_not_stop_the_others(self, fs: BlobFileSystem) -> None:
        fs.pipe({"box/a": b"", "box/d/x": b""})
        with pytest.raises(BlobNotFound) as caught:
            fs.rm(["box/a", "box/b", "box/c"])
        assert any("'c'" in note for note in caught.value.__notes__)
        assert fs.find("box") == ["box/d/x"]


class TestOptions:
    def test_unknown_ones_are_named_and_not_shown(self, home: Path) -> None:
        with pytest.raises(TypeError, match="'token'") as caught:
            fsspec.filesystem("blob", token="s3cret", path=home)
        assert "s3cret" not in str(caught.value)
        with pytest.raises(IllegalArgumentError, match="not both"):
            fsspec.filesystem("blob", path=home, profile="p")

    def test_where_on_the_platform(self, home: Path) -> None:
        fs = BlobFileSystem(path=home, org="o", project="p", transfer=TransferConfig(window=2))
        fs.mkdir("there")
        other = BlobFileSystem(path=home)
        assert (fs.ls("", detail=False), other.ls("")) == (["there"], [])
        for opened in (fs, other):
            opened.close()

    def test_a_profile(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fs: BlobFileSystem
    ) -> None:
        file = tmp_path / "config.toml"
        file.write_text(f'[profiles.mine]\nplatform = "local:{home}"\n')
        monkeypatch.setenv("NEURO_SDK_CONFIG", str(file))
        opened = fsspec.filesystem("blob", profile="mine")
        assert opened.ls("", detail=False) == ["box"]
        opened.close()
        monkeypatch.setenv("NEURO_SDK_PLATFORM", f"local:{home}")
        opened = fsspec.filesystem("blob", asynchronous=False)
        assert opened.exists("box")
        opened.close()

    def test_nothing_configured_is_said_at_the_first_call_and_the_next_one_tries_again(
        self, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NEURO_SDK_CONFIG", str(tmp_path / "none.toml"))
        monkeypatch.delenv("NEURO_SDK_PLATFORM", raising=False)
        fs = BlobFileSystem(skip_instance_cache=True)
        with pytest.raises(neuro_sdk.ConfigError, match="NEURO_SDK_PLATFORM"):
            fs.ls("")
        monkeypatch.setenv("NEURO_SDK_PLATFORM", f"local:{home}")
        assert fs.ls("") == []
        fs.close()

    def test_pickles(
        self, fs: BlobFileSystem, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        relative = BlobFileSystem(path=home.name)
        data = pickle.dumps(relative)
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        again = pickle.loads(data)
        assert again.ls("", detail=False) == ["box"]
        again.close()
        relative.close()
        assert pickle.loads(pickle.dumps(again)) == again

    def test_a_pickle_has_no_secret(
        self, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, fs: BlobFileSystem
    ) -> None:
        file = tmp_path / "config.toml"
        file.write_text(f'[profiles.mine]\nplatform = "local:{home}"\ntoken = "s3cret"\n')
        monkeypatch.setenv("NEURO_SDK_CONFIG", str(file))
        opened = BlobFileSystem(profile="mine")
        assert opened.exists("box")
        for text in (pickle.dumps(opened), opened.to_json().encode(), repr(opened).encode()):
            assert b"s3cret" not in text
        opened.close()


class TestAsync:
    @pytest.fixture
    def fs(self, home: Path) -> BlobFileSystem:
        return BlobFileSystem(path=home, asynchronous=True, skip_instance_cache=True)

    async def test_the_methods_are_awaited(self, fs: BlobFileSystem) -> None:
        async with fs:
            await fs._mkdir("box")
            await asyncio.gather(*[fs._pipe_file(f"box/{n}", b"%d" % n) for n in range(20)])
            assert len(await fs._find("box")) == 20
            assert await fs._cat_file("box/7") == b"7"
            async with await fs.open_async("box/big", "wb") as file:
                for _ in range(20):
                    await file.write(b"x" * (1 << 20))
            async with await fs.open_async("box/big", "ab") as file:
                await file.write(b"end")
            async with await fs.open_async("box/big") as file:
                file.seek(-5, 2)
                assert await file.read() == b"xxend"
            with pytest.raises(FileExistsError):
                await fs.open_async("box/big", "xb")
            with pytest.raises(KeyError):
                async with await fs.open_async("box/big", "wb") as file:
                    await file.write(b"y" * (9 << 20))
                    raise KeyError
            assert await fs._size("box/big") == (20 << 20) + 3
            with pytest.raises(neuro_sdk.NotSupportedError, match="open_async"):
                fs.open("box/big")
            with pytest.raises(InvalidKey):
                async with await fs.open_async("box/a//b", "wb") as file:
                    await file.write(b"x")

    async def test_one_that_is_forgotten_publishes_nothing(self, fs: BlobFileSystem) -> None:
        async with fs:
            await fs._mkdir("box")
            file = await fs.open_async("box/a", "wb")
            await file.write(b"x" * (9 << 20))
            with pytest.warns(RuntimeWarning, match="'box/a' was never closed"):
                del file
            await asyncio.sleep(0.05)
            assert await fs._ls("box") == []

    def test_each_loop_has_a_client(self, fs: BlobFileSystem) -> None:
        async def work(name: str) -> list[str]:
            async with fs:
                await fs._makedirs("box", exist_ok=True)
                await fs._pipe_file(f"box/{name}", b"")
                names: list[str] = await fs._ls("box", detail=False)
                return names

        assert asyncio.run(work("a")) == ["box/a"]
        assert asyncio.run(work("b")) == ["box/a", "box/b"]

    async def test_the_blocking_kind_in_a_coroutine(self, home: Path) -> None:
        """As in a notebook, where a loop runs already."""
        fs = BlobFileSystem(path=home, skip_instance_cache=True)
        fs.mkdir("box")
        fs.pipe("box/a", b"x")
        assert fs.cat("box/a") == b"x"
        fs.close()


@pytest.fixture(autouse=True)
def _no_instances_left() -> Iterator[None]:
    yield
    for fs in [*BlobFileSystem._cache.values()]:
        if not fs.asynchronous:
            fs.close()
    BlobFileSystem.clear_instance_cache()
