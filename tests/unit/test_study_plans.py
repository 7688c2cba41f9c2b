"""Plans of studies: which runs each kind asks for, what is refused, and how a study is kept on the disk."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench_plugins.studies import bench_studies
from bench_plugins.studies.ablation import ARMS
from launching import Idle, Quiet

from bench.api.study import Cost, Request, StudyRun
from bench.config import RunConfig
from bench.errors import BenchError, DivergedError, InvariantError, OutOfMemory, RunStateError, UsageError
from bench.launchers import JobOutcome
from bench.registry import Registry
from bench.sealed import unsealed
from bench.studies import scheduler
from bench.studies.conduct import _failed, kept
from bench.studies.finished import planned_runs
from bench.studies.request import StudyConfig, planned, read_grid, study_kind
from bench.studies.study import Study, find_study, open_study, plan_name, read_study, studies

KINDS = {kind.name: kind for kind in bench_studies()}


def plan(kind: str, asked: Request) -> list[StudyRun]:
    return planned_runs(KINDS[kind], asked)


def request(*tasks: str, seeds: int = 2, **changes: Any) -> Request:
    base = RunConfig(task=tasks, data={task: f"/corpora/{task}" for task in tasks}, **changes)
    return Request(base, seeds, {task: task for task in tasks})


def study(out: Path, runs: list[StudyRun], name: str = "one", kind: str = "token-control", **settings: Any) -> Study:
    return Study(out, kind, name, settings, runs)


def test_token_control_pairs_every_single_run_with_the_multi_task_run_of_its_seed() -> None:
    runs = {run.key: run for run in plan("token-control", request("a", "b", tokens=1000, seed=3))}
    assert [*runs] == [
        "multi-s3", "a-total-s3", "a-share-s3", "b-total-s3", "b-share-s3",
        "multi-s4", "a-total-s4", "a-share-s4", "b-total-s4", "b-share-s4",
    ]  # fmt: skip
    assert (runs["multi-s4"].config.task, runs["multi-s4"].config.tokens) == (("a", "b"), 1000)
    single = runs["b-share-s4"]
    assert (single.role, single.task, single.seed, single.like, single.after) == ("share", "b", 4, "multi-s4:b", "multi-s4")
    assert (single.config.tokens, single.config.task, single.config.data) == (None, ("b",), {"b": "/corpora/b"})
    assert runs["b-total-s4"].like == "multi-s4"


def test_a_task_from_a_file_is_called_by_its_name() -> None:
    asked = replace(request("./mine.toml", "b", tokens=10, seeds=1), names={"./mine.toml": "mine", "b": "b"})
    runs = {run.key: run for run in plan("token-control", asked)}
    assert runs["mine-share-s0"].like == "multi-s0:mine"
    assert runs["mine-share-s0"].config.task == ("./mine.toml",)


def test_ablation_trains_every_arm_on_every_set() -> None:
    asked = replace(request("a", "b", "c"), sets={"x": ("a", "b"), "c": ("c",)})
    runs = plan("ablation", asked)
    assert Counter((run.group, run.arm) for run in runs) == {(group, arm): 2 for group in ("x", "c") for arm in ARMS}
    assert {run.config.task for run in runs if run.group == "x"} == {("a", "b")}
    assert {tuple(run.config.data) for run in runs if run.group == "c"} == {("c",)}
    assert len({run.group for run in plan("ablation", request("a", "b"))}) == 1


def test_an_ablation_of_named_arms_is_of_these_alone() -> None:
    runs = plan("ablation", replace(request("a", "b", seeds=1), arms=("A2", "third-party")))
    assert [(run.key, run.config.arch) for run in runs] == [("A2-s0", "A2"), ("third-party-s0", "third-party")]


def test_quantization_runs_every_quantizer_that_fits() -> None:
    runs = plan("quantization", replace(request("a", seeds=1), quantizers={"none": None, "rtn": "after", "nf4": "load"}))
    assert [(run.key, run.config.quant, run.config.quant_when) for run in runs] == [
        ("none-s0", "none", None), ("rtn-s0", "rtn", "after"), ("nf4-s0", "nf4", "load"),
    ]  # fmt: skip


def test_transfer_gives_each_task_of_a_pair_what_it_has_alone() -> None:
    runs = {run.key: run for run in plan("transfer", request("a", "b", "c", tokens=500, seeds=1))}
    assert Counter(run.role for run in runs.values()) == {"single": 3, "total": 3, "pair": 3}
    pair = runs["a+c-s0"].config
    assert (pair.task, pair.tokens, pair.sampling) == (("a", "c"), 1000, "uniform")
    assert (runs["a-s0"].config.tokens, runs["a-total-s0"].config.tokens) == (500, 1000)


def test_tuned_gives_every_arm_the_same_search() -> None:
    asked = replace(request("a", tokens=1000, seeds=2, lr=1e-3, seed=3), arms=("A1", "A2"), options={"rates": 4, "step": 4.0})
    runs = plan("tuned", asked)
    of = {arm: [run for run in runs if run.arm == arm] for arm in ("A1", "A2")}
    assert [(run.role, run.config.tokens, run.config.lr) for run in of["A1"]] == [
        *(("trial", 250, rate) for rate in (0.000125, 0.0005, 0.002, 0.008)),
        *[("finalist", 500, 1e-3)] * 2, *[("tuned", 1000, 1e-3)] * 2,
    ]  # fmt: skip
    same = [[(run.role, run.config.tokens, run.config.lr, run.seed, run.place) for run in each] for each in of.values()]
    assert same[0] == same[1]
    trials, finalists = ([run.key for run in of["A2"] if run.role == role] for role in ("trial", "finalist"))
    assert {run.best_of for run in of["A2"]} == {(), tuple(trials), tuple(finalists)}
    assert [run.place for run in of["A2"] if run.role == "finalist"] == [0, 1]


def test_a_rate_is_that_of_the_best_trial_and_a_refused_one_comes_last(tmp_path: Path, made: Any) -> None:
    asked = replace(request("bc5cdr", tokens=1000, seeds=1, lr=1e-3), arms=("A1", "A2"), options={"rates": 3, "step": 2.0})
    one = study(tmp_path, plan("tuned", asked), kind="tuned")
    trials = [run for run in one.runs if run.arm == "A1" and run.role == "trial"]
    first, second = (run for run in one.runs if run.arm == "A1" and run.role == "finalist")
    final = next(run for run in one.runs if run.arm == "A1" and run.role == "tuned")

    def ends(key: str, dev: float) -> None:
        (folder,) = made.make(tmp_path, [made.Made(("bc5cdr",), seed=len([*tmp_path.iterdir()]))])
        result = json.loads((folder / "result.json").read_text())
        result["scores"]["bc5cdr"]["dev"] = {"trained": {result["headline"]["metric"]: dev}}
        (folder / "result.json").write_text(json.dumps(result))
        one.update(key, run=folder.name)

    ends(trials[0].key, 0.4)
    ends(trials[1].key, 0.6)
    assert not one.ready(first)
    assert one.config_of(first).lr == 1e-3  # not known yet
    one.update(trials[2].key, error="It diverged.", refused=True)
    assert one.ready(first)
    assert [one.config_of(run).lr for run in (first, second)] == [trials[1].config.lr, trials[0].config.lr]
    assert first.identity() == replace(first, config=one.config_of(first)).identity()
    ends(first.key, 0.1)
    ends(second.key, 0.2)
    assert one.config_of(final).lr == trials[0].config.lr
    assert read_study(one.folder).config_of(final) == one.config_of(final)
    assert not one.whole


class Refusing(Idle):
    """A launcher whose runs all end with an error of a kind and a message."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind, self.message = kind, message
        self.waiting: list[str] = []
        self.ran: list[str] = []

    def submit(self, job: Any) -> None:
        self.waiting.append(job.key)

    def poll(self, seconds: float) -> list[JobOutcome]:
        self.ran += (keys := self.waiting)
        self.waiting = []
        return [JobOutcome(key, 3, {}, self.message, kind=self.kind) for key in keys]


