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
from neuro_sdk import distributed, errors, progress, protocols

LARGE = {"aiobotocore", "aiohttp", "azure", "botocore", "distributed", "rich", "sqlalchemy"}


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


@pytest.mark.parametrize("module", [distributed, errors, progress, protocols])
def test_modules_export_what_exists(module: types.ModuleType) -> None:
    for name in module.__all__:
        assert hasattr(module, name)


def test_the_package_is_typed() -> None:
    from importlib.resources import files

    assert files("neuro_sdk").joinpath("py.typed").is_file()


def test_the_import_leaves_large_packages_alone() -> None:
    script = f"""
import sys, neuro_sdk
print(sorted({LARGE!r} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
