"""Runs that no study has judged, held against each other as `bench compare` does, or the reason why they may not be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.pages.collect import Evidence
    from bench.registry import Registry
    from bench.studies.arms import Arm
    from bench.studies.compare import Comparison
    from bench.studies.contract import Difference

MANY = 20
"""Runs beyond which documents are resampled `FEWER` times, so that a page of hundreds of runs takes seconds."""
FEWER = 500
PAIRS = 60
"""Two arms on one task each; with more the page describes."""


@dataclass(frozen=True)
class Held:
    """What came of holding runs against each other.

    Args:
        by: the fields that set arms apart.
        comparison: what they show; None where they may not be compared or could not be.
        differences: what else they differ in, allowed or not.
        reason: why there is no comparison, in a sentence.
        hint: what would help.
        names: what the comparison calls an arm to what the page calls it.
    """

    by: tuple[str, ...] = ()
    comparison: Comparison | None = None
    differences: tuple[Difference, ...] = ()
    reason: str = ""
    hint: str = ""
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def refused(self) -> tuple[Difference, ...]:
        """The differences that forbid a comparison."""
        return tuple(one for one in self.differences if not one.allowed)

    @property
    def judged(self) -> bool:
        """Whether any two arms were compared."""
        return self.comparison is not None and bool(self.comparison.pairs)


def hold(evidence: Evidence, registry: Registry, by: Sequence[str] = (), allow: Sequence[str] = ()) -> Evidence:
    """The evidence with what a comparison of its runs gives; as it was where a study judges, or will when it is finished.

    Args:
        evidence: of a report.
        registry: knows the tasks, whose scorers turn saved statistics into scores.
        by: fields that set arms apart; the choices in which the runs differ where empty.
        allow: fields beyond those that may differ.
    """
    if evidence.study is not None and (evidence.study.verdict is not None or evidence.unfinished):
        return evidence
    if len({run.folder for run in evidence.runs}) < 2:
        return evidence
    return replace(evidence, held=_held(evidence, registry, tuple(by), tuple(allow)))


def _held(evidence: Evidence, registry: Registry, by: tuple[str, ...], allow: tuple[str, ...]) -> Held:
    from bench.stats.paired import RESAMPLES
    from bench.studies.arms import arms_of
    from bench.studies.compare import compare
    from bench.studies.contract import compared, differences, refusal

    runs = [*{run.folder: run for run in evidence.runs}.values()]
    every = [run.facts for run in runs]
    fields = by or compared(every)
    told = tuple(differences(every, fields, allow))
    refused = refusal(told, fields)
    if refused is not None:
        return Held(fields, None, told, f"The runs may not be compared, {refused[0]}.", refused[1])
    arms = arms_of(runs, fields)
    pairs = sum(len(set(one.tasks) & set(other.tasks)) for one, other in combinations(arms, 2))
    if pairs > PAIRS:
        why = f"{len(arms)} arms make {pairs} comparisons; a page holds {PAIRS}."
        return Held(fields, None, told, why, "Name fewer runs, or what is compared with --by.")
    resamples = FEWER if len(runs) > MANY else RESAMPLES
    try:
        found = compare(runs, registry, by=by, allow=allow, resamples=resamples)
    except BenchError as error:
        return Held(fields, None, told, error.message, error.hint or "")
    return Held(fields, found, told, names=_names(evidence, arms))


def _names(evidence: Evidence, arms: Sequence[Arm]) -> dict[str, str]:
    """What the page calls each arm, where the two sort the runs alike."""
    shown = {run.id: run.arm for run in evidence.runs}
    found = {arm.name: {shown[run.result.id] for run in arm.runs} for arm in arms}
    alike = all(len(names) == 1 for names in found.values()) and len(set().union(*found.values())) == len(found)
    return {name: names.pop() for name, names in found.items()} if alike else {name: name for name in found}
