"""The first part of the page: the verdict of a study, or a comparison or description of its arms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.api.study import Statement, Tone
from bench.evaluation.small_counts import few, wilson
from bench.pages.collect import Evidence, ReportedRun, rests
from bench.pages.content import Cell, Column, Figure, Mark, Table, bounded, difference, shown
from bench.results.display import NOT_ESTIMABLE, estimable, findable
from bench.stats.intervals import MINIMUM_SEEDS
from bench.studies.contract import listed
from bench.studies.finished import estimates_in, own_faults
from bench.wording import some

if TYPE_CHECKING:
    from bench.stats.multiplicity import SeedSpread
    from bench.studies.compare import Pair

CARDS = 8
"""Most comparisons with a card each; above it there is one card a task."""


@dataclass(frozen=True)
class Summary:
    """Scores of an arm on a task.

    Args:
        task: name of the task.
        arm: name of the arm.
        runs: of the arm.
        mean: over the runs; None where none has the score.
        spread: standard deviation over runs; None for a single run.
        low: lower end of the 95% interval, at least 0.
        high: upper end of the 95% interval, at most 1.
        over: the interval is over ``seeds`` (t, from three runs on) or ``documents`` (that of a single run's result); of two
            runs it is not estimable.
    """

    task: str
    arm: str
    runs: tuple[ReportedRun, ...]
    mean: float | None
    spread: float | None
    low: float | None
    high: float | None
    over: str


def summaries(evidence: Evidence) -> tuple[Summary, ...]:
    """A summary for every task and arm with runs."""
    cells = ((task, arm, evidence.of(task, arm)) for task in evidence.tasks for arm in evidence.arms)
    return tuple(summary(task, arm, runs) for task, arm, runs in cells if runs)


def summary(task: str, arm: str, runs: tuple[ReportedRun, ...]) -> Summary:
    """Mean of an arm's runs with an interval: t over seeds, or for a single run its own over documents."""
    values = [value for run in runs if (value := run.score(task)) is not None]
    if len(values) > 1:
        seeds = spread(values)
        if not estimable(seeds.seeds):
            return Summary(task, arm, runs, seeds.mean, seeds.sd, None, None, NOT_ESTIMABLE)
        return Summary(task, arm, runs, seeds.mean, seeds.sd, *cut(seeds), "seeds")
    low, high = (runs[0].interval(task) if len(runs) == 1 else None) or (None, None)
    return Summary(task, arm, runs, values[0] if values else None, None, low, high, "documents" if low is not None else "")


def spread(values: Sequence[float]) -> SeedSpread:
    """Mean, standard deviation and t-interval over runs."""
    import numpy as np

    from bench.stats.multiplicity import over_seeds

    return over_seeds(np.asarray(values, dtype=np.float64))


def cut(seeds: SeedSpread) -> tuple[float | None, float | None]:
    """The interval of a share, cut at 0 and 1."""
    return (None if seeds.low is None else max(0.0, seeds.low)), (None if seeds.high is None else min(1.0, seeds.high))


def mean_mark(shares: Sequence[float], items: float, name: str, task: str, arm: str) -> Mark:
    """The mean of shares over an arm's runs, with an interval: t over runs; where there is one run, or too few items are right
    or wrong for runs to tell how far luck goes, at least Wilson's.

    Args:
        shares: one a run.
        items: that a share is of, as a mean over runs.
        name: of the line.
        task: of the runs.
        arm: of the runs.
    """
    over = spread(shares)
    low, high = cut(over)
    counted = wilson(over.mean * items, items)
    if counted is not None and (low is None or high is None):
        low, high = counted
    elif counted is not None and low is not None and high is not None and few(over.mean * items, items - over.mean * items):
        low, high = min(low, counted[0]), max(high, counted[1])
    return Mark(over.mean, name, task, arm, low=low, high=high)


def statements(evidence: Evidence) -> list[Statement]:
    """The verdict in sentences, or a description where there is none."""
    verdict = _verdict(evidence)
    if verdict is not None and evidence.kind is not None:
        with own_faults(evidence.kind, "telling the verdict"):
            if judged := evidence.kind.statements(verdict):
                return judged
    described = [card for task in evidence.tasks if (card := _described(evidence, task)) is not None]
    compared = evidence.comparison
    if compared is None or compared.judged:
        return described if compared is None else _compared(evidence)
    if compared.refused:
        forbids = listed(compared.differences)
        described.insert(0, Statement("comparison", "refused", f"{compared.reason} {forbids}. {compared.hint}", "bad"))
    return described


def tested(evidence: Evidence) -> bool:
    """Whether the study has a verdict or the runs were compared; otherwise the page only describes."""
    return isinstance(_verdict(evidence), Mapping) or (evidence.comparison is not None and evidence.comparison.judged)


def estimates(evidence: Evidence) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Every known difference: its subject, the comparison, and the estimate."""
    if evidence.comparison is not None:
        return [(pair.task, _versus(evidence, pair), pair.estimate.to_json()) for pair in _pairs(evidence)]
    return [*estimates_in(_verdict(evidence), evidence.kind)]


def differences(evidence: Evidence) -> tuple[list[Figure], list[Table]]:
    """Figures and tables of the differences with their intervals, and of what forbids a comparison; may be empty."""
    known = estimates(evidence)
    runs, synthetic = rests(evidence.runs)
    if not known:
        return [], [*_contract(evidence, runs, synthetic)]
    columns = (
        Column("subject", "task"),
        Column("comparison", "comparison"),
        Column("difference", "difference", "change"),
        Column("low", "95% low", "change"),
        Column("high", "95% high", "change"),
        Column("p", "p", "p"),
        Column("p_holm", "p (Holm)", "p"),
        Column("seeds", "seeds", "count"),
        Column("documents", "documents", "count"),
        Column("detectable", "detectable", "score"),
    )
    rows: list[tuple[Cell, ...]] = [(subject, name, *(bounded(e, c.name) for c in columns[2:])) for subject, name, e in known]
    caption = (
        "The arm that is named first less the other. Detectable: the smallest true difference that this many seeds and "
        "documents would have found with the study's power."
    )
    marks = tuple(
        Mark(float(e["difference"]), subject or name, "", name, low=_bound(e, "low"), high=_bound(e, "high"))
        for subject, name, e in known
    )
    said = "; ".join(f"{subject} {name}: {difference(e)}" for subject, name, e in known)
    figure = Figure(
        "differences", "Differences between arms", "Points are means over seeds, bars 95% intervals over seeds and documents. "
        "An interval that holds 0 leaves the sign open; from two seeds none is estimable.",
        f"Differences with 95% intervals. {said}.", "intervals",
        "difference in the primary metric", "", marks, tuple(dict.fromkeys(m.group for m in marks)), runs, synthetic, zero=True,
    )  # fmt: skip
    table = Table("differences", "Differences", caption, columns, tuple(rows), runs, synthetic)
    return [figure], [table, *_documents(evidence, runs, synthetic), *_contract(evidence, runs, synthetic)]


def _documents(evidence: Evidence, runs: tuple[str, ...], synthetic: bool) -> Iterator[Table]:
    """The table of differences over documents alone."""
    pairs = _pairs(evidence)
    if not pairs or evidence.comparison is None or evidence.comparison.result is None:
        return
    columns = (
        Column("task", "task"), Column("comparison", "comparison"), Column("metric", "metric"),
        Column("low", "95% low", "change"), Column("high", "95% high", "change"), Column("p", "p", "p"),
        Column("p_holm", "p (Holm)", "p"), Column("d_documents", "d over documents", "change"),
        Column("d_seeds", "d over seeds", "change"), Column("tally", "seeds won–tied–lost"), Column("conclusion", "conclusion"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for pair in pairs:
        alone = pair.documents
        values = (alone.low, alone.high, alone.p, pair.documents_p_holm, alone.d_documents, alone.d_seeds)
        rows.append((pair.task, _versus(evidence, pair), pair.metric, *values, str(pair.tally), _conclusion(evidence, pair)))
    caption = (
        "Given the trained models, without variance over seeds: bootstrap and permutation test with "
        f"{some(evidence.comparison.result.resamples, 'resample')} of documents; d is Cohen's d_z. The conclusion follows "
        "from the interval over seeds and documents."
    )
    yield Table("documents", "Differences over documents alone", caption, columns, tuple(rows), runs, synthetic)


def _contract(evidence: Evidence, runs: tuple[str, ...], synthetic: bool) -> Iterator[Table]:
    """The table of other fields in which the runs differ."""
    differing = () if evidence.comparison is None else evidence.comparison.differences
    if differing:
        columns = (Column("field", "field"), Column("told", "values"), Column("allowed", "allowed", "flag"))
        rows = tuple((difference.field, difference.told, difference.allowed) for difference in differing)
        caption = "Beyond what is compared. What is not allowed by its name forbids a comparison: it may explain a difference."
        yield Table("contract", "What else differs", caption, columns, rows, runs, synthetic)


def _pairs(evidence: Evidence) -> Sequence[Pair]:
    comparison = None if evidence.comparison is None else evidence.comparison.result
    return () if comparison is None else comparison.pairs


def _arm(evidence: Evidence, name: str) -> str:
    return evidence.comparison.names.get(name, name) if evidence.comparison is not None else name


def _versus(evidence: Evidence, pair: Pair) -> str:
    return f"{_arm(evidence, pair.second)} − {_arm(evidence, pair.first)}"


def _conclusion(evidence: Evidence, pair: Pair) -> str:
    """The conclusion, with the page's names of arms."""
    return pair.conclusion if pair.better is None else f"{_arm(evidence, pair.better)} is better"


def _compared(evidence: Evidence) -> list[Statement]:
    """One card for each comparison, or for each task where there are too many."""
    pairs = _pairs(evidence)
    if len(pairs) <= CARDS:
        return [_card(evidence, pair) for pair in pairs]
    cards = []
    for task in dict.fromkeys(pair.task for pair in pairs):
        group = [pair for pair in pairs if pair.task == task]
        sure = [pair for pair in group if pair.better is not None]
        texts = [f"{_conclusion(evidence, p)}, {_versus(evidence, p)} {difference(p.estimate.to_json())}" for p in sure]
        left = f"{len(group) - len(sure)} of {some(len(group), 'difference')}"
        rest = f"{'Not resolved' if sure else group[0].conclusion.capitalize()}: {left}."
        word = f"{len(sure)} of {len(group)} resolved"
        cards.append(Statement(task, word, f"{'; '.join(texts)}. {rest}" if texts else rest, "good" if sure else "open"))
    return cards


def _card(evidence: Evidence, pair: Pair) -> Statement:
    estimate = pair.estimate
    seeds = f"{some(estimate.seeds, 'seed')} and {estimate.units}"
    holm = f", p {shown(estimate.p_holm, 'p')} after Holm" if estimate.p_holm is not None else ""
    reason = f"{pair.metric} {difference(estimate.to_json())} over {seeds}{holm}."
    alone = pair.documents
    if alone.low is not None:
        bounds = f"[{shown(alone.low, 'change')}, {shown(alone.high, 'change')}]"
        reason += f" Over {estimate.unit or 'documents'} alone {bounds}, p {shown(pair.documents_p_holm, 'p')}."
    if pair.better is None and estimate.detectable is not None:
        reason += f" {findable(estimate.detectable).capitalize()} would probably have been found."
    if estimate.seeds < MINIMUM_SEEDS:
        reason += f" A verdict needs at least {MINIMUM_SEEDS} seeds."
    tone: Tone = "open" if pair.better is None else "good"
    return Statement(f"{pair.task}: {_versus(evidence, pair)}", _conclusion(evidence, pair), reason, tone)


def _verdict(evidence: Evidence) -> Mapping[str, Any] | None:
    return None if evidence.study is None else evidence.study.verdict


def _described(evidence: Evidence, task: str) -> Statement | None:
    """The arms of a task by their means, and the reason why this is no verdict."""
    scored = [s for s in summaries(evidence) if s.task == task and s.mean is not None]
    if not scored:
        return None
    ranked = sorted(scored, key=lambda s: -(s.mean or 0.0))
    fewest = min(len(s.runs) for s in scored)
    arms = "; ".join(f"{s.arm}, {shown(s.mean, 'score')} ({some(len(s.runs), 'run')})" for s in ranked[:4])
    more = f" and {some(len(ranked) - 4, 'more arm')}" if len(ranked) > 4 else ""
    if len(ranked) == 1:
        return Statement(task, "one arm", f"{arms}; there is nothing to compare it with.")
    close = f" With {some(fewest, 'run')} in an arm, {MINIMUM_SEEDS} being the least, no difference is resolved."
    return Statement(task, "not tested", f"By mean: {arms}{more}.{close if fewest < MINIMUM_SEEDS else ''}")


def _bound(estimate: Mapping[str, Any], name: str) -> float | None:
    """An end of a difference's interval; None where there is none, or the seeds are too few for one."""
    bound = bounded(estimate, name)
    return None if isinstance(bound, str) else bound
