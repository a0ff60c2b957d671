"""The embedded platform as the terminal finds it: by the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..platform.serving import write_store


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the platform that commands open, in this process and in others."""
    monkeypatch.setenv("NEURO_SDK_PLATFORM", f"local:{tmp_path / 'platform'}")
    monkeypatch.setenv("NEURO_SDK_CONFIG", str(tmp_path / "config.toml"))
    return tmp_path / "platform"


@pytest.fixture(params=["local", "seaweedfs"])
def at_each_store(platform: Path, request: pytest.FixtureRequest) -> Path:
    """The same with its buckets on the disk, and at a real S3 store."""
    if request.param == "seaweedfs":
        write_store(platform, request.getfixturevalue("seaweedfs"), "seaweedfs")
    return platform


@pytest.fixture
def at_seaweedfs(platform: Path, request: pytest.FixtureRequest) -> Path:
    """The same with its buckets at a real S3 store."""
    write_store(platform, request.getfixturevalue("seaweedfs"), "seaweedfs")
    return platform