@pytest.mark.parametrize("error", [InvariantError("smoke", "Nothing moved."), DivergedError("The loss is NaN.")])
def test_an_arm_whose_trials_are_all_refused_has_no_rate(error: BenchError, tmp_path: Path) -> None:
    one = study(tmp_path, plan("tuned", tuned(2)), kind="tuned")
    for _ in range(2):  # typed again: what an invariant refused is not tried anew
        launcher = Refusing(type(error).__name__, error.message)
        assert scheduler.drive(one, launcher, Quiet()) is False
    assert not launcher.ran
    assert {run.refused for run in one.runs if run.role != "tuned"} == {True}
    told = "Too few of the trials that its learning rate is chosen from ended with a score on dev."
    (final,) = (run for run in one.runs if run.role == "tuned" and run.arm == "A1")
    assert final.error == f"{told} A1-half-1: A1-lr{one.runs[0].config.lr:g}: {error.message}"
    problem = _failed(one)
    assert problem is not None
    assert str(problem.hint).endswith("search other rates: --lr is their middle.")


@pytest.mark.parametrize(
    "error", [InvariantError("batch", "One example needs 9 GiB."), InvariantError("tokens", "x"), OutOfMemory("x")]
)
def test_a_trial_that_lacked_memory_says_nothing_of_its_rate_and_is_tried_again(error: BenchError, tmp_path: Path) -> None:
    one = study(tmp_path, plan("tuned", tuned(2)), kind="tuned")
    for _ in range(2):
        launcher = Refusing(type(error).__name__, error.message)
        assert scheduler.drive(one, launcher, Quiet()) is False
        assert launcher.ran == [run.key for run in one.runs if run.role == "trial"]
    assert not any(run.refused for run in one.runs)
    problem = _failed(one)
    assert problem is not None
    assert str(problem.hint).endswith("the same command tries again.")


