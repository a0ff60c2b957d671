"""Folders that cannot be written to and disks that are full: a clear error, nothing short."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import neuro_sdk
from neuro_sdk import (
    Bucket,
    BucketHandle,
    Client,
    LocalDiskFull,
    NeuroError,
)

from .scripts import trees, work
from .scripts.processes import call
from .scripts.verbs import run

NOBODY = 65534
SIZE = "size=2m"


def give(folder: Path, user: int = NOBODY) -> None:
    """Let the user without rights own all that is there."""
    if os.getuid() == 0:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, user, user, follow_symlinks=False)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that a user without rights may reach."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir():
                path.chmod(0o700)
        shutil.rmtree(folder)


async def make(home: Path, version: int = 0) -> Path:
    """A home with the tree in its bucket; the answer is the folder of the bucket."""
    async with neuro_sdk.local(home) as client:
        bucket = await client.buckets.create("photos")
        for name, data in trees.tree(version).items():
            await client.buckets.put_blob("photos", f"tree/{name}", data)
    return home / "blobs" / bucket.id


async def answer(verb: str, home: Path, folder: Path) -> str:
    return await asyncio.to_thread(call, work.transfer_as_nobody, verb, home, folder)


class TestPermission:
    """As a user who may not write: what stands there stays, and the error says where."""

    @pytest.mark.parametrize("verb", ["download_dir", "download_file", "continue_file"])
    async def test_download_into_an_unwritable_folder(self, place: Path, verb: str) -> None:
        home, folder = place / "home", place / "folder"
        await make(home)
        old = {"big": b"old", "a": b"old"}
        trees.write(folder, old)
        os.utime(folder / "big", (1, 1))
        give(place)
        folder.chmod(0o555)
        error = await answer(verb, home, folder)
        if verb == "download_dir":
            assert error.startswith("TransferError: "), error
            assert "Permission denied" in error
            assert "bucket=photos" in error
            assert f"'{folder}/" in error, "the first few that failed are named, in any order"
        else:
            assert error.startswith("LocalPermissionDenied: Permission denied"), error
            assert f"filename={folder / 'big'}" in error
        assert trees.read(folder) == old
        assert trees.hidden(folder) == []

    async def test_download_onto_a_read_only_file(self, place: Path) -> None:
        home, folder = place / "home", place / "folder"
        await make(home)
        trees.write(folder, {"big": b"old"})
        give(place)
        (folder / "big").chmod(0o444)
        error = await answer("download_file", home, folder)
        assert error.startswith("LocalPermissionDenied: "), error
        assert f"filename={folder / 'big'}" in error
        assert trees.read(folder) == {"big": b"old"}
        assert trees.hidden(folder) == []

    async def test_download_below_an_unwritable_folder(self, place: Path) -> None:
        home, folder = place / "home", place / "folder"
        await make(home)
        folder.mkdir()
        give(place)
        folder.chmod(0o555)
        error = await answer("download_file", home, folder / "new" / "deep")
        assert error.startswith("LocalPermissionDenied: "), error
        assert f"filename={folder / 'new'}" in error

    async def test_upload_of_an_unreadable_file(self, place: Path) -> None:
        home, folder = place / "home", place / "folder"
        await make(home)
        trees.write(folder, trees.tree(1))
        give(place)
        (folder / "big").chmod(0)
        error = await answer("upload_file", home, folder)
        assert error.startswith("LocalPermissionDenied: "), error
        assert f"filename={folder / 'big'}" in error
        error = await answer("upload_dir", home, folder)
        assert error.startswith("TransferError: 1 could not be uploaded, 14 were: 'big': "), error
        assert str(folder / "big") in error

    async def test_upload_of_an_unreadable_folder(self, place: Path) -> None:
        home, folder = place / "home", place / "folder"
        await make(home)
        trees.write(folder, trees.tree(1))
        give(place)
        (folder / "sub").chmod(0)
        error = await answer("upload_dir", home, folder)
        assert error.startswith("TransferError: 1 could not be uploaded, 5 were: 'sub/': "), error
        folder.chmod(0)
        error = await answer("upload_dir", home, folder)
        assert error.startswith("LocalPermissionDenied: "), error
        assert f"filename={folder}" in error

    @pytest.mark.parametrize("verb", ["upload_dir", "upload_file"])
    async def test_upload_to_an_unwritable_bucket(self, place: Path, verb: str) -> None:
        home, folder = place / "home", place / "folder"
        root = await make(home)
        trees.write(folder, trees.tree(1))
        give(place)
        for path in [root, *root.rglob("*")]:
            if path.is_dir():
                path.chmod(0o555)
        error = await answer(verb, home, folder)
        assert "Permission denied" in error
        assert "bucket=photos" in error
        if verb == "upload_file":
            assert error.startswith("LocalPermissionDenied: "), error
            assert f"filename={root}" in error
            assert "key=tree/big" in error
        assert trees.read(root) == {f"tree/{name}": data for name, data in trees.tree(0).items()}
        assert trees.hidden(root) == []

    async def test_every_verb_on_an_unwritable_bucket(self, place: Path) -> None:
        home = place / "home"
        root = await make(home)
        give(place)
        for path in [root, *root.rglob("*")]:
            if path.is_dir():
                path.chmod(0o555)
        told = await asyncio.to_thread(call, work.put_as_nobody, home, "tree/a")
        put, fetch, head, listing, delete, remove = told.split("\n")
        assert fetch == f"done: {trees.content('a', 0)!r}"
        assert head.startswith("done: ")
        assert listing.startswith("done: ")
        for error in (put, delete):
            assert error.startswith("LocalPermissionDenied: "), error
            assert "bucket=photos key=tree/a" in error
        assert remove.startswith("TransferError: 15 could not be removed, 0 were: "), remove
        assert trees.read(root) == {f"tree/{name}": data for name, data in trees.tree(0).items()}

    @pytest.mark.parametrize("hidden", [".neuro-sdk", ".neuro-sdk/writing"])
    async def test_an_unreadable_folder_for_writing(self, place: Path, hidden: str) -> None:
        # Another user made it, with a mode that keeps all others out.
        home = place / "home"
        root = await make(home)
        give(place)
        (root / hidden).chmod(0)
        told = await asyncio.to_thread(call, work.put_as_nobody, home, "tree/a")
        put, fetch, head, listing, delete, _ = told.split("\n")
        assert put.startswith("LocalPermissionDenied: "), put
        assert "bucket=photos key=tree/a" in put
        assert fetch == f"done: {trees.content('a', 0)!r}"
        for answer in (head, listing, delete):
            assert answer.startswith("done: "), answer

    async def test_a_removal_that_leaves_an_empty_folder(self, place: Path) -> None:
        home = place / "home"
        root = await make(home)
        give(place)
        root.chmod(0o555)  # so that the folder "tree" must stay
        told = await asyncio.to_thread(call, work.put_as_nobody, home, "tree/a")
        put, _, _, _, delete, remove = told.split("\n")
        assert put.startswith("done: "), put
        assert delete.startswith("done: "), delete
        assert remove.startswith("done: "), remove
        assert trees.read(root) == {}

    async def test_a_bucket_out_of_reach_is_not_gone(self, place: Path) -> None:
        home = place / "home"
        root = await make(home)
        imported = place / "above" / "imported"
        shutil.copytree(root, imported)
        async with neuro_sdk.local(home) as client:
            await client.buckets.rm("photos", force=True)
            credentials = {"root": str(imported)}
            await client.buckets.import_external(
                Bucket.Provider.LOCAL, "imported", credentials, "photos"
            )
        give(place)
        (place / "above").chmod(0)
        told = await asyncio.to_thread(call, work.put_as_nobody, home, "tree/a")
        for error in told.split("\n"):
            assert error.startswith("LocalPermissionDenied: "), error
            assert "bucket=photos" in error

    async def test_an_unwritable_registry(self, place: Path) -> None:
        home = place / "home"
        await make(home)
        give(place)
        home.chmod(0o555)
        for path in home.glob("registry.db*"):
            path.chmod(0o444)
            give(path, 0)
        error = await answer("upload_dir", home, place)
        assert error.startswith("LocalPermissionDenied: "), error
        assert f"filename={home / 'registry.db'}" in error


class TestFullDisk:
    """Files may not grow: the limit of the process, and a real file system without space."""

    @pytest.mark.parametrize("verb", ["upload_dir", "upload_file"])
    async def test_limit_upload(self, tmp_path: Path, verb: str) -> None:
        home, folder = tmp_path / "home", tmp_path / "folder"
        root = await make(home)
        files = trees.tree(1)
        trees.write(folder, files)
        error = await asyncio.to_thread(call, work.transfer_on_a_full_disk, verb, home, folder)
        assert error.startswith("LocalDiskFull: File too large"), error
        assert f"filename={root}" in error
        assert "bucket=photos key=tree/" in error
        before = {f"tree/{name}": data for name, data in trees.tree(0).items()}
        after = {f"tree/{name}": data for name, data in files.items()}
        trees.changed(trees.read(root), before, after)
        assert trees.hidden(root) == []

    @pytest.mark.parametrize("verb", ["download_dir", "download_file", "continue_dir"])
    async def test_limit_download(self, tmp_path: Path, verb: str) -> None:
        home, folder = tmp_path / "home", tmp_path / "folder"
        await make(home, 1)
        before = trees.tree(0)
        trees.write(folder, before)
        for path in folder.rglob("*"):
            os.utime(path, (1, 1))
        error = await asyncio.to_thread(call, work.transfer_on_a_full_disk, verb, home, folder)
        assert error.startswith("LocalDiskFull: File too large"), error
        assert f"filename={folder}" in error
        assert ".neuro-sdk" not in error
        trees.changed(trees.read(folder), before, trees.tree(1))
        assert trees.hidden(folder) == []

    async def test_download(self, small: Path, tmp_path: Path) -> None:
        home = tmp_path / "home"
        await make(home)
        folder = small / "folder"
        trees.write(folder, {"a": b"old"})
        async with neuro_sdk.local(home, transfer=trees.STEPS) as client:
            with pytest.raises(LocalDiskFull, match="No space left") as caught:
                await run(client, "download_dir", folder, lambda _: None)
            assert str(caught.value.filename).startswith(str(folder))
            trees.changed(trees.read(folder), {"a": b"old"}, trees.tree(0))
            assert trees.hidden(folder) == []
            grow(small)
            await run(client, "continue_dir", folder, lambda _: None)
        assert trees.read(folder) == trees.tree(0)

    async def test_bucket(self, small: Path, tmp_path: Path) -> None:
        source = tmp_path / "source"
        files = trees.tree(1)
        trees.write(source, files)
        async with neuro_sdk.local(tmp_path / "home", transfer=trees.STEPS) as client:
            await client.buckets.import_external(
                Bucket.Provider.LOCAL, "imported", {"root": str(small)}, "photos"
            )
            async with client.buckets.open("photos") as bucket:
                await bucket.put_blob("tree/big", b"old")
                await full(client, bucket, source, small)
                after = {f"tree/{name}": data for name, data in files.items()}
                trees.changed(trees.read(small), {"tree/big": b"old"}, after)
                assert trees.hidden(small) == []
                grow(small)
                await run(client, "upload_dir", source, lambda _: None)
        assert trees.read(small) == after

    async def test_home(self, small: Path) -> None:
        fill(small)
        with pytest.raises(LocalDiskFull) as caught:
            await neuro_sdk.local(small / "home")
        assert str(caught.value.filename).startswith(str(small / "home"))
        (small / "ballast").unlink()
        async with neuro_sdk.local(small / "home") as client:
            made = await client.buckets.create("photos")
            fill(small)
            with pytest.raises(LocalDiskFull, match=str(small)):
                for _ in range(10_000):
                    await client.buckets.create()
            assert await client.buckets.get("photos") == made
            (small / "ballast").unlink()
            await client.buckets.create("again")


async def full(client: Client, bucket: BucketHandle, source: Path, root: Path) -> None:
    """Each way to write meets the full disk."""
    with pytest.raises(LocalDiskFull, match="No space left") as caught:
        await run(client, "upload_dir", source, lambda _: None)
    assert told(caught.value, root)
    fill(root)

    async def pieces() -> object:
        for _ in range(20):
            yield b"x" * 100_000

    for body in (b"x" * 1_500_000, pieces):
        with pytest.raises(LocalDiskFull, match="No space left") as caught:
            await bucket.put_blob("tree/big", body)  # type: ignore[arg-type]
        assert told(caught.value, root)
        assert caught.value.key == "tree/big"
    (root / "ballast").unlink()


def told(error: NeuroError, root: Path) -> bool:
    """True if the error says where it happened."""
    return (error.bucket, getattr(error, "filename", None)) == ("photos", str(root))


def fill(folder: Path) -> None:
    ballast = (folder / "ballast").open("wb", buffering=0)
    with ballast as file, pytest.raises(OSError, match="space"):
        while True:
            file.write(b"x" * 4096)


def grow(small: Path) -> None:
    mount("-o", "remount,size=16m", str(small))


def mount(*args: str) -> bool:
    return subprocess.run(["mount", *args], capture_output=True, check=False).returncode == 0


@pytest.fixture
def small() -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = Path(tempfile.mkdtemp())
    if shutil.which("mount") is None or not mount("-t", "tmpfs", "-o", SIZE, "small", str(folder)):
        folder.rmdir()
        pytest.skip("this user may not mount a file system")
    try:
        yield folder
    finally:
        gc.collect()  # tracebacks may still hold files
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()
