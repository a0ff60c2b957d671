"""The contract of control planes, on the embedded platform."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from neuro_sdk._core.uri import Scope
from neuro_sdk.protocols import ControlPlane, OpenProvider

from ..platform.opening import SCOPE, open_local, open_platform
from .control_plane import (
    BucketsContract,
    ControlPlaneContract,
    CredentialsContract,
    ImportContract,
    LinksContract,
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


class TestCredentials(Embedded, CredentialsContract):
    pass


class TestLinks(Embedded, LinksContract):
    pass
