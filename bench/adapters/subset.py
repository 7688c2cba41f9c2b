"""The subset of weights whose sum is nearest to a target, spread evenly: which layers get one rank more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import gcd


def even_subset(weights: Sequence[int], target: float) -> frozenset[int]:
    """Indices of a subset whose sum is as near to the target as any subset's.

    Among the subsets with that sum it takes the same share of every weight where it can, and of equal weights those that lie
    evenly between the first and the last. Sums are bits of one integer, so the search is exact and still fast.

    Args:
        weights: positive numbers, one a layer, in order of depth.
        target: the sum wanted, from 0 to the sum of all.
    """
    unit = gcd(*weights)
    places: dict[int, list[int]] = defaultdict(list)
    for index, weight in enumerate(weights):
        places[weight // unit].append(index)
    # reachable[i] has bit s set where the first i distinct weights can sum to s.
    reachable = [1]
    for weight, where in places.items():
        bits, left, step = reachable[-1], len(where), 1
        while left:
            take = min(step, left)
            bits |= bits << (weight * take)
            left -= take
            step *= 2
        reachable.append(bits)
    total = _nearest(reachable[-1], target / unit)
    share = total * unit / sum(weights)
    chosen: set[int] = set()
    for (weight, where), before in zip(reversed(places.items()), reversed(reachable[:-1]), strict=True):
        numbers = sorted(range(min(len(where), total // weight) + 1), key=lambda number: abs(number - share * len(where)))
        number = next(number for number in numbers if before >> (total - number * weight) & 1)
        chosen.update(where[int((slot + 0.5) * len(where) / number)] for slot in range(number))
        total -= number * weight
    return frozenset(chosen)


def _nearest(bits: int, target: float) -> int:
    """The set bit nearest to the target, the lower of two that are equally near. Bit 0 is set."""
    low = int(target)
    below = (bits & ((1 << (low + 1)) - 1)).bit_length() - 1
    above = bits >> (low + 1)
    if not above:
        return below
    up = low + (above & -above).bit_length()
    return up if up - target < target - below else below
