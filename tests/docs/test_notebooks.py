"""The notebooks run, in a kernel of their own, and show what a reader can take in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent.parent
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))

MOST_OUTPUT = 20_000  # characters of one cell
SHOWN = {
    "quickstart": ["blob://local/", "<td>2025/</td>", "'2025'", "no such blob", "<td>4</td>"],
    "trees-and-progress": [
        "300 files, ",
        "Download: 300/300 files",
        "and 250 more",
        "part-1/1.txt",
    ],
    "data-frames": ["frames/sales/city=Bern", "('Oslo', 500)", "there is a report: False"],
}


def test_there_are_three() -> None:
    assert {notebook.stem for notebook in NOTEBOOKS} == SHOWN.keys()


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_it_is_kept_without_outputs(notebook: Path) -> None:
    content = nbformat.read(notebook, as_version=4)
    nbformat.validate(content)
    for cell in content.cells:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
async def test_it_runs(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("NEURO_SDK_CONFIG", str(tmp_path / "none.toml"))
    content = nbformat.read(notebook, as_version=4)
    runner = NotebookClient(
        content,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    await runner.async_execute()

    texts = [_text(cell) for cell in content.cells if cell.cell_type == "code"]
    for text in texts:
        assert len(text) < MOST_OUTPUT
        assert text.count("\n") < 100
        assert not re.search(r"Warning|Traceback|\x1b", text), text
    for shown in SHOWN[notebook.stem]:
        assert any(shown in text for text in texts), shown
    assert not any((tmp_path / "blobs").rglob("*.part"))


def _text(cell: Any) -> str:
    """All that a cell shows, and no more than ten pieces of it."""
    assert len(cell.outputs) <= 10
    pieces = []
    for output in cell.outputs:
        assert output.output_type in ("stream", "execute_result", "display_data")
        data = output.get("data", {})
        pieces.append(output.get("text") or data.get("text/html") or data.get("text/plain", ""))
    return "".join(pieces)
