"""Scores by their dotted names, as a run keeps them: ``{"task1.strict.f1": 0.61, "task1.strict.f1.ci95": [0.58, 0.64]}``.

A task's scorer gives nested mappings, which `bench.naming.flatten` turns into these where a run or a comparison takes them in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from bench.results.display import short

if TYPE_CHECKING:
    from bench.results.schema import Result

INTERVAL = ".ci95"
"""What the name of a score's interval ends in, after the name of the score."""

INTERVAL_BY = ".ci95_by"
"""What the name of an interval's method ends in, where it is not the bootstrap over documents: ``beta`` or ``wilson``."""

Interval = tuple[float, float]
IntervalBy = Literal["bootstrap", "beta", "wilson"]
"""How an interval was computed: over resampled documents, or from counts (`bench.evaluation.small_counts`)."""
Score = Literal["beta", "wilson"] | float | Interval | None
"""A number, an interval or its method; None for what cannot be had."""
FlatScores = Mapping[str, Score]
"""By dotted name; what `bench.api.task.Scores` is, flattened."""


def score_of(scores: FlatScores | None, name: str) -> float | None:
    """The number of a dotted name such as ``task1.strict.f1``; None where there is none."""
    value = None if scores is None else scores.get(name)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def below_dictionary(results: Iterable[Result]) -> str:
    """On which tasks no run reaches a dictionary of the training mentions, in a sentence; empty where there is none."""
    found: dict[str, list[tuple[float, float]]] = {}
    for result in results:
        for task, scores in result.scores.items():
            metric = result.metric(task)
            reached, dictionary = score_of(scores.last, metric), score_of(scores.baselines.get("dictionary"), metric)
            if reached is not None and dictionary is not None:
                found.setdefault(task, []).append((reached, dictionary))
    low = [
        f"{task} ({short(max(reached for reached, _ in pairs))} at most, the dictionary {short(pairs[0][1])})"
        for task, pairs in found.items()
        if all(reached < dictionary for reached, dictionary in pairs)
    ]
    what = "so that what differs between them says little"
    return f"No run reaches a dictionary of the training mentions on {' and '.join(low)}, {what}." if low else ""


def interval_of(scores: FlatScores | None, name: str) -> Interval | None:
    """The interval of a score, low and high; None where there is none."""
    value = None if scores is None else scores.get(name + INTERVAL)
    return (float(value[0]), float(value[1])) if isinstance(value, (list, tuple)) else None


def interval_by(scores: FlatScores | None, name: str) -> IntervalBy:
    """How the interval of a score was computed."""
    method = None if scores is None else scores.get(name + INTERVAL_BY)
    return "beta" if method == "beta" else "wilson" if method == "wilson" else "bootstrap"


def numbers(scores: FlatScores | None) -> Iterator[tuple[str, float]]:
    """Name and value of every number."""
    values = ((name, score_of(scores, name)) for name in scores or ())
    return ((name, value) for name, value in values if value is not None)
