"""Arms over all of their tasks together, where a comparison has three tasks or more."""

from __future__ import annotations

from bench.pages.collect import Evidence, rests
from bench.pages.content import Cell, Column, Table
from bench.results.display import within
from bench.stats.across import meaning


def across(evidence: Evidence) -> Table | None:
    """Interquartile means, the probability of improvement, tasks won, and what a further task would show, by two arms."""
    compared = evidence.comparison
    if compared is None or compared.result is None:
        return None
    columns = (
        Column("second", "second arm"), Column("first", "first arm"), Column("tasks", "tasks", "count"),
        Column("iqm_second", "IQM, second", "score"), Column("iqm_first", "IQM, first", "score"),
        Column("difference", "difference", "change"), Column("low", "95% low", "change"), Column("high", "95% high", "change"),
        Column("improvement", "P(improvement)", "score"), Column("improvement_low", "95% low", "score"),
        Column("improvement_high", "95% high", "score"),
        Column("better", "better on at least", "count"), Column("worse", "worse on at least", "count"),
        Column("left", "P(worse)", "score"), Column("inside", "P(equal)", "score"), Column("right", "P(better)", "score"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    means: list[str] = []
    rope = 0.0
    for tasks in compared.result.tasks:
        if (whole := tasks.across) is None:
            continue
        first, second = (compared.names.get(name, name) for name in (tasks.first, tasks.second))
        scores, belief = whole.aggregate, whole.posterior
        sides = [None if side is None else side.dependent for side in (whole.second_better, whole.first_better)]
        chances = (None, None, None) if belief is None else (belief.left, belief.inside, belief.right)
        rope = rope if belief is None else belief.rope
        rows.append((
            second, first, whole.tasks, scores.second.value, scores.first.value,
            scores.difference.value, scores.difference.low, scores.difference.high,
            scores.improvement.value, scores.improvement.low, scores.improvement.high, *sides, *chances,
        ))  # fmt: skip
        means.append(meaning(whole, first, second))
    if not rows:
        return None
    equal = f" P(worse), P(equal), P(better): of a further task of this kind; equal is within {within(rope)}." if rope else ""
    caption = (
        f"What this means: {' '.join(means)} IQM is the mean of the middle half of all scores; intervals are over seeds, with "
        f"tasks and documents held fast. Better on at least: however the tasks depend on one another.{equal}"
    )
    return Table("across", "All tasks together", caption, columns, tuple(rows), *rests(evidence.runs))
