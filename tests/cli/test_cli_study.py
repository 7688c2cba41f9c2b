"""`bench study` as it is typed: what is refused before anything runs, and what its tables say."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from bench_plugins.studies.token_control import TokenControl

from bench.api.study import Cost, Request
from bench.cli import main
from bench.cli.parser import Parser, parse
from bench.cli.study import configure, planned_study
from bench.config import RunConfig
from bench.launchers import JobOutcome
from bench.registry import Registry
from bench.screen.console import CleanConsole
from bench.screen.studytable import StudyWatcher, duration, state
from bench.studies.finished import planned_runs
from bench.studies.study import Study

TWO = ("--task", "ncbi-disease", "--task", "bc5cdr", "--tracker", "none")


def planned(registry: Registry, *words: str) -> Study:
    parser = Parser(prog="bench study")
    configure(parser)
    args = parse(parser, words)
    assert args is not None
    return planned_study(args, registry)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["token-contrl", *TWO], "Unknown kind of study 'token-contrl'. Did you mean 'token-control'?"),
        (["token-control", *TWO], "counts its budget in tokens; got none."),
        (["token-control", "--task", "bc5cdr", "--tokens", "9"], "wants two tasks or more; got bc5cdr."),
        (["token-control", "--task", "bc5cdr", "--task", "bc5cd", "--tokens", "9"], "Did you mean 'bc5cdr'"),
        (["ablation", *TWO, "--seeds", "0"], "--seeds is 0"),
        (["ablation", *TWO, "--jobs", "0"], "--jobs is 0"),
        (["ablation", *TWO, "--resume", "x"], "--resume is for one run"),
        (["ablation", *TWO, "grid.toml"], "does not know what to do with 'grid.toml'"),
        (
            ["transfer", *TWO, "--tokens", "9", "--set", "clinical"],
            "Sets are for ablation; a transfer study takes --task or --task-set.",
        ),
        (["ablation", "--set", "clincal"], "Did you mean 'clinical'"),
        (["quantization", *TWO, "--quant", "rtn"], "takes every quantizer that fits"),
        (["ablation", *TWO, "--arch", "A2"], "An ablation wants two architectures or more; got A2."),
        (["ablation", *TWO, "--arch", "A2", "--arch", "A9"], "Unknown architecture 'A9'"),
        (["ablation", *TWO, "--arch", "A2", "--arch", "A2"], "holds a run twice"),
        (["transfer", *TWO, "--arch", "A1", "--arch", "A2"], "A transfer study has one architecture; got A1, A2."),
        (["ablation", *TWO, "--name", "a/b"], "a study's name is letters"),
        (["sweep", *TWO], "A sweep wants a file"),
        (["sweep", "nowhere.toml"], "There is no configuration file nowhere.toml"),
        (["ablation", *TWO, "--kind-option", "x"], "--kind-option: 'x' is not KEY=VALUE, such as examples=16"),
        (["ablation", *TWO, "--kind-option", "x=1", "--kind-option", "x=2"], "--kind-option names the key 'x' twice"),
        (["show", "nothing"], "There is no study 'nothing' in runs"),
        (["ablation", *TWO, "--launcher", "lokal"], "Did you mean 'local'"),
        (["ablation", *TWO, "--option", "x=1"], "The launcher 'local' has no option 'x'"),
    ],
)
def test_what_cannot_be_meant_ends_at_once(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["study", *words]) in (2, 6)
    assert told in capsys.readouterr().err
    assert not list(tmp_path.rglob("study.json"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[grid]\nrnak = [1]", "Unknown field in [grid] of grid.toml 'rnak'. Did you mean 'rank'"),
        ("[grid]\n", "The grid of a sweep is empty"),
        ("[run]\nrnak = 1\n[grid]\nrank = [8]", "Unknown key in [run] of grid.toml 'rnak'"),
        ("[grid]\ntask = ['bc5cdr']", "the grid sweeps over task, which is given beside it as well"),
        ("[grid]\narch = ['A1', 'A9']", "Unknown architecture 'A9'"),
        ("[grid]\nmicro-batch = [1]", "grid.toml: micro-batch under [grid] cannot be swept over"),
        ("[grid]\ndata = [{}]", "data under [grid] cannot be swept over"),
        ("[grid", "grid.toml is not TOML"),
    ],
)
def test_a_grid_that_cannot_be_meant(
    content: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("grid.toml").write_text(content)
    assert main(["study", "sweep", "grid.toml", *TWO]) == 2
    assert told in capsys.readouterr().err


def test_a_folder_of_another_study_is_refused(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    planned(registry, "ablation", *TWO, "--name", "mine", "--tokens", "100").save()
    before = Path("runs/studies/mine/study.json").read_bytes()
    assert main(["study", "ablation", *TWO, "--name", "mine", "--tokens", "200"]) == 6
    assert "Study 'mine' was begun with other settings: other values of tokens." in capsys.readouterr().err
    assert Path("runs/studies/mine/study.json").read_bytes() == before


def test_planning_imports_nothing_heavy(tmp_path: Path) -> None:
    heavy = ("torch", "transformers", "scipy", "mlflow", "wandb", "ray", "submitit")
    program = f"""
