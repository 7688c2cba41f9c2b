"""Whether a finished run is what it was when it was written: its files against its manifest, its scores against its statistics.

A result that was edited together with its manifest is found by the second: the scores that it states are not those that the
saved statistics of its documents give by the task's own scorer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from bench.api.task import Task
from bench.errors import BenchError, RunStateError
from bench.naming import flatten
from bench.registry import Registry, load
from bench.results.layout import RESULT, STATISTICS, statistics_name
from bench.results.manifest import Standing
from bench.results.manifest import standing as files_standing
from bench.results.schema import Result
from bench.results.scores import FlatScores, Interval, interval_of, numbers, score_of
from bench.results.statistics import read_statistics

CLOSE = 1e-6
"""Scores that differ by less are the same: sums over documents are rounded."""
SHOWN = 3
"""Scores of one set that are named where they differ."""


def standing_of(folder: Path, result: Result) -> Standing:
    """How a run's files stand against its manifest, and its scores against its statistics.

    Args:
        folder: of the run.
        result: of the run.
    """
    held = files_standing(folder)
    tasks = {name: task for name in result.scores if (task := task_of(result, name, installed())) is not None}
    return replace(
        held, changed=tuple(dict.fromkeys((*held.changed, *misstated(folder, result, tasks, held.manifest == "there"))))
    )


@cache
def installed() -> Registry:
    """The plugins, loaded once for all runs of a report."""
    return load()


def task_of(result: Result, name: str, registry: Registry) -> Task | None:
    """A task of a run; None where it is not installed, or its scorer is of another version than the run's."""
    for typed in (name, *result.config.get("task", ())):
        try:
            task = registry.get("tasks", str(typed))
        except BenchError:
            continue
        if task.name == name:
            return task if result.versions.get("parts", {}).get(f"task {name}", task.version) == task.version else None
    return None


def misstated(folder: Path, result: Result, tasks: Mapping[str, Task], whole: bool = False) -> Iterator[str]:
    """What a result states and its statistics do not give, each in a few words.

    Args:
        folder: of the run.
        result: of the run.
        tasks: whose scorers turn statistics into scores; other tasks are passed over.
        whole: whether scores without statistics are told too, as of a run with a manifest; others may be older than statistics.
    """
    if not headline_holds(result):
        yield f"{RESULT} (the headline is not among its scores)"
    if not mean_holds(result):
        yield f"{RESULT} (the mean over tasks is not that of its scores)"
    for name, split, stage, values in stated_scores(result):
        file = f"{STATISTICS}/{statistics_name(name, split, stage)}"
        if not (folder / file).exists():
            if whole:
                yield f"{file} (missing)"
            continue
        if name not in tasks:
            continue
        try:
            found = flatten(tasks[name].summarise(read_statistics(folder, name, split, stage).sums()))
        except RunStateError:
            yield f"{file} (unreadable)"
            continue
        except Exception:  # what a task's scorer raises on numbers that it did not write
            yield f"{file} (not what the scorer of {name} sums up)"
            continue
        unlike = [metric for metric, value in numbers(values) if metric in found and not same(value, found[metric])]
        if unlike:
            more = f" and {len(unlike) - SHOWN} more" if len(unlike) > SHOWN else ""
            yield f"{', '.join(unlike[:SHOWN])}{more} of {name}, {split}, {stage} (not what its statistics give)"


def stated_scores(result: Result) -> Iterator[tuple[str, str, str, FlatScores]]:
    """Task, split, stage and scores of every set of predictions that a run saved."""
    for name, scores in result.scores.items():
        for stage, values in scores.stages.items():
            yield name, "test", stage, values
        for dev_stage, values in scores.dev.items():
            yield name, "dev", dev_stage, values
        if scores.best is not None:
            yield name, "test", "best", scores.best.scores
        if "unquantized" in scores.baselines:
            yield name, "test", "unquantized", scores.baselines["unquantized"]


def same(stated: float | None, found: object) -> bool:
    """Whether two scores are equal but for rounding; nothing equals nothing, and what is no number."""
    value = float(found) if isinstance(found, (int, float)) or hasattr(found, "item") else math.nan  # type: ignore[arg-type]
    if stated is None or math.isnan(stated) or math.isnan(value):
        return (stated is None or math.isnan(stated)) and math.isnan(value)
    return abs(value - stated) <= CLOSE * max(1.0, abs(stated))


def same_bounds(stated: Interval | None, found: Interval | None) -> bool:
    """Whether two intervals are equal but for rounding."""
    if stated is None or found is None:
        return stated is found
    return all(map(same, stated, found))


def headline_holds(result: Result) -> bool:
    """Whether the headline is one of the result's scores."""
    head = result.headline
    scores = result.scores[head.task].stages.get(head.stage)
    value = score_of(scores, head.metric)
    unknown = value is None and head.value == 0.0  # what cannot be had stands as 0 there
    return (unknown or same(head.value, value)) and same_bounds(head.ci95, interval_of(scores, head.metric))


def mean_holds(result: Result) -> bool:
    """Whether the mean over tasks, if there is one, is that of the result's scores."""
    if result.macro is None:
        return True
    rows = [row for row in result.macro.tasks if row.task in result.scores]
    scores = [score_of(result.scores[row.task].last, row.metric) for row in rows]
    values = [value for value in scores if value is not None]
    mean = sum(values) / len(values) if values and len(values) == len(scores) else None
    return same(result.macro.mean, mean) and all(same(row.value, score) for row, score in zip(rows, scores, strict=True))
