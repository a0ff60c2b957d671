"""The public names: listed, sorted, documented."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import neuro_sdk
from neuro_sdk import distributed, drivers, errors, progress, protocols
from neuro_sdk.drivers import load, s3

SMALL = {"idna", "multidict", "neuro_sdk", "propcache", "yarl"}


def test_all_is_sorted_and_complete() -> None:
    public = {
        name
        for name, value in vars(neuro_sdk).items()
        if not name.startswith("_")
        and name != "TYPE_CHECKING"
        and not isinstance(value, types.ModuleType)
    }
    assert set(neuro_sdk.__all__) == public | neuro_sdk._SERVING
    assert dir(neuro_sdk) == neuro_sdk.__all__
    assert neuro_sdk.__all__ == sorted(set(neuro_sdk.__all__))


def test_every_public_name_is_in_the_reference() -> None:
    page = (Path(__file__).parent.parent / "docs/reference/index.md").read_text()
    shown = set(re.findall(r"auto(?:function|class|exception):: (\w+)", page))
    for module in re.findall(r"automodule:: ([\w.]+)", page):
        shown |= set(importlib.import_module(module).__all__)
    assert set(neuro_sdk.__all__) <= shown


def test_every_error_is_public() -> None:
    assert set(errors.__all__) <= set(neuro_sdk.__all__)


@pytest.mark.parametrize("name", neuro_sdk.__all__)
def test_public_names_and_their_methods_are_documented(name: str) -> None:
    thing = getattr(neuro_sdk, name)
    assert inspect.getdoc(thing), name
    if inspect.isclass(thing) and thing.__module__.startswith("neuro_sdk"):
        for member, value in inspect.getmembers(thing):
            if not member.startswith("_") and (
                inspect.isfunction(value) or isinstance(value, property)
            ):
                assert inspect.getdoc(value), f"{name}.{member}"


@pytest.mark.parametrize("module", [distributed, drivers, errors, load, progress, protocols, s3])
def test_modules_export_what_exists(module: types.ModuleType) -> None:
    for name in module.__all__:
        assert hasattr(module, name)


@pytest.mark.parametrize("module", [drivers, load, s3])
def test_names_of_drivers_are_documented(module: types.ModuleType) -> None:
    page = (Path(__file__).parent.parent / "docs/reference/index.md").read_text()
    whole = f"automodule:: {module.__name__}\n" in page
    for name in module.__all__:
        assert whole or f"autoclass:: {name}" in page, name
        thing = getattr(module, name)
        if inspect.isclass(thing):
            assert inspect.getdoc(thing), name
            for member, value in vars(thing).items():
                if not member.startswith("_") and inspect.isfunction(value):
                    assert inspect.getdoc(value), f"{name}.{member}"


def test_the_package_is_typed() -> None:
    from importlib.resources import files

    assert files("neuro_sdk").joinpath("py.typed").is_file()


@pytest.mark.parametrize(
    ("module", "more"),
    [("neuro_sdk", set()), ("neuro_sdk.progress", set()), ("neuro_sdk.cli", {"click", "rich"})],
)
def test_the_import_takes_no_more_than_it_needs(module: str, more: set[str]) -> None:
    script = f"""
import sys
before = set(sys.modules)
import {module}
new = {{name.split(".")[0] for name in set(sys.modules) - before}} - sys.stdlib_module_names
print("\\n".join(name for name in new if "cython" not in name))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == SMALL | more


def test_a_client_of_this_machine_needs_no_http(tmp_path: Path) -> None:
    script = f"""
import asyncio, sys, neuro_sdk
async def main():
    async with neuro_sdk.local({str(tmp_path)!r}) as client:
        await client.buckets.create("box")
        await client.buckets.put_blob("box", "a", b"1")
        await client.buckets.list_blobs("blob:box/").collect()
asyncio.run(main())
print("aiohttp" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_the_import_of_the_commands_draws_nothing() -> None:
    script = "import sys, neuro_sdk.cli; print(*(n for n in sys.modules if n[:5] == 'rich.'))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) <= {"rich._extension"}
