"""The verdict of the token-control study: why a multi-task run beats, or does not beat, a single-task one.

Per task the multi-task run is compared with the task alone on as many tokens **in all** (`at_total`), and with the task alone
on the tokens that **it** had in the multi-task run (`at_own`). Differences are the multi-task score less the single one. Each
of the two comparisons has one of four outcomes, taken in this order:

1. *equivalent*: two one-sided tests (Schuirmann 1987), the tight interval inside of the margin, also where the difference is
   not 0: the margin is what the study counts as a difference, fixed before its first run;
2. *better*, 3. *worse*: the interval over seeds and documents (`bench.stats.intervals`) leaves out 0, and still does after
   Holm's adjustment for the tasks that are asked about at once;
4. *open*: none of these.

The two outcomes give one word (`WORDS`):

| at equal total ↓, at own tokens → | better | equivalent | worse | open |
|---|---|---|---|---|
| **better** | genuine transfer | genuine transfer | unresolved (they contradict) | genuine transfer |
| **equivalent** | data exposure | no effect | negative transfer | unresolved |
| **worse** | costly sharing | no transfer | negative transfer | unresolved |
| **open** | unresolved | unresolved | negative transfer | unresolved |

- *genuine transfer*: better at equal total. The other tasks' tokens are worth more than as many of its own.
- *data exposure*: better at own tokens, equivalent at equal total. The gain is that of more training tokens.
- *costly sharing*: better at own tokens, worse at equal total. The other tasks' tokens help less than as many of its own.
- *no transfer*: equivalent at own tokens, worse at equal total. The other tasks' tokens do nothing, its own would help.
- *negative transfer*: worse at own tokens. The other tasks' tokens do harm.
- *no effect*: equivalent at both. Neither the other tasks' tokens nor more of its own change the score.
- *unresolved*: the design cannot tell, fewer than six seeds included; the reason says which seeds, documents or effect could.

Equivalence comes first, so that the word of a large study is that of the true differences: without it, any difference, however
small, would become a win or a loss with enough documents. Where a task is better at equal total and worse at own tokens, its
single run must get worse with more of its own tokens: the data contradict themselves, and nothing is resolved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from bench.results.display import change, findable, interval, p_value, short, within
from bench.results.statistics import Statistics
from bench.stats.intervals import LEVEL, MINIMUM_SEEDS, POWER, Estimate, Measure, align, estimate, scores, unit_of, wanted
from bench.stats.multiplicity import holm
from bench.stats.sequential import ONE_LOOK, Look
from bench.wording import some

MARGIN = 0.01
"""Default of the equivalence margin: one point of F, absolute."""

Outcome = Literal["better", "equivalent", "worse", "open"]
"""Of one comparison: the multi-task run against the single one."""
Kind = Literal[
    "genuine transfer", "data exposure", "costly sharing", "no transfer", "negative transfer", "no effect", "unresolved"
]
WORDS: Mapping[tuple[Outcome, Outcome], Kind] = {
    ("better", "better"): "genuine transfer",
    ("better", "equivalent"): "genuine transfer",
    ("better", "worse"): "unresolved",
    ("better", "open"): "genuine transfer",
    ("equivalent", "better"): "data exposure",
    ("equivalent", "equivalent"): "no effect",
    ("equivalent", "worse"): "negative transfer",
    ("equivalent", "open"): "unresolved",
    ("worse", "better"): "costly sharing",
    ("worse", "equivalent"): "no transfer",
    ("worse", "worse"): "negative transfer",
    ("worse", "open"): "unresolved",
    ("open", "better"): "unresolved",
    ("open", "equivalent"): "unresolved",
    ("open", "worse"): "negative transfer",
    ("open", "open"): "unresolved",
}
"""Outcome at equal total and at own tokens to the verdict: every pair has one word."""
MEANING: Mapping[Kind, str] = {
    "genuine transfer": "the other tasks' tokens are worth more than as many of its own",
    "data exposure": "the gain is that of more training tokens",
    "costly sharing": "the other tasks' tokens help, but less than as many of its own",
    "no transfer": "the other tasks' tokens do nothing for it, where as many of its own help",
    "negative transfer": "the other tasks' tokens do harm",
    "no effect": "neither the other tasks' tokens nor more of its own change the score",
}
"""What a verdict says of the other tasks' tokens."""
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
    look: Look = ONE_LOOK,
) -> Verdict:
    """The verdict of every task, from the multi-task runs, each task alone at equal total, and each at its own tokens.

    `measures` maps a task to the score that is compared, from its summed statistics; its tasks are the ones judged. `metrics`
    names that score. `margin` is that of equivalence, in the metric's own unit, `level` that of intervals, and `power` that of
    what could have been detected. At one `look` of several the intervals have the look's level, and p the adjustment for all.

    Raises:
        BenchError: arms that were not scored on the same documents, or that share no seed.
    """
    family, named = len(measures), metrics or {}
    here = level if look.alone else look.level
    estimates = []
    for task, measure in measures.items():
        unit = unit_of(multi[task])
        first, second, names, _ = align(total[task], multi[task])
        at_total = estimate(first, second, names, measure, level=here, power=power, family=family, unit=unit)
        multis, totals = (float(scores(table, names, measure).mean()) for table in (second, first))
        first, second, names, _ = align(own[task], multi[task])
        at_own = estimate(first, second, names, measure, level=here, power=power, family=family, unit=unit)
        owns = float(scores(first, names, measure).mean())
        estimates.append((task, (multis, totals, owns), at_total, at_own))
    by_total = holm([look.adjusted(at_total.p) for *_, at_total, _ in estimates], 1 - level)
    by_own = holm([look.adjusted(at_own.p) for *_, at_own in estimates], 1 - level)
    judged = []
    for (task, means, at_total, at_own), p_total, p_own in zip(estimates, by_total, by_own, strict=True):
        at_total, at_own = replace(at_total, p_holm=p_total), replace(at_own, p_holm=p_own)
        kind, reason = judge(at_total, at_own, margin, level, power, look)
        widest = max(at_total, at_own, key=lambda estimate: estimate.design_effect or 0.0)
        reason = " ".join(filter(None, (reason, widest.caution)))
        judged.append(TaskVerdict(task, kind, reason, named.get(task, ""), *means, at_total, at_own))
    return Verdict(tuple(judged), margin, here, power)


