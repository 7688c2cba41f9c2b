"""One difference from several sites, and how far the sites disagree.

Each site gives a difference with a standard error and degrees of freedom (`bench.stats.intervals`). Two means are told:

- *of these sites*: weighted by test documents. Weights are known beforehand, so that the variance is Σ w² V, and the interval
  is t with Satterthwaite's degrees of freedom. Weights by estimated precision would favour sites whose few seeds happened to
  agree.
- *of sites like these*: random effects, with the between-site variance τ² after Paule & Mandel and the interval after Hartung &
  Knapp, t with one degree of freedom fewer than sites. Of two or three sites it is wide, as it must be.

Sources: Cochran 1954, The combination of estimates from different experiments, Biometrics 10(1); Paule & Mandel 1982, J. Res.
NBS 87(5); Hartung & Knapp 2001, Statistics in Medicine 20, corrected after Röver et al. 2015, BMC Med. Res. Methodol. 15;
Higgins et al. 2003, BMJ 327 (I²). τ², Q and the mean are statsmodels'.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench.errors import MissingError
from bench.stats.intervals import LEVEL, POWER, Estimate, interval


@dataclass(frozen=True)
class Heterogeneity:
    """How far sites disagree, beyond what their own uncertainty explains.

    Args:
        q: Cochran's Q.
        df: its degrees of freedom, one fewer than sites.
        p: of no disagreement, by chi².
        tau2: variance between sites, in the square of the metric's unit.
        i2: share of the variation that is between sites, in [0, 1].
    """

    q: float
    df: int
    p: float
    tau2: float
    i2: float


@dataclass(frozen=True)
class PooledDifference:
    """A difference at every site, and over all of them.

    Args:
        sites: name to the difference there.
        estimate: of these sites, weighted by documents; `documents` are the sum, `seeds` the fewest.
        mean: of sites like these; None where fewer than two sites give an interval.
        low: end of its interval; None as above.
        high: the other end.
        heterogeneity: None as above.
    """

    sites: Mapping[str, Estimate]
    estimate: Estimate
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    heterogeneity: Heterogeneity | None = None

    def to_json(self) -> dict[str, Any]:
        """Every field, JSON-able."""
        return asdict(self)


def pooled(sites: Mapping[str, Estimate], *, level: float = LEVEL, power: float = POWER, family: int = 1) -> PooledDifference:
    """The difference over sites.

    Args:
        sites: name to the difference there; all of one contrast.
        level: of intervals.
        power: of what could have been detected.
        family: questions asked at once.

    Raises:
        MissingError: statsmodels is not installed.
    """
    listed = [*sites.values()]
    documents = sum(each.documents for each in listed)
    weights = np.array([each.documents / documents for each in listed])
    difference = float(weights @ np.array([each.difference for each in listed]))
    seeds = min(each.seeds for each in listed)
    if any(each.se is None or each.df is None for each in listed):
        return PooledDifference(dict(sites), Estimate(difference, seeds, documents))
    variances = np.array([float(each.se or 0.0) ** 2 for each in listed])
    freedom = np.array([float(each.df or 1.0) for each in listed])
    parts = weights**2 * variances
    df = float(parts.sum() ** 2 / (parts**2 / freedom).sum())
    known: dict[str, Any] = {
        name: _joined(weights, [getattr(each, name) for each in listed]) for name in ("se_seeds", "se_documents")
    }
    effects = [each.design_effect for each in listed if each.design_effect is not None]
    known |= {
        "unit": listed[0].unit if len({each.unit for each in listed}) == 1 else "",
        "design_effect": max(effects, default=None),
    }
    whole = interval(difference, math.sqrt(float(parts.sum())), df, seeds, documents, known, (level, power, family))
    if len(listed) < 2:
        return PooledDifference(dict(sites), whole)
    return PooledDifference(dict(sites), whole, *_random_effects([each.difference for each in listed], variances, level))


def _joined(weights: Any, errors: Sequence[float | None]) -> float | None:
    if any(error is None for error in errors):
        return None
    return math.sqrt(float((weights**2 * np.array(errors, dtype=np.float64) ** 2).sum()))


def _random_effects(differences: Sequence[float], variances: Any, level: float) -> tuple[float, float, float, Heterogeneity]:
    try:
        from scipy.stats import chi2
        from scipy.stats import t as student
        from statsmodels.stats.meta_analysis import combine_effects
    except ImportError:
        raise MissingError(
            "Pooling over sites wants statsmodels, which is not installed.", "pip install 'bench-suite[studies]'"
        ) from None
    found = combine_effects(np.asarray(differences), variances, method_re="iterated", use_t=True, alpha=1 - level, maxiter=500)
    df = len(differences) - 1
    # Hartung & Knapp's error can be by chance below that of sites that agree; the larger one counts (Röver et al. 2015).
    half = float(student.ppf((1 + level) / 2, df)) * max(float(found.sd_eff_w_re_hksj), float(found.sd_eff_w_re))
    mean, q = float(found.mean_effect_re), float(found.q)
    share = max(0.0, 1 - df / q) if q > 0 else 0.0
    return mean, mean - half, mean + half, Heterogeneity(q, df, float(chi2.sf(q, df)), float(found.tau2), share)


def tie_groups(means: Mapping[str, float], apart: Mapping[tuple[str, str], bool]) -> list[tuple[str, ...]]:
    """Arms from the best down in groups that are not told apart; an arm can stand in several.

    Args:
        means: arm to its score.
        apart: two arms, in either order, to whether their difference is resolved.
    """
    order = sorted(means, key=lambda arm: -means[arm])
    groups: list[tuple[str, ...]] = []
    for start in range(len(order)):
        stop = start + 1
        while stop < len(order) and not any(
            apart.get((order[i], order[stop]), apart.get((order[stop], order[i]), False)) for i in range(start, stop)
        ):
            stop += 1
        group = tuple(order[start:stop])
        if not groups or not set(group) <= set(groups[-1]):
            groups.append(group)
    return groups
