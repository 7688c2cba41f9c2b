"""How many seeds and documents a study takes: from variances, of runs that are there or as stated, to designs with power."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bench.api.study import StudyKind, StudyRun
from bench.errors import ContractError, UsageError
from bench.registry import Registry
from bench.results.layout import RESULT
from bench.stats.intervals import POWER, Estimate
from bench.stats.power import (
    MOST_DOCUMENTS,
    MOST_SEEDS,
    Components,
    SequentialPower,
    detectable,
    documents_needed,
    equality_of,
    power_of,
    seeds_needed,
    sequential_power,
)
from bench.stats.sequential import ALPHA, Look
from bench.studies.arms import Run
from bench.studies.finished import FinishedStudy, estimates_in, kind_of, own_faults
from bench.studies.study import STUDIES, Study, read_study, studies
from bench.wording import some

SHOWN = (6, 12, 24)
"""Numbers of seeds that every plan shows."""
UNSURE = 0.2
"""The larger variance over seeds that a plan also shows is exceeded with this probability."""
LEAST, LARGEST = 1e-9, 1e6
"""Of a difference and of standard deviations, in a metric's own unit: beyond them figures say nothing."""
MOST_QUESTIONS = 1_000_000
RESAMPLES = 100
"""Of the documents, in a comparison of which only variances are used."""


