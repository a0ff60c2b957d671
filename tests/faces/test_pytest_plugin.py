"""The fixtures for the tests of users, tried in runs of pytest of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import neuro_sdk_pytest

ROOT = Path(__file__).parent.parent.parent
pytest_plugins = ["pytester"]

_SCOPE = "asyncio_default_fixture_loop_scope=function"  # pytest-asyncio warns without it
STRICT = ["-o", _SCOPE, "-o", "asyncio_mode=strict"]
AUTO = ["-o", _SCOPE, "-o", "asyncio_mode=auto"]
MARKS = {"strict": "asyncio", "auto": "timeout(60)", "anyio": "anyio"}

TESTS = """
import neuro_sdk
import pytest
from neuro_sdk import BucketHandle, Client

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.{mark}
async def test_a_client(blob_client: Client, blob_home):
    assert [bucket async for bucket in blob_client.buckets.list()] == []
    await blob_client.buckets.create("mine")
    assert (blob_home / "registry.db").exists() or any(blob_home.iterdir())

@pytest.mark.{mark}
@pytest.mark.parametrize("again", [1, 2])
async def test_a_bucket(blob_bucket: BucketHandle, blob_client: Client, again):
    assert blob_bucket.bucket.name == "test-bucket"
    assert [entry async for entry in blob_bucket.list_blobs()] == []
    await blob_bucket.put_blob("a", b"x")
    assert (await blob_client.buckets.head_blob("test-bucket", "a")).size == 1

def test_a_folder(blob_home):
    import fsspec
    fs = fsspec.filesystem("blob", path=blob_home)
    fs.mkdir("box")
    assert fs.ls("", detail=False) == ["box"]
    fs.close()
"""

AT_STORE = """
import pytest
import aiohttp

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.{mark}
@pytest.mark.parametrize("again", [1, 2])
async def test_a_real_store(blob_seaweedfs_client, blob_seaweedfs_bucket, again):
    assert blob_seaweedfs_bucket.bucket.provider == "seaweedfs"
    assert [b.name async for b in blob_seaweedfs_client.buckets.list()] == ["test-bucket"]
    await blob_seaweedfs_bucket.put_blob("a", b"x" * (9 << 20))
    url = await blob_seaweedfs_bucket.make_signed_url("a")
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert len(await answer.read()) == 9 << 20

@pytest.mark.{mark}
async def test_nothing_is_left(blob_seaweedfs, blob_seaweedfs_client):
    from tests.servers.s3 import s3_client
    import tomllib
    store = tomllib.loads(blob_seaweedfs.read_text())
    keys = (store["endpoint_url"], store["access_key_id"], store["secret_access_key"])
    async with s3_client(*keys) as s3:
        assert (await s3.list_buckets())["Buckets"] == []
"""


def options(mode: str) -> list[str]:
    chosen = {"strict": STRICT, "auto": AUTO, "anyio": ["-p", "no:asyncio", "-p", "no:aiohttp"]}
    return [*chosen[mode], "-W", "error", "-p", "no:cacheprovider", "-p", "no:xdist"]


@pytest.fixture(autouse=True)
def unguarded(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of its own knows nothing of our ``conftest.py``."""
    pytester.makeini("[pytest]\n")
    # To load these takes longer than such a run.
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:schemathesis -p no:hypothesispytest")


@pytest.mark.parametrize("mode", MARKS)
def test_in_each_mode(pytester: pytest.Pytester, mode: str) -> None:
    pytester.makepyfile(TESTS.format(mark=MARKS[mode]))
    done = pytester.runpytest_subprocess(*options(mode), timeout=60)
    done.assert_outcomes(passed=4)


@pytest.mark.parametrize("mode", ["strict", "anyio"])  # each has its plugin
def test_a_real_store_by_each_plugin(
    pytester: pytest.Pytester, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(AT_STORE.format(mark=MARKS[mode]))
    done = pytester.runpytest_subprocess(*options(mode), timeout=120)
    done.assert_outcomes(passed=3)


def test_anyio_beside_pytest_asyncio(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS.format(mark="anyio"))
    pytester.runpytest_subprocess(*options("strict"), timeout=60).assert_outcomes(passed=4)


def test_trio_is_refused_by_name(pytester: pytest.Pytester) -> None:
    code = TESTS.format(mark="anyio").replace('return "asyncio"', 'return "trio"')
    pytester.makepyfile(code)
    done = pytester.runpytest_subprocess(*options("anyio"), timeout=60)
    done.stdout.fnmatch_lines(["*neuro_sdk runs on asyncio, not on trio*"])
    done.assert_outcomes(passed=1, errors=3)


def test_without_any_async_plugin_the_next_step_is_told(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(blob_client): ...")
    done = pytester.runpytest_subprocess(*options("anyio"), "-p", "no:anyio", timeout=60)
    done.stdout.fnmatch_lines(["*needs pytest-asyncio, or anyio*"])
    done.assert_outcomes(errors=1)


def test_a_bucket_that_is_asked_for_too_late(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_it(blob_client, request):
            request.getfixturevalue("blob_bucket")
        """
    )
    done = pytester.runpytest_subprocess(*options("strict"), timeout=60)
    done.stdout.fnmatch_lines(["*among the parameters of the test*"])
    done.assert_outcomes(failed=1)


def test_a_run_that_uses_none_of_it_does_not_pay_for_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it():
            assert "neuro_sdk_pytest" in sys.modules
            assert not {"neuro_sdk", "opendal", "aiohttp", "pydantic"} & sys.modules.keys()
        """
    )
    done = pytester.runpytest_subprocess(*options("strict"), "-p", "no:aiohttp", timeout=60)
    done.assert_outcomes(passed=1)


def test_the_fixtures_are_listed_with_their_meaning(pytester: pytest.Pytester) -> None:
    done = pytester.runpytest_subprocess(*options("strict"), "--fixtures", timeout=60)
    text = done.stdout.str()
    for name in ("home", "client", "bucket", "seaweedfs", "seaweedfs_client", "seaweedfs_bucket"):
        assert f"blob_{name} " in text
    assert "_by_asyncio" not in text


def test_the_examples_of_the_page(pytester: pytest.Pytester) -> None:
    page = (ROOT / "docs/how-to/testing.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (ini,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    pytester.path.joinpath("tox.ini").unlink()
    pytester.makepyprojecttoml(ini)
    pytester.makepyfile("\n".join(blocks))
    done = pytester.runpytest_subprocess("-W", "error", timeout=120)
    done.assert_outcomes(passed=page.count("\ndef test_") + page.count("\nasync def test_"))


def test_the_public_names_are_the_fixtures() -> None:
    fixtures = {name for name in vars(neuro_sdk_pytest) if name.startswith("blob_")}
    assert {*neuro_sdk_pytest.__all__} == fixtures
    assert neuro_sdk_pytest.__all__ == sorted(fixtures)


def test_it_uses_the_public_names() -> None:
    source = (ROOT / "neuro_sdk_pytest/__init__.py").read_text()
    imported = set(re.findall(r"(?:from|import) (neuro_sdk[\w.]*)", source))
    assert imported == {"neuro_sdk"}


def test_it_needs_nothing_but_pytest() -> None:
    """The module is loaded by pytest even where no async plugin is installed."""
    script = """
import sys
sys.modules["pytest_asyncio"] = None
import neuro_sdk_pytest
assert "neuro_sdk" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=60)
