"""The gain of a task from training together, for runs that are no study of transfer.

A run of several tasks is held against the task alone at two numbers of tokens, which answer two questions: as many tokens in
all (is the other task worth more than as many of the task's own?), and the tokens that the task had in the run of several
(does the other task add anything?). The two are never averaged: between them lies what more tokens alone are worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from bench.pages.collect import Evidence, ReportedRun
from bench.pages.content import Figure, Mark, shown
from bench.pages.figures import figure_of
from bench.studies.contract import TOKENS

TOTAL = "less alone at equal total"
OWN = "less alone on its own share"
OTHER = "less alone on other tokens"


def transfer(evidence: Evidence) -> Figure | None:
    """Gain of training a task with others over training it alone, a plot a contrast; None where no run has such a pair."""
    groups: dict[tuple[str, tuple[str, ...], str], list[ReportedRun]] = {}
    for run in evidence.runs:
        for task in run.tasks:
            if run.score(task) is not None:
                others = tuple(other for other in run.tasks if other != task)
                groups.setdefault((_recipe(run), others, task), []).append(run)
    recipes = {recipe for recipe, others, _ in groups if others}
    marks: list[Mark] = []
    used: list[ReportedRun] = []
    for (recipe, others, task), together in groups.items():
        alone: dict[str, list[ReportedRun]] = {}
        for run in groups.get((recipe, (), task), ()) if others else ():
            alone.setdefault(_contrast(task, together, run), []).append(run)
        for contrast in (name for name in (TOTAL, OWN, OTHER) if name in alone):
            panel = f"{recipe}, {contrast}" if len(recipes) > 1 else contrast
            gain = _mean(task, together) - _mean(task, alone[contrast])
            marks.append(Mark(task, " + ".join(others), panel, value=gain))
            used += [*together, *alone[contrast]]
    if not marks:
        return None
    says = "; ".join(f"{m.x} with {m.y}, {m.panel}: {shown(m.value, 'change')}" for m in marks)
    return figure_of(
        evidence, "transfer", "Gain from training together",
        "Mean score with the other task less mean score alone, of the same architecture, model and quantizer. At equal total "
        "the run alone had as many tokens in all; on its own share, as many as the task had in the run of both. "
        "Neither is a verdict: intervals are with the differences.",
        f"Gain of a task from training with another. {says}.", "heat", "scored on", "trained with", marks, (), used,
    )  # fmt: skip


def _contrast(task: str, together: Sequence[ReportedRun], alone: ReportedRun) -> str:
    """Which question a run alone answers, by the tokens that it was trained on."""
    tokens = sum(account.tokens for account in alone.result.invariants.tokens.tasks.values())
    ledgers = [run.result.invariants.tokens.tasks for run in together]
    total = fmean(sum(account.tokens for account in ledger.values()) for ledger in ledgers)
    own = fmean(ledger[task].tokens if task in ledger else 0 for ledger in ledgers)
    for contrast, wanted in ((TOTAL, total), (OWN, own)):
        if abs(tokens - wanted) <= TOKENS * max(tokens, wanted):
            return contrast
    return OTHER


def _mean(task: str, runs: Sequence[ReportedRun]) -> float:
    return fmean(value for run in runs if (value := run.score(task)) is not None)


def _recipe(run: ReportedRun) -> str:
    config = run.result.config
    words = [str(config.get("arch")), str(config.get("model"))]
    return ", ".join(words + [str(config["quant"])] * (config.get("quant") not in (None, "none")))
