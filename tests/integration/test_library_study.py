"""A study from Python is that of the command line: the same plan, the same folder, never run twice."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

import bench
from bench.cli.parser import Parser, parse
from bench.cli.study import configure, planned_study
from bench.errors import UsageError
from bench.registry import load
from bench.studies.study import find_study

pytestmark = pytest.mark.usefixtures("forks")
GRID = {"lr": [0.001, 0.002]}


def test_a_sweep_runs_once_and_its_rows_name_the_points(tmp_path: Path) -> None:
    fields = {
        "task": "gad", "model": "tiny-bert", "steps": 2, "waive": "smoke", "tracker": "none", "out": tmp_path / "runs",
        "batch_tokens": 1024, "micro_batch": 1024,
    }  # fmt: skip
    found = bench.study("sweep", seeds=1, grid=GRID, name="rates", progress=False, **fields)  # type: ignore[arg-type]
    (tmp_path / "rates.toml").write_text(
        '[run]\ntask = ["gad"]\nmodel = "tiny-bert"\nsteps = 2\nwaive = ["smoke"]\ntracker = ["none"]\n'
        "batch_tokens = 1024\nmicro_batch = 1024\n"
        "[grid]\nlr = [0.001, 0.002]\n",
        encoding="utf-8",
    )
    parser = Parser(prog="bench study")
    configure(parser)
    args = parse(
        parser, ["sweep", str(tmp_path / "rates.toml"), "--seeds", "1", "--name", "rates", "--out", str(tmp_path / "runs")]
    )
    assert args is not None
    typed = planned_study(args, load())
    kept = find_study("rates", tmp_path / "runs")
    assert [run.identity() for run in typed.runs] == [run.identity() for run in kept.runs]
    assert typed.settings == kept.settings
    assert (found.name, found.folder) == ("rates", kept.folder)
    assert [run.result.resolved("lr") for run in found.runs] == GRID["lr"]
    metric = found.runs[0].headline.metric
    rows = [row for row in found.rows() if (row["split"], row["metric"]) == ("test", metric)]
    assert [(row["role"], row["lr"]) for row in rows if row["stage"] == "trained"] == [("point", lr) for lr in GRID["lr"]]
    assert "2 of 2 runs finished" in found._repr_html_()
    results = [(run.folder / "result.json").stat().st_mtime_ns for run in found.runs]
    again = bench.study("sweep", seeds=1, grid=GRID, name="rates", progress=False, **fields)  # type: ignore[arg-type]
    assert [(run.folder / "result.json").stat().st_mtime_ns for run in again.runs] == results


def test_a_dry_run_of_a_study_estimates_its_runs_and_leaves_nothing(tmp_path: Path) -> None:
    fields = {"task": "gad", "model": "tiny-bert", "tokens": 5000, "tracker": "none", "out": tmp_path / "runs"}
    found = bench.study("sweep", seeds=1, grid=GRID, dry_run=True, **fields)  # type: ignore[arg-type]
    assert [run.estimate.tokens for run in found.study.runs if run.estimate] == [5000, 5000]
    assert len(found.runs) == 0
    assert found.rows() == []
    assert "0 of 2 runs finished" in found._repr_html_()
    assert not (tmp_path / "runs").exists()


def test_what_does_not_fit_a_kind_is_refused(tmp_path: Path) -> None:
    fields = {"task": "gad", "model": "tiny-bert", "steps": 2, "out": tmp_path}
    with pytest.raises(UsageError, match="Did you mean 'sweep'"):
        bench.study("sweeep", **fields)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="wants a grid"):
        bench.study("sweep", **fields)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="Sets are for ablation; a transfer study"):
        bench.study("transfer", sets=["clinical"], **fields)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="wants two architectures or more; got A2"):
        bench.study("ablation", arch="A2", **fields)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="A transfer study has one architecture; got A1, A2"):
        bench.study("transfer", arms=["A1", "A2"], **fields)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="Did you mean 'local'"):
        bench.study("ablation", launcher="lokal", **fields)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at least 1"):
        bench.study("ablation", jobs=0, **fields)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="study is for one run"):
        bench.study("ablation", study="mine", **fields)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
