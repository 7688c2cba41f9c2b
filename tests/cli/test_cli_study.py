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

from bench.api.study import Cost, Request, StudyKind
from bench.cli import main
from bench.cli.parser import Parser, parse
from bench.cli.study import configure, made_up, planned_study
from bench.config import OPTIONS, TOGETHER, RunConfig
from bench.errors import UsageError
from bench.launchers import JobOutcome
from bench.registry import Registry
from bench.results.display import duration
from bench.screen.console import CleanConsole
from bench.screen.studytable import StudyWatcher, state
from bench.studies.finished import planned_runs
from bench.studies.study import STUDY, Study

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
        (["ablation", *TWO, "--seeds", "1000000000"], "--seeds is 1000000000; it must be at most 10,000"),
        (["ablation", *TWO, "--resample-train", "0"], "--resample-train is 0; it must be at least 1"),
        *(
            (["ablation", *TWO, "--dry-run", flag, "9"], f"{flag} is about finding --effect; got no --effect.")
            for flag in ("--power", "--seeds-sd", "--documents-sd", "--documents")
        ),
        (["ablation", *TWO, "--dry-run", "--effect", "nan"], "--effect is nan"),
        (["ablation", *TWO, "--dry-run", "--effect", ".1", "--power", "2"], "--power is 2"),
        (["ablation", *TWO, "--dry-run", "--effect", ".1", "--seeds-sd", "1"], "Stated variances also want --documents-sd"),
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


BASE = {
    "token-control": [*TWO, "--tokens", "100"],
    "ablation": [*TWO],
    "quantization": [*TWO],
    "transfer": [*TWO, "--tokens", "100"],
    "tuned": [*TWO, "--tokens", "100"],
    "unseen": ["--source", "ncbi-disease", "--source", "gad", "--target", "bc5cdr", "--shots", "4", "--tokens", "100"],
    "sweep": ["grid.toml", *TWO],
}
OTHER = {
    "arch": "A3", "quant": "rtn", "quant_when": "load", "model": "tiny-llama", "attention": "bidirectional", "head": "bio",
    "concept_sources": "SNOMEDCT_US", "tolerate": "order", "steps": "9", "epochs": "2", "tokens": "77", "tokens_like": "r1",
    "loss_weights": "bc5cdr=0.5", "sampling": "proportional", "loss_weighting": "uncertainty", "gradients": "pcgrad",
    "schedule": "sequential", "schedule_options": "lambda=10", "teacher": "r1", "init_from": "r1", "data": "bc5cdr=corpus",
    "concepts": "bc5cdr=names.tsv", "optimizer": "adamw-8bit", "precision": "fp32", "gradient_checkpointing": "on",
    "memory_limit": "2GiB", "waive": "smoke", "device": "cpu", "temperature": "3", "task_set": "clinical",
}  # fmt: skip
"""A value of each field that is not its default; numbers that are not here are 3."""
OF_THE_STUDY = {"name", "max_hours", "study", "out", "task", "convert", "tracker"}
"""What the study itself takes, or what every command line here gives."""


