"""Two arms on the same documents: the cluster bootstrap, the permutation test and effect sizes, documents as the unit.

What varies here is the documents; the trained models are held fast, and scores are means over the seeds that both arms have.
Mentions of one document are not independent, so whole documents are drawn, and whole documents change arms, in all seeds
at once.

Sources: Field and Welsh (2007), Bootstrapping clustered data; Noreen (1989), Computer-intensive methods for testing hypotheses,
and Dror et al. (2018), The hitchhiker's guide to testing statistical significance in natural language processing; Phipson and
Smyth (2010), Permutation p-values should never be zero, arXiv 1603.05766, for the one that is added; Cohen (1988) for d_z.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.stats.intervals import LEVEL, Array, Measure, apply, contributions, scores

RESAMPLES = 10_000
_CHUNK = 2_000_000
"""Document weights held at a time: 16 MB."""


@dataclass(frozen=True)
class Paired:
    """Two arms on the same documents.

    Args:
        low: of the percentile interval of the difference over resampled documents; None where it cannot be had.
        high: of that interval.
        p: of the permutation test, two-sided.
        exact: whether every way to swap the documents was tried, so that p holds no chance.
        d_documents: Cohen's d_z over documents: mean of what each contributes to the difference, over their standard deviation.
        d_seeds: Cohen's d_z over seeds: mean difference of a seed, over their standard deviation.
    """

    low: float | None
    high: float | None
    p: float
    exact: bool
    d_documents: float | None
    d_seeds: float | None


def paired(
    first: Array,
    second: Array,
    names: Sequence[str],
    measure: Measure,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Paired:
    """The difference, second arm less the first, with documents as the only source of chance.

    Args:
        first: statistics of shape (seeds, documents, names).
        second: the same, of the other arm.
        names: of the statistics.
        measure: the score.
        resamples: of the bootstrap, and of the permutation test where there are more ways than that to swap documents.
        level: of the interval.
        seed: of the resampling; same seed, same numbers.
    """
    low, high = bootstrap(first, second, names, measure, resamples=resamples, level=level, seed=seed)
    p, exact = permutation(first, second, names, measure, resamples=resamples, seed=seed)
    pseudo = contributions(second, names, measure) - contributions(first, names, measure)
    by_seed = scores(second, names, measure) - scores(first, names, measure)
    return Paired(low, high, p, exact, d_z(pseudo.mean(axis=0)), d_z(by_seed))


def bootstrap(
    first: Array,
    second: Array,
    names: Sequence[str],
    measure: Measure,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[float, float] | tuple[None, None]:
    """Percentile interval of the difference over resampled documents, the same ones for both arms and every seed."""
    documents = first.shape[1]
    if documents < 2:
        return None, None
    rng = np.random.default_rng(seed)
    both = np.concatenate([first, second])
    resampled = []
    for count in _chunks(resamples, documents):
        drawn = rng.integers(0, documents, (count, documents)) + np.arange(count)[:, None] * documents
        # How often each document was drawn: multinomial weights.
        weights = np.bincount(drawn.ravel(), minlength=count * documents).reshape(count, documents).astype(np.float64)
        resampled.append(_differences(_weighted(weights, both), names, measure))
    differences = np.concatenate(resampled)
    if not np.isfinite(differences).all():
        return None, None
    low, high = np.quantile(differences, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def permutation(
    first: Array,
    second: Array,
    names: Sequence[str],
    measure: Measure,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, bool]:
    """Two-sided p of no difference: how often is the difference as large when whole documents change arms at random?

    Returns:
        p, and whether all 2^documents ways were tried, which is done where they are no more than `resamples`.
    """
    documents = first.shape[1]
    difference = second - first
    base = np.stack([first.sum(axis=1), second.sum(axis=1)], axis=1)
    exact = 2**documents <= resamples
    rng = np.random.default_rng(seed)
    observed = abs(float(_differences(np.concatenate([base[:, 0], base[:, 1]])[None], names, measure)[0]))
    extreme = total = 0
    for count in _chunks(2**documents if exact else resamples, documents):
        if exact:
            order = np.arange(total, total + count)
            swaps = ((order[:, None] >> np.arange(documents)) & 1).astype(np.float64)
        else:
            swaps = rng.integers(0, 2, (count, documents)).astype(np.float64)
        moved = _weighted(swaps, difference)
        sums = np.concatenate([base[:, 0] + moved, base[:, 1] - moved], axis=1)
        # One that differs from the observed one by rounding only, or has no score, counts as equally large.
        extreme += int((~(np.abs(_differences(sums, names, measure)) < observed - 1e-12)).sum())
        total += count
    return (extreme / total, True) if exact else ((extreme + 1) / (total + 1), False)


def d_z(values: Array) -> float | None:
    """Cohen's d_z: mean over standard deviation of paired differences; None where they do not vary."""
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return float(values.mean()) / spread if spread > 1e-12 else None


def _weighted(weights: Array, table: Array) -> Array:
    """Weighted sums over documents: (ways, documents) and (rows, documents, names) give (ways, rows, names)."""
    rows, documents, names = table.shape
    flat = table.transpose(1, 0, 2).reshape(documents, rows * names)
    sums: Array = (weights @ flat).reshape(len(weights), rows, names)
    return sums


def _differences(sums: Array, names: Sequence[str], measure: Measure) -> NDArray[np.float64]:
    """Second arm less first, mean over seeds, of sums of shape (ways, seeds of the first and then of the second, names)."""
    values = apply(measure, sums, names)
    half = values.shape[1] // 2
    means: NDArray[np.float64] = values[:, half:].mean(axis=1) - values[:, :half].mean(axis=1)
    return means


def _chunks(total: int, documents: int) -> Iterator[int]:
    size = max(1, _CHUNK // documents)
    for begin in range(0, total, size):
        yield min(size, total - begin)
