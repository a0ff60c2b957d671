"""Forked children get an error at once; processes of other kinds work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .scripts.processes import run_script

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

INHERITED = "ForkedProcessError: this client belongs to the parent process; "
NATIVE = "ForkedProcessError: the parent of this process has used blob storage"


def answers(what: str, folder: Path) -> list[str]:
    code, out, err = run_script("forks.py", what, folder, options=("-W", "ignore"))
    assert (code, err) == (0, "")
    return out.splitlines()


class TestFork:
    def test_the_client_of_the_parent(self, tmp_path: Path) -> None:
        *verbs, closing, entering, parent = answers("inherited", tmp_path)
        wrong = {number: answer for number, answer in enumerate(verbs) if INHERITED not in answer}
        assert not wrong
        assert closing == "done"  # there is nothing to close
        assert entering.startswith(INHERITED)
        assert parent == "the parent goes on"

    def test_a_client_of_its_own(self, tmp_path: Path) -> None:
        found = answers("anew", tmp_path)
        assert len(found) == 2
        assert all(answer.startswith(NATIVE) and "spawn" in answer for answer in found)

    def test_forked_in_a_loop(self, tmp_path: Path) -> None:
        child, parent = answers("in_a_loop", tmp_path)
        assert child.startswith(INHERITED)
        assert parent == "the parent goes on"

    def test_before_the_first_use(self, tmp_path: Path) -> None:
        assert answers("before_use", tmp_path) == ["done", "done"]

    def test_before_any_blob_was_touched(self, tmp_path: Path) -> None:
        inherited, own, parent = answers("not_used", tmp_path)
        assert inherited.startswith(INHERITED)
        assert own == "done"
        assert parent == "the parent goes on"

    def test_the_child_need_not_close(self, tmp_path: Path) -> None:
        assert answers("forgotten", tmp_path) == ["[]", "the parent goes on"]


class TestWorkers:
    @pytest.mark.parametrize("method", ["spawn", "forkserver"])
    def test_clean_ones(self, tmp_path: Path, method: str) -> None:
        assert answers(method, tmp_path) == ["done"]

    def test_forked_ones(self, tmp_path: Path) -> None:
        (answer,) = answers("fork", tmp_path)
        assert answer.startswith(NATIVE)
