"""Finds overlapping mentions of a document without comparing every pair."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate

from bench.api.data import Fragment


def overlap(one: Sequence[Fragment], other: Sequence[Fragment]) -> int:
    """Characters by which two mentions overlap in their best pair of fragments, ends taken as inclusive; 0 for none."""
    return max(0, *(min(a[1], b[1]) - max(a[0], b[0]) + 1 for a in one for b in other))


class Walk:
    """The mentions of a document that are still unmarked, each to be taken at most once.

    Args:
        mentions: key to fragments, in walking order.
        marked: keys that are gone already.
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
        """Takes every mention that overlaps `fragments`: the largest overlap first, the others in walking order."""
        first, last = min(f[0] for f in fragments), max(f[1] for f in fragments)
        found: list[tuple[int, str]] = []
        index = bisect_right(self._starts, last) - 1
        # Mentions further to the left end before `first`, as does everything before them.
        while index >= 0 and self._reach[index] >= first:
            key = self._keys[index]
            amount = 0 if key in self._gone else overlap(fragments, self._mentions[key])
            if amount:
                found.append((amount, key))
            index -= 1
        found.reverse()
        found.sort(key=lambda item: -item[0])
        self._gone.update(key for _, key in found)
        return [key for _, key in found]
