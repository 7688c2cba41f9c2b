"""Two arms over several tasks: on how many is one better, how do they score as a whole, and what about a further task.

Wins and losses are counts. `replicability` says how many of them are more than chance. `aggregate` sums up scores of all tasks
and seeds with intervals over seeds. `posterior` is what the tasks together say about a further task of their kind.

Sources: Dror, Baumer, Bogomolov and Reichart (2017), Replicability analysis for natural language processing, TACL 5; Agarwal et
al. (2021), Deep reinforcement learning at the edge of the statistical precipice, arXiv 2108.13264; Benavoli, Corani, Demšar and
Zaffalon (2017), Time for a change, JMLR 18, and Corani et al. (2017), Statistical comparison of classifiers through Bayesian
hierarchical modelling, Machine Learning 106.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.results.display import stated
from bench.stats.intervals import LEVEL, MINIMUM_SEEDS, Array, Estimate
from bench.stats.multiplicity import holm
from bench.wording import some

TASKS = 3
"""Fewer tasks say nothing about others."""
FEWEST_SEEDS = 3
"""Fewer seeds on a task leave a bootstrap over seeds next to nothing to draw; its interval would be too narrow by far."""
ROPE = 0.01
"""Half the width of the region of practical equivalence: one point of F, absolute."""
SPREAD = 5.0
"""Scale of the prior of how far tasks differ, in halves of that region. Half of its mass is below: five points of F."""
RESAMPLES = 2000
_GRID = 400


@dataclass(frozen=True)
class Replicated:
    """On how many tasks an arm is better than the other.

    Args:
        dependent: at least on so many, whatever the tasks have in common, by Bonferroni's partial conjunctions.
        independent: at least on so many if tasks are independent, by Fisher's. Tasks of one run are not.
        tasks: on these, by Holm's method.
    """

    dependent: int
    independent: int
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class Ranged:
    """A figure and its interval over seeds."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Aggregate:
    """Scores over all tasks and seeds, with stratified bootstrap intervals.

    Args:
        first: interquartile mean of the first arm: of the middle half of its scores.
        second: that of the second.
        difference: second less first, of the same resampled seeds.
        improvement: how often a run of the second arm scores higher than one of the first on the same task, ties by half.
    """

    first: Ranged
    second: Ranged
    difference: Ranged
    improvement: Ranged


@dataclass(frozen=True)
class Posterior:
    """What is believed of the difference, second arm less first, after these tasks.

    Args:
        rope: differences up to it, in either direction, count as none.
        mean: over tasks of this kind.
        low: of the credible interval of that mean.
        high: of that interval.
        left: probability that on a further task the first arm is better by more than `rope`.
        inside: that neither is.
        right: that the second arm is.
    """

    rope: float
    mean: float
    low: float
    high: float
    left: float
    inside: float
    right: float


@dataclass(frozen=True)
class Across:
    """Two arms over several tasks.

    Args:
        tasks: how many.
        second_better: on how many the second arm is better; None with too few seeds for a verdict on any task.
        first_better: the same of the first.
        aggregate: scores over all tasks.
        posterior: about a further task; None with too few seeds.
    """

    tasks: int
    second_better: Replicated | None
    first_better: Replicated | None
    aggregate: Aggregate
    posterior: Posterior | None


