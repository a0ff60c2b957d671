"""The examples of the documents, literally where they are code, at a folder and at SeaweedFS."""

from __future__ import annotations

import asyncio
import doctest
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, List, Optional  # noqa: UP035 - as the document writes them

import pytest

from neuro_sdk import Client, ClientClosed
from neuro_sdk.drivers import OpendalDriver, SyncOpendalDriver
from neuro_sdk.drivers.loop import LoopThread
from neuro_sdk.drivers.s3 import BaseS3Driver, get_driver, register_driver
from neuro_sdk.drivers.s3 import registry as known

from ..contracts.stores import Store, needs
from .conftest import Place

EXAMPLE = """
>>> from tempfile import NamedTemporaryFile
>>> opendal.create_dir("test/directory/")
>>> opendal.write_bytes("test/directory/file", b"hello")
>>> assert opendal.hash("test/directory/file", "md5") == "5d41402abc4b2a76b9719d911017c592"
>>> opendal.remove_all("test/")
"""


@pytest.fixture(params=["fs", "s3"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "fs":
        return Place("fs", {"root": str(tmp_path / "root")})
    place: Place = request.getfixturevalue("s3_place")
    return place


def test_the_example_runs_as_a_doctest(opened: Place) -> None:
    with OpendalDriver.sync(opened.scheme, opened.kwargs) as opendal:
        test = doctest.DocTestParser().get_doctest(
            EXAMPLE, {"opendal": opendal}, "the document", None, 0
        )
        assert len(test.examples) == 5
        results = doctest.DocTestRunner().run(test)
        assert results == (0, 5)
        assert list(opendal.scan()) == []
        assert opendal.get_created_resources() == set()


async def test_the_tracking_example(opened: Place, capsys: pytest.CaptureFixture[str]) -> None:
    async with opened.driver() as driver:
        await driver.write_bytes("file", b"x")
        await driver.create_dir("dir/")

        # Get all created resources (files and directories)
        created_resources = await driver.get_created_resources()  # Returns set[str]

        # Example usage
        for path in created_resources:
            print(f"Created: {path}")
    assert sorted(capsys.readouterr().out.splitlines()) == ["Created: dir/", "Created: file"]


@pytest.mark.parametrize(
    "line", ["", "remove_created_on_close: false", "remove_created_on_close: true"]
)
def test_the_yaml_of_the_use_cases(tmp_path: Path, opened: Place, line: str) -> None:
    options = "".join(f"  {name}: {value}\n" for name, value in opened.kwargs.items())
    file = tmp_path / "opendal.yaml"
    file.write_text(f"scheme: {opened.scheme}\nkwargs:\n{options}{line}\n")
    with SyncOpendalDriver.from_yaml(file) as opendal:
        opendal.write_bytes("file", b"x")
    with OpendalDriver.sync(opened.scheme, opened.kwargs) as after:
        assert after.exists("file") == (not line.endswith("true"))


# What follows is the document's code; `print` is how it logs.


class MyDriver(BaseS3Driver):
    """Custom S3 driver implementation."""

    def __init__(self, config: dict):  # type: ignore[type-arg]
        super().__init__(config)
        self._inner = get_driver("opendal")(config)

    def upload(
        self,
        key: str,
        data: bytes,
        metadata: Optional[Dict[str, str]] = None,  # noqa: UP006, UP045
    ) -> bool:
        """Upload object."""
        try:
            return self._inner.upload(key, data, metadata)
        except Exception as e:
            print(f"Upload failed: {e}")
            return False

    def download(self, key: str) -> Optional[bytes]:  # noqa: UP045
        """Download object."""
        return self._inner.download(key)

    def delete(self, key: str) -> bool:
        """Delete object."""
        return self._inner.delete(key)

    def list_objects(self, prefix: str = "", max_keys: int = 1000) -> List[str]:  # noqa: UP006
        """List objects."""
        return self._inner.list_objects(prefix, max_keys)

    def head_object(self, key: str) -> Optional[Dict]:  # type: ignore[type-arg]  # noqa: UP006, UP045
        """Get object metadata."""
        try:
            return {
                "size": 12345,
                "etag": '"abc123"',
                "last_modified": datetime.now(),
                "metadata": {},
            }
        except Exception:
            return None


@pytest.fixture(params=["opendal", "s5cmd", "dummy", "my_driver"])
def driver(
    request: pytest.FixtureRequest,
    s3_config: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> BaseS3Driver:
    monkeypatch.setattr(known, "_registered", dict(known._registered))
    register_driver("my_driver", MyDriver)
    return get_driver(request.param)(s3_config)


def test_the_test_of_a_driver(driver: BaseS3Driver) -> None:
    """The three tests of the document, in its order: they share their object."""
    data = b"test data"
    result = driver.upload("test-key", data)
    assert result is True
    result = driver.download("test-key")  # type: ignore[assignment]
    assert result is not None
    result = driver.delete("test-key")
    assert result is True


# The synchronous face


@pytest.fixture
def opendal(tmp_path: Path) -> Iterator[SyncOpendalDriver]:
    with OpendalDriver.sync("fs", {"root": str(tmp_path / "root")}) as driver:
        yield driver


async def test_it_works_where_a_loop_runs(opendal: SyncOpendalDriver) -> None:
    # As a cell of a notebook does: the loop of the caller waits meanwhile.
    opendal.write_bytes("a", b"1")
    with opendal.open("b", "w") as file:
        file.write("text")
        assert file.tell() == 4
    assert opendal.read_bytes("b") == b"text"
    assert await asyncio.to_thread(opendal.exists, "a")


def test_it_works_in_many_threads(opendal: SyncOpendalDriver) -> None:
    failures = []

    def work(number: int) -> None:
        try:
            for _ in range(5):
                opendal.write_bytes(f"{number}/file", bytes([number]))
                assert opendal.read_bytes(f"{number}/file") == bytes([number])
                assert list(opendal.list(f"{number}")) == [f"{number}/file"]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_all_of_its_methods(opendal: SyncOpendalDriver, tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(b"local")
    opendal.write_from_path("a", tmp_path / "local")
    opendal.copy("a", "b")
    opendal.rename("b", "dir/c")
    opendal.read_into_path("dir/c", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"local"
    assert opendal.stat("dir/c").content_length == 5
    assert opendal.capability().read
    assert opendal.get_created_resources() == {"a", "dir/c"}
    opendal.delete("a")
    with opendal.open("dir/c", "rb") as file:
        assert (file.readable(), file.writable(), file.seekable()) == (True, False, True)
        file.seek(2)
        assert file.read(2) == b"ca"
        assert not file.closed
    assert file.closed
    with pytest.raises(ZeroDivisionError), opendal.open("dir/c", "wb") as file:
        file.write(b"new")
        raise ZeroDivisionError
    assert opendal.read_bytes("dir/c") == b"local"
    for number in range(600):
        opendal.write_bytes(f"many/{number:03}", b"")
    paths = opendal.scan("many")
    assert next(paths) == "many/000"
    assert len(list(paths)) == 599
    opendal.close()
    opendal.close()
    with pytest.raises(ClientClosed):
        opendal.read_bytes("a")


def test_a_script_that_does_not_close_exits_well(tmp_path: Path) -> None:
    script = f"""
from neuro_sdk.drivers import OpendalDriver
opendal = OpendalDriver.sync("fs", {{"root": {str(tmp_path / "root")!r}}})
opendal.write_bytes("file", b"x")
"""
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_on_ctrl_c_a_call_ends_first() -> None:
    loop = LoopThread("test")
    ended = []

    async def long() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.2)
            ended.append(True)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run(long())
    finally:
        signal.signal(signal.SIGALRM, before)
    assert ended == [True]
    loop.close()
    with pytest.raises(ClientClosed):
        loop.run(long())


# What the chapter tells of: connections, buckets and queries are the client's


async def test_the_flow_of_the_chapter(anywhere: Client, store: Store) -> None:
    needs(store, "creation")
    buckets = anywhere.buckets
    created = await buckets.create("my-table")  # createBucket(bucket_name)
    assert await buckets.get("my-table") == created  # getBucket(bucket_name)
    await buckets.put_blob("my-table", "my_table.csv", b"id,name\n1,one\n2,two\n")
    results = await buckets.query("SELECT * FROM 'blob:my-table/*.csv'")  # execute_query(...)
    assert list(results) == [(1, "one"), (2, "two")]
    await buckets.rm("my-table", force=True)  # deleteBucket(bucket_name)
    await anywhere.close()
    with pytest.raises(ClientClosed):
        await buckets.get("my-table")
