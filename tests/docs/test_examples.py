"""Every Python block of the README and the docs runs, page by page, on a real platform.

Where a page names a store of the reader's, a real server takes its place.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import os
import re
from pathlib import Path
from typing import Any

import pytest

from neuro_sdk import Role
from tests.platform.serving import served_team
from tests.servers.moto import MotoServer
from tests.servers.s3 import s3_client

ROOT = Path(__file__).parent.parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "docs/tutorial.md",
    *sorted((ROOT / "docs/how-to").glob("*.md")),
]
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
    async with contextlib.AsyncExitStack() as stack:
        api, token = "", ""
        if _API in page.read_text():
            server = request.getfixturevalue("seaweedfs")
            team = await stack.enter_async_context(served_team(tmp_path / "team", server))
            api, token = str(team.api), await team.token("alice", ("vision", Role.OWNER))
        await _run(page, moto, {_API: api, '"TOKEN"': f'"{token}"'})


async def _run(page: Path, moto: MotoServer, real: dict[str, str]) -> None:
    namespace: dict[str, Any] = {"__name__": "example"}
    for line, code in _blocks(page):
        for shown, there in real.items():
            code = code.replace(shown, there)
        code = code.replace("http://127.0.0.1:9000", moto.endpoint)
        code = code.replace(
            'provider = "aws"', f'provider = "aws"\nendpoint_url = "{moto.endpoint}"'
        )
        source = "\n" * line + code  # so that a traceback names the line of the page
        tree = compile(source, str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        result = eval(tree, namespace)
        if inspect.isawaitable(result):
            await result


async def _have_bucket(moto: MotoServer, name: str) -> None:
    async with s3_client(moto.endpoint, moto.access_key, moto.secret_key) as s3:
        with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            await s3.create_bucket(Bucket=name)
