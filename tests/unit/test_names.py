"""What the command line expands and checks, a program that calls `run` gets as well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from bench import runner
from bench.api.study import Request
from bench.config import RunConfig, from_mapping
from bench.errors import UsageError
from bench.registry import Registry, load
from bench.results.layout import JOURNAL
from bench.steps.names import ready, task_set, written_out
from bench.studies.request import StudyConfig, planned
from bench.studies.study import Study, open_study


class ReachedError(Exception):
    """The configuration that a run goes on with."""


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load()


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> Any:
    def resolve(config: RunConfig, registry: Registry) -> None:
        raise ReachedError(config)

    monkeypatch.setattr(runner, "resolve", resolve)

    def of(config: RunConfig, registry: Registry) -> RunConfig:
        with pytest.raises(ReachedError) as caught:
            runner.run(config, registry)
        found: RunConfig = caught.value.args[0]
        return found

    return of


def test_a_set_of_tasks_is_written_out(reached: Any, registry: Registry) -> None:
    clinical = task_set("clinical", registry)
    assert len(clinical) > 1
    assert reached(RunConfig(task_set="clinical"), registry).task == clinical
    first, *rest = clinical
    beside = reached(RunConfig(task=(rest[0], "ncbi-disease"), task_set="clinical"), registry)
    assert beside.task == (rest[0], "ncbi-disease", first, *rest[1:])
    assert written_out(beside, registry, {}) == beside
    with pytest.raises(UsageError, match=r"Unknown set of tasks 'clinica'\. Did you mean 'clinical'"):
        runner.run(RunConfig(task_set="clinica"), registry)


def test_corpora_below_bench_data_are_found(
    reached: Any, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("root/ncbi-disease", "root/bc5cdr", "own"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "root"))
    config = RunConfig(task=("ncbi-disease", "bc5cdr"), data={"bc5cdr": str(tmp_path / "own")})
    assert reached(config, registry).data == {
        "ncbi-disease": str(tmp_path / "root" / "ncbi-disease"),
        "bc5cdr": str(tmp_path / "own"),
    }


def test_what_was_typed_is_written_out_and_checked_at_once_and_left_alone_beside_resume(
    registry: Registry, tmp_path: Path
) -> None:
    (tmp_path / "gad").mkdir()
    environ = {"BENCH_DATA": str(tmp_path), "OMP_WAIT_POLICY": "PASSIVE"}
    whole = ready(RunConfig(task=("gad",)), registry, environ)
    assert whole.data == {"gad": str(tmp_path / "gad")}
    assert ready(RunConfig(task_set="clinical"), registry, environ).task == task_set("clinical", registry)
    assert ready(RunConfig(), registry, environ, resuming=True) == RunConfig()
    with pytest.raises(UsageError, match="Unknown architecture 'A9'"):
        ready(RunConfig(task=("gad",), arch="A9"), registry, environ)


def test_a_study_finds_the_corpora_of_tasks_that_its_grid_or_its_sets_name(registry: Registry, tmp_path: Path) -> None:
    for name in ("gad", "bc5cdr"):
        (tmp_path / name).mkdir()
    environ = {"BENCH_DATA": str(tmp_path)}
    swept = planned(StudyConfig("sweep", RunConfig(), grid={"task": ["gad", "bc5cdr"]}, seeds=1), registry, environ)
    assert [run.config.data for run in swept.runs] == [{name: str(tmp_path / name)} for name in ("gad", "bc5cdr")]
    sets = planned(StudyConfig("ablation", RunConfig(), seeds=1, sets=("gad+bc5cdr",)), registry, environ)
    assert {tuple(run.config.data) for run in sets.runs} == {("gad", "bc5cdr")}
    with pytest.raises(UsageError, match="given twice"):
        planned(StudyConfig("sweep", RunConfig(task=("gad",)), grid={"task": ["bc5cdr"]}), registry, environ)


def test_a_study_whose_target_is_a_file_goes_on_and_refuses_it_as_a_source(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    for name in ("mine", "other"):
        Path(f"{name}.toml").write_text('kind = "mentions"\nformat = "brat"\nfolder = "corpus"\n')

    def study(*sources: str) -> Study:
        base = from_mapping({"task": sources, "tokens": 100}, "the command line")
        return planned(StudyConfig("unseen", base, shots=(4,), seeds=1, targets=("mine.toml",)), registry, {})

    begun = study("other.toml")
    begun.save()
    assert [run.key for run in open_study(study("other.toml")).runs] == [run.key for run in begun.runs]
    with pytest.raises(UsageError, match="mine is both a source and a target"):
        study("mine.toml")


def test_places_are_whole_so_that_a_run_goes_on_from_any_folder(
    reached: Any, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("gad", "runs/old"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "runs" / "old" / JOURNAL).touch()
    (tmp_path / "names.tsv").touch()
    places = {"data": {"gad": "gad"}, "concepts": {"gad": "names.tsv"}}
    found = reached(
        RunConfig(task=("gad",), init_from="runs/old", teacher=("runs/old", "old"), tokens_like="runs/old:gad", **places),
        registry,
    )
    old = str(tmp_path / "runs" / "old")
    assert (found.init_from, found.teacher, found.tokens_like) == (old, (old, "old"), f"{old}:gad")
    assert (found.data, found.concepts) == ({"gad": str(tmp_path / "gad")}, {"gad": str(tmp_path / "names.tsv")})
    assert found.out == "runs"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": "gpu"}, "Unknown device 'gpu'"),
        ({"data": {"bc5cdr": "."}}, "--data names the task 'bc5cdr', which this run does not have"),
        ({"data": {"ncbi-disease": "no-such-folder"}}, "there is no such folder"),
        ({"tracker": ("none", "wandb")}, "--tracker none beside wandb means nothing"),
        ({"task": ()}, "No task was named"),
    ],
)
def test_what_means_nothing_is_refused(registry: Registry, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        runner.run(replace(RunConfig(task=("ncbi-disease",)), **changes), registry)


def test_a_study_is_not_planned_over_a_set_that_nobody_wrote_out(registry: Registry) -> None:
    with pytest.raises(UsageError, match="'clinical' of a study is not written out"):
        Request(RunConfig(task_set="clinical"))
    base = replace(written_out(RunConfig(task_set="clinical"), registry, {}), task_set=None)
    assert Request(base).base.task == task_set("clinical", registry)
