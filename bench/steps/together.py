"""What a run of several tasks adds to its result: how they were mixed, how they got on, and a mean beside all it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from bench.results.evidence import Macro, PrimaryScore, Together
from bench.results.schema import Stage
from bench.results.scores import FlatScores, score_of

if TYPE_CHECKING:
    from bench.steps.context import Planned
    from bench.training.loop import Trainer
    from bench.training.model import TaskData
    from bench.training.stage import Progress


def together(planned: Planned, trainer: Trainer) -> Together | None:
    """How several tasks were trained together; None for a run of one."""
    if len(planned.data) < 2:
        return None
    config = planned.config
    return Together(
        sampling={
            "kind": config.sampling,
            "temperature": config.temperature if config.sampling == "temperature" else None,
            "shares": dict(trainer.sampler.shares),
        },
        loss_weighting={"kind": "equal", "parameters": 0} if trainer.uncertainty is None else trainer.uncertainty.report(),
        gradients=trainer.shared.report(),
        loss_weights=config.loss_weights,
    )


def schedule(planned: Planned, progress: Progress) -> dict[str, Any]:
    """What tasks that came one after another learned and forgot; empty where they came together."""
    if len(planned.data) < 2 or not progress.phases:
        return {}
    parts = planned.parts
    return {
        "name": parts.schedule.name, "options": dict(parts.schedule_options), **transfer_between_phases(progress.phases)
    }  # fmt: skip


def transfer_between_phases(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How much later phases took from a task, and how much earlier ones gave it, by its selection metric on dev.

    Args:
        rows: `Progress.phases`: before the first phase, and after each.

    Returns:
        ``phases``, the rows; ``backward`` of each task, its score at the end of the run less that at the end of its own last
        phase, for tasks that others followed; ``forward``, its score before its own first phase less that before the run, for
        tasks that others came before; the means of both as ``backward_transfer`` and ``forward_transfer``, None of no task;
        ``read``, training tokens that a penalty read, which are in no budget.

    Source: Lopez-Paz & Ranzato 2017, arXiv 1706.08840, section 3 (there of accuracies on test).
    """
    backward, forward = {}, {}
    for task in dict.fromkeys(task for row in rows for task in row["tasks"]):
        indices = [index for index, row in enumerate(rows) if task in row["tasks"]]
        if indices[-1] < len(rows) - 1:
            backward[task] = rows[-1]["scores"][task] - rows[indices[-1]]["scores"][task]
        if indices[0] > 1:
            forward[task] = rows[indices[0] - 1]["scores"][task] - rows[0]["scores"][task]
    return {
        "phases": [dict(row) for row in rows], "backward": backward, "forward": forward,
        "backward_transfer": fmean(backward.values()) if backward else None,
        "forward_transfer": fmean(forward.values()) if forward else None,
        "read": sum(row["read"] for row in rows),
    }  # fmt: skip


def macro(data: Mapping[str, TaskData], scores: Mapping[str, FlatScores], stage: Stage) -> Macro | None:
    """The mean of the tasks' primary metrics, with every one of them beside it; None for a run of one task.

    Args:
        data: task to its data.
        scores: task to its scores on the test split.
        stage: that the scores are of.
    """
    if len(data) < 2:
        return None
    metrics = {name: task_data.task.metadata.primary_metric for name, task_data in data.items()}
    rows = tuple(PrimaryScore(name, metric, score_of(scores[name], metric)) for name, metric in metrics.items())
    values = [row.value for row in rows if row.value is not None]
    return Macro("test", stage, sum(values) / len(values) if len(values) == len(rows) else None, rows)
