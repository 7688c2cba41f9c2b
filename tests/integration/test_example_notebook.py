"""`examples/notebook.ipynb` runs from its first cell to its last, and what it shows is of the kinds that were kept in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

for name in ("torch", "peft", "pandas", "statsmodels", "jinja2", "vl_convert", "ipykernel"):
    pytest.importorskip(name)
nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"
VEGA_LITE = "application/vnd.vegalite.v5+json"


def shown(notebook: Any) -> list[list[str]]:
    """The MIME types of what each cell of code gives; what it prints, and in how many pieces, is left out."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [[kind for output in cell.outputs if "data" in output for kind in sorted(output["data"])] for cell in cells]


@pytest.mark.timeout(900)
def test_the_notebook_runs_and_shows_what_was_kept(tmp_path: Path) -> None:
    kept = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(kept)
    fresh = nbformat.read(NOTEBOOK, as_version=4)
    for cell in fresh.cells:
        cell["outputs"] = [] if cell.cell_type == "code" else cell.get("outputs")
    nbclient.NotebookClient(fresh, timeout=800, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert shown(fresh) == shown(kept)
    assert any(VEGA_LITE in kinds and "image/svg+xml" in kinds for kinds in shown(fresh))
    assert len(list((tmp_path / "runs").glob("ncbi-disease_*/result.json"))) == 2
    printed = "".join(o.get("text", "") for cell in fresh.cells if cell.cell_type == "code" for o in cell.outputs)
    assert "evaluating the trained model" in printed
    assert "\x1b" not in printed  # a kernel is no terminal


def test_nothing_kept_tells_where_it_was_made() -> None:
    assert str(Path.home()) not in NOTEBOOK.read_text(encoding="utf-8")
    assert "/tmp/" not in NOTEBOOK.read_text(encoding="utf-8")
