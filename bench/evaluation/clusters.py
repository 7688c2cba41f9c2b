"""Units that are parts of longer texts: how much less they say than as many independent ones.

Example: NCBI's test split is 100 abstracts, published also as 940 sentences. Sentences of one abstract are alike, so that an
interval over sentences is too narrow by about √(design effect), the variance of a mean over what it would be if all sentences
were independent (Kish 1965, Survey Sampling). Where the file keeps the order of the sentences but not where an abstract ends,
the design effect is estimated from how alike neighbours are: it is 1 + 2 Σ ρ_k, with ρ_k the correlation of values k places
apart. The sum ends where a pair of neighbouring terms is no longer positive (Geyer 1992, Practical Markov chain Monte Carlo,
section 3.3), since all later ones are noise. For 100 documents of 9 sentences it is right to within a fifth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.naming import flatten
from bench.results.evidence import Unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.api.task import Task
    from bench.results.statistics import Statistics

PARTS = ("sentences",)
"""Units of which several stand in one text."""
SLIGHT = 1.01
"""A smaller design effect widens intervals by less than half a percent."""
LEAST = 50
"""Fewer values say nothing of their correlation."""


def design_effect(values: NDArray[np.float64]) -> float | None:
    """The design effect of values in the order of the file, at least 1; None of too few values, or equal ones.

    Args:
        values: one a unit, such as what each contributes to a difference.
    """
    import numpy as np

    count = len(values)
    centred = values - values.mean()
    power = float((centred**2).sum())
    if count < LEAST or power <= 1e-24:
        return None
    spectrum = np.fft.rfft(centred, 2 * count)
    correlations = np.fft.irfft(np.abs(spectrum) ** 2)[: count // 2 * 2] / power
    pairs = correlations[::2] + correlations[1::2]
    ends = np.flatnonzero(pairs <= 0)
    total = float(pairs[: ends[0] if len(ends) else len(pairs)].sum())
    return max(1.0, 2 * total - 1)


def unit_of(task: Task, statistics: Statistics) -> Unit:
    """What the intervals of a task are over, of sentences with the design effect of the primary metric."""
    count = len(statistics.documents)
    if statistics.unit not in PARTS or count < 2:
        return Unit(statistics.unit, count)
    whole = statistics.rows.sum(axis=0)
    total, without = (
        flatten(task.summarise(dict(zip(statistics.names, sums, strict=True))))[task.metadata.primary_metric]
        for sums in (whole, (whole - statistics.rows).T)
    )
    # Jackknife pseudo-values: what each sentence contributes to the score.
    return Unit(statistics.unit, count, design_effect(count * total - (count - 1) * without))


def caution(unit: str, count: int, effect: float | None) -> str:
    """What to say of intervals over such units; empty where each is a text of its own, or nobody said what they are.

    Args:
        unit: what they are, in the plural; see `bench.api.data.Corpus.unit`.
        count: how many.
        effect: their design effect; None where it is not known.
    """
    if unit not in PARTS:
        return ""
    if effect is None:
        return f"{count:,} {unit}, not documents: intervals may be too narrow by about √(design effect), not known here."
    if effect < SLIGHT:
        return f"{count:,} {unit}, not documents; neighbours are no more alike than others, so that intervals hold (estimated)."
    estimated = f"about √{effect:.2f} = {effect**0.5:.2f} (design effect, estimated from how alike neighbours are)"
    return f"{count:,} {unit}, not documents: intervals may be too narrow, over {unit} alone by {estimated}."
