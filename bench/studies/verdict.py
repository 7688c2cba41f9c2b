"""The verdict of the token-control study: why a multi-task run beats, or does not beat, a single-task one.

Per task the multi-task run is compared with the task alone on as many tokens **in all** (`at_total`), and with the task alone
on the tokens that **it** had in the multi-task run (`at_own`). Differences are the multi-task score less the single one.

- *genuine transfer*: it beats the single run at equal total;
- *data exposure*: it beats the single run at the task's own tokens only, and is equivalent to it, within the margin, at equal
  total;
- *negative transfer*: it loses at the task's own tokens;
- *unresolved*: anything else, fewer than six seeds included, with the effect that this design could have detected.

"Beats" and "loses" are intervals over seeds and documents (`bench.stats.intervals`) that leave out 0, adjusted by Holm for the
tasks that are asked about at once; "equivalent" is two one-sided tests (Schuirmann 1987): the tight interval inside of the
margin. Where it beats the single run at equal total and loses to the one at its own tokens, two of these hold at once, the data
contradict themselves, and nothing is resolved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from bench.results.display import change, interval
from bench.results.statistics import Statistics
from bench.stats.intervals import LEVEL, MINIMUM_SEEDS, POWER, Estimate, Measure, align, estimate, scores
from bench.stats.multiplicity import holm

MARGIN = 0.01
"""Default of the equivalence margin: one point of F, absolute."""

Kind = Literal["genuine transfer", "data exposure", "negative transfer", "unresolved"]
Arm = Mapping[str, Mapping[int, Statistics]]
"""Task to seed to the statistics of the run of that seed, all of one split and stage."""


@dataclass(frozen=True)
class TaskVerdict:
    """The verdict of one task.

    Args:
        task: its name.
        kind: the verdict.
        reason: why, in one sentence with the numbers.
        metric: what was compared, a dotted path.
        multi: score of the multi-task runs, mean over seeds.
        total: score of the single runs at equal total.
        own: score of the single runs at the task's own tokens.
        at_total: multi less total.
        at_own: multi less own.
    """

    task: str
    kind: Kind
    reason: str
    metric: str
    multi: float
    total: float
    own: float
    at_total: Estimate
    at_own: Estimate

    def to_json(self) -> dict[str, Any]:
        """Every field, JSON-able."""
        return asdict(self)


@dataclass(frozen=True)
class Verdict:
    """The verdicts of all tasks, and the rules that they follow.

    Args:
        tasks: one a task.
        margin: of equivalence, in the metric's own unit.
        level: of the intervals.
        power: of what could have been detected.
        minimum_seeds: with fewer, nothing is resolved.
    """

    tasks: tuple[TaskVerdict, ...]
    margin: float = MARGIN
    level: float = LEVEL
    power: float = POWER
    minimum_seeds: int = MINIMUM_SEEDS

    def __getitem__(self, task: str) -> TaskVerdict:
        return next(verdict for verdict in self.tasks if verdict.task == task)

    def to_json(self) -> dict[str, Any]:
        """Every field, JSON-able; ``tasks`` is a list."""
        return asdict(self) | {"tasks": [verdict.to_json() for verdict in self.tasks]}


def verdicts(
    multi: Arm,
    total: Arm,
    own: Arm,
    measures: Mapping[str, Measure],
    metrics: Mapping[str, str] | None = None,
    *,
    margin: float = MARGIN,
    level: float = LEVEL,
    power: float = POWER,
) -> Verdict:
    """The verdict of every task, from the multi-task runs, each task alone at equal total, and each at its own tokens.

    `measures` maps a task to the score that is compared, from its summed statistics; its tasks are the ones judged. `metrics`
    names that score. `margin` is that of equivalence, in the metric's own unit, `level` that of intervals, and `power` that of
    what could have been detected.

    Raises:
        BenchError: arms that were not scored on the same documents, or that share no seed.
    """
    family, named = len(measures), metrics or {}
    estimates = []
    for task, measure in measures.items():
        first, second, names, _ = align(total[task], multi[task])
        at_total = estimate(first, second, names, measure, level=level, power=power, family=family)
        multis, totals = (float(scores(table, names, measure).mean()) for table in (second, first))
        first, second, names, _ = align(own[task], multi[task])
        at_own = estimate(first, second, names, measure, level=level, power=power, family=family)
        owns = float(scores(first, names, measure).mean())
        estimates.append((task, (multis, totals, owns), at_total, at_own))
    by_total = holm([at_total.p for *_, at_total, _ in estimates], 1 - level)
    by_own = holm([at_own.p for *_, at_own in estimates], 1 - level)
    judged = []
    for (task, means, at_total, at_own), p_total, p_own in zip(estimates, by_total, by_own, strict=True):
        at_total, at_own = replace(at_total, p_holm=p_total), replace(at_own, p_holm=p_own)
        kind, reason = judge(at_total, at_own, margin, level, power)
        judged.append(TaskVerdict(task, kind, reason, named.get(task, ""), *means, at_total, at_own))
    return Verdict(tuple(judged), margin, level, power)


def judge(at_total: Estimate, at_own: Estimate, margin: float, level: float = LEVEL, power: float = POWER) -> tuple[Kind, str]:
    """The verdict of one task and the sentence that says why.

    The estimates are multi-task less single, at equal total and at the task's own tokens, with adjusted p. `margin` is that of
    equivalence, `level` that of the intervals, `power` that of what could have been detected.
    """
    seeds = min(at_total.seeds, at_own.seeds)
    note = _power_note(at_total, power)
    if seeds < MINIMUM_SEEDS:
        return (
            "unresolved",
            f"Not resolved at this number of seeds: {seeds}, and a verdict wants {MINIMUM_SEEDS} or more.{note}",
        )
    if at_total.se is None or at_own.se is None:
        return "unresolved", "Seeds or documents do not vary at all, so that nothing says how far luck alone goes."
    alpha = 1 - level
    better, gained, lost = beats(at_total, alpha), beats(at_own, alpha), loses(at_own, alpha)
    if better and lost:
        outcomes = (
            f"It beats the single run at equal total ({shown(at_total)}) and loses at the task's own tokens ({shown(at_own)})"
        )
        return "unresolved", f"{outcomes}: the two contradict each other."
    if better:
        small = " The gain is real but smaller than the margin." if at_total.within(margin) else ""
        return "genuine transfer", f"It beats the single run at equal total: {shown(at_total)}.{small}"
    if lost:
        return "negative transfer", f"It loses at the task's own tokens: {shown(at_own)}."
    if gained and at_total.within(margin):
        return "data exposure", (
            f"It beats the single run at the task's own tokens only ({shown(at_own)}) and equals it, within ±{margin:g}, "
            f"at equal total ({shown(at_total)})."
        )
    if gained and loses(at_total, alpha):
        return "unresolved", (
            f"It beats the single run at the task's own tokens ({shown(at_own)}) and loses to it at equal total "
            f"({shown(at_total)}): the other tasks' tokens helped, but less than as many of its own.{note}"
        )
    if gained:
        return "unresolved", (
            f"It beats the single run at the task's own tokens ({shown(at_own)}), but at equal total ({shown(at_total)}) "
            f"it neither beats it nor is shown to be within ±{margin:g}.{note}"
        )
    return (
        "unresolved",
        f"It neither beats nor loses: {shown(at_total)} at equal total, {shown(at_own)} at its own tokens.{note}",
    )


def beats(estimate: Estimate, alpha: float) -> bool:
    """Whether the interval lies above 0, and does so after the adjustment for the family."""
    return estimate.low is not None and estimate.low > 0 and estimate.p_holm is not None and estimate.p_holm < alpha


def loses(estimate: Estimate, alpha: float) -> bool:
    """Whether the interval lies below 0, and does so after the adjustment for the family."""
    return estimate.high is not None and estimate.high < 0 and estimate.p_holm is not None and estimate.p_holm < alpha


def shown(estimate: Estimate) -> str:
    """A difference and its interval, as in ``+.012 [+.004, +.020]``."""
    return f"{change(estimate.difference)} {interval(estimate.low, estimate.high, estimate.seeds)}".rstrip()


def _power_note(estimate: Estimate, power: float) -> str:
    if estimate.detectable is None or estimate.margin_detectable is None:
        return ""
    return (
        f" With {estimate.seeds} seeds and {estimate.documents:,} documents a true difference of {estimate.detectable:.4f} "
        f"would have been found {power:.0%} of the time, and equality shown within ±{estimate.margin_detectable:.4f}."
    )


__all__ = ["MARGIN", "Arm", "Kind", "TaskVerdict", "Verdict", "judge", "verdicts"]
