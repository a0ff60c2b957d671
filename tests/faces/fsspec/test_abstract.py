"""fsspec's own suite for file systems, on the disk and at a real S3 store."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.tests import abstract

from neuro_sdk._platform.seaweedfs import SeaweedFSServer
from neuro_sdk.fsspec import BlobFileSystem

from ...platform.serving import write_store
from .opening import file_system


class Fixtures(abstract.AbstractFixtures):
    @pytest.fixture(scope="class")
    @classmethod
    def stored(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """The folder of the platform."""
        return tmp_path_factory.mktemp("home")

    @pytest.fixture(scope="class")
    @classmethod
    def fs(cls, stored: Path) -> Iterator[BlobFileSystem]:
        with file_system(stored) as opened:
            yield opened

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        return posixpath.join

    @pytest.fixture
    def fs_path(self) -> str:
        return "box"

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False


class AtSeaweedFS(Fixtures):
    @pytest.fixture(scope="class")
    @classmethod
    def stored(cls, tmp_path_factory: pytest.TempPathFactory, seaweedfs: SeaweedFSServer) -> Path:
        home = tmp_path_factory.mktemp("home")
        write_store(home, seaweedfs, "seaweedfs")
        return home


class TestCopy(Fixtures, abstract.AbstractCopyTests): ...


class TestGet(Fixtures, abstract.AbstractGetTests): ...


class TestPut(Fixtures, abstract.AbstractPutTests): ...


class TestOpen(Fixtures, abstract.AbstractOpenTests): ...


class TestPipe(Fixtures, abstract.AbstractPipeTests): ...


class TestCopyAtSeaweedFS(AtSeaweedFS, abstract.AbstractCopyTests): ...


class TestGetAtSeaweedFS(AtSeaweedFS, abstract.AbstractGetTests): ...


class TestPutAtSeaweedFS(AtSeaweedFS, abstract.AbstractPutTests): ...


class TestOpenAtSeaweedFS(AtSeaweedFS, abstract.AbstractOpenTests): ...


class TestPipeAtSeaweedFS(AtSeaweedFS, abstract.AbstractPipeTests): ...


@pytest.mark.parametrize("at", [Fixtures, AtSeaweedFS])
def test_the_whole_suite_is_used(at: type) -> None:
    theirs: set[Any] = {
        value
        for name, value in vars(abstract).items()
        if name.startswith("Abstract") and name.endswith("Tests")
    }
    cases: list[type] = at.__subclasses__()
    used = {case.__bases__[1] for case in cases if len(case.__bases__) == 2}
    assert len(theirs) >= 5
    assert used == theirs
