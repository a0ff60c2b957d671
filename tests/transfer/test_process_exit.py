"""How processes end, and the loops they run."""

from __future__ import annotations

import asyncio
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from .scripts.processes import NOISE, run_script


class TestExit:
    @pytest.mark.parametrize(
        ("how", "count"), [*[("close", 50)] * 2, ("forget", 10), ("engine", 60)]
    )
    async def test_many(self, tmp_path: Path, how: str, count: int) -> None:
        code, out, err = await asyncio.to_thread(run_script, "nursery.py", tmp_path, how, count, 16)
        assert (code, out, err) == (0, f"{count} runs, 0 wrong\n", "")

    def test_warnings_are_errors(self, tmp_path: Path) -> None:
        options = ("-X", "dev", "-W", "error")
        code, out, err = run_script("loops.py", "close", tmp_path, options=options)
        assert (code, out) == (0, "done\n"), err
        assert not without_slow(err)

    def test_a_forgotten_client_is_told_of(self, tmp_path: Path) -> None:
        code, out, err = run_script("loops.py", "forget", tmp_path, options=("-X", "dev"))
        assert (code, out) == (0, "done\n")
        assert "ResourceWarning: <Client of " in err
        assert "was never closed" in err
        assert not any(noise in err for noise in NOISE), err


def without_slow(err: str) -> list[str]:
    """Lines of a process less asyncio's remarks on a busy machine."""
    return [line for line in err.splitlines() if not line.startswith("Executing <")]


class TestLoops:
    @pytest.mark.parametrize("what", ["twice", "one_client", "threads", "uvloop"])
    def test_dev_mode(self, tmp_path: Path, what: str) -> None:
        if what == "uvloop" and find_spec("uvloop") is None:
            pytest.skip("uvloop is not installed")
        code, out, err = run_script("loops.py", what, tmp_path, options=("-X", "dev"))
        assert (code, out) == (0, "done\n"), err
        assert not without_slow(err)
        assert "uvloop" not in sys.modules
