"""A comparison for people: the answer first, then scores, differences, noise, and what to bear in mind."""

from __future__ import annotations

from collections.abc import Sequence

from bench.results.display import NOT_ESTIMABLE, change, estimable, interval, p_value, possible
from bench.screen.console import RichReporter
from bench.screen.text import number
from bench.stats.across import meaning
from bench.stats.intervals import MINIMUM_SEEDS
from bench.studies.compare import TOO_FEW, Comparison, Pair
from bench.wording import some

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Titles and rows."""


def show(comparison: Comparison, passed_over: Sequence[str] = (), reporter: RichReporter | None = None) -> None:
    """Prints a comparison and notes on runs that were left out; a `reporter` of your own may record it."""
    console = reporter or RichReporter()
    if comparison.synthetic:
        console.warn("SYNTHETIC data: the figures say that the plumbing works, nothing about clinical text.")
    for difference in comparison.differences:
        console.warn(f"allowed: {difference.sentence}.")
    for note in (*passed_over, *comparison.notes):
        console.note(note)
    arms = ", ".join(f"{name} ({some(len(runs), 'run')})" for name, runs in comparison.arms.items())
    console.table(f"{_title(comparison)}: {arms}", *_answers(comparison)) if comparison.pairs else None
    console.table(f"Scores on {comparison.split}, mean over seeds", *_scores(comparison))
    if comparison.pairs:
        console.table("Over documents, the trained models held fast", *_documents(comparison))
        console.table("Over seeds, the documents held fast", *_seeds(comparison))
    if len(comparison.floors) > 1 and comparison.tasks:
        columns = ("second arm", "first arm", "wins", "ties", "losses")
        rows = [(pair.second, pair.first, pair.tally.wins, pair.tally.ties, pair.tally.losses) for pair in comparison.tasks]
        console.table("Tasks won, tied, lost (a tie is within the noise of a mean over seeds)", columns, rows)
    _across(comparison, console)
    _floors(comparison, console)
    if any(pair.conclusion == TOO_FEW for pair in comparison.pairs):
        console.note(f"A conclusion wants {MINIMUM_SEEDS} seeds or more in both arms; what is told above is no verdict.")


def _title(comparison: Comparison) -> str:
    return f"Compared by {' and '.join(comparison.by)}" if comparison.by else "Compared"


def _versus(pair: Pair) -> str:
    return f"{pair.second} − {pair.first}"


def _answers(comparison: Comparison) -> Table:
    level = f"{comparison.level:.0%} over seeds and documents"
    columns = ("task", "arms", "difference", level, "p (Holm)", "detectable", "conclusion")
    rows: list[tuple[str, ...]] = []
    for pair in comparison.pairs:
        estimate = pair.estimate
        bounds, p = interval(estimate.low, estimate.high, estimate.seeds) or "–", p_value(estimate.p_holm) or "–"
        found = estimate.detectable
        detectable = "–" if found is None else number(found) if possible(found) else "none"
        rows.append((pair.task, _versus(pair), change(estimate.difference), bounds, p, detectable, pair.conclusion))
    return columns, rows


def _scores(comparison: Comparison) -> Table:
    columns = ("task", "metric", "arm", "score", "sd over seeds", f"{comparison.level:.0%} over seeds", "seeds")
    rows: list[tuple[str, ...]] = []
    for row in comparison.scores:
        spread = row.spread
        bounds = "–" if spread.low is None or spread.high is None else f"[{number(spread.low)}, {number(spread.high)}]"
        bounds = bounds if bounds == "–" or estimable(spread.seeds) else NOT_ESTIMABLE
        sd = "–" if spread.sd is None else number(spread.sd)
        rows.append((row.task, row.metric, row.arm, number(spread.mean), sd, bounds, str(spread.seeds)))
    return columns, rows


def _documents(comparison: Comparison) -> Table:
    columns = ("task", "arms", f"{comparison.level:.0%} interval", "p permutation", "p (Holm)", "d_z")
    rows: list[tuple[str, ...]] = []
    for pair in comparison.pairs:
        estimate = pair.documents
        p = p_value(estimate.p) + (" exact" if estimate.exact else "")
        bounds = interval(estimate.low, estimate.high) or "–"
        rows.append((pair.task, _versus(pair), bounds, p, p_value(pair.documents_p_holm), _effect(estimate.d_documents)))
    return columns, rows


def _seeds(comparison: Comparison) -> Table:
    columns = ("task", "arms", f"{comparison.level:.0%} interval", "d_z", "seeds won–tied–lost")
    rows: list[tuple[str, ...]] = []
    for pair in comparison.pairs:
        bounds = interval(pair.seeds.low, pair.seeds.high, pair.seeds.seeds) or "–"
        rows.append((pair.task, _versus(pair), bounds, _effect(pair.documents.d_seeds), str(pair.tally)))
    return columns, rows


def _effect(value: float | None) -> str:
    return change(value) or "–"


def _across(comparison: Comparison, console: RichReporter) -> None:
    """Two arms over several tasks, with a sentence on what it means."""
    together = [(tasks.first, tasks.second, tasks.across) for tasks in comparison.tasks if tasks.across is not None]
    if not together:
        return
    level = f"{comparison.level:.0%}"
    columns = ("second arm", "first arm", "IQM", f"{level} over seeds", "IQM difference", f"{level} over seeds", "better on")
    rows: list[tuple[str, ...]] = []
    for first, second, whole in together:
        of, less = whole.aggregate.second, whole.aggregate.difference
        bounds = f"[{number(of.low)}, {number(of.high)}]"
        side = whole.second_better
        better = "–" if side is None else f"≥ {side.dependent} of {whole.tasks}"
        rows.append((second, first, number(of.value), bounds, change(less.value), interval(less.low, less.high) or "–", better))
    console.table("All tasks together (IQM: mean of the middle half of all scores)", columns, rows)
    for first, second, whole in together:
        console.note(f"What this means: {meaning(whole, first, second)}")


def _floors(comparison: Comparison, console: RichReporter) -> None:
    for task, floor in comparison.floors.items():
        if floor.sd is not None:
            text = (
                f"sd {number(floor.sd)} of one score over {floor.source} ({some(floor.runs, 'run')} in "
                f"{some(floor.groups, 'group')})"
            )
        else:
            text = "not known; it wants two seeds of an arm"
        ties = sorted({number(pair.ties[task]) for pair in comparison.tasks if task in pair.ties})
        tie = f"; means over seeds tie within {' or '.join(ties)}" if ties else ""
        console.note(f"Noise floor of {task}: {text}{tie}.")