def tuned(rates: int = 5, step: float = 2.0, arms: tuple[str, ...] = ("A1", "A2")) -> Request:
    asked = request("a", tokens=1000, seeds=1, lr=1e-3)
    return replace(asked, arms=arms, options={"rates": rates, "step": step})


def unseen(*shots: int, targets: tuple[str, ...] = ("c",), **changes: Any) -> Request:
    asked = request("a", "b", "c", **({"tokens": 500, "seeds": 1} | changes))
    return replace(asked, targets=targets, shots=shots, options={"source-tokens": 0})


def test_unseen_starts_each_target_from_the_sources_of_its_seed_and_afresh() -> None:
    runs = {run.key: run for run in plan("unseen", unseen(8, 32, seeds=2))}
    assert Counter(run.role for run in runs.values()) == {"source": 2, "target": 4, "fresh": 4}
    source, target, fresh = (runs[key] for key in ("source-s1", "c-8-target-s1", "c-8-fresh-s1"))
    assert (source.config.task, source.config.shots, source.waits_for) == (("a", "b"), None, ())
    assert (target.start, target.waits_for, target.after) == ("source-s1", ("source-s1",), None)
    assert replace(target.config, freeze_shared=False) == fresh.config  # the same documents, tokens, seed and arm
    assert (target.config.freeze_shared, fresh.config.shots, fresh.config.tokens) == (True, 8, 500)
    assert (target.group, fresh.group, fresh.waits_for) == ("c-8", "c-8", ())
    more = plan("unseen", replace(unseen(8), options={"source-tokens": 900}))
    assert [(run.role, run.config.tokens) for run in more] == [("source", 900), ("target", 500), ("fresh", 500)]


def test_a_start_is_whole_once_its_source_is_finished_and_comes_back_from_the_disk(tmp_path: Path) -> None:
    one = study(tmp_path, plan("unseen", unseen(8)), kind="unseen")
    assert [run.key for run in one.runs if one.ready(run)] == ["source-s0", "c-8-fresh-s0"]
    assert one.config_of(one["c-8-target-s0"]).init_from is None
    one.update("source-s0", run="a+b_a1_none_1")
    assert one.config_of(one["c-8-target-s0"]).init_from == "a+b_a1_none_1"
    back = read_study(one.folder)
    assert back.runs == one.runs
    assert back.to_json()["runs"][1]["config"]["init_from"] == "a+b_a1_none_1"
    assert open_study(study(tmp_path, plan("unseen", unseen(8)), kind="unseen"))["source-s0"].run == "a+b_a1_none_1"


def test_all_runs_of_a_seed_share_its_draw_of_training_documents() -> None:
    runs = plan("token-control", replace(request("a", "b", tokens=100, seed=4, seeds=3), resample=True))
    assert {run.seed for run in runs} == {4, 5, 6}
    assert all(run.config.train_resample == run.seed for run in runs)
    assert {run.config.train_resample for run in plan("token-control", request("a", "b", tokens=100))} == {None}


