"""Finds overlapping mentions of a document without comparing every pair."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate

from bench.api.data import Fragment


def overlap(left: Sequence[Fragment], right: Sequence[Fragment]) -> int:
    """Overlap in characters of the two fragments that overlap most, ends inclusive; 0 for none."""
    return max(0, *(min(a[1], b[1]) - max(a[0], b[0]) + 1 for a in left for b in right))


class Walk:
    """The mentions of a document that are not marked yet; each is taken at most once.

    Args:
        mentions: key to fragments, in the order in which mentions are visited.
        marked: keys that cannot be taken.
    """

    def __init__(self, mentions: Mapping[str, Sequence[Fragment]], marked: Collection[str]) -> None:
        order = [(min(f[0] for f in mentions[key]), key) for key in mentions if key not in marked]
        order.sort(key=lambda item: item[0])
        self._starts = [start for start, _ in order]
        self._keys = [key for _, key in order]
        self._mentions = mentions
        ends = [max(f[1] for f in mentions[key]) for key in self._keys]
        self._reach = list(accumulate(ends, max))
        self._gone: set[str] = set()

    def take(self, fragments: Sequence[Fragment]) -> list[str]:
        """Takes every mention that overlaps `fragments`, the largest overlap first; ties in the order of mentions."""
        first, last = min(f[0] for f in fragments), max(f[1] for f in fragments)
        overlapping: list[tuple[int, str]] = []
        index = bisect_right(self._starts, last) - 1
        # Below this index all mentions end before `first`.
        while index >= 0 and self._reach[index] >= first:
            key = self._keys[index]
            amount = 0 if key in self._gone else overlap(fragments, self._mentions[key])
            if amount:
                overlapping.append((amount, key))
            index -= 1
        overlapping.reverse()
        overlapping.sort(key=lambda item: -item[0])
        self._gone.update(key for _, key in overlapping)
        return [key for _, key in overlapping]
