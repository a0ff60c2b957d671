"""Errors say which bucket and key, and keep secrets; unknown providers are refused by name."""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import neuro_sdk
from neuro_sdk import (
    Bucket,
    BucketCredentials,
    BucketHandle,
    Buckets,
    Client,
    ClientClosed,
    NeuroError,
    NotSupportedError,
    TransferConfig,
)
from neuro_sdk._core.uri import Scope
from neuro_sdk.protocols import ControlPlane

from ..doubles import buckets_behind

KEY_ID, SECRET, TOKEN = "AKIAPLANTED0000", "planted/secret+key", "planted-session-token=="
NEWER = Bucket.Provider("quantum")


def data_verbs(buckets: Buckets, folder: Path) -> Mapping[str, Callable[[], Awaitable[Any]]]:
    """Every operation on blobs of the bucket ``box``, with a key where it takes one."""
    return {
        "head_blob": lambda: buckets.head_blob("box", "key"),
        "put_blob": lambda: buckets.put_blob("box", "key", b"x"),
        "fetch_blob": lambda: anext(buckets.fetch_blob("box", "key")),
        "delete_blob": lambda: buckets.delete_blob("box", "key"),
        "list_blobs": lambda: anext(buckets.list_blobs("blob:box")),
        "glob_blobs": lambda: anext(buckets.glob_blobs("blob:box/*")),
        "blob_is_dir": lambda: buckets.blob_is_dir("blob:box/key"),
        "blob_rm": lambda: buckets.blob_rm("blob:box/key"),
        "get_disk_usage": lambda: anext(buckets.get_disk_usage("box")),
        "make_signed_url": lambda: buckets.make_signed_url("blob:box/key"),
        "upload_file": lambda: buckets.upload_file(folder / "file", "blob:box/key"),
        "download_file": lambda: buckets.download_file("blob:box/key", folder / "target"),
        "upload_dir": lambda: buckets.upload_dir(folder, "blob:box/key"),
        "download_dir": lambda: buckets.download_dir("blob:box/key", folder / "target"),
    }


