"""docs/python.md: its blocks are executed in order, on small corpora and with a tiny model, and its table is complete."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("pandas")
pytest.importorskip("statsmodels")
pytest.importorskip("jinja2")
pytest.importorskip("vl_convert")

import bench
from bench.registry import load

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
SMALL = {
    # in place of a budget that takes minutes
    "tokens=200_000": (
        'tokens=3000, model="tiny-bert", batch_tokens=256, micro_batch=256, max_length=64, waive="smoke", tracker="none"'
    ),
    'by=["arch"]': 'by=["arch"], allow=["waivers"]',  # short runs waive the gate
    "jobs=2": "jobs=2, dry_run=True",  # thirty runs
}


def test_every_block_runs_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_smoke: None, forks: None) -> None:
    for task in ("2015-T14", "ncbi-disease", "bc5cdr"):
        load().get("tasks", task).synthesize(tmp_path / "corpora" / task, 3, {"train": 8, "dev": 3, "test": 3})
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "corpora"))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tmp_path / "corpora" / "2015-T14" / "test", tmp_path / "corpus" / "test")
    shutil.copytree(tmp_path / "corpus" / "test", tmp_path / "mine")
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    names: dict[str, object] = {}
    for block in blocks:
        for large, small in SMALL.items():
            block = block.replace(large, small)
        exec(compile(block, str(PAGE), "exec"), names)
    assert (tmp_path / "page" / "index.html").is_file()
    result, table = names["result"], names["table"]
    assert isinstance(result, bench.RunResult)
    assert set(table["arch"]) == {"A1", "A4"}  # type: ignore[index]
    assert not (tmp_path / "runs" / "studies").exists()


def test_the_table_names_every_function() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    functions = {name for name in bench.__all__ if name.islower() and not name.startswith("_")}
    assert functions <= set(rows)
