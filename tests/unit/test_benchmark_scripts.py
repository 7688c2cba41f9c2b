"""What holds for every script in benchmarks/: one command line, figures that are handed over, and a row in the README."""

from __future__ import annotations

import argparse
import json
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bench.config import RunConfig
from bench.errors import MissingError

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(FOLDER.glob("bench_*.py"))
WORDS = ["--quick", "--json", "figures.json"]


@pytest.fixture
def common(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`benchmarks/common.py`, as the scripts import it; what it tells the environment is undone."""
    for name in ("OMP_WAIT_POLICY", "WANDB_MODE", "HF_HUB_OFFLINE", "TOKENIZERS_PARALLELISM"):
        monkeypatch.setenv(name, "")
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("common", "run_all", "record"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return import_module("common")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_goes_through_the_one_command_line(
    script: Path, common: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(common, "main", lambda *given: calls.append(given))
    runpy.run_path(str(script), run_name="__main__")
    ((measure, description, *add),) = calls
    assert callable(measure)
    assert description
    assert f"benchmarks/{script.name}" in description
    assert "--quick" in description
    options = common.command_line(description, *(add or [lambda parser: None])).parse_args(WORDS)
    assert (options.quick, options.json) == (True, Path("figures.json"))


def test_the_readme_lists_exactly_the_scripts() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", (FOLDER / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == [script.name for script in SCRIPTS]


def test_the_full_form_goes_on_without_a_model_that_is_not_installed(
    common: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "bench_throughput", raising=False)
    throughput, lap = import_module("bench_throughput"), common.Lap(1, 1.0, 1.0)

    def laps_of(config: RunConfig, *given: Any, **named: Any) -> tuple[str, Any]:
        if config.model == "smollm2-135m":
            raise MissingError("Model 'smollm2-135m' is not there.", "pip install it")
        return "made up", throughput.Laps({"bench": [lap], "trainer": [lap]}, [1], [lap])

    monkeypatch.setattr(throughput, "laps_of", laps_of)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    options = common.command_line("made up", throughput._options).parse_args([])
    names = [figure.name for figure in throughput.measure(options)]
    assert any("A4" in name for name in names)
    assert not any("smollm2" in name for name in names)
    assert "left out: Model 'smollm2-135m'" in capsys.readouterr().out


def test_the_page_holds_what_was_kept(common: ModuleType) -> None:
    record = import_module("record")
    kept, page = record.kept(), record.PAGE.read_text(encoding="utf-8")
    assert page.partition(record.BEGIN)[2].partition(record.END)[0].strip() == record.rendered(kept).strip()
    assert kept.keys() <= {path.stem.removeprefix("bench_") for path in SCRIPTS}


def test_a_later_run_of_a_script_takes_the_place_of_an_earlier_one(
    common: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    record = import_module("record")
    monkeypatch.setattr(record, "KEPT", tmp_path / "measured.json")
    monkeypatch.setattr(record, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(record, "machine", lambda: "2 cores")
    record.PAGE.write_text(f"# Page\n{record.BEGIN}\nold\n{record.END}\nafter\n", encoding="utf-8")
    record.keep("b", [common.Figure("speed", "≥ 2 ×", "1 ×", False)], 0.1)
    record.keep("a", [common.Figure("size", "", "5 MiB", note="once")], 0.12)
    record.keep("b", [common.Figure("speed", "≥ 2 ×", "3 ×", True)], 0.3)
    record.write()
    page = record.PAGE.read_text(encoding="utf-8")
    assert page.startswith("# Page\n")
    assert page.endswith("\nafter\n")
    assert "old" not in page
    rows = [line for line in page.splitlines() if line.startswith("| ") and "figure" not in line]
    assert [row.split(" | ")[0] for row in rows if "bench_" not in row] == ["| size", "| speed"]
    assert "| size |  | 5 MiB (once) |  |" in rows
    assert "| speed | ≥ 2 × | 3 × | met |" in rows
    assert "load 0.3" in next(row for row in rows if "bench_b.py" in row)


def told(common: ModuleType, monkeypatch: pytest.MonkeyPatch, out: Path, measure: Callable[..., Any], *words: str) -> Any:
    """What `common.main` writes of a benchmark's figures."""
    monkeypatch.setattr(sys, "argv", ["bench_made_up.py", *words, "--json", str(out)])
    common.main(measure, "made up")
    return json.loads(out.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("words", "target", "met"), [((), "≥ 2 ×", False), (("--quick",), "", None)])
def test_a_missed_target_is_reported_and_the_quick_form_holds_nothing_to_one(
    common: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...], target: str, met: bool | None
) -> None:
    figure = common.Figure("speed", "≥ 2 ×", "1 ×", False)
    (kept,) = told(common, monkeypatch, tmp_path / "f.json", lambda options: [figure], *words)
    assert kept == {"name": "speed", "target": target, "measured": "1 ×", "met": met, "note": ""}


