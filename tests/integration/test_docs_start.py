"""docs/start.md: its commands are typed in order, on a tiny model with few tokens, and do what the page says of them.

The block of Python of docs/howto.md runs after them, on the same runs.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("statsmodels")
pytest.importorskip("vl_convert")

import bench
from bench import cli

PAGE = Path(__file__).parents[2] / "docs" / "start.md"
RECIPES = PAGE.with_name("howto.md")
SMALL = ["--model", "tiny-bert", "--batch-tokens", "256", "--micro-batch", "256", "--waive", "smoke", "--tracker", "none"]


def commands() -> list[list[str]]:
    """The words of every command of bench in a block, but for what waits for a browser."""
    blocks = re.findall(r"^```\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("bench ")]
    return [shlex.split(line)[1:] for line in lines if not line.startswith("bench serve ")]


def test_every_command_does_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], quick_smoke: None, forks: None
) -> None:
    monkeypatch.chdir(tmp_path)
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "first.txt").write_text("Breast cancer is a disease.\n", encoding="utf-8")
    told: dict[str, list[str]] = {}
    for words in commands():
        if words[0] in ("run", "study"):
            words = ["3000" if word == "30000" else word for word in words] + SMALL
        if words[0] == "compare":
            words = [*words, "--allow", "waivers"]  # what the small runs need
        assert cli.main(words) == 0, words
        told.setdefault(words[0], []).append(capsys.readouterr().out)
    assert list(told) == ["doctor", "run", "board", "compare", "study", "report", "predict"]
    first, second = told["run"]
    assert all("SYNTHETIC" in text and "a dictionary of the training mentions" in text for text in (first, second))
    assert "not resolved at this number of seeds" in told["compare"][0]
    assert not (tmp_path / "runs" / "studies").exists()
    assert (tmp_path / "runs" / "report" / "index.html").is_file()
    assert "runs/report/index.html" in told["report"][0]
    predictions = (tmp_path / "found" / "predictions.jsonl").read_text(encoding="utf-8")
    assert '"id": "first"' in predictions
    assert "cancer" not in predictions

    (block,) = re.findall(r"^```python\n(.*?)^```$", RECIPES.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    small = 'tokens=3000, model="tiny-bert", batch_tokens=256, micro_batch=256, waive="smoke", tracker="none"'
    names: dict[str, object] = {}
    exec(compile(block.replace("tokens=30_000", small), str(RECIPES), "exec"), names)
    result = names["result"]
    assert isinstance(result, bench.RunResult)
    assert result.folder.name.startswith("ncbi-disease_a1_")
    assert len(list((tmp_path / "runs").glob("ncbi-disease_*/result.json"))) == 2  # the finished run, not a third one
