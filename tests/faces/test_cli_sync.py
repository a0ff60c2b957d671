"""``blob sync``: both ways, what is removed and when it refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ..trees import make_tree, read_tree, set_time
from .terminal import blob, done, objects, summary

TREE = {"a": b"a", "d/b": b"bb", "d/e/c": b"ccc"}


@pytest.fixture
def tree(at_each_store: Path, tmp_path: Path) -> Path:
    done("mb", "box")
    return _of(make_tree(tmp_path / "tree", TREE), timedelta(hours=-1))


def _of(tree: Path, ago: timedelta) -> Path:
    """The *tree* with times that no rounding of a store makes doubtful."""
    for name in TREE:
        set_time(tree / name, datetime.now(UTC) + ago)
    return tree


def keys() -> set[str]:
    return {entry["key"] for entry in objects(done("ls", "-r", "--json", "blob:box"))}


def test_up_and_down_and_again(tree: Path, tmp_path: Path) -> None:
    assert summary(done("sync", "--json", tree, "blob:box/t"), copied=3)["operation"] == "sync"
    summary(done("sync", "--json", tree, "blob:box/t"), skipped=3)
    back = make_tree(tmp_path / "back", {"old": b"old", "keep.log": b"log"})
    summary(done("sync", "--json", "--verify", "blob:box/t", back), copied=3)
    assert read_tree(back) == {**TREE, "old": b"old", "keep.log": b"log"}
    _of(back, timedelta(hours=1))
    result = done("sync", "--json", "--delete", "--exclude", "*.log", "blob:box/t", back)
    summary(result, skipped=3, removed=1)
    assert read_tree(back) == {**TREE, "keep.log": b"log"}


def test_deletion_is_planned_limited_and_done(tree: Path) -> None:
    done("sync", tree, "blob:box/t")
    for name in ("d/b", "d/e/c"):
        (tree / name).unlink()
    (tree / "d/e").rmdir()
    (tree / "d").rmdir()
    (plan,) = objects(done("sync", "-n", "--json", "--delete", tree, "blob:box/t"))
    assert (plan["operation"], plan["removed"], plan["skipped"]) == ("sync up", 2, 1)
    refused = blob("sync", "--delete", "--max-delete", "1", tree, "blob:box/t")
    assert refused.exit_code == 1
    assert "more than 1 would be removed" in refused.stderr
    shown = blob("sync", "--delete", "--dry-run", "--max-delete", "1", tree, "blob:box/t")
    assert shown.exit_code == 1
    assert "refused: more than 1" in shown.stdout
    assert keys() == {"t/a", "t/d/b", "t/d/e/c"}
    done("sync", "--delete", "--max-delete", "none", tree, "blob:box/t")
    assert keys() == {"t/a"}


def test_an_empty_source_removes_nothing(tree: Path, tmp_path: Path) -> None:
    done("sync", tree, "blob:box/t")
    (tmp_path / "none").mkdir()
    result = blob("sync", "--delete", "--json", tmp_path / "none", "blob:box/t")
    assert result.exit_code == 1
    assert "the source holds no file" in summary(result, failed=1)["failures"][0]["error"]
    assert keys() == {"t/a", "t/d/b", "t/d/e/c"}


def test_ignore_files_leave_out_and_protect(tree: Path) -> None:
    (tree / ".ignore").write_text("d/e\n")
    done("sync", "--ignore-file", ".ignore", tree, "blob:box/t")
    assert keys() == {"t/.ignore", "t/a", "t/d/b"}
