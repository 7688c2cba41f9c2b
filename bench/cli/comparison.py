"""A comparison for people: the answer first, then scores, differences, noise, and what to bear in mind."""

from __future__ import annotations

from collections.abc import Sequence

from bench.results.display import change, p_value, some
from bench.screen.console import RichReporter
from bench.screen.text import number
from bench.stats.intervals import MINIMUM_SEEDS
from bench.studies.compare import TOO_FEW, Comparison, Pair

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Titles and rows."""


def show(found: Comparison, passed_over: Sequence[str] = (), reporter: RichReporter | None = None) -> None:
    """Prints a comparison and notes on runs that were left out; a `reporter` of your own may record it."""
    told = reporter or RichReporter()
    if found.synthetic:
        told.warn("SYNTHETIC data: the figures say that the plumbing works, nothing about clinical text.")
    for one in found.differences:
        told.warn(f"allowed: the runs also differ in {one.field}: {one.told}.")
    for note in (*passed_over, *found.notes):
        told.note(note)
    arms = ", ".join(f"{name} ({some(len(runs), 'run')})" for name, runs in found.arms.items())
    told.table(f"{_title(found)}: {arms}", *_answers(found)) if found.pairs else None
    told.table(f"Scores on {found.split}, mean over seeds", *_scores(found))
    if found.pairs:
        told.table("Over documents, the trained models held fast", *_documents(found))
        told.table("Over seeds, the documents held fast", *_seeds(found))
    if len(found.floors) > 1 and found.tasks:
        columns = ("second arm", "first arm", "wins", "ties", "losses")
        rows = [(one.second, one.first, one.tally.wins, one.tally.ties, one.tally.losses) for one in found.tasks]
        told.table("Tasks won, tied, lost (a tie is within the noise floor)", columns, rows)
    _floors(found, told)
    if any(pair.conclusion == TOO_FEW for pair in found.pairs):
        told.note(f"A conclusion wants {MINIMUM_SEEDS} seeds or more in both arms; what is told above is no verdict.")


def between(low: float | None, high: float | None) -> str:
    """An interval as ``[-.012, +.034]``; empty where there is none."""
    return "" if low is None or high is None else f"[{change(low)}, {change(high)}]"


def _title(found: Comparison) -> str:
    return f"Compared by {' and '.join(found.by)}" if found.by else "Compared"


def _versus(pair: Pair) -> str:
    return f"{pair.second} − {pair.first}"


def _answers(found: Comparison) -> Table:
    level = f"{found.level:.0%} over seeds and documents"
    columns = ("task", "arms", "difference", level, "p (Holm)", "detectable", "conclusion")
    rows: list[tuple[str, ...]] = []
    for pair in found.pairs:
        one = pair.estimate
        interval, p = between(one.low, one.high) or "–", p_value(one.p_holm) or "–"
        detectable = "–" if one.detectable is None else number(one.detectable)
        rows.append((pair.task, _versus(pair), change(one.difference), interval, p, detectable, pair.conclusion))
    return columns, rows


def _scores(found: Comparison) -> Table:
    columns = ("task", "metric", "arm", "score", "sd over seeds", f"{found.level:.0%} over seeds", "seeds")
    rows: list[tuple[str, ...]] = []
    for one in found.scores:
        spread = one.spread
        bounds = "–" if spread.low is None or spread.high is None else f"[{number(spread.low)}, {number(spread.high)}]"
        sd = "–" if spread.sd is None else number(spread.sd)
        rows.append((one.task, one.metric, one.arm, number(spread.mean), sd, bounds, str(spread.seeds)))
    return columns, rows


def _documents(found: Comparison) -> Table:
    columns = ("task", "arms", f"{found.level:.0%} interval", "p permutation", "p (Holm)", "d_z")
    rows: list[tuple[str, ...]] = []
    for pair in found.pairs:
        one = pair.documents
        p = p_value(one.p) + (" exact" if one.exact else "")
        interval = between(one.low, one.high) or "–"
        rows.append((pair.task, _versus(pair), interval, p, p_value(pair.documents_p_holm), _effect(one.d_documents)))
    return columns, rows


def _seeds(found: Comparison) -> Table:
    columns = ("task", "arms", f"{found.level:.0%} interval", "d_z", "seeds won–tied–lost")
    rows: list[tuple[str, ...]] = []
    for pair in found.pairs:
        interval = between(pair.seeds.low, pair.seeds.high) or "–"
        rows.append((pair.task, _versus(pair), interval, _effect(pair.documents.d_seeds), str(pair.tally)))
    return columns, rows


def _effect(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"


def _floors(found: Comparison, told: RichReporter) -> None:
    for task, one in found.floors.items():
        if one.sd is not None:
            told.note(f"Noise floor of {task}: sd {number(one.sd)} over {one.source} ({one.runs} runs in {one.groups} groups).")
        else:
            want = "two seeds of an arm" if one.source == "seeds" else "two replicates of a run"
            told.note(f"Noise floor of {task}: not known; it wants {want}.")
