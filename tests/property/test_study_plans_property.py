"""Whatever is asked for: plans are stable, repeat no run and follow only their own; words give the configuration back."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import fields, replace
from pathlib import Path

from bench_plugins.studies import bench_studies
from hypothesis import given
from hypothesis import strategies as st

from bench.api.study import Request, StudyRun
from bench.cli.parser import Parser, parse
from bench.cli.run import configuration, configure
from bench.config import RunConfig
from bench.studies.argv import argv_of
from bench.studies.finished import planned_runs
from bench.studies.similarity import correlation, jaccard, overlap
from bench.studies.study import Study, plan_name

KINDS = {kind.name: kind for kind in bench_studies()}


def plan(kind: str, asked: Request) -> list[StudyRun]:
    return planned_runs(KINDS[kind], asked)


TASKS = ["ncbi-disease", "bc5cdr", "2015-T14", "gad"]

requests = st.builds(
    lambda tasks, tokens, seed, seeds, rank: Request(
        RunConfig(task=tuple(tasks), tokens=tokens, seed=seed, rank=rank),
        seeds,
        {task: task for task in tasks},
        options={"source-tokens": 0},
        targets=tuple(tasks[1:]),
        shots=(8, 32),
    ),
    st.lists(st.sampled_from(TASKS), min_size=2, max_size=4, unique=True),
    st.integers(1, 10**7),
    st.integers(0, 10**6),
    st.integers(1, 8),
    st.integers(1, 64),
)


@given(st.sampled_from(["token-control", "ablation", "transfer", "unseen"]), requests)
def test_plans_are_stable_and_repeat_nothing(kind: str, asked: Request) -> None:
    runs = plan(kind, asked)
    assert runs == plan(kind, asked)
    assert len({run.key for run in runs}) == len(runs)
    # No two runs are one and the same run under two keys.
    assert len({repr((run.config, run.like, run.start)) for run in runs}) == len(runs)
    known = {run.key: run for run in runs}
    for run in runs:
        assert all((known[key].seed, known[key].waits_for) == (run.seed, ()) for key in run.waits_for)
        assert set(run.config.data) <= set(run.config.task)
    more = plan(kind, replace(asked, seeds=asked.seeds + 1))
    assert [run for run in more if run.seed in asked.seed_list] == runs
    assert plan_name(kind, asked.base.task, runs) != plan_name(kind, asked.base.task, more)


@given(st.sampled_from(["token-control", "ablation", "transfer", "unseen"]), requests)
def test_a_plan_survives_the_disk(kind: str, asked: Request) -> None:
    one = Study(Path("runs"), kind, "x", {}, plan(kind, asked))
    assert Study.from_json(one.to_json(), Path("runs"), "x").runs == one.runs


configs = st.builds(
    RunConfig,
    task=st.lists(st.sampled_from(TASKS), min_size=1, max_size=3, unique=True).map(tuple),
    arch=st.sampled_from(["A1", "A4"]),
    rank=st.integers(1, 10**5),
    quant=st.sampled_from(["none", "rtn"]),
    quant_when=st.sampled_from([None, "after"]),
    head=st.sampled_from([None, "bio"]),
    seed=st.integers(0, 2**32 - 1),
    replicate=st.integers(1, 9),
    tokens=st.one_of(st.none(), st.integers(1, 10**12)),
    sampling=st.sampled_from(["uniform", "proportional"]),
    gradients=st.sampled_from(["plain", "pcgrad"]),
    lr=st.one_of(st.none(), st.floats(0, 10, allow_nan=False)),
    max_length=st.one_of(st.none(), st.integers(16, 4096)),
    memory_limit=st.one_of(st.none(), st.integers(1, 2**40)),
    tracker=st.sampled_from([("none",), ("mlflow",), ("wandb", "mlflow")]),
    waive=st.sampled_from([(), ("smoke",), ("smoke", "batch")]),
    allow_leak=st.booleans(),
    shots=st.sampled_from([None, 1, 64]),
    init_from=st.sampled_from([None, "a_run"]),
    freeze_shared=st.booleans(),
    tolerate=st.sampled_from([(), ("text-mismatch",), ("orphan-tag", "text-mismatch")]),
    study=st.sampled_from([None, "one"]),
    name=st.sampled_from([None, "one/multi-s0"]),
    out=st.just("/runs"),
)


@given(configs, st.dictionaries(st.sampled_from(TASKS), st.sampled_from(["/a b/c", "/d=e"])))
def test_words_say_the_very_configuration(config: RunConfig, data: dict[str, str]) -> None:
    config = replace(config, data=data)
    parser = Parser(prog="bench run")
    configure(parser)
    args = parse(parser, argv_of(config))
    assert isinstance(args, Namespace)
    found = configuration(args)
    assert {f.name: getattr(found, f.name) for f in fields(found)} == {f.name: getattr(config, f.name) for f in fields(config)}


counts = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 50), max_size=6)


@given(counts, counts)
def test_likeness_is_symmetric_and_a_share(one: dict[str, int], other: dict[str, int]) -> None:
    assert 0 <= overlap(one, other) <= 1
    assert abs(overlap(one, other) - overlap(other, one)) < 1e-12
    if one:
        assert abs(overlap(one, one) - 1) < 1e-9
        assert abs(overlap(one, {k: 3 * v for k, v in one.items()}) - 1) < 1e-9  # shares, not counts
    sets = frozenset(one), frozenset(other)
    assert jaccard(*sets) == jaccard(*reversed(sets))
    assert (jaccard(*sets) > 0) == bool(sets[0] & sets[1])


@given(st.lists(st.floats(-1, 1, allow_nan=False), min_size=12, max_size=12))
def test_a_correlation_is_never_surer_than_its_relabellings(gains: list[float]) -> None:
    tasks = ["a", "b", "c", "d"]
    pairs = [(one, other) for one in tasks for other in tasks if one != other]
    alike = {pair: float(sum(map(ord, pair))) for pair in pairs}
    found = correlation(dict(zip(pairs, gains, strict=True)), alike, tasks)
    if found["rho"] is not None:
        assert found["p"] is not None
        assert -1 <= found["rho"] <= 1
        assert 1 / 24 <= found["p"] <= 1
        assert found["n"] == 12
