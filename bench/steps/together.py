"""What a run of several tasks adds to its result: how they were mixed, how they got on, and a mean beside all it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.results.schema import Stage, pick

if TYPE_CHECKING:
    from bench.steps.planned import Planned
    from bench.training.loop import Trainer
    from bench.training.model import TaskData


def together(planned: Planned, trainer: Trainer, scores: Mapping[str, Any], stage: Stage) -> dict[str, Any]:
    """The keys ``together`` and ``macro``; neither for a run of one task.

    Args:
        planned: of the run.
        trainer: at its last update.
        scores: task to its scores on the test split.
        stage: that the scores are of.
    """
    if len(planned.data) < 2:
        return {}
    config = planned.config
    equal = {"kind": "equal", "parameters": 0}
    return {
        "together": {
            "sampling": {
                "kind": config.sampling,
                "temperature": config.temperature if config.sampling == "temperature" else None,
                "shares": dict(trainer.sampler.shares),
            },
            "loss_weighting": equal if trainer.uncertainty is None else trainer.uncertainty.report(),
            "gradients": trainer.shared.report(),
        },
        "macro": macro(planned.data, scores, stage),
    }


def macro(data: Mapping[str, TaskData], scores: Mapping[str, Any], stage: Stage) -> dict[str, Any]:
    """The mean of the tasks' primary metrics, with every one of them beside it; null where one of them cannot be had.

    Args:
        data: task to its data.
        scores: task to its scores on the test split.
        stage: that the scores are of.
    """
    rows = []
    for name, one in data.items():
        metric = one.task.metadata.primary_metric
        rows.append({"task": name, "metric": metric, "value": pick(scores[name], metric)})
    values = [row["value"] for row in rows if isinstance(row["value"], float)]
    mean = sum(values) / len(values) if len(values) == len(rows) else None
    return {"split": "test", "stage": stage, "mean": mean, "tasks": rows}
