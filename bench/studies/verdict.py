"""The verdict of the token-control study: why a multi-task run beats, or does not beat, a single-task one.

Per task the multi-task run is held against the task alone on as many tokens **in all** (`at_total`), and against the task alone on
the tokens that **it** had in the multi-task run (`at_own`). Differences are the multi-task score less the single one.

- *genuine transfer*: it beats the single run at equal total;
- *data exposure*: it beats the single run at the task's own tokens only, and is equivalent to it, within the margin, at equal total;
- *negative transfer*: it loses at the task's own tokens;
- *unresolved*: anything else, fewer than six seeds included, with the effect that this design could have detected.

"Beats" and "loses" are intervals over seeds and documents (`bench.studies.twoway`) that leave out 0, adjusted by Holm for the
tasks that are asked about at once; "equivalent" is two one-sided tests (Schuirmann 1987): the tight interval inside of the margin.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bench.results.statistics import Statistics
from bench.studies.twoway import LEVEL, MINIMUM_SEEDS, POWER, Estimate, Measure

MARGIN = 0.01
"""Default of the equivalence margin: one point of F, absolute."""

Kind = Literal["genuine transfer", "data exposure", "negative transfer", "unresolved"]
Arm = Mapping[str, Mapping[Hashable, Statistics]]
"""Task to seed to the statistics of the run of that seed, all of one split and stage."""


@dataclass(frozen=True)
class TaskVerdict:
    """What is said of one task.

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
    """What is said of every task, and by which rules.

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
        return next(one for one in self.tasks if one.task == task)

    def to_json(self) -> dict[str, Any]:
        """Every field, JSON-able; ``tasks`` is a list."""
        return asdict(self) | {"tasks": [one.to_json() for one in self.tasks]}


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
    """The verdict of every task.

    Args:
        multi: the multi-task runs; every task's statistics come from the same runs.
        total: each task alone, at equal total.
        own: each task alone, at its own tokens.
        measures: task to the score that is compared, from its summed statistics; its tasks are the ones judged.
        metrics: task to the name of that score.
        margin: of equivalence, in the metric's own unit.
        level: of the intervals.
        power: of what could have been detected.

    Raises:
        BenchError: arms that were not scored on the same documents, or that share no seed.
    """
    raise NotImplementedError


__all__ = ["MARGIN", "Arm", "Kind", "TaskVerdict", "Verdict", "verdicts"]