def test_a_script_without_figures_broke_unless_it_says_what_is_missing(
    common: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "f.json"
    with pytest.raises(SystemExit, match="no figure"):
        told(common, monkeypatch, out, lambda options: [])
    assert not out.exists()

    def lacking(options: argparse.Namespace) -> list[Any]:
        raise common.Missing("corpus X is not there")

    assert told(common, monkeypatch, out, lacking) == []
    assert "skipped: corpus X is not there\n" in capsys.readouterr().out


BODIES = {
    "works": "lambda options: [common.Figure('speed', '', '1 ×')]",
    "lacks": "lambda options: (_ for _ in ()).throw(common.Missing('no corpus'))",
    "breaks": "lambda options: 1 / 0",
    "empty": "lambda options: []",
}
SCRIPT = "import sys\nsys.path.insert(0, {folder!r})\nimport common\ncommon.main({body}, 'made up')\n"


@pytest.mark.parametrize(("names", "code"), [(("works", "lacks"), 0), (("works", "breaks"), 1), (("empty",), 1)])
def test_running_all_fails_exactly_where_a_script_breaks(
    common: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    names: tuple[str, ...],
    code: int,
) -> None:
    run_all = import_module("run_all")
    for name in names:
        (tmp_path / f"bench_{name}.py").write_text(SCRIPT.format(folder=str(FOLDER), body=BODIES[name]), encoding="utf-8")
    monkeypatch.setattr(run_all, "SCRIPTS", {name: tmp_path / f"bench_{name}.py" for name in names})
    monkeypatch.setattr(sys, "argv", ["run_all.py", "--quick", "--json", str(tmp_path / "all.json")])
    assert run_all.main() == code
    measured = [figure["measured"] for figure in json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))]
    assert measured == ["1 ×"] * names.count("works")
    assert ("broken: " in capfd.readouterr().out) == bool(code)


def test_ci_runs_all_of_them() -> None:
    from configparser import ConfigParser

    tox = ConfigParser(interpolation=None)
    tox.read(FOLDER.parent / "tox.ini", encoding="utf-8")
    assert "benchmarks" in tox["tox"]["env_list"].split()
    assert tox["testenv:benchmarks"]["commands"].startswith("python benchmarks/run_all.py --quick")


def test_no_invariant_is_waived_but_in_the_quick_form_of_the_main_job_on_generated_notes() -> None:
    waiving = {p.name: re.findall(r'"--waive",\s+"(\w+)"|waive=\(', p.read_text(encoding="utf-8")) for p in FOLDER.glob("*.py")}
    assert {name: found for name, found in waiving.items() if found} == {"bench_main_job.py": ["smoke"]}


def test_nothing_heavy_is_imported_before_a_script_measures() -> None:
    code = (
        "import runpy, sys, common; common.main = lambda *given: None\n"
        f"for path in {[str(path) for path in SCRIPTS]!r}: runpy.run_path(path, run_name='__main__')\n"
        "print(sorted({'torch', 'transformers', 'datasets', 'wandb', 'mlflow'} & set(sys.modules)))"
    )
    words = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(FOLDER)!r})\n{code}"]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "[]\n"
