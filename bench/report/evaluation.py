"""Figures and tables of what evaluation says beside scores, where results have it: calibration and kinds of errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from bench.report.collect import Evidence, Run
from bench.report.content import Cell, Column, Figure, Mark, Table, shown

CALIBRATION = "calibration"
ERRORS = "errors"
KINDS = ("missed", "spurious", "boundary", "boundary_type", "type", "link", "split", "merged", "concept")
"""Kinds of errors in the order in which they are stacked; ``correct`` is none."""


def reliability(evidence: Evidence) -> Figure | None:
    """Share of right answers against confidence, a plot a task; the runs of an arm share bins of equal width and are pooled."""
    bins: dict[tuple[str, str, float], list[Mapping[str, float]]] = {}
    errors: dict[tuple[str, str], list[float]] = {}
    used: list[Run] = []
    for run, task, kind, made in _calibrations(evidence):
        used.append(run)
        errors.setdefault((f"{task}, {kind}", run.arm), []).append(made["ece"]["equal_width"])
        for row in made["reliability"]["equal_width"]:
            bins.setdefault((f"{task}, {kind}", run.arm, row["low"]), []).append(row)
    if not bins:
        return None
    marks = tuple(
        Mark(_pooled(r, "confidence"), _pooled(r, "right"), panel, arm, run=arm) for (panel, arm, _), r in sorted(bins.items())
    )
    says = "; ".join(f"{panel}, {arm}: {shown(fmean(values), 'score')}" for (panel, arm), values in errors.items())
    groups = tuple(arm for arm in evidence.arms if arm in {m.group for m in marks})
    return Figure(
        "reliability", "Reliability", "Share of predictions that are right against their mean confidence, runs of an arm "
        "pooled; on the diagonal confidence is what it claims, below it a model is too sure.",
        f"Reliability diagram. Expected calibration error, mean of runs: {says}.", "points", "confidence", "share right", marks,
        groups, *_rests(used), diagonal=True,
    )  # fmt: skip


def _pooled(rows: Sequence[Mapping[str, float]], name: str) -> float:
    return sum(row[name] * row["count"] for row in rows) / sum(row["count"] for row in rows)


def calibration(evidence: Evidence) -> Table | None:
    """Calibration by run."""
    columns = (
        Column("run", "run"), Column("arm", "arm"), Column("task", "task"), Column("kind", "predictions of"),
        Column("predictions", "predictions", "count"), Column("right", "right", "score"),
        Column("confidence", "confidence", "score"),
        Column("ece_mass", "ECE (equal mass)", "score"), Column("ece_width", "ECE (equal width)", "score"),
        Column("brier", "Brier", "score"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    used: list[Run] = []
    for run, task, kind, made in _calibrations(evidence):
        ece = made.get("ece", {})
        values = (
            made.get("predictions"),
            made.get("right"),
            made.get("confidence"),
            ece.get("equal_mass"),
            ece.get("equal_width"),
        )
        rows.append((run.id, run.arm, task, kind, *values, made.get("brier")))
        used.append(run)
    caption = "Of the predictions that were made: what was missed has no confidence."
    return Table("calibration", "Calibration", caption, columns, tuple(rows), *_rests(used)) if rows else None


def errors(evidence: Evidence) -> Figure | None:
    """Errors by kind, stacked, an arm a line, a plot a task."""
    counts: dict[tuple[str, str, str], list[float]] = {}
    used: list[Run] = []
    for run, task, kinds in _errors(evidence):
        used.append(run)
        for kind, count in kinds.items():
            counts.setdefault((task, run.arm, kind), []).append(count)
    if not counts:
        return None
    order = [*KINDS, *sorted({kind for _, _, kind in counts} - {*KINDS})]
    groups = tuple(kind.replace("_", " and ") for kind in order if any(kind == k for _, _, k in counts))
    marks = tuple(Mark(fmean(n), arm, task, kind.replace("_", " and ")) for (task, arm, kind), n in counts.items())
    says = "; ".join(f"{m.panel}, {m.y}, {m.group}: {m.x:.4g}" for m in marks)
    return Figure(
        "errors", "Errors by kind", "Mean over an arm's runs, test split; counts only, a mention is in exactly one kind.",
        f"Errors by kind. {says}.", "bars", "mentions", "", marks, groups, *_rests(used),
    )  # fmt: skip


def error_table(evidence: Evidence) -> Table | None:
    """Errors by kind and run."""
    found = [*_errors(evidence)]
    if not found:
        return None
    kinds = [kind for kind in KINDS if any(kind in counts for _, _, counts in found)]
    names = (Column("run", "run"), Column("arm", "arm"), Column("task", "task"))
    columns = (*names, *(Column(kind, kind.replace("_", " and "), "count") for kind in kinds))
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (run.id, run.arm, task, *(counts.get(kind, 0) for kind in kinds)) for run, task, counts in found
    )
    caption = "Of mentions on the test split, as counts: what they are about is in no result."
    return Table("errors", "Errors by kind", caption, columns, rows, *_rests([run for run, _, _ in found]))


def _calibrations(evidence: Evidence) -> list[tuple[Run, str, str, Mapping[str, Any]]]:
    found = []
    for run in evidence.runs:
        for task in run.tasks:
            kinds = _of(run, CALIBRATION, task)
            found += [
                (run, task, str(kind), made) for kind, made in kinds.items() if isinstance(made, Mapping) and "ece" in made
            ]
    return found


def _errors(evidence: Evidence) -> list[tuple[Run, str, dict[str, int]]]:
    found = []
    for run in evidence.runs:
        for task in run.tasks:
            said = _of(run, ERRORS, task)
            # What stands in gold is counted there, so that a merged mention counts as often as it was to be found.
            sides = {"spurious": said.get("predicted", {}).get("spurious", 0)} | dict(said.get("gold", {}))
            counts = {str(kind): int(n) for kind, n in sides.items() if kind != "correct"} if said else {}
            if counts:
                found.append((run, task, counts))
    return found


def _of(run: Run, name: str, task: str) -> Mapping[str, Any]:
    """What a result says of a task under a name, of the last stage where it tells several."""
    told = run.result.extra.get(name)
    one = told.get(task) if isinstance(told, Mapping) else None
    for stage in ("quantized", "trained"):
        if isinstance(one, Mapping) and isinstance(one.get(stage), Mapping):
            return dict(one[stage])
    return dict(one) if isinstance(one, Mapping) else {}


def _rests(runs: Sequence[Run]) -> tuple[tuple[str, ...], bool]:
    return tuple(dict.fromkeys(run.id for run in runs)), any(run.result.synthetic for run in runs)
