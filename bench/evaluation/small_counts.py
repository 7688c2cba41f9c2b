"""Intervals of shares and of F1 from their counts, for scores that a bootstrap over documents cannot judge.

A bootstrap draws what it saw: of 14 mentions of which none was found it says [0, 0], as if no corpus could give another score.
Where fewer than `FEW` items are right or wrong, its intervals hold the truth too seldom, down to a quarter of the time instead
of 95%, and where there are fewer than `SMALL` in all, they do so as soon as these stand in a handful of documents
(`benchmarks/bench_small_counts.py`). There, intervals come from the counts: Wilson's of a share, and a Bayesian one of F1. They
take items to be independent: many items in few documents deserve a wider one.

Sources: Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22; Brown, Cai and DasGupta
(2001), Interval estimation for a binomial proportion, Statistical Science 16(2), for both, and for the ends at 0 and 1; Goutte
and Gaussier (2005), A probabilistic interpretation of precision, recall and F-score, ECIR.
"""

from __future__ import annotations

import math

Interval = tuple[float, float]

FEW = 5
"""Fewer right or wrong items than these are too few for a bootstrap: the usual rule for the normal approximation of a share."""
SMALL = 30
"""Fewer items in all are too few as well."""
LEVEL = 0.95


def few(right: float, wrong: float) -> bool:
    """Whether there are too few items, or too few on either side, for a bootstrap."""
    return min(right, wrong) < FEW or right + wrong < SMALL


def wilson(right: float, total: float, level: float = LEVEL) -> Interval | None:
    """Wilson's score interval of a share; None where there is no item.

    Args:
        right: items that are right, between 0 and `total`. Of a mean of values in [0, 1] it is their sum: such values vary no
            more than items that are right or wrong, so that the interval is wide enough.
        total: items in all.
        level: of the interval.
    """
    if total <= 0:
        return None
    from statistics import NormalDist

    z = NormalDist().inv_cdf((1 + level) / 2)
    share = right / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return (0.0 if right <= 0 else centre - half), (1.0 if right >= total else centre + half)


def f1_interval(tp: float, fp: float, fn: float, level: float = LEVEL) -> Interval | None:
    """Equal-tailed Bayesian interval of F1; None where there is nothing to find and nothing was found.

    With gamma variates for each count, Goutte and Gaussier's F1 is 2X / (2X + V) of X ~ Γ(tp + ½) and V ~ Γ(fp + fn + 1), under
    Jeffreys' prior. X / (X + V) is a beta variate B, and F1 = 2B / (1 + B) grows with it: quantiles need no simulation. An end
    is 0 where nothing is right, and 1 where nothing is wrong.

    Args:
        tp: items that are right.
        fp: items that are not in gold.
        fn: items of gold that were not found.
        level: of the interval.
    """
    wrong = fp + fn
    if tp + wrong <= 0:
        return None
    from scipy import special

    tail = (1 - level) / 2
    low, high = (float(special.betaincinv(tp + 0.5, wrong + 1.0, p)) for p in (tail, 1 - tail))
    return (2 * low / (1 + low) if tp > 0 else 0.0), (2 * high / (1 + high) if wrong > 0 else 1.0)
