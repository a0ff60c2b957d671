"""The contract of providers, at each store and as a bare one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from neuro_sdk import BlobNotFound, Bucket, BucketHandle
from neuro_sdk._providers.local import LocalProvider
from neuro_sdk.protocols import Provider

from .provider import ProviderContract, keys_of, listed, read
from .stores import PROVIDERS, STORES, Store, each

store = each(PROVIDERS)


class TestAtEachStore(ProviderContract):
    """As the client opens it, with credentials that are renewed."""

    @pytest.fixture
    async def provider(self, box: BucketHandle) -> Provider:
        return await box._opened()


def bucket() -> Bucket:
    return Bucket(
        id="bucket-1",
        owner="alice",
        name="photos",
        provider=Bucket.Provider.LOCAL,
        created_at=datetime.now(UTC),
        cluster_name="home",
    )


class TestBareLocal(ProviderContract):
    @pytest.fixture
    def store(self) -> Store:
        (local,) = (store for store in STORES if store.name == "local")
        return local

    @pytest.fixture
    async def provider(self, tmp_path: Path) -> AsyncIterator[Provider]:
        (tmp_path / "root").mkdir()
        provider = LocalProvider(bucket(), str(tmp_path / "root"))
        yield provider
        await provider.close()


class TestLocalFolder:
    """What is in a folder that others write to as well."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        root = tmp_path / "root"
        root.mkdir()
        return root

    @pytest.fixture
    async def provider(self, root: Path) -> AsyncIterator[Provider]:
        provider = LocalProvider(bucket(), str(root))
        yield provider
        await provider.close()

    async def test_links_pipes_and_empty_folders_among_the_files(
        self, provider: Provider, root: Path
    ) -> None:
        (root / "file").write_bytes(b"x")
        (root / "empty" / "er").mkdir(parents=True)
        (root / "link").symlink_to("file")
        (root / "loop").symlink_to("loop")
        (root / "nowhere").symlink_to("missing")
        (root / "up").symlink_to("..")
        os.mkfifo(root / "pipe")
        assert await keys_of(provider) == ["file", "link"]
        assert await listed(provider, recursive=False) == [("file", False), ("link", False)]
        assert await read(provider, "link") == b"x"
        for key in ("empty", "loop", "nowhere", "pipe", "up"):
            with pytest.raises(BlobNotFound):
                await provider.head(key)

    async def test_names_that_cannot_be_addressed_are_listed(
        self, provider: Provider, root: Path
    ) -> None:
        names = [b"bytes\xff", b" blank ", b"fine"]
        for name in names:
            with open(os.fsencode(root) + b"/" + name, "wb") as file:
                file.write(b"x")
        assert [os.fsencode(key) for key in await keys_of(provider)] == sorted(names)

    async def test_nothing_of_ours_is_a_blob_and_nothing_is_left_over(
        self, provider: Provider, root: Path
    ) -> None:
        async def body() -> AsyncIterator[bytes]:
            yield b"x" * 100
            assert await keys_of(provider) == ["marker/", "there"]
            raise ZeroDivisionError

        await provider.put("there", b"x")
        await provider.put("marker/", b"")
        with pytest.raises(ZeroDivisionError):
            await provider.put("new", body())
        await provider.copy("there", "copy")
        await provider.delete("there")
        assert list((root / ".neuro-sdk" / "writing").iterdir()) == []
        assert await keys_of(provider) == ["copy", "marker/"]
