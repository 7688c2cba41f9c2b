"""The figures of a report, from its runs."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from bench.pages.collect import Evidence, ReportedRun, rests
from bench.pages.content import Figure, FigureKind, Mark, shown
from bench.pages.verdicts import Summary, summaries
from bench.results.scores import score_of
from bench.wording import some

SINGLE = 12
"""Runs of a task that a plot of curves shows one by one; of more, an arm is a mean with a band."""


def arms(evidence: Evidence) -> Figure:
    """Arms with their intervals and, as small dots, their runs: one plot a task."""
    scored = [s for s in summaries(evidence) if s.mean is not None]
    marks: list[Mark] = []
    for s in scored:
        marks.append(Mark(s.mean or 0.0, s.arm, s.task, s.arm, low=s.low, high=s.high))
        if len(s.runs) > 1:
            marks += [Mark(v, s.arm, s.task, s.arm, run=r.id) for r in s.runs if (v := r.score(s.task)) is not None]
    says = "; ".join(f"{s.task}, {s.arm}: {_bounds(s)}" for s in scored)
    return figure_of(
        evidence, "arms", "Scores by arm",
        "Large dots are means, bars 95% intervals (t over seeds; of a single run over documents; of two runs none is "
        "estimable), small dots runs. The dashed line is what a dictionary of the training mentions scores.",
        f"Mean primary metric on test by task and arm. {says}.{_referred(evidence)}", "intervals", "primary metric, test", "",
        marks, references=references(evidence),
    )  # fmt: skip


def references(evidence: Evidence) -> tuple[Mark, ...]:
    """What needs no training, by the same metric on the same split: for each task the dictionary of its training mentions."""
    found = []
    for task in evidence.tasks:
        result = evidence.of(task)[0].result
        value = score_of(result.scores[task].baselines.get("dictionary"), result.metric(task))
        found += [] if value is None else [Mark(value, "", task, "dictionary of training mentions")]
    return tuple(found)


def _referred(evidence: Evidence) -> str:
    said = "; ".join(f"{mark.panel}, {mark.group}: {shown(mark.x, 'score')}" for mark in references(evidence))
    return f" The dashed line: {said}." if said else ""


def curves(evidence: Evidence, what: str) -> Figure | None:
    """Learning curves against tokens.

    Args:
        evidence: the runs.
        what: ``dev`` for the selection metric, ``loss`` for the training loss.
    """
    marks: list[Mark] = []
    for task in evidence.tasks:
        for arm in evidence.arms:
            runs = [run for run in evidence.of(task, arm) if getattr(run.curves, what).get(task)]
            if len(evidence.of(task)) > SINGLE and len(runs) > 1:
                name = f"mean of {some(len(runs), 'run')} of {arm}"
                marks += [Mark(x, y, task, arm, low=a, high=b, run=name) for x, y, a, b in _mean(runs, task, what)]
            else:
                marks += [Mark(x, y, task, arm, run=run.id) for run in runs for x, y in getattr(run.curves, what)[task]]
    if not marks:
        return None
    ends = []
    for task in evidence.tasks:
        for arm in evidence.arms:
            last = {m.run: float(m.y) for m in marks if m.panel == task and m.group == arm}
            if last:
                ends.append(f"{task}, {arm}: {shown(fmean(last.values()), 'score')}")
    title, y = ("Dev score by tokens", "selection metric, dev") if what == "dev" else ("Training loss by tokens", "loss")
    caption = (
        "Scores on dev while training; they choose checkpoints and are no results." if what == "dev" else
        "Mean loss of the updates around each point; losses of different tasks are on different scales."
    )  # fmt: skip
    if any(mark.low is not None for mark in marks):
        caption += " Lines are means over an arm's runs, bands reach from the lowest run to the highest."
    return figure_of(
        evidence, f"curves-{what}", title, f"{caption} Tokens are those of all tasks of a run.",
        f"{title}. At the end, mean of the runs: {'; '.join(ends)}.", "lines", "tokens seen", y, marks,
    )  # fmt: skip


def ledger(evidence: Evidence) -> Figure | None:
    """Tokens by arm, stacked by task."""
    marks: list[Mark] = []
    for arm, runs in _by_arm(evidence).items():
        for task in evidence.tasks:
            tokens = [c.tokens for r in runs if (c := r.result.invariants.tokens.tasks.get(task)) is not None]
            if tokens:
                marks.append(Mark(fmean(tokens), arm[1], arm[0], task))
    if not marks:
        return None
    says = "; ".join(f"{m.panel} {m.y}, {m.group}: {shown(m.x, 'count')}".strip() for m in marks)
    return figure_of(
        evidence, "ledger", "Tokens by arm", "Mean over an arm's runs of the tokens that each task was trained on.",
        f"Tokens trained on, by arm and task. {says}.", "bars", "tokens", "", marks, evidence.tasks,
    )  # fmt: skip


def parity(evidence: Evidence) -> Figure | None:
    """Trainable parameters by arm, stacked by kind."""
    marks: list[Mark] = []
    for (panel, arm), runs in _by_arm(evidence).items():
        row = next((row for run in runs if (row := run.result.invariants.parity.own) is not None), None)
        parts = () if row is None else (("adapters", row.adapters), ("fusion", row.fusion), ("heads", row.heads))
        marks += [Mark(float(count), arm, panel, part) for part, count in parts if count]
    if not marks:
        return None
    says = "; ".join(f"{m.panel} {m.y}, {m.group}: {shown(m.x, 'count')}".strip() for m in marks)
    return figure_of(
        evidence, "parity", "Trainable parameters by arm", "Adapters and fusion are held equal; heads go with the tasks.",
        f"Trainable parameters. {says}.", "bars", "trainable parameters", "", marks, ("adapters", "fusion", "heads"),
    )  # fmt: skip


def gradients(evidence: Evidence) -> Figure | None:
    """How often the gradients of two tasks conflicted, by arm."""
    frequencies: dict[tuple[str, str], list[float]] = {}
    used: list[ReportedRun] = []
    for run in evidence.runs:
        for pair in run.gradients.pairs:
            if pair.conflict_frequency is not None:
                frequencies.setdefault((" × ".join(pair.tasks), run.arm), []).append(pair.conflict_frequency)
                used.append(run)
    if not frequencies:
        return None
    marks = [Mark(fmean(values), arm, pair, "conflicts") for (pair, arm), values in frequencies.items()]
    says = "; ".join(f"{m.panel}, {m.y}: {shown(m.x, 'score')}" for m in marks)
    return figure_of(
        evidence, "gradients", "Gradient conflicts",
        "Share of the updates in which the gradients of two tasks, over what they share, had a negative cosine; mean of runs.",
        f"Share of updates with conflicting gradients. {says}.", "bars", "share of updates", "", marks, ("conflicts",), used,
    )  # fmt: skip


def _by_arm(evidence: Evidence) -> dict[tuple[str, str], list[ReportedRun]]:
    """Panel and label to runs; an arm with several sets of tasks has one label for each."""
    runs_of: dict[tuple[str, str], list[ReportedRun]] = {}
    sets = {arm: {run.tasks for run in evidence.runs if run.arm == arm} for arm in evidence.arms}
    for run in evidence.runs:
        label = run.arm if len(sets[run.arm]) == 1 else f"{run.arm}: {' + '.join(run.tasks)}"
        runs_of.setdefault(("", label), []).append(run)
    return runs_of


def _mean(runs: Sequence[ReportedRun], task: str, what: str, points: int = 40) -> list[tuple[float, float, float, float]]:
    """The mean curve of several runs over the tokens that all of them saw: tokens, mean, lowest and highest."""
    import numpy as np

    lines: list[Sequence[tuple[float, float]]] = [getattr(run.curves, what)[task] for run in runs]
    low, high = max(line[0][0] for line in lines), min(line[-1][0] for line in lines)
    if high < low:
        return []
    xs = np.linspace(low, high, points if high > low else 1)
    ys = np.array([np.interp(xs, [x for x, _ in line], [y for _, y in line]) for line in lines])
    bounds = zip(xs, ys.mean(axis=0), ys.min(axis=0), ys.max(axis=0), strict=True)
    return [(round(float(x)), float(y), float(low), float(high)) for x, y, low, high in bounds]


def _bounds(s: Summary) -> str:
    interval = f" [{shown(s.low, 'score')}, {shown(s.high, 'score')}]" if s.low is not None else ""
    return f"{shown(s.mean, 'score')}{interval}, {some(len(s.runs), 'run')}"


def figure_of(
    evidence: Evidence, name: str, title: str, caption: str, says: str, kind: FigureKind, x: str, y: str,
    marks: Sequence[Mark], groups: Sequence[str] | None = None, runs: Sequence[ReportedRun] | None = None, front: bool = False,
    zero: bool = False, references: Sequence[Mark] = (),
) -> Figure:  # fmt: skip
    """A figure of some runs, by default all; groups are in the order of arms unless `groups` gives another."""
    drawn = {mark.group for mark in marks}
    order = evidence.arms if groups is None else groups
    ids, synthetic = rests(evidence.runs if runs is None else runs)
    present = tuple(group for group in order if group in drawn)
    return Figure(
        name, title, caption, says, kind, x, y, tuple(marks), present, ids, synthetic, front=front, zero=zero,
        references=tuple(references),
    )  # fmt: skip
