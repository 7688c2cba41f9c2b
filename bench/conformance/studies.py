"""Checks of a kind of study: its plan for two tasks and two seeds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import get_args

from bench.api.study import Request, StudyKind, StudyRun, Takes, Tone
from bench.config import RunConfig
from bench.conformance.common import described
from bench.conformance.workbench import Failure, Workbench, expect, named, scramble, without_heavy_imports
from bench.errors import BenchError
from bench.studies.finished import planned_runs
from bench.studies.study import Study
from bench.wording import some

TASKS = ("a", "b")


def request(kind: StudyKind) -> Request:
    """A request with two tasks, a budget in tokens, two seeds, two of whatever the kind takes, and its default options."""
    base = RunConfig(task=TASKS, tokens=1000, seed=3)
    asked = Request(base, 2, {task: task for task in TASKS}, options=kind.options)
    fields: dict[Takes, dict[str, object]] = {
        "arms": {"arms": ("A1", "A2")},
        "sets": {"sets": {"both": TASKS, "one": TASKS[:1]}},
        "grid": {"grid": {"rank": [8, 16]}},
        "quantizers": {"quantizers": {"none": None, "rtn": "after"}},
        "targets": {"targets": TASKS[1:]},
        "shots": {"shots": (2, 4)},
        "looks": {},  # they say when a study is judged, not what runs
    }
    for what in kind.takes:
        asked = replace(asked, **fields[what])  # type: ignore[arg-type]
    return asked


def plan(kind: StudyKind) -> list[StudyRun]:
    """The kind's plan; a refusal fails the check."""
    try:
        return planned_runs(kind, request(kind))
    except BenchError as error:
        raise Failure(f"plan() refuses two tasks with a budget in tokens: {error.message}") from None


def metadata(kind: StudyKind, bench: Workbench) -> str:
    """`takes`, `roles`, `tones` and `options` are valid, and `plan` works without torch."""
    described(kind)
    odd = sorted(set(kind.takes) - set(get_args(Takes)))
    expect(not odd, f"takes names {named(odd)}; wanted some of {', '.join(get_args(Takes))}")
    tones = sorted(set(kind.tones.values()) - set(get_args(Tone)))
    untyped = [name for name, value in kind.options.items() if type(value) not in (int, float, str)]
    expect(not untyped, f"the default of the option {named(untyped)} is no whole number, number or text")
    expect(not tones, f"tones names {named(tones)}; wanted some of {', '.join(get_args(Tone))}")
    with without_heavy_imports():
        runs = plan(kind)
    unused = sorted(set(kind.roles) - {run.role for run in runs})
    expect(not unused, f"roles declares {named(unused)}, which no run of the plan has")
    return f"{some(len(runs), 'run')} of {some(len(kind.roles), 'role')}"


def determinism(kind: StudyKind, bench: Workbench) -> str:
    """The same request gives the same plan; keys are unique, all seeds are used, and budgets come from earlier runs of it."""
    scramble(1)
    runs = plan(kind)
    for salt in range(2, 6):
        scramble(salt)
        expect(plan(kind) == runs, "plan() gives other runs for the same request")
    keys = [run.key for run in runs]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    expect(not twice, f"the key {named(twice)} stands in the plan twice")
    seeds = {run.seed for run in runs}
    expect(seeds == {3, 4}, f"the runs have the seeds {sorted(seeds)}; wanted 3 and 4, as they were asked for")
    early = [run.key for place, run in enumerate(runs) if set(run.waits_for) - set(keys[:place])]
    expect(not early, f"{named(early)} takes its budget from a run that does not stand before it in the plan")
    return some(len(runs), "run")


def save_and_load(kind: StudyKind, bench: Workbench) -> str:
    """A plan that is written to study.json and read again is the same."""
    study = Study(Path("runs"), kind.name, "conformance", {}, plan(kind))
    try:
        text = json.dumps(study.to_json())
    except (TypeError, ValueError):
        raise Failure("the plan cannot be written as JSON") from None
    back = Study.from_json(json.loads(text), Path("runs"), "study.json")
    odd = [run.key for run, again in zip(study.runs, back.runs, strict=True) if run != again]
    expect(not odd, f"written and read again, {named(odd)} differ")
    return some(len(text), "byte")


CHECKS: Mapping[str, Callable[[StudyKind, Workbench], str]] = {
    "metadata": metadata,
    "determinism": determinism,
    "save-and-load": save_and_load,
}
