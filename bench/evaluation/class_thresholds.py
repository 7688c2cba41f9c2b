"""Thresholds on the probability of classes, chosen on dev, for tasks whose selection metric is an F1.

The likeliest class is best for accuracy, but not for the F1 of a class or the mean F1. Thresholds are chosen one class after
another, the most frequent first, with the earlier ones fixed; the most frequent class of all needs none. The scores come from
the task's own statistics, which add up over documents.

A threshold moves away from one half only as far as the gain exceeds one standard error, by the jackknife over documents.

Sources: as of `bench.evaluation.thresholds`; the jackknife, Efron & Stein 1981, Annals of Statistics 9(3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.api.data import Document
from bench.api.task import Task
from bench.evaluation.thresholds import FEWEST, GRID, HALF, odds
from bench.naming import flatten


def choose(gold: Sequence[Document], predicted: Sequence[Document], task: Task) -> dict[str, float]:
    """Class to its threshold; empty where the selection metric is no F1, or the task has no classes.

    Args:
        gold: documents of dev.
        predicted: the same documents in the same order, with a probability for every class.
        task: scores them.
    """
    metric = task.metadata.selects_by
    pairs = [(g, p) for g, p in zip(gold, predicted, strict=True) if p.judgements and not p.passages]
    if not metric.endswith("f1") or not pairs:
        return {}
    classes = [j.name for j in pairs[0][1].judgements]
    count = {name: sum(any(j.chosen and j.name == name for j in g.judgements) for g, _ in pairs) for name in classes}
    common = sorted(classes, key=lambda name: (-count[name], name))
    selected = [name for name in common if f".{name}." in f".{metric}."] or common[1:]
    scored = _Scored(task, pairs, classes)
    weights = np.ones(len(classes))
    thresholds: dict[str, float] = {}
    for name in selected:
        if count[name] >= FEWEST:
            thresholds[name] = scored.near_half(weights, classes.index(name))
            weights[classes.index(name)] = odds(thresholds[name])
    return thresholds


class _Scored:
    """Documents with their statistics for every class that they could be given."""

    def __init__(self, task: Task, pairs: Sequence[tuple[Document, Document]], classes: Sequence[str]) -> None:
        self.task = task
        self.probabilities = np.array([[j.score for j in p.judgements] for _, p in pairs])
        statistics = [
            task.statistics(
                [g for g, _ in pairs],
                [replace(p, judgements=tuple(replace(j, chosen=j.name == name) for j in p.judgements)) for _, p in pairs],
            )
            for name in classes
        ]
        self.names = sorted({key for rows in statistics for row in rows for key in row})
        self.rows = np.array([[[row.get(key, 0.0) for key in self.names] for row in rows] for rows in statistics])

    def near_half(self, weights: NDArray[np.float64], at: int) -> float:
        """The threshold of a class.

        Args:
            weights: of the odds of every class.
            at: index of the class.
        """
        tried = []
        for value in GRID:
            weighed = weights.copy()
            weighed[at] = odds(float(value))
            chosen = (self.probabilities * weighed).argmax(1)
            tried.append(self.rows[chosen, np.arange(len(chosen))])
        scores = np.array([float(self._score(rows.sum(0))) for rows in tried])
        half = int(np.argmin(np.abs(GRID - HALF)))
        best = min(np.flatnonzero(scores == scores.max()).tolist(), key=lambda n: (abs(n - half), n))
        for n in range(half, best, 1 if best >= half else -1):
            if scores[n] >= scores[half] and scores[best] - scores[n] <= self._error(tried[best], tried[n]):
                return float(GRID[n])
        return float(GRID[best])

    def _error(self, first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
        """Standard error of the difference of two scores: the jackknife over documents."""
        left = self._score(first.sum(0) - first) - self._score(second.sum(0) - second)
        return math.sqrt(float(np.square(left - left.mean()).sum()) * (len(left) - 1) / len(left))

    def _score(self, sums: NDArray[np.float64]) -> Any:
        """The selection metric of sums (…, names)."""
        scores = self.task.summarise({name: sums[..., n] for n, name in enumerate(self.names)})
        return np.asarray(flatten(scores)[self.task.metadata.selects_by])
