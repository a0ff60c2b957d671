"""Every S3 driver does the same, and none raises."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from neuro_sdk import ConfigError
from neuro_sdk.drivers.s3 import (
    BaseS3Driver,
    DummyDriver,
    OpendalS3Driver,
    S5cmdDriver,
    answers,
    driver_names,
    get_driver,
    register_driver,
)
from neuro_sdk.drivers.s3 import registry as known

NOWHERE = {
    "endpoint": "http://127.0.0.1:9",
    "access_key": "test_key",
    "secret_key": "sesame",
    "bucket": "test-bucket",
    "region": "us-east-1",
    "driver_config": {"retries": 0, "timeout": 2},
}


@pytest.fixture(params=["dummy", "opendal", "s5cmd"])
def driver(request: pytest.FixtureRequest, s3_config: dict[str, Any]) -> Iterator[BaseS3Driver]:
    with get_driver(request.param)(s3_config) as made:
        yield made


def test_objects_go_there_and_back(driver: BaseS3Driver) -> None:
    body = os.urandom(9 << 20)
    assert driver.upload("k/ü b%20+", b"hello") is True
    assert driver.download("k/ü b%20+") == b"hello"
    assert driver.upload("k/ü b%20+", body) is True
    assert driver.download("k/ü b%20+") == body
    assert driver.upload("empty", b"") is True
    assert driver.download("empty") == b""
    assert driver.delete("k/ü b%20+") is True
    assert driver.delete("k/ü b%20+") is True
    assert driver.download("k/ü b%20+") is None
    assert driver.head_object("k/ü b%20+") is None


def test_head_tells_size_tag_time_and_metadata(driver: BaseS3Driver) -> None:
    assert driver.upload("key", b"12345", {"author": "me", "Run-Id": "7 of 9"})
    told = driver.head_object("key")
    assert told is not None
    assert set(told) == {"size", "etag", "last_modified", "metadata"}
    assert told["size"] == 5
    assert told["etag"] == '"827ccb0eea8a706c4c34a16891f84e7b"'
    assert abs(told["last_modified"] - datetime.now(UTC)) < timedelta(minutes=2)
    assert told["metadata"] == {"author": "me", "run-id": "7 of 9"}
    assert driver.upload("key", b"1")
    told = driver.head_object("key")
    assert told is not None
    assert (told["size"], told["metadata"]) == (1, {})


def test_listings_have_a_prefix_and_a_limit(driver: BaseS3Driver) -> None:
    for name in ("a/1", "a/2", "a/b/3", "ab", "c"):
        assert driver.upload(name, b"x")
    assert driver.list_objects() == ["a/1", "a/2", "a/b/3", "ab", "c"]
    assert driver.list_objects("a/") == ["a/1", "a/2", "a/b/3"]
    assert driver.list_objects(prefix="a", max_keys=2) == ["a/1", "a/2"]
    assert driver.list_objects("none") == []
    assert driver.list_objects("", 0) == []


def test_patterns_are_keys(driver: BaseS3Driver) -> None:
    for name in ("stars/x*", "stars/xy", "stars/x?"):
        assert driver.upload(name, name.encode())
    assert driver.download("stars/x*") == b"stars/x*"
    assert driver.delete("stars/x*")
    assert driver.list_objects("stars/") == ["stars/x?", "stars/xy"]


def test_many_threads_share_a_driver(driver: BaseS3Driver) -> None:
    assert driver.thread_safe

    def work(number: int) -> bytes | None:
        key = f"threads/{number}"
        assert driver.upload(key, key.encode(), {"number": str(number)})
        told = driver.head_object(key)
        assert told is not None
        assert told["metadata"] == {"number": str(number)}
        return driver.download(key)

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(work, range(24)))
    assert results == [f"threads/{number}".encode() for number in range(24)]
    assert len(driver.list_objects("threads/")) == 24


@pytest.mark.parametrize("name", ["opendal", "s5cmd"])
def test_what_fails_is_logged_with_key_and_reason(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "neuro_sdk.drivers.s3")
    with get_driver(name)(NOWHERE) as driver:
        assert driver.upload("test-key", b"test data") is False
        assert driver.download("test-key") is None
        assert driver.delete("test-key") is False
        assert driver.list_objects("test-prefix") == []
        assert driver.head_object("test-key") is None
    assert len(caplog.records) == 5
    for record, operation in zip(
        caplog.records, ["upload", "download", "delete", "list_objects", "head_object"], strict=True
    ):
        told = record.getMessage()
        assert operation in told
        assert ("test-prefix" if operation == "list_objects" else "test-key") in told
        assert name == "s5cmd" or "StorageUnavailable: " in told
        assert name == "opendal" or operation == "upload" or "connection refused" in told
        assert "sesame" not in told


def test_after_close_nothing_raises(s3_config: dict[str, Any]) -> None:
    driver = OpendalS3Driver(s3_config)
    driver.close()
    driver.close()
    assert driver.upload("key", b"x") is False
    assert driver.list_objects() == []


@pytest.mark.parametrize("key", ["", "/lead", "a//b", "../x", None, 7])
def test_keys_that_would_be_others_fail(s3_config: dict[str, Any], key: Any) -> None:
    with OpendalS3Driver(s3_config) as driver:
        assert driver.upload(key, b"x") is False
        assert driver.download(key) is None
        assert driver.delete(key) is False
        assert driver.head_object(key) is None
        assert driver.list_objects() == []


@pytest.mark.parametrize("metadata", [{"ü": "x"}, {"a": "ü"}, {"a": " x"}, {"a": "1", "A": "2"}])
def test_metadata_that_would_be_changed_is_refused(
    s3_config: dict[str, Any], metadata: dict[str, str]
) -> None:
    with OpendalS3Driver(s3_config) as driver:
        assert driver.upload("key", b"x", metadata) is False
        assert driver.list_objects() == []


@pytest.mark.parametrize("driver_class", [OpendalS3Driver, S5cmdDriver])
def test_a_wrong_configuration_is_named(driver_class: type[BaseS3Driver]) -> None:
    for field in ("endpoint", "access_key", "secret_key", "bucket"):
        lacking = {name: value for name, value in NOWHERE.items() if name != field}
        with pytest.raises(ConfigError, match=field):
            driver_class(lacking)
    with pytest.raises(ConfigError, match="'speed'"):
        driver_class({**NOWHERE, "driver_config": {"speed": 1}})
    with pytest.raises(ConfigError, match="driver_config"):
        driver_class({**NOWHERE, "driver_config": "fast"})
    with pytest.raises(ConfigError, match="'bucket' must be text"):
        driver_class({**NOWHERE, "bucket": 7})
    with pytest.raises(ConfigError, match="number"):
        driver_class({**NOWHERE, "driver_config": {"timeout": "long"}})


def test_secrets_are_in_no_repr_and_no_pickle() -> None:
    with OpendalS3Driver(NOWHERE) as driver:
        assert repr(driver) == "<OpendalS3Driver 'test-bucket' at 'http://127.0.0.1:9'>"
        with pytest.raises(TypeError, match="in each process"):
            pickle.dumps(driver)


def test_s5cmd_gets_secrets_by_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "s5cmd"
    program.write_text('#!/bin/sh\necho "$@" > "$0.argv"\nenv > "$0.env"\n')
    program.chmod(0o755)
    monkeypatch.setenv("AWS_PROFILE", "theirs")
    driver = S5cmdDriver({**NOWHERE, "driver_config": {"binary": str(program)}})
    assert driver.upload("key", b"x", {"a": "b"}) is True
    argv = (tmp_path / "s5cmd.argv").read_text()
    assert argv.split()[-2:] == ["--metadata=a=b", "s3://test-bucket/key"]
    assert "sesame" not in argv
    environment = (tmp_path / "s5cmd.env").read_text()
    assert "AWS_SECRET_ACCESS_KEY=sesame\n" in environment
    assert "AWS_PROFILE" not in environment
    with pytest.raises(ConfigError, match="nowhere"):
        S5cmdDriver({**NOWHERE, "driver_config": {"binary": "/nowhere"}})


def test_s5cmd_that_hangs_is_ended(tmp_path: Path) -> None:
    program = tmp_path / "s5cmd"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    settings = {"binary": str(program), "timeout": 0.5}
    assert S5cmdDriver({**NOWHERE, "driver_config": settings}).download("key") is None


def test_drivers_have_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "_registered", dict(known._registered))
    assert driver_names() == ["dummy", "opendal", "s5cmd"]
    assert get_driver("dummy") is DummyDriver
    with pytest.raises(ValueError, match=r"'unknown'; known are: dummy, opendal, s5cmd$"):
        get_driver("unknown")

    @register_driver("mine")
    class Mine(DummyDriver):
        pass

    assert get_driver("mine") is Mine
    assert register_driver("dummy", Mine) is Mine
    assert get_driver("dummy") is Mine
    with pytest.raises(ValueError, match="no subclass"):
        register_driver("wrong", int)  # type: ignore[type-var]
    with pytest.raises(ValueError, match="not empty"):
        register_driver("", Mine)


def test_installed_packages_bring_drivers(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(
        "from neuro_sdk.drivers.s3 import DummyDriver\nclass Theirs(DummyDriver): pass\nWrong = 7\n"
    )
    info = tmp_path / "theirs-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[neuro_sdk.s3_drivers]\ntheirs = theirs:Theirs\nwrong = theirs:Wrong\n"
    )
    script = """
        from neuro_sdk.drivers.s3 import driver_names, get_driver
        print(driver_names(), get_driver("theirs")({}).upload("key", b"x"))
        try:
            get_driver("wrong")
        except ValueError as error:
            print(error)
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == (
        "['dummy', 'opendal', 's5cmd', 'theirs', 'wrong'] True\n"
        "the S3 driver 'wrong' is no subclass of BaseS3Driver\n"
    )


def test_the_decorator_keeps_a_driver_quiet(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(DummyDriver):
        @answers(lambda: None)
        def download(self, key: str) -> bytes | None:
            raise RuntimeError(f"the secret is {self.secret_key}\nand more")

    assert Failing(NOWHERE).download(key="some/key") is None
    (record,) = caplog.records
    assert record.getMessage() == (
        "Failing: download of 'some/key' in the bucket 'test-bucket' failed: "
        "RuntimeError: the secret is *** and more"
    )