def across(
    estimates: Mapping[str, Estimate],
    first: Sequence[Array],
    second: Sequence[Array],
    *,
    level: float = LEVEL,
    rope: float = ROPE,
    seed: int = 0,
) -> Across | None:
    """Two arms over their tasks; None where there are fewer than `TASKS`, or fewer than `FEWEST_SEEDS` on one of them.

    Args:
        estimates: task to the difference, second arm less first.
        first: of each task the scores of the first arm, of shape (seeds,), the same seeds in the same order as the second's.
        second: the same of the second arm.
        level: of intervals; each direction is tested at half of the rest.
        rope: of `posterior`.
        seed: of the resampling.
    """
    fewest = min((estimate.seeds for estimate in estimates.values()), default=0)
    if len(estimates) < TASKS or fewest < FEWEST_SEEDS:
        return None
    enough = fewest >= MINIMUM_SEEDS
    sides: list[Replicated | None] = []
    for sign in (1, -1):
        p_values = {task: _one_sided(estimate, sign) for task, estimate in estimates.items()}
        sides.append(replicability(p_values, (1 - level) / 2) if enough else None)
    known = [(e.difference, e.se, e.df) for e in estimates.values() if e.se is not None and e.df is not None and e.df > 2]
    believed = None
    if enough and len(known) == len(estimates):
        # A t variate's standard deviation: a standard error from few seeds may well be too small.
        believed = posterior([d for d, _, _ in known], [se * math.sqrt(df / (df - 2)) for _, se, df in known], rope, level)
    return Across(len(estimates), sides[0], sides[1], aggregate(first, second, level=level, seed=seed), believed)


def _one_sided(estimate: Estimate, sign: int) -> float:
    """Of no difference, against one of this sign; 1 where seeds or documents do not vary."""
    if estimate.p is None:
        return 1.0
    return estimate.p / 2 if sign * estimate.difference > 0 else 1 - estimate.p / 2


def replicability(p_values: Mapping[str, float], alpha: float = 0.05) -> Replicated:
    """On how many of N tasks there is an effect, such that the estimate is too high with a probability of `alpha` at most.

    The partial conjunction hypothesis for u says that fewer than u tasks have one. With sorted p, Bonferroni's p of it is
    (N − u + 1) · p_(u), valid however tasks depend on each other; Fisher's, of independent tasks, is the upper tail of χ² with
    2(N − u + 1) degrees of freedom at −2 Σ_{i ≥ u} ln p_(i). The estimate is the last u up to which all are rejected.

    Args:
        p_values: task to its one-sided p.
        alpha: of each estimate, and of Holm's method.
    """
    from scipy import special

    ordered = np.clip(np.sort(list(p_values.values())), 1e-300, 1.0)
    count = len(ordered)
    left = count - np.arange(count)
    bonferroni = left * ordered
    fisher = special.chdtrc(2 * left, -2 * np.cumsum(np.log(ordered)[::-1])[::-1])
    adjusted = holm(list(p_values.values()), alpha)
    named = tuple(task for task, p in zip(p_values, adjusted, strict=True) if p is not None and p <= alpha)
    return Replicated(_rejected(bonferroni, alpha), _rejected(fisher, alpha), named)


def _rejected(p_values: Array, alpha: float) -> int:
    """How many are rejected before the first that is not."""
    return int(np.cumprod(p_values <= alpha).sum())


def aggregate(
    first: Sequence[Array], second: Sequence[Array], *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0
) -> Aggregate:
    """Interquartile means and the probability of improvement; seeds are resampled within each task.

    The tasks, and the documents that they are scored on, are held fast. For the difference of interquartile means both arms get
    the same seeds, for the probability of improvement each its own.

    Args:
        first: of each task the scores of the first arm, of shape (seeds,).
        second: the same of the second, over the same seeds.
        resamples: of the bootstrap.
        level: of the percentile intervals.
        seed: of the resampling.
    """
    rng = np.random.default_rng(seed)

    def draws() -> list[NDArray[np.int64]]:
        return [rng.integers(0, len(scores), (resamples, len(scores))) for scores in first]

    def ranged(value: float, sample: Array) -> Ranged:
        low, high = np.quantile(sample, [(1 - level) / 2, (1 + level) / 2])
        return Ranged(value, float(low), float(high))

    same, other = draws(), draws()
    one = _iqm(np.concatenate([scores[drawn] for scores, drawn in zip(first, same, strict=True)], axis=1))
    two = _iqm(np.concatenate([scores[drawn] for scores, drawn in zip(second, same, strict=True)], axis=1))
    points = [float(_iqm(np.concatenate(arm)[None])[0]) for arm in (first, second)]
    better = np.mean(
        [_higher(y[b], x[a]) for x, y, a, b in zip(first, second, same, other, strict=True)], axis=0
    )  # fmt: skip
    improvement = float(np.mean([_higher(y[None], x[None])[0] for x, y in zip(first, second, strict=True)]))
    return Aggregate(
        ranged(points[0], one), ranged(points[1], two), ranged(points[1] - points[0], two - one), ranged(improvement, better)
    )


