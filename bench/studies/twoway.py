"""A difference between two arms, with an interval over both seeds and documents.

Every seed of every arm is scored on the same documents, so that seeds and documents are crossed. With d_s the difference of the
scores at seed s, and ψ_si what document i contributes to it (jackknife pseudo-values), the variance of the mean difference is

    V = V_seeds + V_documents − V_both

where V_seeds = var(d_s)/S, V_documents = var(mean over s of ψ_si)/D, and V_both, which the other two both hold, is the
interaction's. The interval is t with Satterthwaite's degrees of freedom, which stay near S − 1 where seeds decide and near D − 1
where documents do. V is never taken smaller than either variance alone. Resampling seeds would need many of them: six resampled
seeds give intervals that are too short.

Sources: Cameron, Gelbach and Miller (2011), Robust inference with multiway clustering, JBES 29(2); Satterthwaite (1946), An
approximate distribution of estimates of variance components, Biometrics 2(6); Efron (1982), The jackknife, chapter 3; for seeds
and test examples as two crossed samples in this field, Sellam et al. (2022), The MultiBERTs, arXiv 2106.16163. What it holds on
simulated runs: `bench.studies.simulate`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Measure = Callable[[Mapping[str, Any]], Any]
"""Sums of additive statistics, numbers or arrays, to the one score that is compared."""

LEVEL = 0.95
POWER = 0.8
MINIMUM_SEEDS = 6
"""Fewer cannot carry a verdict: the smallest two-sided p that a sign or permutation test over five seeds can give is .0625."""


@dataclass(frozen=True)
class Estimate:
    """The difference of two arms' scores, the second arm less the first, and how well it is known.

    Args:
        difference: mean over seeds.
        low: of the interval over seeds and documents; None with fewer than two of either, or where nothing varies.
        high: of the interval.
        tight_low: of the interval at twice the error rate (90% for 95%), which two one-sided tests of equivalence go by.
        tight_high: of that interval.
        p: two-sided, of no difference, by the same t.
        p_holm: adjusted for the family of questions that was asked at once; None until it is known.
        seeds: seeds that both arms have.
        documents: that both were scored on.
        se: standard error over seeds and documents.
        se_seeds: standard error over seeds alone, the documents held fast.
        se_documents: standard error over documents alone, the trained models held fast.
        df: Satterthwaite's degrees of freedom.
        detectable: smallest true difference that this many seeds and documents would have found with the stated power.
        margin_detectable: smallest margin within which arms that truly are equal would have been found so with that power.
    """

    difference: float
    low: float | None
    high: float | None
    tight_low: float | None
    tight_high: float | None
    p: float | None
    p_holm: float | None
    seeds: int
    documents: int
    se: float | None
    se_seeds: float | None
    se_documents: float | None
    df: float | None
    detectable: float | None
    margin_detectable: float | None

    def to_json(self) -> dict[str, Any]:
        """Every field, JSON-able."""
        return asdict(self)

    def within(self, margin: float) -> bool:
        """Whether the arms are equivalent: the tight interval lies inside of the margin on both sides."""
        return self.tight_low is not None and self.tight_high is not None and -margin < self.tight_low <= self.tight_high < margin


def estimate(first: Array, second: Array, names: tuple[str, ...], measure: Measure, level: float = LEVEL,
             power: float = POWER, family: int = 1) -> Estimate:  # fmt: skip
    """The difference of two arms over the same seeds and documents.

    Args:
        first: statistics of shape (seeds, documents, names).
        second: the same, of the other arm.
        names: of the statistics.
        measure: the score.
        level: of the interval.
        power: of `Estimate.detectable`.
        family: questions asked at once; what could have been detected is told at ``(1 - level) / family``.
    """
    raise NotImplementedError
