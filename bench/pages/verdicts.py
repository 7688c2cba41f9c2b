"""What stands first: the verdict of a study, or what can be said of arms that no study compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.api.study import Statement, Tone
from bench.pages.collect import Evidence, Run, rests
from bench.pages.content import Cell, Column, Figure, Mark, Table, difference, shown
from bench.results.display import some
from bench.studies.contract import listed
from bench.studies.finished import own_faults

if TYPE_CHECKING:
    from bench.stats.multiplicity import SeedSpread
    from bench.studies.compare import Pair

STRUCTURE = {"pairs": "", "estimate": "", "tasks": ""}
"""Keys of a verdict that say nothing of what is compared."""
SEEDS = 6
"""With fewer, no difference between arms is called one."""
CARDS = 8
"""Comparisons that have a card each; of more a card a task sums up."""


@dataclass(frozen=True)
class Summary:
    """Scores of an arm on a task.

    Args:
        task: its name.
        arm: its name.
        runs: that it has.
        mean: over them; None where none has the score.
        spread: standard deviation over runs; None for one.
        low: of the 95% interval, cut at 0.
        high: of it, cut at 1.
        over: what the interval is over: ``seeds`` (t) from two runs on, ``documents`` (bootstrap) for a single one.
    """

    task: str
    arm: str
    runs: tuple[Run, ...]
    mean: float | None
    spread: float | None
    low: float | None
    high: float | None
    over: str


def summaries(evidence: Evidence) -> tuple[Summary, ...]:
    """Every task and arm that has runs."""
    cells = ((task, arm, evidence.of(task, arm)) for task in evidence.tasks for arm in evidence.arms)
    return tuple(summary(task, arm, runs) for task, arm, runs in cells if runs)


def summary(task: str, arm: str, runs: tuple[Run, ...]) -> Summary:
    """The mean of an arm's runs and an interval: t over seeds, or the one run's own over documents."""
    values = [value for run in runs if (value := run.score(task)) is not None]
    if len(values) > 1:
        found = spread(values)
        return Summary(task, arm, runs, found.mean, found.sd, *cut(found), "seeds")
    low, high = (runs[0].interval(task) if len(runs) == 1 else None) or (None, None)
    return Summary(task, arm, runs, values[0] if values else None, None, low, high, "documents" if low is not None else "")


def spread(values: Sequence[float]) -> SeedSpread:
    """Mean, standard deviation and t-interval over runs."""
    import numpy as np

    from bench.stats.multiplicity import over_seeds

    return over_seeds(np.asarray(values, dtype=np.float64))


def cut(found: SeedSpread) -> tuple[float | None, float | None]:
    """The ends of the interval of a share, which is in [0, 1]."""
    return (None if found.low is None else max(0.0, found.low)), (None if found.high is None else min(1.0, found.high))


def mean_mark(shares: Sequence[float], name: str, task: str, arm: str) -> Mark:
    """The mean of shares over an arm's runs, with its interval."""
    over = spread(shares)
    low, high = cut(over)
    return Mark(over.mean, name, task, arm, low=low, high=high)


def statements(evidence: Evidence) -> list[Statement]:
    """The verdict, or a description where there is none."""
    verdict = _verdict(evidence)
    if verdict is not None and evidence.kind is not None:
        with own_faults(evidence.kind, "telling the verdict"):
            if judged := evidence.kind.statements(verdict):
                return judged
    described = [one for task in evidence.tasks if (one := _described(evidence, task)) is not None]
    held = evidence.held
    if held is None or held.judged:
        return described if held is None else _compared(evidence)
    if held.refused:
        forbids = listed(held.differences)
        described.insert(0, Statement("comparison", "refused", f"{held.reason} {forbids}. {held.hint}", "bad"))
    return described


def tested(evidence: Evidence) -> bool:
    """Whether a study has judged or the runs were compared; otherwise the page describes and tests nothing."""
    return isinstance(_verdict(evidence), Mapping) or (evidence.held is not None and evidence.held.judged)


