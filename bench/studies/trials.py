"""The search of a study: short runs on dev, whose ranking decides the learning rate of later runs."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite, nan

from bench.results.schema import Result
from bench.results.scores import score_of


def dev_score(result: Result) -> float:
    """The mean of the tasks' primary metrics on dev, before any quantizing; NaN where one of them cannot be had."""
    metrics = {row.task: row.metric for row in result.macro.tasks} if result.macro else {}
    values = [
        score_of(scores.dev.get("trained"), metrics.get(task, result.headline.metric)) for task, scores in result.scores.items()
    ]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else nan


def ranked(results: Mapping[str, Result]) -> list[str]:
    """Keys of trials, the best on dev first; equal ones stay in order, and those without a score are left out."""
    scores = {key: dev_score(result) for key, result in results.items()}
    return sorted((key for key in results if isfinite(scores[key])), key=lambda key: -scores[key])