@dataclass(frozen=True)
class Question:
    """What is to be found, and how it is judged.

    Args:
        effect: the true difference, in the metric's own unit.
        power: how often it shall be found.
        margin: of equivalence, in the same unit.
        family: questions asked at once, by whose number Holm's adjustment divides the error rate at its first step.
        looks: planned ones, each at more seeds than the one before; one at the end where empty.
    """

    effect: float
    power: float = POWER
    margin: float = 0.01
    family: int = 1
    looks: tuple[Look, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Every field, JSON-able; of the looks their seeds and levels."""
        return {**asdict(self), "looks": [{"seeds": look.seeds[-1], "level": look.alpha} for look in self.looks]}

    def __post_init__(self) -> None:
        if not LEAST <= self.effect <= 1:
            why = "it must be above 0" if self.effect <= 0 else f"wanted {LEAST:g} to 1, by which scores can differ"
            raise UsageError(f"--effect is {self.effect:g}; {why}, such as .01 for one point.")
        if not ALPHA < self.power < 1 - LEAST:
            raise UsageError(f"--power is {self.power:g}; it must lie between {ALPHA:g} and 1, such as .8.")
        if not 0 <= self.margin <= LARGEST:
            raise UsageError(f"--margin is {self.margin:g}; wanted 0 to {LARGEST:g}, such as .01 for one point.")
        if not 1 <= self.family <= MOST_QUESTIONS:
            raise UsageError(f"--family is {self.family}; it must lie between 1 and {MOST_QUESTIONS:,}.")
        if self.looks and self.looks[-1].total > MOST_SEEDS:
            raise UsageError(f"--looks goes to {some(self.looks[-1].total, 'seed')}; power is planned up to {MOST_SEEDS}.")


@dataclass(frozen=True)
class Pilot:
    """A difference whose variances are known.

    Args:
        subject: a task, as a rule.
        comparison: what is compared with what.
        components: of its variance.
        documents: in the test split.
        seeds: that the components were estimated from; None where they were stated.
        seconds: that one more seed takes, all runs of it one after another; None where that is not known.
    """

    subject: str
    comparison: str
    components: Components
    documents: int
    seeds: int | None = None
    seconds: float | None = None

    def with_documents(self, documents: int) -> Pilot:
        """The same difference with another number of documents.

        Raises:
            UsageError: fewer than two, or more than are looked through.
        """
        if not 2 <= documents <= MOST_DOCUMENTS:
            raise UsageError(f"--documents is {documents}; it must lie between 2 and {MOST_DOCUMENTS:,}.")
        return replace(self, documents=documents)


@dataclass(frozen=True)
class Design:
    """One number of seeds.

    Args:
        seeds: of each arm.
        power: to find the difference.
        detectable: the smallest difference found with the power that is asked for.
        equality: power to show that truly equal arms are equal within the margin.
        documents: that give the power with so many seeds; None where no number does.
        hours: of all runs one after another; None where that is not known.
    """

    seeds: int
    power: float
    detectable: float
    equality: float
    documents: int | None
    hours: float | None


@dataclass(frozen=True)
class PowerPlan:
    """What it takes to find one difference.

    Args:
        subject: as of `Pilot`.
        comparison: as of `Pilot`.
        documents: in the test split.
        pilot_seeds: that the variances rest on; None where they were stated.
        seeds_sd: standard deviation of the difference over seeds, on these documents.
        documents_sd: standard deviation over documents of what one adds to the difference.
        seeds: fewest that have the power with these documents; None where no number has.
        seeds_if_unsure: the same if the variance over seeds is as large as the pilot leaves open (1 in 5); None as above.
        designs: 6, 12 and 24 seeds, and what is needed.
        looks: power and seeds of the planned looks; None where none were planned.
    """

    subject: str
    comparison: str
    documents: int
    pilot_seeds: int | None
    seeds_sd: float
    documents_sd: float
    seeds: int | None
    seeds_if_unsure: int | None
    designs: tuple[Design, ...]
    looks: SequentialPower | None = None

    def to_json(self) -> dict[str, Any]:
        """Every field, JSON-able."""
        return asdict(self)


def power_plan(pilot: Pilot, question: Question) -> PowerPlan:
    """What it takes to find a difference of the question's size, given the variances of a pilot."""
    from scipy import special

    components, documents, alpha = pilot.components, pilot.documents, ALPHA / question.family
    needed = seeds_needed(components, question.effect, documents, alpha, question.power)
    over_seeds = components.seeds + components.both / documents
    unsure = needed
    if pilot.seeds is not None:
        free = pilot.seeds - 1
        wide = over_seeds * free / float(special.chdtri(free, 1 - UNSURE))
        wider = Components(wide, components.documents)
        unsure = seeds_needed(wider, question.effect, documents, alpha, question.power)

    def design(seeds: int) -> Design:
        return Design(
            seeds,
            power_of(components, question.effect, seeds, documents, alpha),
            detectable(components, seeds, documents, alpha, question.power),
            equality_of(components, question.margin, seeds, documents),
            documents_needed(components, question.effect, seeds, alpha, question.power),
            None if pilot.seconds is None else seeds * pilot.seconds / 3600,
        )

    counts = sorted({*SHOWN, *(look.seeds[-1] for look in question.looks), *(() if needed is None else (needed,))})
    looks = None
    if question.looks:
        looks = sequential_power(components, question.effect, documents, question.looks, question.family)
    return PowerPlan(
        pilot.subject, pilot.comparison, documents, pilot.seeds, over_seeds**0.5, components.documents**0.5, needed, unsure,
        tuple(map(design, counts)), looks,
    )  # fmt: skip


def stated(seeds_sd: float, documents_sd: float, documents: int) -> Pilot:
    """Variances as somebody states them.

    Args:
        seeds_sd: standard deviation of the difference over seeds.
        documents_sd: standard deviation over documents of what one adds to the difference.
        documents: in the test split.

    Raises:
        UsageError: one that is negative or no number, none at all, or fewer than two documents.
    """
    if not all(sd == 0 or LEAST <= sd <= LARGEST for sd in (seeds_sd, documents_sd)) or seeds_sd == documents_sd == 0:
        raise UsageError(
            f"--seeds-sd is {seeds_sd:g}, --documents-sd {documents_sd:g}; wanted 0 or {LEAST:g} to {LARGEST:g}, one above 0."
        )
    pilot = Pilot("as stated", "second − first", Components(seeds_sd**2, documents_sd**2), documents)
    return pilot.with_documents(documents)


def stated_or_none(seeds_sd: float | None, documents_sd: float | None, documents: int | None) -> list[Pilot] | None:
    """The difference with stated variances, as of `stated`; None where none are.

    Raises:
        UsageError: some are stated and some are missing, or they mean nothing.
    """
    if seeds_sd is None and documents_sd is None:
        return None
    if seeds_sd is None or documents_sd is None or documents is None:
        given = {"--seeds-sd": seeds_sd, "--documents-sd": documents_sd, "--documents": documents}
        missing = " and ".join(flag for flag, value in given.items() if value is None)
        raise UsageError(f"Stated variances also want {missing}.", "A standard deviation of 0 leaves that part out.")
    return [stated(seeds_sd, documents_sd, documents)]


def pilots_of_runs(
    runs: Sequence[Run], registry: Registry, by: Sequence[str] = (), metric: str | None = None, split: str = "test",
    allow: Sequence[str] = (),
) -> list[Pilot]:  # fmt: skip
    """The variances of every two arms on every task; contract and arguments are those of `bench.studies.compare.compare`.

    Raises:
        BenchError: the runs cannot be compared, or no two arms share two seeds.
    """
    from bench.studies.compare import compare

    comparison = compare(runs, registry, by=by, metric=metric, split=split, allow=allow, resamples=RESAMPLES)
    seconds = {run.id: sum(run.result.timings.values()) for run in runs if run.result.timings}  # an imported one has none

    def both(*arms: str) -> float | None:
        known = [[seconds[run] for run in comparison.arms[arm] if run in seconds] for arm in arms]
        return sum(sum(of_arm) / len(of_arm) for of_arm in known) if all(known) else None

    found = [
        _pilot(pair.task, f"{pair.second} − {pair.first}", pair.estimate, both(pair.first, pair.second))
        for pair in comparison.pairs
    ]
    pilots = [pilot for pilot in found if pilot is not None]
    if not pilots:
        raise ContractError(
            "These runs tell nothing about variance: no two arms share two seeds or more.",
            "Name runs of two arms with two seeds each, or state --seeds-sd, --documents-sd and --documents.",
        )
    return pilots


def pilots_of_study(study: Study, registry: Registry, warn: Callable[[str], None]) -> list[Pilot]:
    """The variances of a study's differences, from finished runs of the same arms at any seeds; empty where there are none.

    They are looked for in the study itself and in every other study in its folder that plans the same but for the seeds.
    """
    others = [read_study(study.out / STUDIES / name) for name in studies(study.out)]
    same = [replace(other, out=study.out) for other in others if other.kind == study.kind and _arms(other) == _arms(study)]
    begun = [finished for finished in map(_finished_seeds, [study, *same]) if finished is not None]
    if not begun:
        return []
    best = max(begun, key=lambda each: len(each.runs))
    kind = kind_of(study.kind, registry)
    seconds = seconds_a_seed(study)
    finished = FinishedStudy(replace(best, settings={**best.settings, "margin": study.settings.get("margin")}), registry, warn)
    with own_faults(kind, "judging"):
        verdict = kind.judge(finished)
    if verdict is None:
        pilots = pilots_of_runs([*finished.runs.values()], registry)
        return [replace(pilot, seconds=seconds) for pilot in pilots]
    names = set(Estimate.__dataclass_fields__)
    found = [
        _pilot(subject, words, Estimate(**{name: value for name, value in estimate.items() if name in names}), seconds)
        for subject, words, estimate in estimates_in(verdict, kind)
    ]
    return [pilot for pilot in found if pilot is not None]


def seconds_a_seed(study: Study) -> float | None:
    """What the runs of one seed take one after another, by the estimates of a dry run; None where one is missing."""
    runs = [run for run in study.runs if run.key not in study.trials]  # a search is there once
    estimates = [run.estimate.seconds for run in runs if run.estimate is not None]
    return sum(estimates) / len({run.seed for run in runs}) if len(estimates) == len(runs) else None


def family_of(pilots: Sequence[Pilot], kind: StudyKind) -> int:
    """How many questions a study asks at once: each comparison that its kind has words for is a family over its subjects."""
    return max(1, len(pilots) // max(1, len(kind.words)))


def _pilot(subject: str, comparison: str, estimate: Estimate, seconds: float | None) -> Pilot | None:
    components = Components.of(estimate)
    if components is None:
        return None
    return Pilot(subject, comparison, components, estimate.documents, estimate.seeds, seconds)


def _arms(study: Study) -> frozenset[str]:
    """The runs of a plan whatever their seeds are."""
    return frozenset(json.dumps(_without_seed(run), sort_keys=True) for run in study.runs)


def _without_seed(run: StudyRun) -> list[Any]:
    identity: Mapping[str, Any] = run.identity()["config"]
    own = {name: value for name, value in identity.items() if name != "seed"}
    if run.config.train_resample == run.seed:
        own["train_resample"] = "by seed"
    return [run.role, run.task, run.group, own]


def _finished_seeds(study: Study) -> Study | None:
    """A study with the seeds alone of which all runs are finished, and its search; None where they are fewer than two."""
    search = [run for run in study.runs if run.key in study.trials]
    rest = [run for run in study.runs if run.key not in study.trials]
    missing = {run.key for run in study.runs if run.run is None or not (study.out / run.run / RESULT).exists()}
    whole = {run.seed for run in rest} - {run.seed for run in rest if run.key in missing}
    if len(whole) < 2 or any(run.key in missing and not run.refused for run in search):
        return None
    settings = {name: value for name, value in study.settings.items() if name != "looks"}
    return replace(study, settings=settings, runs=[*search, *(run for run in rest if run.seed in whole)])
