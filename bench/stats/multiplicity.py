"""Many comparisons at once: Holm's adjustment, wins, ties and losses, and the noise floor of a score."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TypeVar

import numpy as np

from bench.errors import MissingError
from bench.stats.intervals import Array

Key = TypeVar("Key")


def holm(values: Sequence[float | None], alpha: float = 0.05) -> list[float | None]:
    """Adjusts p values for the family they form, by Holm's step-down method; None stays None and counts for nothing.

    Raises:
        MissingError: statsmodels is not installed.

    Source: Holm (1979), A simple sequentially rejective multiple test procedure; `statsmodels.stats.multitest`.
    """
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return list(values)  # a family of one
    try:
        from statsmodels.stats.multitest import multipletests
    except ImportError:
        raise MissingError(
            "Holm's adjustment wants statsmodels, which is not installed.", "pip install 'bench-suite[studies]'"
        ) from None
    adjusted = iter(multipletests(known, alpha=alpha, method="holm")[1])
    return [None if value is None else float(next(adjusted)) for value in values]


@dataclass(frozen=True)
class Tally:
    """Wins, ties and losses of the second arm against the first.

    Args:
        wins: it was better.
        ties: neither was, to within what counts as a tie.
        losses: it was worse.
    """

    wins: int
    ties: int
    losses: int

    @classmethod
    def of(cls, differences: Iterable[float], ties: Iterable[float] | float = 0.0) -> Tally:
        """Counts differences; one that is not larger than its tie and than 1e-12, or no number, is a tie."""
        values = list(differences)
        borders = [ties] * len(values) if isinstance(ties, float) else list(ties)
        signs = [math.copysign(1, v) if abs(v) > max(border, 1e-12) else 0 for v, border in zip(values, borders, strict=True)]
        return cls(sum(s > 0 for s in signs), sum(s == 0 for s in signs), sum(s < 0 for s in signs))

    def __str__(self) -> str:
        return f"{self.wins}–{self.ties}–{self.losses}"

    def to_json(self) -> dict[str, int]:
        """Every field."""
        return asdict(self)


@dataclass(frozen=True)
class SeedSpread:
    """The spread of one arm's score over seeds, on the same documents.

    Args:
        mean: over seeds.
        sd: standard deviation over seeds; None with one.
        low: of the 95% t-interval of the mean over seeds.
        high: of that interval.
        seeds: how many.
    """

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    seeds: int


def over_seeds(values: Array, level: float = 0.95) -> SeedSpread:
    """Mean, standard deviation and t-interval over seeds.

    Args:
        values: one score a seed.
        level: of the interval.
    """
    count, mean = len(values), float(np.mean(values))
    if count < 2:
        return SeedSpread(mean, None, None, None, count)
    from scipy import stats

    sd = float(np.std(values, ddof=1))
    half = float(stats.t.isf((1 - level) / 2, count - 1)) * sd / math.sqrt(count)
    return SeedSpread(mean, sd, mean - half, mean + half, count)


@dataclass(frozen=True)
class Floor:
    """The noise floor: how far one score moves where nothing that is compared has changed.

    Args:
        source: ``replicates`` where there are any on an accelerator; else ``seeds``, since on a CPU replicates are identical.
        sd: standard deviation of one score, pooled over groups; None where no group has two members.
        groups: sets of runs that it was pooled from.
        runs: runs in them.
    """

    source: Literal["seeds", "replicates"]
    sd: float | None
    groups: int
    runs: int

    def tie(self, seeds: int, margin: float) -> float:
        """The largest difference between two arms, each a mean over so many `seeds`, that counts as a tie.

        It is the standard deviation of such a difference where nothing but chance is different, sd·√(2/seeds); the `margin` of
        equivalence where the floor is not known.
        """
        return margin if self.sd is None else self.sd * math.sqrt(2 / seeds)


def noise_floor(groups: Iterable[Sequence[float]], source: Literal["seeds", "replicates"]) -> Floor:
    """The pooled standard deviation within groups of scores that differ by chance alone."""
    used = [np.asarray(group, dtype=np.float64) for group in groups if len(group) > 1]
    free = sum(len(group) - 1 for group in used)
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in used)
    return Floor(source, math.sqrt(squares / free) if free else None, len(used), sum(map(len, used)))


def unequal(replicates: Mapping[Key, Sequence[Array]]) -> list[Key]:
    """Configurations whose replicates are not identical.

    Args:
        replicates: configuration to the statistics, of shape (documents, names), of each replicate.
    """
    return [key for key, tables in replicates.items() if any(not np.array_equal(tables[0], other) for other in tables[1:])]
