"""Files at a real S3 store: parts go out while a file is written, and none is left over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from neuro_sdk import BlobChanged
from neuro_sdk._platform.seaweedfs import SeaweedFSServer
from neuro_sdk.fsspec import BlobFileSystem

from ...platform.serving import write_store
from ...servers.s3 import s3_client
from .opening import file_system

MIB = 1 << 20


@pytest.fixture
def fs(home: Path, seaweedfs: SeaweedFSServer) -> Iterator[BlobFileSystem]:
    """A file system whose buckets live at SeaweedFS."""
    write_store(home, seaweedfs, "seaweedfs")
    with file_system(home) as opened:
        yield opened


async def unfinished(server: SeaweedFSServer) -> list[str]:
    """The keys of uploads that were begun and neither finished nor aborted."""
    async with s3_client(server.endpoint, server.access_key, server.secret_key) as s3:
        found = []
        for bucket in (await s3.list_buckets())["Buckets"]:
            uploads = await s3.list_multipart_uploads(Bucket=bucket["Name"])
            found += [upload["Key"] for upload in uploads.get("Uploads", ())]
        return found


def test_parts_go_out_as_they_are_written(fs: BlobFileSystem) -> None:
    body = os.urandom(50 * MIB)
    with fs.open("box/a", "wb") as file:
        for at in range(0, len(body), MIB):
            file.write(body[at : at + MIB])
        assert not fs.exists("box/a")
    with fs.open("box/a", cache_type="none") as file:
        file.seek(33 * MIB)
        assert file.read(5 * MIB) == body[33 * MIB : 38 * MIB]
    assert fs.cat_file("box/a") == body


@pytest.mark.parametrize("how", ["raise", "discard", "forget"])
async def test_nothing_is_left_of_what_is_not_published(
    fs: BlobFileSystem, seaweedfs: SeaweedFSServer, how: str
) -> None:
    file = fs.open("box/a", "wb")
    for _ in range(40):
        file.write(bytes(MIB))
    assert await unfinished(seaweedfs) == ["a"]
    if how == "raise":
        with pytest.raises(KeyError), file:
            raise KeyError
    elif how == "discard":
        file.discard()
    else:
        with pytest.warns(RuntimeWarning, match="never closed"):
            del file
    for _ in range(100):
        left = await unfinished(seaweedfs)
        if not left:
            break
    assert left == []


def test_a_blob_beside_a_directory_of_its_name(fs: BlobFileSystem) -> None:
    fs.pipe({"box/a": b"blob", "box/a/b": b"below"})
    shown = sorted((info["name"], info["type"]) for info in fs.ls("box"))
    assert shown == [("box/a", "directory"), ("box/a", "file")]
    assert fs.find("box") == ["box/a", "box/a/b"]
    assert [*fs.walk("box")] == [("box", ["a"], ["a"]), ("box/a", [], ["b"])]
    assert fs.info("box/a")["type"] == "file"
    assert fs.info("box/a/")["type"] == "directory"
    fs.rm("box/a")
    assert fs.find("box") == ["box/a/b"]


def test_one_version(fs: BlobFileSystem) -> None:
    fs.pipe("box/a", bytes(9 * MIB))
    with fs.open("box/a", block_size=MIB) as file:
        assert file.read(5) == bytes(5)
        fs.pipe("box/a", b"1" * (9 * MIB))
        with pytest.raises(BlobChanged):
            file.read()
