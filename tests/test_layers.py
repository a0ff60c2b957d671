"""The layers are held by import-linter's contracts, and these cover the whole package."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "neuro_sdk"


def _contracts() -> list[dict[str, object]]:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts: list[dict[str, object]] = config["tool"]["importlinter"]["contracts"]
    return contracts


def test_every_module_has_a_layer() -> None:
    layers = _contracts()[0]["layers"]
    assert isinstance(layers, list)
    named = {
        name.strip().removeprefix("neuro_sdk.") for layer in layers for name in layer.split("|")
    }
    there = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert there - {"__init__", "__pycache__", "py"} == named


@pytest.mark.parametrize(
    ("vendor", "owners"),
    [
        ("opendal", ["_providers/opendal.py"]),
        ("aiobotocore", ["_platform/admin/s3_calls.py"]),
        ("duckdb", ["_query/duck.py"]),
        ("matplotlib", ["drivers/load/plot.py"]),
        ("azure", ["_platform/admin/azure_calls.py"]),
        # google-auth for the bytes, google-cloud-storage for the buckets
        ("google", ["_platform/admin/gcs_calls.py", "_providers/google.py"]),
    ],
)
def test_one_module_knows_a_vendor(vendor: str, owners: list[str]) -> None:
    importers = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(
            line.split()[:1] in (["import"], ["from"]) and line.split()[1].split(".")[0] == vendor
            for line in path.read_text().splitlines()
            if line.strip()
        )
    ]
    assert sorted(importers) == sorted(owners)


def test_the_contracts_hold_and_can_fail(tmp_path: Path) -> None:
    lint = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    good = subprocess.run(lint, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert good.returncode == 0, good.stdout

    # The same contracts on a copy with one import that points up.
    copy = tmp_path / "neuro_sdk"
    for path in PACKAGE.rglob("*.py"):
        target = copy / path.relative_to(PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text())
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    with (copy / "_core" / "keys.py").open("a") as file:
        file.write("\nfrom .._providers import local as _up\n")
    bad = subprocess.run(lint, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert bad.returncode != 0
    assert "imports point down BROKEN" in bad.stdout
