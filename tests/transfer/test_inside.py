"""A download stays inside its destination, whatever the keys and whatever is there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from neuro_sdk import (
    BlobObject,
    BucketEntry,
    BucketHandle,
    Client,
    InvalidKey,
    LocalError,
    TransferConfig,
    TransferError,
)
from neuro_sdk._core.keys import KeyRules
from neuro_sdk.protocols import Likely, Provider

from ..contracts.stores import Store, needs
from ..doubles import Front, buckets_behind
from ..recording import TreeRecorder, check_events
from ..trees import make_tree, read_tree, set_time

EVIL = b"evil"


class Hostile(Front):
    """Lists keys that no store of ours would hold, and has a body for each."""

    rules = KeyRules()

    def __init__(self, inner: Provider, keys: Sequence[str], body: bytes = EVIL) -> None:
        super().__init__(inner)
        self._keys = keys
        self._body = body
        self.fetched: list[str] = []

    def _blob(self, key: str) -> BlobObject:
        size = 0 if key.endswith("/") else len(self._body)
        long_ago = datetime.now(UTC) - timedelta(days=1)
        return BlobObject(
            key=key, bucket=self.bucket, size=size, modified_at=long_ago, etag=f'"{key}"'
        )

    async def head(self, key: str) -> BlobObject:
        return self._blob(key)

    async def pages(
        self,
        prefix: str = "",
        *,
        recursive: bool = False,
        most: int | None = None,
        likely: Likely | None = None,
    ) -> AsyncGenerator[Sequence[BucketEntry], None]:
        del likely
        keys = sorted(self._keys, key=lambda key: key.encode("utf-8", "surrogatepass"))
        yield [self._blob(key) for key in keys if key.startswith(prefix)]

    async def fetch(
        self,
        key: str,
        offset: int = 0,
        length: int | None = None,
        *,
        known: BlobObject | None = None,
    ) -> AsyncGenerator[bytes, None]:
        self.fetched.append(key)
        yield self._body[offset:][:length]


@pytest.fixture
async def place(client: Client, tmp_path: Path) -> Path:
    """A destination between folders that must stay as they are."""
    await client.buckets.create("box")
    make_tree(tmp_path / "around", {"x": b"mine", "to/mine": b"mine", "outside/file": b"mine"})
    return tmp_path / "around" / "to"


KEYS = (
    "../x",
    "../new",
    "/abs",
    "//abs",
    "a/../../x",
    "a/../b",
    "a//b",
    "a/./b",
    "./b",
    "..",
    ".",
    "a/..",
    "a/../",
    "../",
    "nul\0byte",
    "d/nul\0/x",
    "lone\ud800surrogate",
    "bytes\udcff",
    " blank",
    "blank ",
    "d/",
    "d/fine",
    "fine",
)


class TestHostileKeys:
    @pytest.mark.parametrize("prefix", ["", "t/"])
    async def test_nothing_lands_outside_and_each_is_reported(
        self, client: Client, place: Path, prefix: str
    ) -> None:
        absolute = f"{place.parent}/abs".lstrip("/")
        keys = [prefix + key for key in (*KEYS, f"/{absolute}")]
        if prefix:  # where the key has no blank at an end any more
            keys.remove(f"{prefix} blank")
        before = read_tree(place.parent)
        provider: list[Hostile] = []

        def hostile(inner: Provider) -> Provider:
            provider.append(Hostile(inner, keys))
            return provider[-1]

        recorder = TreeRecorder()
        with pytest.raises(TransferError) as caught:
            await buckets_behind(client, hostile).download_dir(
                f"blob:box/{prefix}", place, progress=recorder
            )
        after = read_tree(place.parent)
        assert after == before | {"to/d/fine": EVIL, "to/fine": EVIL}
        bad = {key for key in keys if key.removeprefix(prefix) not in ("d/", "d/fine", "fine")}
        assert {prefix + path for path, _ in caught.value.failures} == bad
        assert (caught.value.failed, caught.value.done) == (len(bad), 2)
        assert all(isinstance(error, InvalidKey) for _, error in caught.value.failures)
        assert sorted(provider[0].fetched) == [f"{prefix}d/fine", f"{prefix}fine"]
        assert recorder.kinds.count("fail") == len(bad)
        str(caught.value).encode()  # what it says can be printed

    async def test_failures_come_in_their_place_among_the_events(
        self, client: Client, place: Path
    ) -> None:
        keys = ["a/1", "a/2 ", "a/3", "b/1 ", "b/2", "c/only "]
        recorder = TreeRecorder()
        with pytest.raises(TransferError):
            await buckets_behind(client, lambda inner: Hostile(inner, keys)).download_dir(
                "blob:box", place, progress=recorder
            )
        counts = check_events(recorder.events)
        assert (counts["fail"], counts["complete"]) == (3, 3)

    @pytest.mark.parametrize("key", ["../x", "/abs", "a/../b", "a//b", "nul\0byte", " a"])
    async def test_a_single_file_is_named_by_the_caller_but_its_key_is_checked(
        self, client: Client, place: Path, key: str
    ) -> None:
        async with client.buckets.open("box") as handle:
            with pytest.raises(InvalidKey):
                await handle.download_file(key, place / "new")
        assert not (place / "new").exists()


class TestLinksAtTheDestination:
    """Links in the destination that lead out of it."""

    @pytest.fixture
    def linked(self, place: Path) -> Path:
        (place / "way").symlink_to("../outside")
        (place / "file").symlink_to("../outside/file")
        (place / "gone").symlink_to("../outside/gone")
        (place / "inner").mkdir()
        (place / "loop").symlink_to("inner")
        return place

    async def download(
        self, client: Client, linked: Path, *keys: str, **flags: Any
    ) -> TransferError | None:
        buckets = buckets_behind(client, lambda inner: Hostile(inner, keys, b"mine and evil"))
        try:
            await buckets.download_dir("blob:box", linked, **flags)
        except TransferError as error:
            return error
        return None

    @pytest.mark.parametrize("flags", [{}, {"continue_": True}, {"update": True}])
    async def test_a_folder_that_leads_out_is_not_followed(
        self, client: Client, linked: Path, flags: dict[str, bool]
    ) -> None:
        error = await self.download(
            client, linked, "way/x", "way/new/er/x", "way/file", "way/empty/", "fine", **flags
        )
        assert error is not None
        assert {path for path, _ in error.failures} == {
            "way/x",
            "way/new/er/x",
            "way/file",
            "way/empty/",
        }
        assert all(isinstance(cause, LocalError) for _, cause in error.failures)
        assert read_tree(linked.parent / "outside") == {"file": b"mine"}
        assert (linked / "fine").read_bytes() == b"mine and evil"

    async def test_a_folder_link_that_stays_inside_is_followed(
        self, client: Client, linked: Path
    ) -> None:
        assert await self.download(client, linked, "loop/x") is None
        assert (linked / "inner" / "x").read_bytes() == b"mine and evil"

    @pytest.mark.parametrize(
        "flags", [{}, {"continue_": True}, {"continue_": True, "update": True}]
    )
    async def test_a_file_link_is_replaced_never_written_through(
        self, client: Client, linked: Path, flags: dict[str, bool]
    ) -> None:
        for _ in range(2):
            set_time(linked.parent / "outside" / "file", datetime.now(UTC) + timedelta(days=1))
        assert await self.download(client, linked, "file", "gone", **flags) is None
        assert read_tree(linked.parent / "outside") == {"file": b"mine"}
        for name in ("file", "gone"):
            assert not (linked / name).is_symlink()
            assert (linked / name).read_bytes() == b"mine and evil"

    async def test_with_large_blobs_too(self, client: Client, linked: Path) -> None:
        body = b"mine" + b"x" * 200_000
        set_time(linked.parent / "outside" / "file", datetime.now(UTC) + timedelta(days=1))
        buckets = buckets_behind(
            client,
            lambda inner: Hostile(inner, ["file", "gone", "way/large"], body),
            transfer=TransferConfig(part_size=64 << 10),
        )
        with pytest.raises(TransferError) as caught:
            await buckets.download_dir("blob:box", linked, continue_=True)
        assert [path for path, _ in caught.value.failures] == ["way/large"]
        assert read_tree(linked.parent / "outside") == {"file": b"mine"}
        assert (linked / "file").read_bytes() == body

    async def test_pipes_and_folders_in_the_way(self, client: Client, linked: Path) -> None:
        os.mkfifo(linked / "pipe")
        (linked / "folder" / "below").mkdir(parents=True)
        error = await asyncio.wait_for(
            self.download(client, linked, "pipe", "folder", "fine", continue_=True), 20
        )
        assert error is not None
        assert [path for path, _ in error.failures] == ["folder"]
        assert (linked / "pipe").read_bytes() == b"mine and evil"


class TestCollisions:
    async def test_a_blob_and_a_folder_of_one_name(
        self, anywhere: Client, box: BucketHandle, store: Store, tmp_path: Path
    ) -> None:
        needs(store, "blob beside folder")
        for key in ("a", "a/b", "c"):
            await box.put_blob(key, b"x")
        with pytest.raises(TransferError) as caught:
            await anywhere.buckets.download_dir("blob:box", tmp_path / "to")
        assert caught.value.failed == 1
        assert caught.value.done == 2

    @pytest.mark.parametrize("keys", [("a", "a/b", "c"), ("a", "a/", "c"), ("a", "a/b/", "c")])
    async def test_on_any_disk_one_of_them_is_reported(
        self, client: Client, place: Path, keys: tuple[str, ...]
    ) -> None:
        for concurrency in (1, 8):
            limits = TransferConfig(concurrency=concurrency)
            with pytest.raises(TransferError) as caught:
                await buckets_behind(
                    client, lambda inner: Hostile(inner, keys), transfer=limits
                ).download_dir("blob:box", place / str(concurrency))
            ((path, error),) = caught.value.failures
            assert path in keys
            assert isinstance(error, LocalError)
            found = read_tree(place / str(concurrency))
            assert found.pop("c") == EVIL
            assert len(found) == 1

    async def test_files_where_folders_are_needed(self, client: Client, place: Path) -> None:
        make_tree(place, {"file": b"mine", "folder/x": b"mine"})
        keys = ("file/a", "file/b/c", "folder", "fine")
        with pytest.raises(TransferError) as caught:
            await buckets_behind(client, lambda inner: Hostile(inner, keys)).download_dir(
                "blob:box", place
            )
        errors = dict(caught.value.failures)
        assert errors.keys() == {"file/a", "file/b/c", "folder"}
        assert isinstance(errors["file/a"], NotADirectoryError)
        assert isinstance(errors["file/b/c"], NotADirectoryError)
        assert isinstance(errors["folder"], IsADirectoryError)
        assert read_tree(place) == {
            "mine": b"mine",
            "file": b"mine",
            "folder/x": b"mine",
            "fine": EVIL,
        }

    async def test_names_that_a_case_blind_disk_takes_for_one(
        self, client: Client, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("neuro_sdk._transfer.download.ignores_case", lambda _: True)
        keys = ("README", "readme", "d/\u00e9", "d/e\u0301", "other")
        with pytest.raises(TransferError) as caught:
            await buckets_behind(client, lambda inner: Hostile(inner, keys)).download_dir(
                "blob:box", place
            )
        assert caught.value.failed == 2
        assert {path for path, _ in caught.value.failures} == {"readme", "d/\u00e9"}


async def test_a_listing_that_names_another_bucket_is_still_held_inside(
    client: Client, place: Path
) -> None:
    other = await client.buckets.create("other")

    class Astray(Hostile):
        def _blob(self, key: str) -> BlobObject:
            return replace(super()._blob(key), bucket=other)

    with pytest.raises(TransferError):
        await buckets_behind(client, lambda inner: Astray(inner, ["../x"])).download_dir(
            "blob:box", place
        )
    assert (place.parent / "x").read_bytes() == b"mine"
