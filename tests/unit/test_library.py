"""The Python interface: what it takes is what a run is told, and what it returns are rows that can be tabulated."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest

import bench
from bench.config import OPTIONS, RunConfig
from bench.errors import BenchError, ContractError, MissingError, UsageError
from bench.library.fields import RunFields, configured
from bench.registry import load
from bench.studies.study import Study, StudyRun


def test_importing_it_loads_nothing_heavy() -> None:
    program = (
        "import bench, sys; bench.runs, bench.run; print([m for m in ('torch', 'pandas', 'scipy', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_function_has_the_name_of_a_module_that_would_take_its_place() -> None:
    folder = Path(bench.__file__).parent
    modules = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not modules & set(bench.__all__)


def test_a_run_takes_every_field_of_a_configuration_and_no_other() -> None:
    assert list(RunFields.__annotations__) == [field.name for field in fields(RunConfig)]


def test_paths_and_single_names_are_taken(tmp_path: Path) -> None:
    made = configured(None, {"task": "2015-T14", "data": {"2015-T14": tmp_path}, "out": tmp_path, "tracker": "none", "lr": 1})
    assert (made.task, made.data, made.out) == (("2015-T14",), {"2015-T14": str(tmp_path)}, str(tmp_path))
    assert (made.tracker, made.lr) == (("none",), 1.0)


def test_a_missing_package_is_told(made: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.make(tmp_path, made.grid(2))
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingError, match="polars"):
        bench.runs(tmp_path).to_polars()


def test_one_budget_takes_the_place_of_another() -> None:
    base = RunConfig(task=("2015-T14",), tokens=500)
    assert configured(base, {"epochs": 2.0}).tokens is None
    assert configured(base, {"arch": "A2"}).tokens == 500


def test_what_means_nothing_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"'archi'\. Did you mean 'arch'"):
        bench.run(task="2015-T14", archi="A2")  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="2015-T15"):
        bench.run(task="2015-T15")
    with pytest.raises(UsageError, match="No task"):
        bench.plan()
    with pytest.raises(BenchError, match="nowhere"):
        bench.runs("nowhere")


def test_rows_hold_each_number_of_a_result_once(made: ModuleType, tmp_path: Path) -> None:
    folders = made.make(tmp_path, [*made.grid(3), made.Made(quant="gptq", seed=9)])
    found = bench.runs(tmp_path)
    assert [run.folder.name for run in found] == sorted(folder.name for folder in folders)
    rows = found.rows()
    keys = [tuple(row[key] for key in ("run", "task", "split", "stage", "metric")) for row in rows]
    assert len(set(keys)) == len(keys)
    for folder in folders:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        head = result["headline"]
        (row,) = (
            row
            for row in rows
            if (row["run"], row["task"], row["split"], row["stage"]) == (result["id"], head["task"], "test", head["stage"])
            and row["metric"] == head["metric"]
        )
        assert row["value"] == head["value"]
        assert [row["low"], row["high"]] == (head["ci95"] or [None, None])
        assert (row["seed"], row["arch"], row["quant"]) == tuple(result["config"][key] for key in ("seed", "arch", "quant"))
    assert {row["stage"] for row in rows if row["quant"] == "gptq"} == {"trained", "quantized"}
    assert len(found[:2]) == 2
    assert isinstance(found[:2], bench.Runs)


def test_rows_are_a_data_frame(made: ModuleType, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    made.make(tmp_path, made.grid(2))
    found = bench.runs(tmp_path)
    frame = found.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == len(found.rows())
    assert frame["value"].dtype == float


def test_in_a_notebook_runs_are_a_table_that_is_stamped_and_escaped(made: ModuleType, tmp_path: Path) -> None:
    made.make(tmp_path, [made.Made(arch="A1"), made.Made(arch="A2", synthetic=False)])
    found = bench.runs(tmp_path)
    assert "SYNTHETIC" in found._repr_html_()
    for run in found:
        shown = run._repr_html_()
        assert ("SYNTHETIC" in shown) == run.result.synthetic
        assert run.id in shown
        assert run.headline.metric in shown


def test_figures_are_those_of_the_page_and_drawn_in_a_notebook(made: ModuleType, tmp_path: Path) -> None:
    for name in ("jinja2", "vl_convert", "statsmodels"):
        pytest.importorskip(name)
    made.make(tmp_path / "runs", made.grid(2))
    figures = bench.runs(tmp_path / "runs").figures(by=["arch"])
    page = bench.report(runs=tmp_path / "runs", out=tmp_path / "page", by=["arch"])
    assert set(figures) == {path.stem for path in (page.parent / "figures").glob("*.svg")}
    assert "SYNTHETIC" in figures._repr_html_()
    for name, figure in figures.items():
        assert name in figures._repr_html_()
        shown = figure._repr_mimebundle_()
        assert shown["image/svg+xml"] == (page.parent / "figures" / f"{name}.svg").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="archi"):
        bench.runs(tmp_path / "runs").figures(by=["archi"])


def test_a_run_names_itself_in_one_line_and_has_figures_of_its_own(made: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("statsmodels")
    made.make(tmp_path, made.grid(2))
    found = bench.runs(tmp_path)
    assert repr(found).splitlines() == [f"{len(found)} runs", *(f"  {run!r}" for run in found)]
    assert repr(found[0]).startswith(f"RunResult({found[0].id}: ")
    assert repr(found[0]).endswith(", synthetic)")
    assert "curves-loss" in found[0].figures()
    assert "differences" not in found[0].figures()


def test_in_a_notebook_a_study_shows_its_verdict(tmp_path: Path) -> None:
    verdict = {"tasks": [{"task": "gad", "kind": "no effect", "reason": "a < b"}, {"task": "of another shape"}]}
    planned = StudyRun("multi-s0", "multi", None, 0, "A1", RunConfig(task=("gad",)))
    study = bench.StudyResult(Study(tmp_path, "token-control", "one", {}, [planned], verdict=verdict))
    shown = study._repr_html_()
    assert "token-control one: 0 of 1 run finished" in shown
    assert "<td>gad</td><td>no effect</td><td>a &lt; b</td>" in shown
    assert "another shape" not in shown
    assert repr(study) == "StudyResult(token-control one: 0 of 1 run finished)"


def test_comparing_is_what_the_command_does(made: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("statsmodels")
    cells = [
        made.Made(arch=a, seed=s, gain=0.1 * (a == "A2"), documents=30, synthetic=False) for a in ("A1", "A2") for s in range(6)
    ]
    made.make(tmp_path, cells)
    found = bench.compare(bench.runs(tmp_path), by=["arch"], resamples=200)
    assert [(pair.first, pair.second) for pair in found.pairs] == [("A1", "A2")]
    assert found.pairs[0].better == "A2"
    assert "second less first" in found._repr_html_()
    with pytest.raises(UsageError, match="archi"):
        bench.compare(bench.runs(tmp_path), by=["archi"])
    made.make(tmp_path / "other", [made.Made(arch="A3", tokens=90_000, documents=30, synthetic=False)])
    with pytest.raises(ContractError):
        bench.compare([*bench.runs(tmp_path), *bench.runs(tmp_path / "other")], by=["arch"])


def test_a_report_is_the_page_of_the_command(made: ModuleType, tmp_path: Path) -> None:
    for name in ("jinja2", "vl_convert", "statsmodels"):
        pytest.importorskip(name)
    made.make(tmp_path / "runs", made.grid(2))
    page = bench.report(runs=tmp_path / "runs", out=tmp_path / "page")
    assert page == tmp_path / "page" / "index.html"
    assert "SYNTHETIC" in page.read_text(encoding="utf-8").upper()
    with pytest.raises(UsageError, match="archi"):
        bench.report(runs=tmp_path / "runs", by=["archi"])


def test_scoring_files_is_what_the_command_does(tmp_path: Path) -> None:
    load().get("tasks", "2015-T14").synthesize(tmp_path, 7, {"train": 2, "dev": 2, "test": 3})
    gold = tmp_path / "test"
    scores = bench.score("2015-T14", gold, gold)
    assert scores["task1"]["strict"]["f1"] == 1.0
    with pytest.raises(UsageError, match="--pred"):
        bench.score("2015-T14", gold, gold / "nothing")


def test_the_fields_are_typed_as_the_configuration_is_but_take_paths_single_names_and_sizes() -> None:
    for name, option in OPTIONS.items():
        wanted = RunConfig.__annotations__[name].replace("tuple[str, ...]", "str | Sequence[str]")
        wanted = wanted.replace("Mapping[str, str]", "Mapping[str, Place]")
        wanted = {"model": "Place", "out": "Place"}.get(name, wanted.replace("int", "int | str") if option.size else wanted)
        assert RunFields.__annotations__[name].__forward_arg__ == wanted, name
    assert configured(None, {"memory_limit": "2GiB", "tolerate": "text-mismatch"}).memory_limit == 2 * 1024**3
