"""Every Python block of the README and the docs runs, page by page, on a real platform.

Where a page names a store of the reader's, a real server takes its place.
"""

from __future__ import annotations

import ast
import asyncio
import base64
import contextlib
import inspect
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import distributed
import pytest

from neuro_sdk import Role
from neuro_sdk._platform.admin.azure_calls import Access, Calls
from neuro_sdk.cli.azurite import AzuriteServer
from tests.contracts.stores import reasons, table
from tests.platform.serving import served_team
from tests.servers.fake_gcs import FakeGcs, service_account_key
from tests.servers.google_tokens import GoogleTokens, google_tokens
from tests.servers.moto import MotoServer
from tests.servers.s3 import s3_client

ROOT = Path(__file__).parent.parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "docs/tutorial.md",
    *sorted((ROOT / "docs/how-to").glob("*.md")),
]
_SCHEDULER = "tcp://scheduler.example.com:8786"
_API = "https://platform.example.com/api/v1"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _blocks(page: Path) -> list[tuple[int, str]]:
    text = page.read_text(encoding="utf-8")
    return [(text[: found.start(1)].count("\n"), found[1]) for found in _BLOCK.finditer(text)]


WITH_CODE = [page for page in PAGES if _blocks(page)]


def test_the_pages_have_examples() -> None:
    assert {page.name for page in WITH_CODE} >= {"README.md", "tutorial.md", "local-platform.md"}


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
async def test_examples_run(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moto: MotoServer,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("NEURO_SDK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NEURO_SDK_CONFIG", "config.toml")
    docs = tmp_path / "docs" / "how-to"
    docs.mkdir(parents=True)
    (docs / "page.md").write_text("# A page\n")
    await _have_bucket(moto, "name-at-the-store")
    instead = {
        "http://127.0.0.1:9000": moto.endpoint,
        'provider = "aws"': f'provider = "aws"\nendpoint_url = "{moto.endpoint}"',
    }
    if page.stem == "azure":
        instead |= await _at_azure(request.getfixturevalue("azurite"))
    if page.stem == "gcs":
        tokens = request.getfixturevalue("tokens")
        (tmp_path / "key.json").write_bytes(base64.b64decode(service_account_key(tokens.url)))
        instead |= await _at_google(request.getfixturevalue("fake_gcs"))
    async with contextlib.AsyncExitStack() as stack:
        if _SCHEDULER in page.read_text():
            instead[_SCHEDULER] = stack.enter_context(_cluster()).scheduler_address
        if _API in page.read_text():
            server = request.getfixturevalue("seaweedfs")
            team = await stack.enter_async_context(served_team(tmp_path / "team", server))
            token = await team.token("alice", ("vision", Role.OWNER))
            instead |= {_API: str(team.api), '"TOKEN"': f'"{token}"'}
        await _run(page, instead)


async def _run(page: Path, instead: dict[str, str]) -> None:
    namespace: dict[str, Any] = {"__name__": "example"}
    for line, code in _blocks(page):
        for told, meant in instead.items():
            code = code.replace(told, meant)
        source = "\n" * line + code  # so that a traceback names the line of the page
        tree = compile(source, str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        result = eval(tree, namespace)
        if inspect.isawaitable(result):
            await result


def _cluster() -> distributed.LocalCluster:
    """A worker of its own process, which is in the folder that the page is in."""
    anywhere = "127.0.0.1:0"
    return distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        host="127.0.0.1",
        dashboard_address=anywhere,
        worker_dashboard_address=anywhere,
    )


@pytest.fixture
def tokens() -> Iterator[GoogleTokens]:
    with google_tokens() as tokens:
        yield tokens


async def _at_azure(azurite: AzuriteServer) -> dict[str, str]:
    access = Access(
        endpoint=azurite.endpoint, account=azurite.account_name, key=azurite.account_key
    )
    calls = await asyncio.to_thread(Calls, access)
    await calls.create("name-of-the-container", about="it")
    await calls.close()
    return {
        'account_name = "myaccount"': f'account_name = "{azurite.account_name}"\n'
        f'storage_endpoint = "{azurite.endpoint}"',
        "https://myaccount.blob.core.windows.net": azurite.endpoint,
        "the key of the account": azurite.account_key,
    }


async def _at_google(server: FakeGcs) -> dict[str, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{server.endpoint}/storage/v1/b?project=p", json={"name": "name-at-google"}
        ) as answer,
    ):
        assert answer.status in (200, 409)
    return {
        'provider = "gcp"': f'provider = "gcp"\nendpoint_url = "{server.endpoint}"',
        '{"key_data"': f'{{"endpoint_url": "{server.endpoint}", "key_data"',
    }


def test_what_stores_can_do_is_told_as_it_is_tested() -> None:
    text = (ROOT / "docs/reference/stores.md").read_text(encoding="utf-8")
    assert table() in text, "run: python -m tests.contracts.stores"
    assert reasons() in text, "run: python -m tests.contracts.stores"


async def _have_bucket(moto: MotoServer, name: str) -> None:
    async with s3_client(moto.endpoint, moto.access_key, moto.secret_key) as s3:
        with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            await s3.create_bucket(Bucket=name)
