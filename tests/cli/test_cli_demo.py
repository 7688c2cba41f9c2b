"""`bench demo`: really trained runs on made-up text, which the commands after a run take as any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("peft")

from bench.cli import main
from bench.results.store import read_result


def test_a_demo_is_trained_passes_every_control_and_is_there_for_the_other_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--seeds", "1"]) == 0
    said = capsys.readouterr()
    assert "SYNTHETIC data and a model that knows no language" in said.out
    folders = sorted(path.parent for path in Path("demo/runs").glob("*/result.json"))
    assert len(folders) == 2
    for folder in folders:
        result = read_result(folder)
        assert (result.synthetic, result.waivers, result.plan.model.plumbing_only) == (True, (), True)
        assert result.invariants.smoke.passed
        assert {result.invariants.parity.holds, result.invariants.smoke.status} == {True, "held"}
        assert any(stage["strict.f1"] > 0 for stage in (scores.trained or {} for scores in result.scores.values()))
    # The commands that it names are those that work on its runs.
    for line in (line.split("  ")[1] for line in said.out.splitlines() if line.startswith("  bench ")):
        words = line.split()[1:]
        if words[0] == "report":
            continue  # needs an extra
        assert main(words) in (0, 3), line
        assert capsys.readouterr().out
    before = {path: path.stat().st_mtime_ns for path in Path("demo").rglob("result.json")}
    assert main(["demo", "--seeds", "1"]) == 0  # nothing is trained twice
    assert {path: path.stat().st_mtime_ns for path in Path("demo").rglob("result.json")} == before
    capsys.readouterr()
    assert main(["board", "--out", "demo/runs", "--json"]) == 0
    assert {run["id"] for run in json.loads(capsys.readouterr().out)} == {folder.name for folder in folders}


def test_no_seed_is_no_demo(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--seeds", "0"]) == 2
    assert "--seeds is 0; it must be at least 1." in capsys.readouterr().err
