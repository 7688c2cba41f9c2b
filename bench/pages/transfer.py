"""The gain of a task from training together, for runs that are no study of transfer."""

from __future__ import annotations

from statistics import fmean

from bench.pages.collect import Evidence, ReportedRun
from bench.pages.content import Figure, Mark, shown
from bench.pages.figures import figure_of


def transfer(evidence: Evidence) -> Figure | None:
    """Gain of training a task with others over training it alone; None where no run has such a pair."""
    scores: dict[tuple[str, tuple[str, ...], str], list[float]] = {}
    used: list[ReportedRun] = []
    for run in evidence.runs:
        for task in run.tasks:
            if (value := run.score(task)) is not None:
                others = tuple(other for other in run.tasks if other != task)
                scores.setdefault((_recipe(run), others, task), []).append(value)
    marks: list[Mark] = []
    for (recipe, others, task), values in scores.items():
        alone = scores.get((recipe, (), task))
        if others and alone:
            marks.append(Mark(task, " + ".join(others), recipe, value=fmean(values) - fmean(alone)))
            used += [run for run in evidence.of(task) if _recipe(run) == recipe]
    if not marks:
        return None
    if len({m.panel for m in marks}) == 1:
        marks = [Mark(m.x, m.y, value=m.value) for m in marks]
    says = "; ".join(f"{m.x} with {m.y}: {shown(m.value, 'change')}" for m in marks)
    return figure_of(
        evidence, "transfer", "Gain from training together",
        "Mean score with the other task less mean score alone, of the same architecture, model and quantizer. Tokens may "
        "differ: only a token-control study tells transfer from exposure.",
        f"Gain of a task from training with another. {says}.", "heat", "scored on", "trained with", marks, (), used,
    )  # fmt: skip


def _recipe(run: ReportedRun) -> str:
    config = run.result.config
    words = [str(config.get("arch")), str(config.get("model"))]
    return ", ".join(words + [str(config["quant"])] * (config.get("quant") not in (None, "none")))
