"""Figures and tables of calibration and abstention, where results have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TypeVar

from bench.pages.collect import Evidence, ReportedRun, rests
from bench.pages.content import Cell, Column, Figure, Mark, Table, shown
from bench.results.evidence import Bin, Calibration, Kept

Told = TypeVar("Told")
COVERAGES = 20
"""Points of an abstention curve."""


def reliability(evidence: Evidence) -> Figure | None:
    """Share of right answers against confidence, a plot a task; the runs of an arm share bins of equal width and are pooled."""
    bins: dict[tuple[str, str, float], list[Bin]] = {}
    errors: dict[tuple[str, str], list[float]] = {}
    used: list[ReportedRun] = []
    for run, task, kind, scores in _calibrations(evidence):
        used.append(run)
        if (error := scores.ece.get("equal_width")) is not None:
            errors.setdefault((f"{task}, {kind}", run.arm), []).append(error)
        for row in scores.reliability.get("equal_width", ()):
            bins.setdefault((f"{task}, {kind}", run.arm, row.low), []).append(row)
    if not bins:
        return None
    marks = tuple(
        Mark(_pooled(r, [b.confidence for b in r]), _pooled(r, [b.right for b in r]), panel, arm, run=arm)
        for (panel, arm, _), r in sorted(bins.items(), key=lambda b: b[0][2])
    )
    says = "; ".join(f"{panel}, {arm}: {shown(fmean(values), 'score')}" for (panel, arm), values in errors.items())
    groups = tuple(arm for arm in evidence.arms if arm in {m.group for m in marks})
    return Figure(
        "reliability", "Reliability", "Share of predictions that are right against their mean confidence, runs of an arm "
        "pooled; on the diagonal confidence is what it claims, below it a model is too sure.",
        f"Reliability diagram. Expected calibration error, mean of runs: {says}.", "points", "confidence", "share right", marks,
        groups, *rests(used), diagonal=True,
    )  # fmt: skip


def _pooled(bins: Sequence[Bin], values: Sequence[float]) -> float:
    return sum(value * each.count for value, each in zip(values, bins, strict=True)) / sum(each.count for each in bins)


def calibration(evidence: Evidence) -> Table | None:
    """Calibration by run."""
    columns = (
        Column("run", "run"), Column("arm", "arm"), Column("task", "task"), Column("kind", "predictions of"),
        Column("predictions", "predictions", "count"), Column("right", "right", "score"),
        Column("confidence", "confidence", "score"),
        Column("ece_mass", "ECE (equal mass)", "score"), Column("ece_width", "ECE (equal width)", "score"),
        Column("brier", "Brier", "score"), Column("risk_area", "risk over coverage", "score"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    used: list[ReportedRun] = []
    for run, task, kind, scores in _calibrations(evidence):
        errors = (scores.ece.get("equal_mass"), scores.ece.get("equal_width"), scores.brier, scores.abstention.risk_area)
        rows.append((run.id, run.arm, task, kind, scores.predictions, scores.right, scores.confidence, *errors))
        used.append(run)
    caption = (
        "Of the predictions that were made: what was missed has no confidence. Risk over coverage: the share wrong, averaged "
        "over all shares of the surest that could be kept."
    )
    return Table("calibration", "Calibration", caption, columns, tuple(rows), *rests(used)) if rows else None


def abstention(evidence: Evidence) -> Figure | None:
    """Share right of the most confident predictions against the share kept: one plot a task, one line an arm (mean of runs)."""
    import numpy as np

    lines: dict[tuple[str, str], list[Sequence[Kept]]] = {}
    used: list[ReportedRun] = []
    for run, task, kind, scores in _calibrations(evidence):
        if curve := scores.abstention.curve:
            lines.setdefault((f"{task}, {kind}", run.arm), []).append(curve)
            used.append(run)
    if not lines:
        return None
    marks: list[Mark] = []
    for (panel, arm), curves in lines.items():
        least = max(curve[0].coverage for curve in curves)
        coverages = np.unique([least, *(share for share in np.linspace(0.05, 1, COVERAGES) if share > least)])
        points = [([p.coverage for p in curve], [p.right for p in curve]) for curve in curves]
        right = np.mean([np.interp(coverages, xs, ys) for xs, ys in points], axis=0)
        marks += [Mark(float(x), float(y), panel, arm, run=arm) for x, y in zip(coverages, right, strict=True)]
    groups = tuple(arm for arm in evidence.arms if any(arm == m.group for m in marks))
    ends = {(m.panel, m.group): m for m in marks}
    says = "; ".join(f"{panel}, {arm}: all kept, {shown(m.y, 'score')} right" for (panel, arm), m in ends.items())
    return Figure(
        "abstention", "Abstention", "What giving only the surest predictions would buy: share right of what is kept, mean "
        "of an arm's runs. A line that falls to the right means that confidence sorts right from wrong.",
        f"Share right against share of predictions kept. {says}.", "lines", "share of predictions kept", "share right",
        tuple(marks), groups, *rests(used),
    )  # fmt: skip


def _calibrations(evidence: Evidence) -> list[tuple[ReportedRun, str, str, Calibration]]:
    stages = ((run, task, last_stage(run.result.calibration, task) or {}) for run in evidence.runs for task in run.tasks)
    return [(run, task, kind, scores) for run, task, kinds in stages for kind, scores in kinds.items()]


def last_stage(by_task: Mapping[str, Mapping[str, Told]], task: str) -> Told | None:
    """The entry of a task at its last stage; None where there is none."""
    stages = by_task.get(task, {})
    return stages.get("quantized", stages.get("trained"))
