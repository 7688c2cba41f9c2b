"""From which probability on a predicted mention is accepted: chosen on dev, by label and by whether it is discontiguous.

F1 = 2·TP / (predicted + gold) over all groups together is highest where every group takes the threshold that maximises
TP − F1/2 · predicted, with the F1 that results: groups are independent of one another given F1, and a few rounds find it. With
probabilities that say what they mean every threshold would be F1/2. Groups of discontiguous mentions are held to the F1 of
discontiguous mentions instead: they are few, and the F1 of all would give them up for a handful of false ones.

A threshold moves away from one half only as far as is worth one standard error of what it gains; dev splits are small.

Source: Lipton, Elkan & Narayanaswamy 2014, "Thresholding Classifiers to Maximize F1 Score", arXiv 1402.1892; the rounds are
Dinkelbach's, 1967, for fractional programs; one standard error as in Breiman et al. 1984, Classification and Regression Trees.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bench.api.data import Document, Mention

HALF = 0.5
GRID: NDArray[np.float64] = np.round(np.arange(0.05, 0.96, 0.01), 2)
FEWEST = 20
"""Gold mentions on dev from which a group has a threshold of its own; smaller groups share those of their kind, or one."""
ROUNDS = 20

Group = tuple[str, bool]
"""Label, and whether it has several fragments."""


@dataclass(frozen=True)
class Thresholds:
    """The least probability of an accepted mention, by group.

    Args:
        groups: of each group of the dev split; 0.5 for any other.
    """

    groups: Mapping[Group, float] = field(default_factory=dict)

    def accept(self, documents: Sequence[Document]) -> tuple[Document, ...]:
        """The documents with the mentions that are accepted; one without a probability always is."""
        return tuple(replace(d, mentions=tuple(m for m in d.mentions if self._accepts(m))) for d in documents)

    def _accepts(self, mention: Mention) -> bool:
        return mention.confidence is None or mention.confidence >= self.groups.get(_group(mention), HALF)

    def as_json(self) -> dict[str, float]:
        """``LABEL`` and ``LABEL discontiguous`` to the threshold, sorted."""
        return {
            f"{label} discontiguous" if several else label: value for (label, several), value in sorted(self.groups.items())
        }


def choose(gold: Sequence[Document], predicted: Sequence[Document]) -> Thresholds:
    """The thresholds of the highest F1 over mentions, fragments and label equal.

    Args:
        gold: documents of dev.
        predicted: the same documents in the same order, with every mention that a head hands over and its probability.
    """
    sure: dict[Group, list[float]] = defaultdict(list)
    right: dict[Group, list[bool]] = defaultdict(list)
    wanted: dict[Group, int] = defaultdict(int)
    for one, other in zip(gold, predicted, strict=True):
        keys = {mention.key: mention for mention in one.mentions}
        for mention in keys.values():
            wanted[_group(mention)] += 1
        for mention in {m.key: m for m in other.mentions if m.confidence is not None}.values():
            sure[_group(mention)].append(float(mention.confidence or 0.0))
            right[_group(mention)].append(mention.key in keys)
    pools = _pools(wanted, [*sure])
    chosen: dict[object, float] = {}
    for several in (False, True):
        own = {pool: groups for pool, groups in pools.items() if (groups[0][1] and pool != "rest") == several}
        held = [*own.values()] if several else [*pools.values()]
        counts = {
            pool: _counts([p for g in groups for p in sure[g]], [r for g in groups for r in right[g]])
            for pool, groups in pools.items()
            if groups in held
        }
        found = _best(counts, sum(wanted.get(g, 0) for groups in held for g in groups))
        chosen |= {pool: found[pool] for pool in own}
    return Thresholds({group: chosen[pool] for pool, groups in pools.items() for group in groups})


def _group(mention: Mention) -> Group:
    return mention.label, mention.discontiguous


def _pools(wanted: Mapping[Group, int], predicted: Sequence[Group]) -> dict[object, list[Group]]:
    """Groups that share a threshold: large ones alone, small ones with the small ones of their kind, or all small ones."""
    groups = sorted({*wanted, *predicted})
    pools: dict[object, list[Group]] = {group: [group] for group in groups if wanted.get(group, 0) >= FEWEST}
    small = [group for group in groups if wanted.get(group, 0) < FEWEST]
    for several in (False, True):
        kind = [group for group in small if group[1] == several]
        enough = sum(wanted.get(group, 0) for group in kind) >= FEWEST
        if kind:
            pools.setdefault(("small", several) if enough else "rest", []).extend(kind)
    return pools


def _counts(sure: Sequence[float], right: Sequence[bool]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """True positives and predictions at every threshold of the grid."""
    order = np.sort(np.asarray(sure, dtype=np.float64))
    hits = np.sort(np.asarray([p for p, r in zip(sure, right, strict=True) if r], dtype=np.float64))
    return len(hits) - np.searchsorted(hits, GRID), len(order) - np.searchsorted(order, GRID)


def _best(counts: Mapping[object, tuple[NDArray[np.int64], NDArray[np.int64]]], gold: int) -> dict[object, float]:
    """The threshold of each pool, for the F1 of all of them together."""
    half = int(np.argmin(np.abs(GRID - HALF)))
    f1, kept, chosen = -1.0, dict.fromkeys(counts, half), dict.fromkeys(counts, half)
    for _ in range(ROUNDS):
        hits = sum(int(tp[chosen[pool]]) for pool, (tp, _) in counts.items())
        made = sum(int(n[chosen[pool]]) for pool, (_, n) in counts.items())
        now = 2 * hits / (made + gold) if made + gold else 0.0
        if now <= f1:
            break
        f1, kept = now, chosen
        chosen = {pool: _near_half(tp, n, f1 / 2, half) for pool, (tp, n) in counts.items()}
    return {pool: float(GRID[at]) for pool, at in kept.items()}


def _near_half(tp: NDArray[np.int64], n: NDArray[np.int64], price: float, half: int) -> int:
    """Index of the threshold from one half towards the best that is within one standard error of the best.

    Args:
        tp: true positives at each threshold.
        n: predictions at each.
        price: what a prediction costs in true positives.
        half: index of one half.
    """
    worth = tp - price * n
    best = int(np.argmax(worth))
    step = 1 if best >= half else -1
    for at in range(half, best, step):
        if worth[best] - worth[at] <= math.sqrt(abs(int(n[at] - n[best])) * price * (1 - price)):
            return at
    return best