def test_what_a_draw_a_seed_is_not_asked_beside(registry: Registry) -> None:
    base = RunConfig(task=("bc5cdr", "bc2gm"), tokens=100)
    whole = planned(StudyConfig("token-control", base, resample_train=3), registry, {})
    assert {run.seed for run in whole.runs} == {0, 1, 2}
    assert whole.settings["resample_train"] == 3
    assert "resample_train" not in planned(StudyConfig("token-control", base), registry, {}).settings
    for changes, more, says in (
        ({"shots": 4}, {}, "--shots"), ({"train_resample": 1}, {}, "got both"), ({}, {"seeds": 8}, "--seeds 8"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=says):
            planned(StudyConfig("token-control", replace(base, **changes), resample_train=3, **more), registry, {})
    with pytest.raises(UsageError, match="beside --shots"):
        replace(base, shots=4, train_resample=1)


@pytest.mark.parametrize(("shots", "asked"), [(None, [0]), (4, [0, 1])])
def test_a_dry_run_speaks_for_other_seeds_where_these_draw_no_documents(
    shots: int | None, asked: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []

    def dry_run(run: StudyRun, like: int | None, logs: Path) -> dict[str, Any]:
        seeds.append(run.config.seed)
        budget = {"tokens": 10 + run.config.seed, "task_tokens": {"a": 10 + run.config.seed}}
        return {"budget": budget, "estimate": {"before": 0, "seconds": 1, "evaluation": 0, "memory": 1}}

    monkeypatch.setattr(scheduler, "_dry_run", dry_run)
    asking = replace(request("a", epochs=1.0, shots=shots), arms=("A1", "A2"))
    one = study(tmp_path, [run for run in plan("ablation", asking) if run.arm == "A1"])
    scheduler.survey(one, lambda run, place, total: None, tmp_path)
    assert seeds == asked
    assert [run.estimate.tokens for run in one.runs if run.estimate] == [10, 10 + asked[-1]]


def test_a_study_that_is_stopped_says_which_runs_have_a_checkpoint(tmp_path: Path) -> None:
    one = study(tmp_path, plan("token-control", request("a", "b", tokens=9)))
    ended = [JobOutcome(key, 130, begun=begun) for key, begun in (("a", "r1"), ("b", "r2"), ("c", None))]
    assert kept(one, []) == "no other run had begun."
    assert kept(one, ended) == "3 runs had not come to a first checkpoint and will train from the beginning."
    (tmp_path / "r1" / "checkpoints" / "step-00000200").mkdir(parents=True)
    assert kept(one, ended[:1]) == "1 run will go on from its last checkpoint."
    assert kept(one, ended) == (
        "1 run will go on from a checkpoint, 2 runs had not come to a first checkpoint and will train from the beginning."
    )


def test_a_sweep_is_the_product_of_its_grid_and_the_seeds() -> None:
    asked = replace(request("a", tokens=10), grid={"rank": [8, 16], "steps": [4]})
    runs = plan("sweep", asked)
    assert [run.key for run in runs] == ["rank=8,steps=4,s0", "rank=8,steps=4,s1", "rank=16,steps=4,s0", "rank=16,steps=4,s1"]
    assert {(run.config.steps, run.config.tokens) for run in runs} == {(4, None)}  # a budget replaces the other
    seeded = plan("sweep", replace(asked, grid={"seed": [7]}))
    assert [run.seed for run in seeded] == [7]


@pytest.mark.parametrize(
    ("kind", "asked", "told"),
    [
        ("token-control", request("a", tokens=1), "wants two tasks or more; got a"),
        ("token-control", request("a", "b", steps=4), "counts its budget in tokens; got --steps"),
        ("token-control", request("a", "b"), "got none"),
        ("transfer", request("a", "b", tokens_like="x"), "got --tokens-like"),
        ("ablation", request(), "wants tasks"),
        ("unseen", unseen(8, targets=()), "wants a task that the sources are not; got none"),
        ("unseen", unseen(8, targets=("a", "b", "c")), "wants a task to train on first; got none"),
        ("unseen", unseen(), "wants a number of training documents; got none"),
        ("unseen", unseen(8, tokens=None), "counts its budget in tokens"),
        ("unseen", unseen(8, freeze_shared=True), "says itself what starts from what"),
        ("ablation", replace(request("a"), arms=("A2",)), "wants two architectures or more; got A2"),
        ("tuned", tuned(arms=("A1",)), "wants two architectures or more; got A1"),
        ("tuned", replace(tuned(), base=RunConfig(task=("a",))), "counts its budget in tokens; got none"),
        *(
            ("tuned", tuned(rates, step), f"searches 2 to 50 rates, 1 to 100 times apart; got {rates}, {step:g} times apart")
            for rates, step in ((1, 2.0), (-3, 2.0), (3000, 2.0), (5, 1.0), (5, float("nan")), (5, float("inf")), (5, 100.0))
        ),
        ("tuned", tuned(5, 1.0001), "go from 0.001 to 0.001; wanted rates that differ"),
        ("tuned", replace(tuned(), base=replace(tuned().base, lr=0.0)), "around 0, go from 0 to 0; wanted rates that differ"),
        ("tuned", tuned(50, 99.0), r"go from .* to .*; wanted rates that differ, above 0 and up to 1000"),
        ("sweep", request("a"), "grid of a sweep is empty"),
        ("sweep", replace(request("a"), grid={"rank": []}), "'rank' has no value"),
        ("sweep", replace(request("a"), grid={"rank": [*range(1, 300)], "seed": [*range(300)]}), "89,700 points"),
        ("sweep", replace(request("a"), grid={"rank": ["big"]}), "must be a whole number"),
    ],
)
def test_what_means_nothing_is_refused(kind: str, asked: Request, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        plan(kind, asked)


def test_an_unknown_kind_is_told_what_comes_near(registry: Registry) -> None:
    if not registry.entries("studies"):
        pytest.skip("bench is not installed here, so it has no parts")
    with pytest.raises(UsageError, match="Did you mean 'token-control'"):
        study_kind("token-controll", registry)


def test_no_seed_is_no_study_and_a_plan_has_to_fit_into_memory() -> None:
    with pytest.raises(UsageError, match="--seeds is 0; it must be at least 1"):
        request("a", seeds=0)
    with pytest.raises(UsageError, match="--seeds is 10001; it must be at most 10,000"):
        request("a", seeds=10_001)
    with pytest.raises(UsageError, match="--resample-train is -1; it must be at least 1"):
        replace(request("a"), seeds=-1, resample=True)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"gird": {}}, "Did you mean 'grid'"),
        ({"grid": {"rnak": [1]}}, "Did you mean 'rank'"),
        ({"grid": {"rank": 8}}, "must be a list"),
        ({"grid": {"rank": []}}, "empty list"),
        ({"grid": {"out": ["x"]}}, "cannot be swept over"),
        ({"grid": {"tokens": [1], "steps": [1]}}, "one budget"),
    ],
)
def test_a_grid_that_cannot_be_meant(values: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read_grid(values, "grid.toml")


def test_a_grid_as_a_file_says_it() -> None:
    assert read_grid({"run": {"task": "a"}, "grid": {"batch-tokens": [1, 2]}}, "g") == ({"task": "a"}, {"batch_tokens": [1, 2]})


def test_a_study_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    one = study(tmp_path, plan("token-control", request("a", "b", tokens=100, seeds=1)), margin=0.01)
    one.update("multi-s0", run="a+b_a1_none_1", estimate=Cost(100, 1.5, 2**30))
    one.update("a-total-s0", error="it failed")
    back = read_study(one.folder)
    assert back.to_json() == one.to_json() == unsealed(json.loads((one.folder / "study.json").read_text()))
    assert back.runs == one.runs
    # Its budget is whole once the run that it follows is finished.
    written = {run["key"]: run["config"] for run in back.to_json()["runs"]}
    assert written["a-share-s0"]["tokens_like"] == "a+b_a1_none_1:a"
    assert back.config_of(back["b-total-s0"]).tokens_like == "a+b_a1_none_1"


def test_what_waits_is_not_ready(tmp_path: Path) -> None:
    one = study(tmp_path, plan("token-control", request("a", "b", tokens=100, seeds=1)))
    assert [run.key for run in one.runs if one.ready(run)] == ["multi-s0"]
    one.update("multi-s0", run="x")
    assert all(one.ready(run) for run in one.runs)


def test_a_run_whose_folder_is_gone_is_run_again(tmp_path: Path) -> None:
    one = study(tmp_path, plan("token-control", request("a", "b", tokens=100, seeds=1)))
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "result.json").write_text("{}")
    one.update("multi-s0", run="kept")
    one.update("a-total-s0", run="gone")
    one.verdict = {"tasks": []}
    assert one.forget_missing() == ["a-total-s0"]
    assert (one["multi-s0"].run, one["a-total-s0"].run, one.verdict) == ("kept", None, None)