def estimates(evidence: Evidence) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Every difference that is known: its subject, what was held against what, and the estimate."""
    if evidence.held is not None:
        return [(pair.task, _versus(evidence, pair), pair.estimate.to_json()) for pair in _pairs(evidence)]
    words = STRUCTURE | dict(evidence.kind.words if evidence.kind is not None else {})
    return [*_estimates(_verdict(evidence), words, "", "")]


def differences(evidence: Evidence) -> tuple[list[Figure], list[Table]]:
    """The differences with their intervals, drawn and as a table, and what forbids a comparison; empty without any."""
    found = estimates(evidence)
    runs, synthetic = rests(evidence.runs)
    if not found:
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
    rows: list[tuple[Cell, ...]] = [
        (subject, name, *(_number(e.get(c.name)) for c in columns[2:])) for subject, name, e in found
    ]
    caption = (
        "The first arm less the second. Detectable: the smallest true difference that this many seeds and documents would have "
        "found with the study's power."
    )
    marks = tuple(
        Mark(float(e["difference"]), subject or name, "", name, low=_number(e.get("low")), high=_number(e.get("high")))
        for subject, name, e in found
    )
    said = "; ".join(f"{subject} {name}: {difference(e)}" for subject, name, e in found)
    figure = Figure(
        "differences", "Differences between arms", "Points are means over seeds, bars 95% intervals over seeds and documents. "
        "An interval that holds 0 leaves the sign open.", f"Differences with 95% intervals. {said}.", "intervals",
        "difference in the primary metric", "", marks, tuple(dict.fromkeys(m.group for m in marks)), runs, synthetic, zero=True,
    )  # fmt: skip
    table = Table("differences", "Differences", caption, columns, tuple(rows), runs, synthetic)
    return [figure], [table, *_documents(evidence, runs, synthetic), *_contract(evidence, runs, synthetic)]


def _documents(evidence: Evidence, runs: tuple[str, ...], synthetic: bool) -> Iterator[Table]:
    """What a comparison says beside its intervals."""
    pairs = _pairs(evidence)
    if not pairs or evidence.held is None or evidence.held.comparison is None:
        return
    columns = (
        Column("task", "task"), Column("comparison", "comparison"), Column("metric", "metric"),
        Column("low", "95% low", "change"), Column("high", "95% high", "change"), Column("p", "p", "p"),
        Column("p_holm", "p (Holm)", "p"), Column("d_documents", "d over documents", "ratio"),
        Column("d_seeds", "d over seeds", "ratio"), Column("tally", "seeds won–tied–lost"), Column("conclusion", "conclusion"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for one in pairs:
        told = one.documents
        values = (told.low, told.high, told.p, one.documents_p_holm, told.d_documents, told.d_seeds)
        rows.append((one.task, _versus(evidence, one), one.metric, *values, str(one.tally), _conclusion(evidence, one)))
    caption = (
        f"The trained models held fast: bootstrap and permutation test with {evidence.held.comparison.resamples:,} resamples "
        "of whole documents; d is Cohen's d_z. The conclusion goes by the interval over seeds and documents."
    )
    yield Table("documents", "Differences over documents alone", caption, columns, tuple(rows), runs, synthetic)


def _contract(evidence: Evidence, runs: tuple[str, ...], synthetic: bool) -> Iterator[Table]:
    """In what the runs differ beyond what is compared."""
    found = () if evidence.held is None else evidence.held.differences
    if found:
        columns = (Column("field", "field"), Column("told", "values"), Column("allowed", "allowed", "flag"))
        rows = tuple((one.field, one.told, one.allowed) for one in found)
        caption = "Beyond what is compared. What is not allowed by its name forbids a comparison: it may explain a difference."
        yield Table("contract", "What else differs", caption, columns, rows, runs, synthetic)


def _pairs(evidence: Evidence) -> Sequence[Pair]:
    found = None if evidence.held is None else evidence.held.comparison
    return () if found is None else found.pairs


def _arm(evidence: Evidence, name: str) -> str:
    return evidence.held.names.get(name, name) if evidence.held is not None else name


def _versus(evidence: Evidence, pair: Pair) -> str:
    return f"{_arm(evidence, pair.second)} − {_arm(evidence, pair.first)}"


def _conclusion(evidence: Evidence, pair: Pair) -> str:
    """What follows, with the arms named as on the rest of the page."""
    return pair.conclusion if pair.better is None else f"{_arm(evidence, pair.better)} is better"


def _compared(evidence: Evidence) -> list[Statement]:
    """A card for each comparison, or for each task where there are too many."""
    pairs = _pairs(evidence)
    if len(pairs) <= CARDS:
        return [_card(evidence, pair) for pair in pairs]
    found = []
    for task in dict.fromkeys(pair.task for pair in pairs):
        mine = [pair for pair in pairs if pair.task == task]
        sure = [pair for pair in mine if pair.better is not None]
        told = "; ".join(f"{_conclusion(evidence, p)}, {_versus(evidence, p)} {difference(p.estimate.to_json())}" for p in sure)
        rest = f"{len(mine) - len(sure)} of {len(mine)} differences are {mine[0].conclusion if not sure else 'not resolved'}."
        word = f"{len(sure)} of {len(mine)} resolved"
        found.append(Statement(task, word, f"{told}. {rest}" if told else rest, "good" if sure else "open"))
    return found


def _card(evidence: Evidence, pair: Pair) -> Statement:
    one = pair.estimate
    seeds = f"{some(one.seeds, 'seed')} and {one.documents:,} documents"
    holm = f", p {shown(one.p_holm, 'p')} after Holm" if one.p_holm is not None else ""
    reason = f"{pair.metric} {difference(one.to_json())} over {seeds}{holm}."
    alone = pair.documents
    if alone.low is not None:
        bounds = f"[{shown(alone.low, 'change')}, {shown(alone.high, 'change')}]"
        reason += f" Over documents alone {bounds}, p {shown(pair.documents_p_holm, 'p')}."
    if pair.better is None and one.detectable is not None:
        reason += f" A true difference of {shown(one.detectable, 'score')} would as a rule have been found."
    if one.seeds < SEEDS:
        reason += f" {SEEDS} seeds are the least that resolve anything."
    tone: Tone = "open" if pair.better is None else "good"
    return Statement(f"{pair.task}: {_versus(evidence, pair)}", _conclusion(evidence, pair), reason, tone)


def _verdict(evidence: Evidence) -> Mapping[str, Any] | None:
    return None if evidence.study is None else evidence.study.verdict


def _estimates(node: Any, words: Mapping[str, str], subject: str, name: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    if isinstance(node, Mapping):
        if isinstance(node.get("difference"), (int, float)):
            yield subject, name, node
            return
        here = str(node.get("task") or node.get("subject") or subject)
        pair = f"{node['second']} − {node['first']}" if "first" in node and "second" in node else ""
        pair = f"with {node['partner']}" if "partner" in node else pair
        for key, value in node.items():
            told = words.get(str(key), str(key).replace("_", " "))
            yield from _estimates(value, words, here, ", ".join(filter(None, (pair, told))))
    elif isinstance(node, list):
        for value in node:
            yield from _estimates(value, words, subject, name)


def _described(evidence: Evidence, task: str) -> Statement | None:
    """The arms of a task by their means, and why that is no verdict."""
    scored = [s for s in summaries(evidence) if s.task == task and s.mean is not None]
    if not scored:
        return None
    ranked = sorted(scored, key=lambda s: -(s.mean or 0.0))
    fewest = min(len(s.runs) for s in scored)
    arms = "; ".join(f"{s.arm}, {shown(s.mean, 'score')} ({some(len(s.runs), 'run')})" for s in ranked[:4])
    more = f" and {len(ranked) - 4} more arms" if len(ranked) > 4 else ""
    if len(ranked) == 1:
        return Statement(task, "one arm", f"{arms}; there is nothing to compare it with.")
    close = f" With {some(fewest, 'run')} in an arm, {SEEDS} being the least, no difference is resolved."
    return Statement(task, "not tested", f"By mean: {arms}{more}.{close if fewest < SEEDS else ''}")


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
