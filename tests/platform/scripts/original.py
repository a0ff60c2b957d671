"""The main job with the original client, unmodified: URL and token come in the environment."""

import asyncio
import os
import sys
from pathlib import Path

import apolo_sdk
from yarl import URL


async def main(folder: Path) -> None:
    config = folder / "config"
    await apolo_sdk.login_with_token(
        os.environ["PLATFORM_TOKEN"], url=URL(os.environ["PLATFORM_URL"]), path=config
    )
    tree = folder / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "a.txt").write_bytes(b"a")
    (tree / "deep" / "b.txt").write_bytes(b"bb")
    async with apolo_sdk.get(path=config) as client:
        buckets = client.buckets
        bucket = await buckets.create("photos")
        assert bucket.owner == "alice", bucket
        try:
            await buckets.create("photos")
        except ValueError as error:
            print("taken:", type(error).__name__)
        else:
            raise AssertionError("the name was given twice")
        async with buckets.list() as listed:
            assert [one.name async for one in listed] == ["photos"]
        assert await buckets.get("photos") == bucket
        assert await buckets.get(bucket.id) == bucket
        await buckets.put_blob("photos", "hello.txt", b"Hello!")
        async with buckets.fetch_blob("photos", "hello.txt") as pieces:
            assert b"".join([piece async for piece in pieces]) == b"Hello!"
        await buckets.upload_dir(URL(tree.as_uri()), bucket.uri / "tree")
        async with buckets.list_blobs(bucket.uri, recursive=True) as blobs:
            keys = sorted([blob.key async for blob in blobs])
        keys = [key for key in keys if not key.endswith("/")]  # SeaweedFS shows folders too
        assert keys == ["hello.txt", "tree/a.txt", "tree/deep/b.txt"], keys
        await buckets.download_dir(bucket.uri / "tree", URL((folder / "copy").as_uri()))
        assert (folder / "copy" / "deep" / "b.txt").read_bytes() == b"bb"
        url = await buckets.make_signed_url(bucket.uri / "hello.txt")
        assert url.scheme == "http", url
        made = await buckets.persistent_credentials_create([bucket.id], "reader", read_only=True)
        async with buckets.persistent_credentials_list() as found:
            assert [one.id async for one in found] == [made.id]
        await buckets.persistent_credentials_rm("reader")
        assert (await buckets.set_public_access("photos", True)).public
        try:
            await buckets.get("missing")
        except apolo_sdk.ResourceNotFound:
            print("missing: ResourceNotFound")
        await buckets.blob_rm(bucket.uri / "tree", recursive=True)
        await buckets.blob_rm(bucket.uri / "hello.txt")
        await buckets.rm("photos")
        async with buckets.list() as listed:
            assert [one.name async for one in listed] == []
    print("all done")


asyncio.run(main(Path(sys.argv[1])))
