"""The contract of control planes, on the embedded platform and over HTTP."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from neuro_sdk._core.models import Bucket
from neuro_sdk._core.roles import EVERYWHERE, Role
from neuro_sdk._core.uri import Scope
from neuro_sdk._platform.seaweedfs import SeaweedFSServer
from neuro_sdk.protocols import ControlPlane, OpenProvider

from ..platform.opening import SCOPE, open_local, open_platform
from ..platform.serving import OPEN, served_team
from ..servers.s3 import s3_client
from .control_plane import (
    BucketsContract,
    ControlPlaneContract,
    CredentialsContract,
    FoldersContract,
    ImportContract,
    LinksContract,
    MakeOutside,
    Outside,
)


class Embedded(ControlPlaneContract):
    @pytest.fixture
    async def plane(self, tmp_path: Path) -> AsyncIterator[ControlPlane]:
        async with open_platform(tmp_path / "home") as platform:
            yield platform

    @pytest.fixture
    def scope(self) -> Scope:
        return SCOPE

    @pytest.fixture
    def open_provider(self) -> OpenProvider:
        return open_local


class TestBuckets(Embedded, BucketsContract):
    pass


class TestImport(Embedded, ImportContract):
    pass


class TestFolders(Embedded, FoldersContract):
    pass


class TestCredentials(Embedded, CredentialsContract):
    pass


class TestLinks(Embedded, LinksContract):
    pass


class OverHTTP(ControlPlaneContract):
    """The client side, asking a server of ours over a socket, with SeaweedFS behind it."""

    @pytest.fixture
    async def plane(
        self, tmp_path: Path, seaweedfs: SeaweedFSServer
    ) -> AsyncIterator[ControlPlane]:
        async with served_team(tmp_path / "home", seaweedfs) as team:
            yield await team.plane(await team.token("alice", (EVERYWHERE, Role.OWNER)))

    @pytest.fixture
    def scope(self) -> Scope:
        return SCOPE

    @pytest.fixture
    def open_provider(self) -> OpenProvider:
        return OPEN

    @pytest.fixture
    def outside(self, seaweedfs: SeaweedFSServer) -> MakeOutside:
        access = (seaweedfs.endpoint, seaweedfs.access_key, seaweedfs.secret_key)

        async def make() -> Outside:
            name = f"mine-{uuid.uuid4()}"
            async with s3_client(*access) as s3:
                await s3.create_bucket(Bucket=name)
                await s3.put_object(Bucket=name, Key="a", Body=b"mine")
            fields = ("endpoint_url", "access_key_id", "secret_access_key")
            return Outside(Bucket.Provider.SEAWEEDFS, name, dict(zip(fields, access, strict=True)))

        return make


class TestBucketsOverHTTP(OverHTTP, BucketsContract):
    pass


class TestImportOverHTTP(OverHTTP, ImportContract):
    pass


class TestCredentialsOverHTTP(OverHTTP, CredentialsContract):
    pass


class TestLinksOverHTTP(OverHTTP, LinksContract):
    pass
