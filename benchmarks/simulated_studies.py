"""Simulated token-control studies with planted effects: what the verdict finds, and how often it is wrong.

A study is one task: three arms (multi-task, single at equal total, single at its own tokens), each with `seeds` runs, all
scored on the same `documents`. Document i holds a negative binomial number of mentions and as many decoys, things that look
like one. A run of arm a with seed s finds mention j of it, and is not taken in by decoy j, where

    μ_a + u_i + e_ij + t_ai + v_as + w_asij > 0

and all but μ_a are normal: u_i and e_ij are how hard the document and the mention are, for every run; t_ai is what the arm as
such does better or worse on a document, which limits an interval over documents; v_as is what a seed does, w_asij what it does
on one mention. With p the chance that a mention is found, p is also the population's strict F, 2p / (2p + (1 − p) + (1 − p)),
so that μ_a is known for any F: effects are planted as exact differences of the population's F.

The defaults are like real runs: 100 documents of 10 mentions (the test split of NCBI disease: 100 abstracts, 960 mentions),
F .82 (the reference run on it), and a standard deviation over seeds of somewhat less than a point of F, which is what re-runs
of one configuration are seen to move by. `Shape` holds them all, so that another corpus can be put in their place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bench.results.statistics import Statistics
from bench.stats.intervals import Array, Estimate, align, estimate
from bench.stats.pooled import pooled
from bench.stats.power import Components
from bench.stats.sequential import Look
from bench.studies.verdict import MARGIN, Arm, TaskVerdict, verdicts

ARMS = ("multi", "total", "own")
NAMES = ("tp", "fp", "fn")
TASK = "simulated"


@dataclass(frozen=True)
class Shape:
    """What runs vary by, in units of the sum above but for the first five.

    Args:
        seeds: runs of each arm.
        documents: in the test split.
        mentions: of a document, on average.
        dispersion: of the negative binomial; the smaller, the more documents differ in mentions.
        f1: of the multi-task arm.
        document_sd: standard deviation of u_i.
        mention_sd: of e_ij.
        arm_sd: of t_ai.
        seed_sd: of v_as.
        seed_mention_sd: of w_asij.
        heavy: whether v_as is t-distributed with three degrees of freedom (same standard deviation) instead of normal.
    """

    seeds: int = 6
    documents: int = 100
    mentions: float = 10.0
    dispersion: float = 3.0
    f1: float = 0.82
    document_sd: float = 0.6
    mention_sd: float = 1.0
    arm_sd: float = 0.1
    seed_sd: float = 0.03
    seed_mention_sd: float = 0.3
    heavy: bool = False

    @property
    def spread(self) -> float:
        """Standard deviation of all that is added to μ."""
        return math.hypot(self.document_sd, self.mention_sd, self.arm_sd, self.seed_sd, self.seed_mention_sd)


@dataclass(frozen=True)
class Effect:
    """A planted difference of the multi-task arm's population F.

    Args:
        at_total: less the single run at equal total.
        at_own: less the single run at the task's own tokens.
    """

    at_total: float = 0.0
    at_own: float = 0.0


@dataclass
class Outcome:
    """What many simulated studies came to.

    Args:
        kinds: verdict to how often.
        covered: how often the interval at equal total held the planted difference.
        detectable: mean of what the studies said they could have detected at equal total.
        margin_detectable: mean of the margin within which they could have shown equality.
        spread: mean standard deviation of the multi-task arm's F over seeds.
        studies: how many.
    """

    kinds: dict[str, int] = field(default_factory=dict)
    covered: int = 0
    detectable: float = 0.0
    margin_detectable: float = 0.0
    spread: float = 0.0
    studies: int = 0

    def rate(self, kind: str) -> float:
        """Share of studies with a verdict."""
        return self.kinds.get(kind, 0) / self.studies


@dataclass
class Looked:
    """What many simulated studies came to that were judged at several looks, and ended at the first that resolves something.

    Args:
        studies: how many.
        found: how many found a difference at equal total, by look.
        wrong: how many of these had the wrong sign, or any sign where nothing is planted.
        covered: at how many the interval held the planted difference at every look that was had.
        seeds: used by all of them.
    """

    studies: int
    found: list[int]
    wrong: int = 0
    covered: int = 0
    seeds: int = 0

    def rate(self, looks: int | None = None) -> float:
        """Share that found a difference, by the first `looks` of them or all."""
        return sum(self.found[:looks]) / self.studies


def f1(sums: Mapping[str, Any]) -> Any:
    """Strict F of summed counts, numbers or arrays."""
    tp, fp, fn = (np.asarray(sums[name], dtype=np.float64) for name in NAMES)
    return np.divide(2 * tp, 2 * tp + fp + fn, out=np.zeros(np.shape(tp)), where=2 * tp + fp + fn > 0)


def study(shape: Shape, effect: Effect, rng: np.random.Generator) -> dict[str, Arm]:
    """One simulated study: arm to its statistics, as `bench.studies.verdict.verdicts` takes them."""
    normal = NormalDist()
    less = {"multi": 0.0, "total": effect.at_total, "own": effect.at_own}
    size = shape.dispersion
    mentions = rng.negative_binomial(size, size / (size + shape.mentions), shape.documents)
    # Mentions, and then decoys, of the first document, of the second, …
    place = np.concatenate([np.repeat(np.arange(shape.documents), mentions)] * 2)
    difficulty = rng.normal(0, shape.document_sd, shape.documents)[place] + rng.normal(0, shape.mention_sd, len(place))
    documents = tuple(f"d{i}" for i in range(shape.documents))
    found: dict[str, Arm] = {}
    for arm in ARMS:
        centre = normal.inv_cdf(shape.f1 - less[arm]) * shape.spread
        by_arm = rng.normal(0, shape.arm_sd, shape.documents)[place]
        by_mention = rng.normal(0, shape.seed_mention_sd, (shape.seeds, len(place)))
        right = centre + difficulty + by_arm + _by_seed(shape, rng)[:, None] + by_mention > 0
        hit, avoided = (_by_document(part, mentions) for part in np.split(right, 2, axis=1))
        rows = np.stack([hit, mentions - avoided, mentions - hit], axis=-1).astype(np.float64)
        found[arm] = {TASK: {s: Statistics(TASK, "test", "trained", documents, NAMES, rows[s]) for s in range(shape.seeds)}}
    return found


def studies(shape: Shape, effect: Effect, count: int, seed: int = 0, margin: float = MARGIN) -> Iterator[TaskVerdict]:
    """Verdicts of simulated studies.

    Args:
        shape: what runs vary by.
        effect: what is planted.
        count: studies.
        seed: same seed, same studies.
        margin: of equivalence.
    """
    rng = np.random.default_rng(seed)
    for _ in range(count):
        arms = study(shape, effect, rng)
        yield verdicts(arms["multi"], arms["total"], arms["own"], {TASK: f1}, margin=margin)[TASK]


def outcome(shape: Shape, effect: Effect, count: int, seed: int = 0, margin: float = MARGIN) -> Outcome:
    """What many simulated studies come to; arguments as of `studies`."""
    found = Outcome(studies=count)
    for one in studies(shape, effect, count, seed, margin):
        found.kinds[one.kind] = found.kinds.get(one.kind, 0) + 1
        known = one.at_total
        if known.low is not None and known.high is not None:
            found.covered += known.low <= effect.at_total <= known.high
            found.detectable += (known.detectable or 0.0) / count
            found.margin_detectable += (known.margin_detectable or 0.0) / count
            found.spread += (known.se_seeds or 0.0) * (shape.seeds / 2) ** 0.5 / count
    return found


def looked(
    shape: Shape, effect: Effect, designs: Mapping[str, Sequence[Look]], count: int, seed: int = 0, sites: Sequence[int] = ()
) -> dict[str, Looked]:
    """Simulated studies that are judged look by look at equal total, the same studies by each of several designs.

    Args:
        shape: what runs vary by; its seeds are at least those of any look.
        effect: what is planted.
        designs: name to looks, each at more seeds than the one before.
        count: studies.
        seed: same seed, same studies, whatever the designs are.
        sites: documents of each site, where a study is pooled over several.
    """
    rng = np.random.default_rng(seed)
    outcomes = {name: Looked(count, [0] * len(looks)) for name, looks in designs.items()}
    counts = sorted({look.seeds[-1] for looks in designs.values() for look in looks})
    for _ in range(count):
        at_sites = [_at(counts, study(replace(shape, documents=size), effect, rng)) for size in sites or (shape.documents,)]
        at = at_sites[0]
        if sites:
            at = {seeds: pooled({str(i): site[seeds] for i, site in enumerate(at_sites)}).estimate for seeds in counts}
        for name, looks in designs.items():
            _look_by_look(outcomes[name], looks, at, effect.at_total)
    return outcomes


def _at(counts: Sequence[int], arms: Mapping[str, Arm]) -> dict[int, Estimate]:
    """The difference at equal total, at each number of seeds."""
    first, second, names, _ = align(arms["total"][TASK], arms["multi"][TASK])
    return {seeds: estimate(first[:seeds], second[:seeds], names, f1) for seeds in counts}


def _look_by_look(outcome: Looked, looks: Sequence[Look], at: Mapping[int, Estimate], truth: float) -> None:
    """Adds what one study comes to, from its estimates at each number of seeds."""
    held = True
    for place, look in enumerate(looks):
        known = at[look.seeds[-1]]
        outcome.seeds += look.seeds[-1] - (looks[place - 1].seeds[-1] if place else 0)
        if known.p is None or known.se is None or known.df is None:
            continue
        held = held and abs(known.difference - truth) <= float(special.stdtrit(known.df, (1 + look.level) / 2)) * known.se
        if known.p < look.alpha:
            outcome.found[place] += 1
            outcome.wrong += truth == 0 or (known.difference > 0) != (truth > 0)
            break
    outcome.covered += held


def pilot(shape: Shape, effect: Effect, count: int, seed: int = 900) -> Components:
    """The variance components of the difference at equal total, mean over some simulated studies."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        arms = study(shape, effect, rng)
        first, second, names, _ = align(arms["total"][TASK], arms["multi"][TASK])
        components = Components.of(estimate(first, second, names, f1))
        found += [] if components is None else [components]
    return Components(*(sum(getattr(one, name) for one in found) / len(found) for name in ("seeds", "documents", "both")))


def _by_document(right: NDArray[np.bool_], mentions: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many are right in each document, of shape (seeds, documents); a document may have none."""
    ends = np.concatenate([[0], np.cumsum(mentions)])
    totals = np.concatenate([np.zeros((len(right), 1), dtype=np.int64), np.cumsum(right, axis=1)], axis=1)
    found: NDArray[np.int64] = totals[:, ends[1:]] - totals[:, ends[:-1]]
    return found


def _by_seed(shape: Shape, rng: np.random.Generator) -> Array:
    found: Array = rng.standard_t(3, shape.seeds) / math.sqrt(3.0) if shape.heavy else rng.normal(0, 1, shape.seeds)
    return shape.seed_sd * found
