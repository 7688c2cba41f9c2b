"""Results of schema version 1, in which scores were nested as a task's scorer gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.naming import flatten
from bench.results.scores import INTERVAL


def from_version_1(value: Mapping[str, Any]) -> dict[str, Any]:
    """The parsed JSON of a result with the names of version 2.

    Raises:
        AttributeError, KeyError, TypeError: it is not what version 1 promises.
    """
    metrics = {row["task"]: row["metric"] for row in value.get("macro", {}).get("tasks", ())}
    metrics[value["headline"]["task"]] = value["headline"]["metric"]

    def flat(task: str, scores: Mapping[str, Any] | None) -> dict[str, Any] | None:
        return None if scores is None else _flat(scores, metrics.get(task, "f1").rpartition(".")[2])

    stages = {
        task: {
            **{stage: flat(task, entry[stage]) for stage in ("trained", "quantized")},
            **{kind: {name: flat(task, scores) for name, scores in entry[kind].items()} for kind in ("dev", "baselines")},
            "best": None if entry["best"] is None else {**entry["best"], "scores": flat(task, entry["best"]["scores"])},
        }
        for task, entry in value["scores"].items()
    }
    return {**value, "scores": stages}


def _flat(scores: Mapping[str, Any], primary: str) -> dict[str, Any]:
    """Scores by dotted name. ``ci95`` stood beside the score that it was of: the primary metric, else ``f1``; that of a further
    one was ``<name>_ci95``.
    """
    flat: dict[str, Any] = {}
    for name, value in flatten(scores).items():
        group, dot, last = name.rpartition(".")
        if last == "ci95":
            name = f"{group}{dot}{primary if f'{group}{dot}{primary}' in flat else 'f1'}{INTERVAL}"
        elif last.endswith("_ci95"):
            name = name.removesuffix("_ci95") + INTERVAL
        flat[name] = value
    return flat