class Newer:
    """A platform that is newer than this version: its buckets are at an unknown provider."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plane, name)

    async def list_buckets(self, scope: Scope) -> AsyncIterator[Bucket]:
        async for bucket in self._plane.list_buckets(scope):
            yield replace(bucket, provider=NEWER)

    async def get_bucket(self, id_or_name: str, scope: Scope) -> Bucket:
        return replace(await self._plane.get_bucket(id_or_name, scope), provider=NEWER)

    async def bucket_credentials(self, bucket: Bucket) -> BucketCredentials:
        return replace(await self._plane.bucket_credentials(bucket), provider=NEWER)


class TestUnknownProvider:
    async def test_it_lists_and_shows(self, client: Client) -> None:
        made = await client.buckets.create("box")
        buckets = buckets_behind(client, control=Newer)
        (listed,) = [bucket async for bucket in buckets.list()]
        assert listed == await buckets.get("box")
        assert listed.id == made.id
        assert listed.provider == "quantum"
        assert not listed.provider.known
        assert "quantum" in repr(listed)
        assert (await buckets.request_tmp_credentials("box")).provider == "quantum"

    async def test_it_refuses_data_operations_by_name(self, client: Client, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"x")
        await client.buckets.create("box")
        buckets = buckets_behind(client, control=Newer)
        for name, verb in data_verbs(buckets, tmp_path).items():
            with pytest.raises(NotSupportedError, match="quantum") as caught:
                await verb()
            assert caught.value.bucket == "box", name
        assert not (tmp_path / "target").exists()

    async def test_it_cannot_be_imported(self, client: Client) -> None:
        with pytest.raises(NotSupportedError, match="quantum"):
            await client.buckets.import_external(NEWER, "theirs", {}, "box")


async def test_errors_say_which_bucket_and_key(box: BucketHandle, anywhere: Client) -> None:
    buckets = anywhere.buckets
    for verb in (
        lambda: buckets.head_blob("box", "gone"),
        lambda: anext(buckets.fetch_blob("box", "gone")),
        lambda: buckets.blob_rm("blob:box/gone"),
        lambda: buckets.blob_rm("blob:box/gone", recursive=True),
        lambda: buckets.download_file("blob:box/gone", "/tmp/never"),
        lambda: buckets.download_dir("blob:box/gone", "/tmp/never"),
        lambda: box.head_blob("gone"),
    ):
        with pytest.raises(NeuroError) as caught:
            await verb()
        assert (caught.value.bucket, caught.value.key) == ("box", "gone")
        assert "'box'" in str(caught.value)
        assert "'gone'" in str(caught.value)
        again = pickle.loads(pickle.dumps(caught.value))
        assert type(again) is type(caught.value)
        assert (str(again), again.bucket, again.key) == (str(caught.value), "box", "gone")
    assert not Path("/tmp/never").exists()


async def test_a_closed_client_says_so(home: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    async with neuro_sdk.local(home) as client:
        await client.buckets.create("box")
        handle = await client.buckets.open("box")
    for name, verb in data_verbs(client.buckets, tmp_path).items():
        with pytest.raises(ClientClosed):
            await verb()
        assert name
    with pytest.raises(ClientClosed):
        await handle.put_blob("key", b"x")
    with pytest.raises(ClientClosed):
        await anext(handle.list_blobs())


class TestSecrets:
    """The credentials of a store that is not there, through everything that could tell them."""

    @pytest.fixture
    def limits(self) -> TransferConfig:
        return TransferConfig(timeout=2, retries=0)

    @pytest.fixture
    async def buckets(
        self, home: Path, limits: TransferConfig, unused_tcp_port: int
    ) -> AsyncIterator[Buckets]:
        async with neuro_sdk.local(home, transfer=limits) as client:
            await client.buckets.import_external(
                Bucket.Provider.MINIO,
                "theirs",
                {
                    "endpoint_url": f"http://127.0.0.1:{unused_tcp_port}",
                    "region_name": "eu-west-1",
                    "access_key_id": KEY_ID,
                    "secret_access_key": SECRET,
                    "session_token": TOKEN,
                },
                "box",
            )
            yield client.buckets

    def check(self, text: str) -> None:
        for secret in (SECRET, TOKEN, "planted%2Fsecret"):
            assert secret not in text

    async def test_no_error_or_log_tells_them(
        self, buckets: Buckets, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        (tmp_path / "file").write_bytes(b"x")
        failed = 0
        for name, verb in data_verbs(buckets, tmp_path).items():
            if name == "make_signed_url":
                continue
            with pytest.raises((NeuroError, StopAsyncIteration)) as caught:
                await verb()
            assert isinstance(caught.value, NeuroError), name
            assert not isinstance(caught.value, FileNotFoundError), "not there, or out of reach?"
            assert caught.value.bucket == "box"
            failed += 1
            self.check("".join(traceback.format_exception(caught.value)))
            self.check(repr(caught.value))
            self.check(repr(pickle.dumps(caught.value)))
        assert failed == 13
        self.check(caplog.text)

    async def test_no_repr_tells_them(self, buckets: Buckets) -> None:
        credentials = await buckets.request_tmp_credentials("box")
        assert credentials.credentials["secret_access_key"] == SECRET
        handle = await buckets.open("box")
        provider = await handle._opened()
        values = [credentials, handle, buckets, handle.bucket, provider, provider.__dict__]
        inner = provider.__dict__.values()
        values += [vars(value) for value in inner if hasattr(value, "__dict__")]
        for value in values:
            self.check(repr(value))
            self.check(str(value))

    async def test_wrong_credentials_are_not_told_either(self, client: Client) -> None:
        with pytest.raises(NeuroError) as caught:
            await client.buckets.import_external(
                Bucket.Provider.LOCAL, "mine", {"root": "relative", "token": SECRET}
            )
        self.check("".join(traceback.format_exception(caught.value)))
        with pytest.raises(NeuroError, match="access_key_id") as caught:
            await client.buckets.import_external(
                Bucket.Provider.AWS, "mine", {"secret_access_key": SECRET}, "box"
            )
        self.check("".join(traceback.format_exception(caught.value)))
