"""Figures and tables of errors by kind, and by sort of mention, where results have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean

from bench.evaluation.small_counts import FEW, SMALL
from bench.pages.collect import Evidence, ReportedRun, rests
from bench.pages.content import Cell, Column, Figure, Mark, Table, in_words
from bench.pages.evaluation import last_stage
from bench.pages.verdicts import mean_mark, spread
from bench.results.evidence import ErrorKinds, Errors

KINDS = ("missed", "spurious", "boundary", "boundary_type", "type", "link", "split", "merged", "concept")
"""Kinds of errors in the order in which they are stacked."""
SORTS = {
    "length": "words", "training": "times in training", "fragments": "pieces", "negated": "negated",
    "abbreviation": "abbreviation",
}  # fmt: skip
"""Sort of mentions to its label."""
BARS = (
    f"Bars are 95% t-intervals over runs; of a single run, or with fewer than {SMALL} mentions or {FEW} right or wrong, "
    "Wilson's over mentions where that is wider."
)
"""What the intervals of shares of mentions are."""


def errors(evidence: Evidence) -> Figure | None:
    """Errors by kind as stacked bars: one plot a task, one line an arm."""
    counts: dict[tuple[str, str, str], list[float]] = {}
    used: list[ReportedRun] = []
    for run, task, kinds in _errors(evidence):
        used.append(run)
        for kind, count in kinds.items():
            counts.setdefault((task, run.arm, kind), []).append(count)
    if not counts:
        return None
    order = [*KINDS, *sorted({kind for _, _, kind in counts} - {*KINDS})]
    groups = tuple(kind.replace("_", " and ") for kind in order if any(kind == k for _, _, k in counts))
    marks = tuple(Mark(fmean(n), arm, task, kind.replace("_", " and ")) for (task, arm, kind), n in counts.items())
    words_of: dict[str, list[str]] = {}
    for m in marks:
        words_of.setdefault(f"{m.panel}, {m.y}", []).append(f"{m.group} {m.x:.4g}")
    says = "; ".join(f"{line}: {', '.join(words)}" for line, words in words_of.items())
    return Figure(
        "errors", "Errors by kind", "Mean over an arm's runs, test split; counts only, a mention is in exactly one kind.",
        f"Errors by kind. {says}.", "bars", "mentions", "", marks, groups, *rests(used),
    )  # fmt: skip


def error_table(evidence: Evidence) -> Table | None:
    """Errors by kind and run."""
    listed = [*_errors(evidence)]
    if not listed:
        return None
    kinds = [kind for kind in KINDS if any(kind in counts for _, _, counts in listed)]
    names = (Column("run", "run"), Column("arm", "arm"), Column("task", "task"))
    columns = (*names, *(Column(kind, kind.replace("_", " and "), "count") for kind in kinds))
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (run.id, run.arm, task, *(counts.get(kind, 0) for kind in kinds)) for run, task, counts in listed
    )
    caption = "Of mentions on the test split, as counts: what they are about is in no result."
    return Table("errors", "Errors by kind", caption, columns, rows, *rests([run for run, _, _ in listed]))


def sorts(evidence: Evidence) -> Figure | None:
    """Share of gold mentions found: one plot a task, one line a sort and group of mentions, one colour an arm."""
    known = [row for row in _sorted(evidence) if row[4]]
    groups = {(task, sort): {group for t, s, group, *_ in known if (t, s) == (task, sort)} for task, sort, *_ in known}
    several = [row for row in known if len(groups[row[0], row[1]]) > 1]  # one group alone is all mentions
    if not several:
        return None
    marks = [
        mean_mark(shares, _items(counts), f"{SORTS.get(sort, sort)}: {group}", task, arm)
        for task, sort, group, arm, shares, counts in several
    ]
    arms = tuple(arm for arm in evidence.arms if any(arm == m.group for m in marks))
    return Figure(
        "sorts", "Mentions found by sort", "Share of gold mentions found exactly: by words, by how often the same words are a "
        f"mention in training, in one piece or several, negated, abbreviated. Means over an arm's runs. {BARS}",
        f"Share of mentions found. {in_words(marks)}.", "intervals", "share of gold mentions found", "", tuple(marks), arms,
        *rests([run for run, _, _ in _by_sort(evidence)]),
    )  # fmt: skip


def sort_table(evidence: Evidence) -> Table | None:
    """Outcomes of mentions of each sort, one line an arm."""
    columns = (
        Column("task", "task"), Column("sort", "sort"), Column("group", "group"), Column("arm", "arm"),
        Column("runs", "runs", "count"), Column("gold", "in gold", "count"), Column("found", "found", "score"),
        Column("sd", "SD", "score"), Column("low", "95% low", "score"), Column("high", "95% high", "score"),
        Column("missed", "missed", "score"), Column("otherwise", "otherwise", "score"),
        Column("predicted", "predicted", "count"), Column("right", "right", "score"),
        Column("spurious", "spurious", "score"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for task, sort, group, arm, shares, counts in _sorted(evidence):
        gold, predicted = [kinds.gold for kinds in counts], [kinds.predicted for kinds in counts]
        known = spread(shares) if shares else None
        mean, sd = (None, None) if known is None else (known.mean, known.sd)
        mark = mean_mark(shares, _items(counts), group, task, arm) if shares else None
        bounds = (None, None) if mark is None else (mark.low, mark.high)
        missed = _mean_share(gold, "missed")
        other = None if mean is None or missed is None else max(0.0, 1 - mean - missed)
        of_gold = (fmean(sum(kinds.values()) for kinds in gold), mean, sd, *bounds, missed, other)
        of_predicted = (fmean(sum(kinds.values()) for kinds in predicted), _mean_share(predicted, "correct"))
        rows.append((
            task, SORTS.get(sort, sort), group, arm, len(counts), *of_gold, *of_predicted, _mean_share(predicted, "spurious")
        ))  # fmt: skip
    caption = (
        "Means over an arm's runs, test split. Gold mentions are sorted by gold, predicted ones by themselves; otherwise: "
        "with another boundary, label, concept or link. Abbreviations go by a rule of thumb on their letters. "
        f"Intervals are those of the share that is found: {BARS[0].lower()}{BARS[1:]}"
    )
    using = [run for run, _, _ in _by_sort(evidence)]
    return Table("sorts", "Errors by sort of mention", caption, columns, tuple(rows), *rests(using)) if rows else None


def _sorted(evidence: Evidence) -> list[tuple[str, str, str, str, list[float], list[ErrorKinds]]]:
    """Task, sort, group and arm to the share found of each run that has such mentions, and to the counts of every run."""
    by_group: dict[tuple[str, str, str, str], list[ErrorKinds]] = {}
    for run, task, by in _by_sort(evidence):
        for sort, groups in by.items():
            for group, counts in groups.items():
                by_group.setdefault((task, sort, group, run.arm), []).append(counts)
    order = {sort: i for i, sort in enumerate(SORTS)}
    tasks, arms = {task: i for i, task in enumerate(evidence.tasks)}, {arm: i for i, arm in enumerate(evidence.arms)}
    places = sorted(by_group, key=lambda key: (tasks[key[0]], order.get(key[1], len(order)), arms[key[3]]))
    return [(*key, _shares([kinds.gold for kinds in by_group[key]], "correct"), by_group[key]) for key in places]


def _last(evidence: Evidence) -> Iterator[tuple[ReportedRun, str, Errors]]:
    stages = ((run, task, last_stage(run.result.errors, task)) for run in evidence.runs for task in run.tasks)
    return ((run, task, errors) for run, task, errors in stages if errors is not None)


def _by_sort(evidence: Evidence) -> list[tuple[ReportedRun, str, Mapping[str, Mapping[str, ErrorKinds]]]]:
    return [(run, task, errors.by) for run, task, errors in _last(evidence) if errors.by]


def _items(counts: list[ErrorKinds]) -> float:
    """Gold mentions of a run that has some, as a mean over runs; the test split is the same in all, so that they agree."""
    totals = [total for kinds in counts if (total := sum(kinds.gold.values()))]
    return fmean(totals) if totals else 0.0


def _shares(counts: list[Mapping[str, int]], kind: str) -> list[float]:
    return [row.get(kind, 0) / total for row in counts if (total := sum(row.values()))]


def _mean_share(counts: list[Mapping[str, int]], kind: str) -> float | None:
    shares = _shares(counts, kind)
    return fmean(shares) if shares else None


def _errors(evidence: Evidence) -> list[tuple[ReportedRun, str, dict[str, int]]]:
    counted = []
    for run, task, errors in _last(evidence):
        # Gold mentions are counted on the gold side, so that a merged mention counts once for each of them.
        sides = {"spurious": errors.predicted.get("spurious", 0), **errors.gold}
        counted.append((run, task, {kind: count for kind, count in sides.items() if kind != "correct"}))
    return counted
