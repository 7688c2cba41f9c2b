"""Forgetting: how every task stood after each phase of runs that trained tasks one after another.

Source: Lopez-Paz & Ranzato 2017, arXiv 1706.08840, section 3: R[i][j], the score on task j after training on task i, and what
follows from it. There scores are of the test split; here they are of dev, by the selection metric.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from statistics import fmean
from typing import Any

from bench.pages.collect import Evidence, ReportedRun
from bench.pages.content import Cell, Column, Figure, Mark, Table, shown
from bench.pages.figures import figure_of
from bench.pages.tables import table_of
from bench.pages.verdicts import spread


def curve(evidence: Evidence) -> Figure | None:
    """Score of every task after each phase: one plot an arm and order, one line a task; None without runs in phases."""
    marks: list[Mark] = []
    said: list[str] = []
    sequences = _sequences(evidence)
    for label, runs in sequences.items():
        words: dict[str, list[str]] = {}
        trained: set[str] = set()
        for i, stage in enumerate(_stages(runs[0])):
            trained |= set(_phases(runs[0])[i]["tasks"])
            for task in runs[0].tasks:
                values = {run.id: value for run in runs if (value := _phases(run)[i]["scores"].get(task)) is not None}
                if values:
                    faint = task not in trained
                    mean = fmean(values.values())
                    marks.append(Mark(stage, mean, label, task, faint=faint))
                    marks += [Mark(stage, v, label, task, run=r, faint=faint) for r, v in values.items() if len(values) > 1]
                    words.setdefault(task, []).append(f"{stage} {shown(mean, 'score')}")
        said += [f"{label}, {task}: {'; '.join(steps)}" for task, steps in words.items()]
    if not marks:
        return None
    return figure_of(
        evidence, "forgetting", "Dev score after each phase",
        "One line a task, faint until the task is trained. Where a line falls afterwards, the task is forgotten. Large marks "
        "are means, small dots runs. Scores are on dev, by the selection metric; start is before the run.",
        f"Score on dev after each phase of training, mean of runs. {'. '.join(said)}.", "stages", "after training on",
        "selection metric, dev", marks, evidence.tasks, [*chain(*sequences.values())],
    )  # fmt: skip


def matrix(evidence: Evidence) -> Table | None:
    """The scores behind the figure: one row a phase, one column a task; None without runs in phases."""
    sequences = _sequences(evidence)
    used = [*chain(*sequences.values())]
    tasks = [task for task in evidence.tasks if any(task in run.tasks for run in used)]
    columns = (
        Column("arm", "arm"), Column("runs", "runs", "count"), Column("after", "after training on"),
        Column("tokens", "tokens", "count"), *(Column(task, task, "score") for task in tasks),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for label, runs in sequences.items():
        for i, stage in enumerate(_stages(runs[0])):
            at = [_phases(run)[i] for run in runs]
            scores = (_mean(row["scores"].get(task) for row in at) for task in tasks)
            rows.append((label, len(runs), stage, round(fmean(row["tokens"] for row in at)), *scores))
    caption = (
        "The matrix R: score on each task (column) after each phase (row), on dev by the selection metric, mean of the runs. "
        "Tokens are those of all tasks until then."
    )
    return table_of("forgetting", "Score after each phase", caption, columns, rows, used) if rows else None


def transfers(evidence: Evidence) -> Table | None:
    """Score at the end, backward and forward transfer by arm and task, and their means over tasks; None without such runs."""
    columns = (
        Column("arm", "arm"), Column("task", "task"), Column("runs", "runs", "count"), Column("end", "at the end", "score"),
        Column("end_sd", "SD", "score"),
        Column("backward", "backward transfer", "change"), Column("backward_sd", "SD", "score"),
        Column("forward", "forward transfer", "change"), Column("forward_sd", "SD", "score"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    sequences = _sequences(evidence)
    for label, runs in sequences.items():
        for task in (*runs[0].tasks, "mean"):
            cells: list[Cell] = []
            for values in zip(*(_outcome(run, task) for run in runs), strict=True):
                known = [value for value in values if value is not None]
                cells += (over.mean, over.sd) if known and (over := spread(known)) else (None, None)
            rows.append((label, "mean of tasks" if task == "mean" else task, len(runs), *cells))
    caption = (
        "Backward: the score at the end less that after the task's own last phase; below 0 the task was forgotten. Forward: "
        "the score before the task's own first phase less that before the run. Empty where no task came after, or before. "
        "Means and SD over runs, on dev. The last line of an arm: ACC, BWT and FWT of Lopez-Paz & Ranzato 2017."
    )
    used = [*chain(*sequences.values())]
    return table_of("forgetting-transfer", "Backward and forward transfer", caption, columns, rows, used) if rows else None


def _sequences(evidence: Evidence) -> dict[str, list[ReportedRun]]:
    """Label to the runs of an arm that trained the same tasks in the same phases; runs of a single phase have none."""
    runs_of: dict[tuple[str, tuple[str, ...]], list[ReportedRun]] = {}
    for run in evidence.runs:
        if _phases(run):
            runs_of.setdefault((run.arm, _stages(run)), []).append(run)
    orders = Counter(arm for arm, _ in runs_of)
    return {arm if orders[arm] == 1 else f"{arm}: {', '.join(stages[1:])}": runs for (arm, stages), runs in runs_of.items()}


def _phases(run: ReportedRun) -> Sequence[Mapping[str, Any]]:
    """Before the first phase of a run and after each: its tasks, tokens so far, and every task's score."""
    phases: Sequence[Mapping[str, Any]] = run.result.schedule.get("phases", ())
    return phases


def _stages(run: ReportedRun) -> tuple[str, ...]:
    """Names of the points in time at which a run in phases was scored; a number tells a task's second phase from its first."""
    return tuple(f"{i} {' + '.join(phase['tasks'])}" if i else "start" for i, phase in enumerate(_phases(run)))


def _outcome(run: ReportedRun, task: str) -> tuple[float | None, float | None, float | None]:
    """Score of a task at the end of a run, its backward and its forward transfer; of ``mean``, the means over tasks."""
    schedule = run.result.schedule
    ways = [schedule[f"{way}_transfer"] if task == "mean" else schedule[way].get(task) for way in ("backward", "forward")]
    return _phases(run)[-1]["scores"].get(task), *ways


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