import sys
from bench.cli import main
code = main(["study", "token-control", *{TWO!r}, "--tokens", "100", "--launcher", "nowhere"])
print(code, [m for m in {heavy!r} if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.stdout.splitlines()[-1] == "2 []", done.stderr


def test_tasks_sets_seeds_and_rates_of_a_plan(registry: Registry) -> None:
    one = planned(registry, "token-control", "--task", "ncbi-disease", "--task", "gad", "--tokens", "100", "--seed", "5")
    assert [*dict.fromkeys(run.seed for run in one.runs)] == [5, 6, 7, 8, 9, 10]
    # A task alone would ask for its own rate, and mentions ask for another one than classes.
    assert {run.config.lr for run in one.runs} == {1e-3}
    assert {run.config.max_hours for run in one.runs} == {None}
    sets = planned(registry, "ablation", "--set", "ncbi-disease+gad", "--set", "bc5cdr", "--seeds", "1")
    assert {(run.group, run.config.task) for run in sets.runs} == {
        ("ncbi-disease+gad", ("ncbi-disease", "gad")), ("bc5cdr", ("bc5cdr",)),
    }  # fmt: skip
    assert {run.arm for run in sets.runs} == {"A1", "A2", "A3", "A4"}
    two = planned(registry, "ablation", *TWO, "--arch", "A3", "--arch", "A1", "--seeds", "2")
    assert [run.key for run in two.runs] == ["A3-s0", "A1-s0", "A3-s1", "A1-s1"]
    assert [run.config.arch for run in two.runs] == ["A3", "A1", "A3", "A1"]
    assert two.settings["arms"] == ["A3", "A1"]
    one = planned(registry, "transfer", *TWO, "--arch", "A3", "--tokens", "100", "--seeds", "1")
    assert {run.config.arch for run in one.runs} == {"A3"}
    domain = planned(registry, "ablation", "--set", "clinical", "--seeds", "1")
    assert {run.config.task for run in domain.runs} == {("2014-T7", "2016-T12")}


def test_quantizers_that_fit_the_model(registry: Registry) -> None:
    pytest.importorskip("torch")  # what is not installed is not planned
    encoder = planned(registry, "quantization", "--task", "bc5cdr", "--model", "tiny-bert", "--seeds", "1")
    found = [run.config.quant for run in encoder.runs]
    assert found[0] == "none"
    assert "rtn" in found
    assert "awq" not in found  # of decoders only
    assert len(found) == len(set(found))


def test_a_sweep_over_tasks_and_seeds(registry: Registry, tmp_path: Path) -> None:
    grid = tmp_path / "grid.toml"
    grid.write_text(
        "[run]\nname = 'mine'\nmodel = 'tiny-bert'\nmemory-limit = '1GiB'\n"
        "[grid]\ntask = [['bc5cdr', 'gad'], 'gad']\nseed = [4, 5]\n"
    )
    one = planned(registry, "sweep", str(grid), "--rank", "8")
    assert one.name == "mine"
    assert [(run.config.task, run.seed) for run in one.runs] == [
        (("bc5cdr", "gad"), 4), (("bc5cdr", "gad"), 5), (("gad",), 4), (("gad",), 5),
    ]  # fmt: skip
    assert {(run.config.model, run.config.rank, run.config.memory_limit) for run in one.runs} == {("tiny-bert", 8, 2**30)}
    assert [run.key for run in one.runs][:2] == ["task=bc5cdr+gad,s4", "task=bc5cdr+gad,s5"]


def test_show_lists_and_prints(registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "runs")
    assert main(["study", "show", "--out", out]) == 0
    assert "There is no study in" in capsys.readouterr().out
    planned(registry, "ablation", *TWO, "--name", "mine", "--out", out, "--seeds", "1").save()
    assert main(["study", "show", "--out", out]) == 0
    assert capsys.readouterr().out.splitlines()[2].split() == ["mine", "ablation", "0/4", "no"]
    assert main(["study", "show", "mi", "--out", out, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [run["key"] for run in shown["runs"]] == ["A1-s0", "A2-s0", "A3-s0", "A4-s0"]


def example(tmp_path: Path) -> Study:
    tasks = ("a", "b")
    asked = Request(RunConfig(task=tasks, tokens=1000), 1, {task: task for task in tasks})
    study = Study(tmp_path, "token-control", "one", {}, planned_runs(TokenControl(), asked))
    study.runs = [replace(run, estimate=Cost(1000, 90.0, 2**29)) for run in study.runs]
    return study


def watcher(terminal: bool) -> tuple[StudyWatcher, io.StringIO]:
    text = io.StringIO()
    console = CleanConsole(
        file=text, force_terminal=terminal, width=100, highlight=False, soft_wrap=not terminal, color_system=None
    )
    return StudyWatcher(stderr=False, console=console), text


def test_the_plan_counts_what_is_left(tmp_path: Path) -> None:
    study = example(tmp_path)
    study.update("multi-s0", run="r1")
    told, text = watcher(terminal=False)
    told.plan(study, jobs=2)
    said = text.getvalue()
    rows = [line.split() for line in said.splitlines()]
    assert ["multi-s0", "multi", "a+b", "A1", "0", "1,000", "1:30", "0.50", "GiB", "finished"] in rows
    assert ["a-share-s0", "share", "a", "A1", "0", "1,000", "1:30", "0.50", "GiB", "next"] in rows
    assert "5 runs, 1 finished; left are 4,000 tokens, 0.1 hours" in said
    assert "3:00 with --jobs 2 at best" in said


def test_the_live_table_says_who_runs_and_what_failed(tmp_path: Path) -> None:
    study = example(tmp_path)
    study.update("multi-s0", run="r1")
    study.update("b-total-s0", error="It broke.\nMend it.")
    log = study.folder / "logs" / "a-total-s0.log"
    log.parent.mkdir(parents=True)
    log.write_text(" 1  reading corpora\n    training: 20/100 tokens\n")
    told, text = watcher(terminal=True)
    with told.watching(study):
        told.look(study, {"a-total-s0"})
    said = text.getvalue()
    assert "a-total-s0" in said
    assert "training: 20/100 tokens" in said
    assert "It broke." in said
    assert "Mend it." not in said
    assert "1 of 5 finished, 1 running, 1 failed" in said


def test_what_ends_is_told_once(tmp_path: Path) -> None:
    study = example(tmp_path)
    told, text = watcher(terminal=False)
    told.look(study, {"multi-s0"})
    told.look(study, {"multi-s0"})
    told.ended(replace(study["multi-s0"], run="r1"), JobOutcome("multi-s0", 0, attempts=2))
    told.ended(replace(study["a-total-s0"], error="It broke."), JobOutcome("a-total-s0", 3))
    lines = [line.strip() for line in text.getvalue().splitlines()]
    assert lines == [
        "multi-s0: begun",
        "multi-s0: finished in 0 s, 2 processes, run r1",
        "warning: a-total-s0 failed: It broke.",
    ]


def test_words_for_states_and_durations(tmp_path: Path) -> None:
    study = example(tmp_path)
    assert state(study, study["multi-s0"]) == "next"
    assert state(study, study["multi-s0"], {"multi-s0"}) == "running"
    assert state(study, study["a-total-s0"]) == "waiting"
    assert [duration(s) for s in (0.4, 59.6, 185, 7800)] == ["0 s", "1:00", "3:05", "2:10 h"]