def judge(
    at_total: Estimate, at_own: Estimate, margin: float, level: float = LEVEL, power: float = POWER, look: Look = ONE_LOOK
) -> tuple[Kind, str]:
    """The verdict of one task and the sentence that says why.

    The estimates are multi-task less single, at equal total and at the task's own tokens, with adjusted p. `margin` is that of
    equivalence, `level` that of a single look, `power` that of what could have been detected, `look` the one they were made at.
    """
    seeds = min(at_total.seeds, at_own.seeds)
    if seeds < MINIMUM_SEEDS:
        could = _could(at_total, margin, level, power, look)
        return (
            "unresolved",
            f"Not resolved at this number of seeds: {seeds}, and a verdict wants {MINIMUM_SEEDS} or more.{could}",
        )
    if at_total.se is None or at_own.se is None:
        return "unresolved", "Seeds or documents do not vary at all, so that nothing says how far luck alone goes."
    outcomes = outcome(at_total, margin, 1 - level), outcome(at_own, margin, 1 - level)
    kind = WORDS[outcomes]
    places = ((at_total, "equal total"), (at_own, "its own tokens"))
    one, other = (
        f"{_told(state, estimate, margin)} at {place} ({shown(estimate)})"
        for state, (estimate, place) in zip(outcomes, places, strict=True)
    )
    told = f"Against the single runs it is {one} and {other}"
    if kind != "unresolved":
        return kind, f"{told}: {MEANING[kind]}."
    unclear = [estimate for state, (estimate, _) in zip(outcomes, places, strict=True) if state == "open"]
    if unclear:
        widest = max(unclear, key=lambda estimate: estimate.margin_detectable or 0.0)
        return kind, f"{told}.{_could(widest, margin, level, power, look)}"
    return kind, (
        f"{told}: the two contradict each other, unless the single run gets worse with more tokens of its own. Its learning "
        "curve says whether it does; another learning rate or budget could tell, more seeds hardly."
    )


def outcome(estimate: Estimate, margin: float, alpha: float) -> Outcome:
    """The outcome of one comparison; see the module for its order."""
    if estimate.within(margin):
        return "equivalent"
    return "better" if beats(estimate, alpha) else "worse" if loses(estimate, alpha) else "open"


def beats(estimate: Estimate, alpha: float) -> bool:
    """Whether the interval lies above 0, and does so after the adjustment for the family."""
    return estimate.low is not None and estimate.low > 0 and estimate.p_holm is not None and estimate.p_holm < alpha


def loses(estimate: Estimate, alpha: float) -> bool:
    """Whether the interval lies below 0, and does so after the adjustment for the family."""
    return estimate.high is not None and estimate.high < 0 and estimate.p_holm is not None and estimate.p_holm < alpha


def shown(estimate: Estimate) -> str:
    """A difference and its interval, as in ``+.012 [+.004, +.020]``."""
    return f"{change(estimate.difference)} {interval(estimate.low, estimate.high, estimate.seeds)}".rstrip()


def _told(state: Outcome, estimate: Estimate, margin: float) -> str:
    """An outcome in words; where the interval leaves out 0 and the outcome does not follow it, they say so."""
    side = "above" if (estimate.low or 0.0) > 0 else "below" if (estimate.high or 0.0) < 0 else ""
    if state == "equivalent":
        return f"equal within {within(margin)}{f', though {side} 0,' if side else ''}"
    if state == "open":
        return "not resolved" + (f", after Holm's adjustment (p {p_value(estimate.p_holm)})," if side else "")
    return state


def _could(estimate: Estimate, margin: float, level: float, power: float, look: Look) -> str:
    """What this design could have found, and which one could tell equality from a difference of the margin's size."""
    if estimate.detectable is None or estimate.margin_detectable is None:
        return ""
    unit = estimate.unit or "documents"
    could = (
        f" With {some(estimate.seeds, 'seed')} and {estimate.units} {findable(estimate.detectable)} would have "
        f"been found {power:.0%} of the time, and equality shown within ±{short(estimate.margin_detectable)}."
    )
    if estimate.margin_detectable <= margin:
        return f"{could} That is enough for {within(margin)}: the true one may lie near the margin, where only many more tell."
    designs = wanted(estimate, margin, level=level, power=power)
    known = {estimate.documents: estimate.documents}
    ways = [f"{some(seeds, 'seed')} and {known.get(d, float(f'{d:.2g}')):,.0f} {unit}" for seeds, d in designs]
    # The figures above are of this look's level, those of other designs of the whole error rate at one.
    design = "it" if look.alone else "a study with one look"
    return f"{could} For {within(margin)} {design} takes about {', or '.join(dict.fromkeys(ways))}." if ways else could


__all__ = ["MARGIN", "MEANING", "WORDS", "Arm", "Kind", "Outcome", "TaskVerdict", "Verdict", "judge", "outcome", "verdicts"]
