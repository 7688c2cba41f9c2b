"""The task × task matrix of gain and harm, and whether alike tasks gain more.

A pair is trained on 2N tokens, N of each task. Held against the task alone on N tokens (`at_own`), the difference is what the
partner added; against the task alone on 2N tokens (`at_total`) it is what they were worth beside more of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

from bench.api.task import Task
from bench.registry import Registry
from bench.results.statistics import Statistics
from bench.steps.corpora import read_corpora
from bench.studies.arms import Run, agree, measure_of
from bench.studies.family import holm
from bench.studies.judge import SPLIT, hold, read_all, scored
from bench.studies.similarity import Pair, correlation, jaccard, labels, overlap, words
from bench.studies.study import Study
from bench.studies.twoway import LEVEL, Estimate, Measure, align, estimate

Arm = dict[int, Statistics]


def matrix(study: Study, registry: Registry, warn: Callable[[str], None]) -> dict[str, Any]:
    """What every partner did to every task.

    Args:
        study: of the kind ``transfer``, finished.
        registry: knows the tasks.
        warn: told what the runs differ in beyond what was planned.

    Raises:
        BenchError: the runs cannot be held against each other, or a corpus cannot be read again.
    """
    runs = read_all(study)
    told = hold(runs, ("tasks", "tokens", "sampling"), warn)
    tasks, metrics = scored(study, runs, registry)
    measures = {name: measure_of(task, metrics[name]) for name, task in tasks.items()}
    arms = _arms(study, runs, metrics, measures)
    alike = similarity(study, tasks)
    ordered = [(one, other) for one in tasks for other in tasks if one != other]
    found = {}
    for pair in ordered:
        task, partner = pair
        found[pair] = {
            name: _difference(arms[role, task, task], arms["pair", task, partner], measures[task], len(ordered))
            for name, role in (("at_own", "single"), ("at_total", "total"))
        }
    for name in ("at_own", "at_total"):
        adjusted = holm([found[pair][name].p for pair in ordered], 1 - LEVEL)
        for pair, p in zip(ordered, adjusted, strict=True):
            found[pair][name] = replace(found[pair][name], p_holm=p)
    gains = {pair: one["at_own"].difference for pair, one in found.items()}
    return {
        "split": SPLIT,
        "metrics": metrics,
        "pairs": [
            {
                "task": task,
                "partner": partner,
                "first": "alone",
                "second": f"with {partner}",
                **{name: one.to_json() for name, one in found[task, partner].items()},
                "similarity": {kind: values[task, partner] for kind, values in alike.items()},
            }
            for task, partner in ordered
        ],
        "spearman": {kind: correlation(gains, values, [*tasks]) for kind, values in alike.items()},
        "differences": told,
    }


def similarity(study: Study, tasks: Mapping[str, Task]) -> dict[str, dict[Pair, float]]:
    """How alike the tasks are, both ways round, by their labels and by their words.

    Raises:
        DataError: a corpus is not what it was.
    """
    folders = {name: folder for run in study.runs for name, folder in run.config.data.items()}
    seen = {}
    with read_corpora(tasks, replace(study.runs[0].config, data=folders)) as sources:
        for name, source in sources.items():
            train = source.corpus["train"]
            seen[name] = labels(train), words(train)
    by_labels: dict[Pair, float] = {}
    by_words: dict[Pair, float] = {}
    for one, other in combinations(tasks, 2):
        for pair in ((one, other), (other, one)):
            by_labels[pair] = jaccard(seen[one][0], seen[other][0])
            by_words[pair] = overlap(seen[one][1], seen[other][1])
    return {"labels": by_labels, "vocabulary": by_words}


def _arms(
    study: Study, runs: Mapping[str, Run], metrics: Mapping[str, str], measures: Mapping[str, Measure]
) -> dict[tuple[str, str, str], Arm]:
    """Role, task and partner, itself where it is alone, to the statistics of every seed."""
    found: dict[tuple[str, str, str], Arm] = {}
    for planned in study.runs:
        run = runs[planned.key]
        names = [*run.result.scores]
        for name in names:
            statistics = run.statistics(name, SPLIT)
            agree(run, statistics, metrics[name], measures[name])
            partner = next((other for other in names if other != name), name)
            found.setdefault((planned.role, name, partner), {})[planned.seed] = statistics
    return found


def _difference(first: Arm, second: Arm, measure: Measure, family: int) -> Estimate:
    one, other, names, _ = align({**first}, {**second})
    return estimate(one, other, names, measure, family=family)
