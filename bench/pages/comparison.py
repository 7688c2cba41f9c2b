"""Compares runs that have no verdict of a study, as `bench compare` does, or gives the reason why they cannot be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.wording import some

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
"""Most comparisons (two arms on a task); above it the page only describes."""


@dataclass(frozen=True)
class PageComparison:
    """The comparison of a report's runs, or the reason why there is none.

    Args:
        by: the fields that define arms.
        result: of the comparison; None where the runs cannot be compared.
        differences: other fields in which the runs differ, allowed or not.
        reason: why there is no comparison, in a sentence.
        hint: the next move.
        names: name of an arm in the comparison to its name on the page.
    """

    by: tuple[str, ...] = ()
    result: Comparison | None = None
    differences: tuple[Difference, ...] = ()
    reason: str = ""
    hint: str = ""
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def refused(self) -> tuple[Difference, ...]:
        """The differences that forbid a comparison."""
        return tuple(difference for difference in self.differences if not difference.allowed)

    @property
    def judged(self) -> bool:
        """Whether any two arms were compared."""
        return self.result is not None and bool(self.result.pairs)


def with_comparison(evidence: Evidence, registry: Registry, by: Sequence[str] = (), allow: Sequence[str] = ()) -> Evidence:
    """Adds the comparison of its runs to the evidence; it is unchanged for a study with a verdict, or with unfinished runs.

    Args:
        evidence: of a report.
        registry: has the tasks, whose scorers turn saved statistics into scores.
        by: fields that define arms; where empty, the fields in which the runs differ.
        allow: further fields in which arms may differ.
    """
    if evidence.study is not None and (evidence.study.verdict is not None or evidence.unfinished):
        return evidence
    if len({run.folder for run in evidence.runs}) < 2:
        return evidence
    return replace(evidence, comparison=_comparison_of(evidence, registry, tuple(by), tuple(allow)))


def _comparison_of(evidence: Evidence, registry: Registry, by: tuple[str, ...], allow: tuple[str, ...]) -> PageComparison:
    from bench.stats.paired import RESAMPLES
    from bench.studies.arms import arms_of
    from bench.studies.compare import compare
    from bench.studies.contract import compared, differences, refusal

    runs = [*{run.folder: run for run in evidence.runs}.values()]
    run_facts = [run.facts for run in runs]
    fields = by or compared(run_facts)
    differing = tuple(differences(run_facts, fields, allow))
    refused = refusal(differing, fields)
    if refused is not None:
        return PageComparison(fields, None, differing, f"The runs may not be compared, {refused[0]}.", refused[1])
    arms = arms_of(runs, fields)
    pairs = sum(len(set(first.tasks) & set(second.tasks)) for first, second in combinations(arms, 2))
    if pairs > PAIRS:
        why = f"{some(pairs, 'comparison')} of {some(len(arms), 'arm')}; a page holds {PAIRS}."
        return PageComparison(fields, None, differing, why, "Name fewer runs, or what is compared with --by.")
    resamples = FEWER if len(runs) > MANY else RESAMPLES
    try:
        comparison = compare(runs, registry, by=by, allow=allow, resamples=resamples)
    except BenchError as error:
        return PageComparison(fields, None, differing, error.message, error.hint or "")
    return PageComparison(fields, comparison, differing, names=_names(evidence, arms))


def _names(evidence: Evidence, arms: Sequence[Arm]) -> dict[str, str]:
    """Name of each arm in the comparison to the page's name, where both divide the runs in the same way."""
    shown = {run.id: run.arm for run in evidence.runs}
    names_of = {arm.name: {shown[run.result.id] for run in arm.runs} for arm in arms}
    alike = all(len(names) == 1 for names in names_of.values()) and len(set().union(*names_of.values())) == len(names_of)
    return {name: names.pop() for name, names in names_of.items()} if alike else {name: name for name in names_of}