def test_the_same_command_goes_on_and_another_is_refused(tmp_path: Path) -> None:
    asked = request("a", "b", tokens=100)
    first = study(tmp_path, plan("token-control", asked), margin=0.01)
    first.update("multi-s0", run="done")
    limits = replace(asked, base=replace(asked.base, tracker=("none",), memory_limit=2**30))
    again = open_study(study(tmp_path, plan("token-control", limits), margin=0.01))
    assert again["multi-s0"].run == "done"
    assert again["multi-s1"].config.memory_limit == 2**30  # a limit may be another one
    for other, told in (
        (study(tmp_path, plan("token-control", request("a", "b", tokens=200)), margin=0.01), "other values of tokens"),
        (study(tmp_path, plan("token-control", request("a", "b", tokens=100, seeds=3)), margin=0.01), "10 runs, not 15"),
        (study(tmp_path, plan("token-control", asked), margin=0.02), "a margin of 0.01, not 0.02"),
        (study(tmp_path, plan("ablation", asked), kind="ablation"), "it is of the kind token-control"),
    ):
        with pytest.raises(RunStateError, match=told):
            open_study(other)


def test_corpora_that_were_moved_are_another_study(tmp_path: Path) -> None:
    asked = request("a", "b", tokens=100)
    study(tmp_path, plan("token-control", asked)).save()
    forgotten = replace(asked, base=replace(asked.base, data={}))
    with pytest.raises(RunStateError, match="other values of data"):
        open_study(study(tmp_path, plan("token-control", forgotten)))


