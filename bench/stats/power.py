"""How many seeds and documents a difference of a given size takes to be found.

Runs that are there, or stated variances, give the variance components of a difference (`Components`); a design of other
numbers of seeds and documents then has the variance and the degrees of freedom that `bench.stats.intervals.estimate` would
find in it, and the power of its t test follows from the non-central t distribution. The power of several looks is simulated
from the same components.

Sources: Cohen (1988), Statistical power analysis, chapter 1; Card et al. (2020), With little power comes great
responsibility, arXiv 2010.06595; for components of crossed samples Brennan (2001), Generalizability theory, chapter 4. Held
against simulated studies in `benchmarks/bench_looks.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.stats.intervals import MINIMUM_SEEDS, POWER, Estimate
from bench.stats.sequential import ALPHA, Look

MOST_SEEDS = 500
"""More are not looked through."""
MOST_DOCUMENTS = 10_000_000
DRAWS = 20_000
"""Simulated studies of a design with looks."""


@dataclass(frozen=True)
class Components:
    """Variance components of the difference of two arms.

    Args:
        seeds: variance over seeds, with documents without end.
        documents: variance over documents of what one adds to the difference, with seeds without end.
        both: variance of what a document adds at one seed beyond these.
    """

    seeds: float
    documents: float
    both: float = 0.0

    @classmethod
    def of(cls, estimate: Estimate) -> Components | None:
        """The components of an estimated difference; None with fewer than two seeds or documents, or where nothing varies."""
        if estimate.se is None or estimate.se_seeds is None or estimate.se_documents is None:
            return None
        by_seed, by_document = estimate.se_seeds**2, estimate.se_documents**2
        shared = by_seed + by_document - estimate.se**2
        return cls(
            max(0.0, by_seed - shared) * estimate.seeds,
            max(0.0, by_document - shared) * estimate.documents,
            max(0.0, shared) * estimate.seeds * estimate.documents,
        )

    def at(self, seeds: int, documents: int) -> tuple[float, float]:
        """Standard error and degrees of freedom of the difference in a design."""
        both = self.both / (seeds * documents)
        by_seed, by_document = self.seeds / seeds + both, self.documents / documents + both
        spread = by_seed**2 / (seeds - 1) + by_document**2 / (documents - 1) + both**2 / ((seeds - 1) * (documents - 1))
        variance = by_seed + by_document - both
        return math.sqrt(variance), max(variance**2 / spread, min(seeds, documents) - 1.0)


def power_of(components: Components, effect: float, seeds: int, documents: int, alpha: float = ALPHA) -> float:
    """How often a true difference is found, on its own side, by a two-sided test at `alpha`."""
    from scipy import special

    se, df = components.at(seeds, documents)
    return float(1 - special.nctdtr(df, abs(effect) / se, special.stdtrit(df, 1 - alpha / 2)))


def equality_of(components: Components, margin: float, seeds: int, documents: int) -> float:
    """How often truly equal arms are shown to be equal within a margin, by two one-sided tests at 5%."""
    from scipy import special

    se, df = components.at(seeds, documents)
    return max(0.0, 2 * float(special.stdtr(df, margin / se - special.stdtrit(df, 1 - ALPHA))) - 1)


def detectable(components: Components, seeds: int, documents: int, alpha: float = ALPHA, power: float = POWER) -> float:
    """The smallest true difference that is found with a power."""
    from scipy import special

    se, df = components.at(seeds, documents)
    return float(special.nctdtrinc(df, 1 - power, special.stdtrit(df, 1 - alpha / 2))) * se


def seeds_needed(
    components: Components, effect: float, documents: int, alpha: float = ALPHA, power: float = POWER
) -> int | None:
    """Fewest seeds, from six on, that find a difference with a power; None where no number of seeds does."""
    counts = range(MINIMUM_SEEDS, MOST_SEEDS + 1)
    return next((seeds for seeds in counts if power_of(components, effect, seeds, documents, alpha) >= power), None)


def documents_needed(
    components: Components, effect: float, seeds: int, alpha: float = ALPHA, power: float = POWER
) -> int | None:
    """Fewest documents that find a difference with a power at a number of seeds; None where no number of documents does."""
    if power_of(components, effect, seeds, MOST_DOCUMENTS, alpha) < power:
        return None
    low, high = 1, MOST_DOCUMENTS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(components, effect, seeds, middle, alpha) >= power else (middle, high)
    return high


@dataclass(frozen=True)
class SequentialPower:
    """What looks come to where the true difference is as planned.

    Args:
        power: share of studies that find it, on its own side, at any look.
        by_look: the same by each look.
        seeds: used on average, since a study ends where it is found.
    """

    power: float
    by_look: tuple[float, ...]
    seeds: float


def sequential_power(
    components: Components, effect: float, documents: int, looks: Sequence[Look], family: int = 1, seed: int = 0
) -> SequentialPower:
    """The power of a design with looks, from simulated differences of seeds with these components.

    Args:
        components: of the difference.
        effect: the true difference.
        documents: in the test split.
        looks: each at more seeds than the one before.
        family: questions asked at once; each is held to the error rate divided by their number.
        seed: of the simulation; same seed, same numbers.
    """
    from scipy import special

    rng = np.random.default_rng(seed)
    total = looks[-1].seeds[-1]
    by_document = math.sqrt(components.documents / documents) * rng.standard_normal((DRAWS, 1))
    by_seed = math.sqrt(components.seeds + components.both / documents) * rng.standard_normal((DRAWS, total))
    differences = abs(effect) + by_document + by_seed
    # The variance over documents is estimated from the same documents at all looks.
    known = rng.chisquare(documents - 1, DRAWS) / (documents - 1)
    going = np.ones(DRAWS, dtype=bool)
    found, used = [], 0.0
    for look in looks:
        seeds = look.seeds[-1]
        both = components.both / (seeds * documents)
        of_seeds = differences[:, :seeds].var(axis=1, ddof=1) / seeds
        of_documents = (components.documents / documents + both) * known
        variance = np.maximum(of_seeds + of_documents - both, np.maximum(of_seeds, of_documents))
        spread = of_seeds**2 / (seeds - 1) + of_documents**2 / (documents - 1) + both**2 / ((seeds - 1) * (documents - 1))
        df = np.maximum(variance**2 / spread, min(seeds, documents) - 1.0)
        t = differences[:, :seeds].mean(axis=1) / np.sqrt(variance)
        crossed = going & (2 * special.stdtr(df, -np.abs(t)) < look.at(ALPHA / family))
        found.append(float((crossed & (t > 0)).mean()))
        used += seeds * float((crossed if look is not looks[-1] else going).mean())
        going &= ~crossed
    return SequentialPower(sum(found), tuple(float(share) for share in np.cumsum(found)), used)
