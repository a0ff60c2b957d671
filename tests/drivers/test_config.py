"""What a driver is told, from keywords and from YAML, and that no secret of it shows."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from neuro_sdk import ConfigError, LocalNotFound
from neuro_sdk.drivers import OpendalConfig, OpendalDriver


def _yaml(folder: Path, text: str) -> Path:
    path = folder / "opendal.yaml"
    path.write_text(text)
    return path


def test_a_file_and_keywords_say_the_same(tmp_path: Path) -> None:
    plain = OpendalConfig.from_yaml(
        _yaml(tmp_path, "scheme: fs\nkwargs:\n  root: /srv\nremove_created_on_close: true\n")
    )
    assert plain == OpendalConfig.of(
        scheme="fs", kwargs={"root": Path("/srv")}, remove_created_on_close=True
    )
    below = OpendalConfig.from_yaml(
        _yaml(tmp_path, 'type: "some.Opendal"\nconfig:\n  scheme: fs\n  kwargs: {root: /srv}\n')
    )
    assert below == OpendalConfig.of(scheme="fs", kwargs={"root": "/srv"})
    assert not below.remove_created_on_close
    assert repr(OpendalDriver.from_yaml(tmp_path / "opendal.yaml")) == "<OpendalDriver at '/srv'>"


def test_options_are_text_as_opendal_wants_them() -> None:
    config = OpendalConfig.of(
        scheme="s3", kwargs={"bucket": "b", "skip_signature": True, "batch_max_operations": 5}
    )
    assert config.options == {"bucket": "b", "skip_signature": "true", "batch_max_operations": "5"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("scheme: fss\nkwargs: {root: /srv}", r"no scheme 'fss' \(did you mean 'fs'\?\)"),
        ("scheme: fs\nkwargs: {roots: /srv}", r"no option 'roots' \(did you mean 'root'\?\)"),
        ("scheme: fs", "needs the option 'root'"),
        ("scheme: s3\nkwargs: {region: r}", "needs the option 'bucket'"),
        ("kwargs: {root: /srv}", "'scheme'"),
        ("scheme: fs\nkwargs: {root: /srv}\nremove: true", "'remove'.*remove_created_on_close"),
        ("scheme: fs\nkwargs: {root: /srv}\nremove_created_on_close: perhaps", "remove_created"),
        ("scheme: fs\nkwargs: {root: [1]}", "kwargs.root"),
        ("scheme: fs\nkwargs: /srv", "kwargs"),
        ("- scheme", "not a mapping"),
        ("scheme: 'fs\n", r"not YAML in UTF-8 \(line"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        OpendalDriver.from_yaml(_yaml(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocalNotFound, match="nothing"):
        OpendalConfig.from_yaml(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("scheme", "kwargs"),
    [
        ("fs", {"root": "relative"}),
        ("s3", {"bucket": "b", "region": "r", "root": "a/../../b"}),
        ("webdav", {"endpoint": "http://127.0.0.1:1", "root": "/a/../b"}),
    ],
)
async def test_a_root_cannot_lead_elsewhere(scheme: str, kwargs: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"root|\.\.") as caught:
        await OpendalDriver(scheme, kwargs).connect()
    assert caught.type.__module__ == "neuro_sdk.errors"


def test_secrets_show_nowhere(tmp_path: Path) -> None:
    kwargs = {
        "bucket": "b",
        "endpoint": "http://127.0.0.1:1",
        "region": "r",
        "access_key_id": "id",
        "secret_access_key": "sesame",
        "session_token": "token-text",
    }
    driver = OpendalDriver("s3", kwargs)
    shown = f"{driver!r} {driver.config!r} {driver.config} {driver.config.model_dump()}"
    assert "sesame" not in shown
    assert "token-text" not in shown
    with pytest.raises((TypeError, AttributeError)):
        pickle.dumps(driver)
    text = "scheme: s3\nkwargs:\n  bucket: b\n  secret_access_key: {sesame: 1}\n"
    with pytest.raises(ConfigError) as caught:
        OpendalConfig.from_yaml(_yaml(tmp_path, text))
    assert "sesame" not in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        OpendalConfig.from_yaml(_yaml(tmp_path, "scheme: s3\n  secret_access_key: sesame\n"))
    assert "sesame" not in f"{caught.value!r} {caught.value.__cause__}"
    assert caught.value.__suppress_context__