@pytest.mark.parametrize("name", ["../x", "a b", "", ".hidden", "a/b"])
def test_a_name_that_is_no_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a study's name is"):
        open_study(study(tmp_path, plan("ablation", request("a")), name=name))


def test_plans_without_runs_or_with_one_twice(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run"):
        study(tmp_path, [])
    runs = plan("ablation", request("a", seeds=1))
    with pytest.raises(UsageError, match="holds a run twice"):
        study(tmp_path, [*runs, runs[0]])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "not whole JSON"),
        ("[]", "not a study of bench"),
        ('{"schema_version": 9}', "schema version 9; this bench reads 1"),
        ('{"schema_version": 1, "kind": "ablation"}', "not what schema version 1 promises"),
        (
            '{"schema_version": 1, "kind": "x", "name": "x", "settings": {}, "verdict": null, "runs": [{"key": "a"}]}',
            "promises",
        ),
    ],
)
def test_a_study_that_cannot_be_read(content: str, told: str, tmp_path: Path) -> None:
    folder = tmp_path / "studies" / "x"
    folder.mkdir(parents=True)
    (folder / "study.json").write_text(content)
    with pytest.raises(RunStateError, match=told):
        read_study(folder)


def test_studies_are_found_by_name_beginning_and_folder(tmp_path: Path) -> None:
    runs = plan("ablation", request("a", seeds=1))
    for name in ("first", "second", "seven"):
        study(tmp_path, runs, name=name, kind="ablation").save()
    assert studies(tmp_path) == ["first", "second", "seven"]
    assert find_study("fi", tmp_path).name == "first"
    assert find_study(str(tmp_path / "studies" / "seven"), tmp_path / "elsewhere").out == tmp_path
    with pytest.raises(UsageError, match="the beginning of 2 studies"):
        find_study("se", tmp_path)
    with pytest.raises(UsageError, match="There is no study 'third'"):
        find_study("third", tmp_path)


def test_a_study_without_a_name_is_called_by_its_plan() -> None:
    runs = plan("token-control", request("b", "a", tokens=100))
    name = plan_name("token-control", ["b", "a", "b"], runs)
    assert name.startswith("token-control_b+a_")
    assert name == plan_name("token-control", ["b", "a"], plan("token-control", request("b", "a", tokens=100)))
    assert name != plan_name("token-control", ["b", "a"], plan("token-control", request("b", "a", tokens=101)))