@pytest.mark.parametrize("name", sorted(set(OPTIONS) - OF_THE_STUDY))
@pytest.mark.parametrize("kind", BASE)
def test_no_flag_of_a_run_is_passed_over_by_a_kind_of_study(
    kind: str, name: str, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.studies.request.fitting", lambda base, registry: _fitting(base))
    monkeypatch.setattr("bench.studies.request.check", lambda config, registry: None)  # of whether values fit each other
    Path("grid.toml").write_text("[grid]\nrank = [8, 12]\nseed = [4]\n")
    option = OPTIONS[name]
    words = [option.flag] if option.type is bool else [option.flag, OTHER.get(name, "3")]
    try:
        runs = planned(registry, kind, *BASE[kind], *words).runs
    except UsageError:
        return  # refused, with a reason
    default = RunConfig()
    meant = [run for run in runs if option.group is not TOGETHER or len(run.config.task) > 1] or runs
    if name == "task_set":
        assert any({"2014-T7", "2016-T12"} & set(run.config.task) for run in runs)
    else:
        assert any(getattr(run.config, name) != getattr(default, name) for run in meant), f"{kind} passes over {option.flag}"
    if name in ("rank", "seed", "tokens", "lr"):
        given = option.type(words[1])
        assert {getattr(run.config, name) for run in runs} & {given, 2 * given}, (kind, name)


def _fitting(base: RunConfig) -> dict[str, str | None]:
    if base.quant != "none" or base.quant_when is not None:
        raise UsageError("The study takes every quantizer that fits.")
    return {"none": None, "rtn": "after"}


@pytest.mark.parametrize("kind", BASE)
@pytest.mark.parametrize("words", [["--margin", "0.5"], ["--seeds", "3"], ["--set", "gad"], ["--shots", "8"], ["--arch", "A3"]])
def test_no_flag_of_a_study_is_passed_over_by_a_kind(
    kind: str, words: list[str], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.studies.request.fitting", lambda base, registry: _fitting(base))
    Path("grid.toml").write_text("[grid]\nrank = [8, 12]\nseed = [4]\n")
    without = planned(registry, kind, *BASE[kind])
    try:
        given = planned(registry, kind, *BASE[kind], *words)
    except UsageError:
        return  # refused, with a reason
    assert [run.identity() for run in given.runs] != [run.identity() for run in without.runs] or (
        words[0] == "--margin" and StudyKind.judge is not type(registry.get("studies", kind)).judge
    ), f"{kind} passes over {words[0]}"


def test_a_grid_decides_alone_what_it_sweeps_over(registry: Registry, tmp_path: Path) -> None:
    def refused(content: str, *words: str) -> str:
        (tmp_path / "grid.toml").write_text(content)
        with pytest.raises(UsageError) as caught:
            planned(registry, "sweep", str(tmp_path / "grid.toml"), *TWO, *words)
        return caught.value.message

    assert refused("[grid]\nrank = [8, 12]\n", "--rank", "16").startswith("The grid sweeps over rank, and --rank is given")
    assert "sweeps over tokens, and --steps" in refused("[grid]\ntokens = [80, 90]\n", "--steps", "16")
    assert "sweeps over seed, and --seeds" in refused("[grid]\nseed = [1, 2]\n", "--seeds", "6")
    assert "sweeps over arch, and --arch" in refused("[run]\narch = 'A1'\n[grid]\narch = ['A1', 'A2']\n")


def test_a_plan_says_which_corpora_are_made_up(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "bc5cdr").mkdir()
    words = ["ablation", *TWO, "--data", f"bc5cdr={tmp_path / 'bc5cdr'}", "--seeds", "1"]
    assert made_up(planned(registry, *words), registry) == ["ncbi-disease"]
    (tmp_path / "bc5cdr" / "SYNTHETIC").touch()  # a folder that a task wrote
    assert made_up(planned(registry, *words), registry) == ["ncbi-disease", "bc5cdr"]


def test_show_takes_no_flag_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--task", "gad"], ["--dry-run"], ["--seeds", "3"], ["--effect", ".1"], ["--power", ".9"]):
        assert main(["study", "show", *words]) == 2
        assert f"takes --out and --json; got {words[0]}" in capsys.readouterr().err


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
    assert ["multi-s0", "multi", "a+b", "A1", "0", "1,000", "1:30", "512.0", "MiB", "finished"] in rows
    assert ["a-share-s0", "share", "a", "A1", "0", "1,000", "1:30", "512.0", "MiB", "next"] in rows
    assert "5 runs, 1 finished; left are 4,000 tokens, 6:00 one after another" in said
    assert "3:00 with --jobs 2 at best" in said
    assert "not repeated" not in said
    (study.folder / STUDY).unlink()
    (study.out / "r1").mkdir()
    (study.out / "r1" / "journal.jsonl").touch()  # a run that no study's file knows of
    told.plan(study, jobs=2)
    assert f"finished runs of this plan in {study.out} are found when the study begins, not repeated" in text.getvalue()
    study.save()
    told.plan(study, jobs=2)
    assert text.getvalue().count("not repeated") == 1


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
