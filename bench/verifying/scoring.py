"""Checks of what a run scored: data, predictions, statistics, scores, intervals and the baseline of each of its tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.api.data import Corpus
from bench.api.task import Task
from bench.errors import BenchError, RunStateError
from bench.registry import Registry
from bench.results.environment import installed
from bench.results.layout import CORPUS, PREDICTIONS, predictions_name
from bench.results.schema import Result
from bench.results.scores import INTERVAL, FlatScores, interval_by, interval_of, numbers, score_of
from bench.results.statistics import Statistics, read_statistics
from bench.results.store import read_predictions
from bench.steps.corpora import read_corpora
from bench.steps.finish import DICTIONARY, dictionary_scores, official_scores
from bench.steps.resolve import named_tasks
from bench.steps.start import given
from bench.studies.standing import same, same_bounds, stated_scores, task_of
from bench.verifying.check import Check, verdict
from bench.wording import some

ROUNDING = 1e-9
"""Statistics of a document that differ by less are the same."""


def task_checks(folder: Path, result: Result, name: str, registry: Registry, data: Mapping[str, str]) -> Iterator[Check]:
    """The data, predictions, statistics, scores, intervals and baseline of one task."""
    task = task_of(result, name, registry)
    if task is None:
        yield Check(f"{name}: scores", "not checked", "the task is not installed in the version that scored the run")
        return
    corpus, read = _corpus(folder, result, name, registry, data)
    yield read
    packages = {"numpy": np.__version__, "scipy": installed("scipy")}
    alike = all(result.versions.get(package, here) == here for package, here in packages.items())
    for _, split, stage, stated in (row for row in stated_scores(result) if row[0] == name):
        what = f"{name}: {split}, {stage}"
        try:
            saved = read_statistics(folder, name, split, stage)
        except RunStateError as error:
            yield Check(what, "differs", error.message.rpartition("/")[2])
            continue
        if corpus is None:
            yield Check(f"{what}, predictions", "not checked", "the corpus is not here")
        else:
            yield _predictions(folder, f"{what}, predictions", task, corpus, saved)
        yield _scores(f"{what}, scores", task, saved, stated, alike)
    yield from _baseline(result, name, task, corpus, alike)


def _corpus(
    folder: Path, result: Result, name: str, registry: Registry, data: Mapping[str, str]
) -> tuple[Corpus | None, Check]:
    """The corpus of a task, where it is there and the one that the run read."""
    what = f"{name}: data"
    try:
        config = given(result)
        task = named_tasks(config, registry)[name]
        copy = folder / CORPUS / name
        place = data.get(name) or (str(copy) if copy.is_dir() else config.data.get(name)) or task.folder
        if place is None or not Path(place).exists():
            return None, Check(what, "not checked", f"the corpus is not here; name it with --data {name}=DIR")
        with read_corpora({name: task}, replace(config, data={name: str(place)}, allow_leak=True)) as sources:
            corpus = sources[name].corpus
    except (BenchError, KeyError) as error:
        return None, Check(what, "differs", f"the corpus cannot be read ({type(error).__name__})")
    if corpus.sha256 != result.hashes.get("data", {}).get(name):
        return None, Check(what, "differs", f"the corpus in {place} is not the one that the run read")
    return corpus, Check(what, "holds", f"SHA-256 {corpus.sha256[:12]}…")


def _predictions(folder: Path, what: str, task: Task, corpus: Corpus, saved: Statistics) -> Check:
    """Predictions scored again against gold: do they give the saved statistics of every document?"""
    path = folder / PREDICTIONS / predictions_name(saved.task, saved.split, saved.stage)
    try:
        predicted = read_predictions(path)
    except RunStateError:
        return Check(what, "differs", f"{path.name} cannot be read")
    gold = corpus[saved.split]
    ids = tuple(document.id for document in gold)
    if tuple(document.id for document in predicted) != ids or saved.documents != ids:
        return Check(what, "differs", "they are of other documents than the corpus has")
    try:
        again = Statistics.of(saved.task, saved.split, saved.stage, ids, task.statistics(gold, predicted))
    except Exception as error:  # what a task's scorer raises on predictions that no head made
        return Check(what, "differs", f"the scorer raised {type(error).__name__}")
    columns = {name: again.rows[:, i] for i, name in enumerate(again.names)}
    stated = {name: saved.rows[:, i] for i, name in enumerate(saved.names)}
    zero = np.zeros(len(ids))
    unlike = np.zeros(len(ids), dtype=bool)
    for name in {*columns, *stated}:
        unlike |= ~np.isclose(columns.get(name, zero), stated.get(name, zero), rtol=ROUNDING, atol=ROUNDING)
    wrong = [f"other statistics of {int(unlike.sum()):,} of {some(len(ids), 'document')}"] * bool(unlike.any())
    return verdict(what, wrong, f"scored again: {some(len(ids), 'document')}")


def _scores(what: str, task: Task, saved: Statistics, stated: FlatScores, alike: bool) -> Check:
    """Scores and intervals of the saved statistics, against those of the result."""
    try:
        again = official_scores(task, [dict(zip(saved.names, row, strict=True)) for row in saved.rows.tolist()])
    except Exception as error:  # what a task's scorer raises on numbers that it did not write
        return Check(what, "differs", f"the scorer raised {type(error).__name__}")
    return _against(what, stated, again, alike)


def _against(what: str, stated: FlatScores, again: FlatScores, alike: bool) -> Check:
    """Stated scores against those computed again; intervals need the packages that drew the run's resamples."""
    wrong = [
        f"{name} is {value:.6g} in the result, {score_of(again, name)} by its statistics"
        for name, value in numbers(stated)
        if not same(value, score_of(again, name))
    ]
    bounds = [name.removesuffix(INTERVAL) for name in stated if name.endswith(INTERVAL)]
    other = [
        name
        for name in bounds
        if not same_bounds(interval_of(stated, name), interval_of(again, name))
        or interval_by(stated, name) != interval_by(again, name)
    ]
    if other and not wrong and not alike:
        return Check(what, "not checked", "scores hold; intervals were drawn with another numpy or scipy")
    return verdict(what, wrong + [f"the interval of {name}" for name in other],
                    f"{some(len(stated) - len(bounds), 'score')} and {some(len(bounds), 'interval')}")  # fmt: skip


def _baseline(result: Result, name: str, task: Task, corpus: Corpus | None, alike: bool) -> Iterator[Check]:
    what, stated = f"{name}: baseline {DICTIONARY}", result.scores[name].baselines.get(DICTIONARY)
    if stated is None:
        return
    if corpus is None:
        yield Check(what, "not checked", "the corpus is not here")
    else:
        yield _against(what, stated, dictionary_scores(task, corpus), alike)