def _iqm(scores: Array) -> Array:
    """Mean of the middle half of each row: a quarter of the scores, rounded down, is cut off at either end."""
    cut = scores.shape[1] // 4
    middle: Array = np.sort(scores, axis=1)[:, cut : scores.shape[1] - cut].mean(axis=1)
    return middle


def _higher(second: Array, first: Array) -> Array:
    """Share of all pairs, one of each, of which the second is higher, ties by half; of shape (rows,)."""
    signs: Array = np.sign(second[:, :, None] - first[:, None, :]).mean(axis=(1, 2))
    return (signs + 1) / 2


def posterior(differences: Sequence[float], errors: Sequence[float], rope: float = ROPE, level: float = LEVEL) -> Posterior:
    """A hierarchical model of differences on tasks: d_i ~ N(δ_i, s_i²), δ_i ~ N(μ, τ²), a flat prior of μ, half-Cauchy of τ.

    Given τ, μ is normal; τ itself is summed over a grid, so that nothing is sampled. Corani et al. let δ_i be Student's, for
    tasks that stand out; with a handful of tasks that cannot be told from a larger τ.

    Args:
        differences: one a task.
        errors: their standard errors, widened for the few seeds that they were estimated from.
        rope: half the width of the region of practical equivalence, in the metric's own unit; also sets the scale of τ.
        level: of the credible interval.
    """
    from scipy import optimize, special

    d, variances = np.asarray(differences, dtype=np.float64), np.square(np.asarray(errors, dtype=np.float64))
    scale = SPREAD * rope
    # Quantiles of the half-Cauchy prior: each point of the grid has the same prior weight.
    tau = scale * np.tan(np.pi / 2 * (np.arange(_GRID) + 0.5) / _GRID)
    precision = 1 / (variances + np.square(tau)[:, None])
    total = precision.sum(axis=1)
    mu = (precision * d).sum(axis=1) / total
    log = 0.5 * (np.log(precision).sum(axis=1) - np.log(total) - (precision * np.square(d - mu[:, None])).sum(axis=1))
    weights = np.exp(log - log.max())
    weights /= weights.sum()

    def below(value: float, spread: Array) -> float:
        return float(weights @ special.ndtr((value - mu) / spread))

    of_mean, of_next = np.sqrt(1 / total), np.sqrt(1 / total + np.square(tau))
    far = float(np.abs(d).max() + 10 * of_mean.max() + rope)
    tail = (1 - level) / 2
    low, high = (optimize.brentq(lambda x, p=p: below(x, of_mean) - p, -far, far) for p in (tail, 1 - tail))
    left, right = below(-rope, of_next), 1 - below(rope, of_next)
    return Posterior(rope, float(weights @ mu), float(low), float(high), left, 1 - left - right, right)


def meaning(across: Across, first: str, second: str) -> str:
    """What it means, in a few sentences; `first` and `second` name the arms."""
    parts = []
    for arm, side in ((second, across.second_better), (first, across.first_better)):
        if side is not None and (side.dependent or arm == second):
            named = f", by name {', '.join(side.tasks)}" if side.tasks else ""
            parts.append(f"{arm} is better on at least {side.dependent} of {some(across.tasks, 'task')}{named}.")
    if across.second_better is None:
        parts.append(f"With fewer than {MINIMUM_SEEDS} seeds nothing is said about how many tasks are won.")
    chance = across.aggregate.improvement
    parts.append(
        f"A run of {second} scores higher than one of {first} on the same task {chance.value:.0%} of the time "
        f"[{chance.low:.0%}, {chance.high:.0%}]."
    )
    if across.posterior is not None:
        held = across.posterior
        parts.append(
            f"On a further task of this kind {second} would be better by more than {stated(held.rope)} with a probability of "
            f"{held.right:.0%}, {first} with {held.left:.0%}."
        )
    return " ".join(parts)
