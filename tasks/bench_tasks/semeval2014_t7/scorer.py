"""Official scores of SemEval-2014 Task 7, reimplemented; tests compare them with outputs of the organisers' scorer.

Task A, mentions without concepts. Strict: all fragments equal. Relaxed: any two fragments overlap, ends exclusive, many to
many: true positives count predictions, misses count gold mentions. Task B, concepts. Strict: share of all gold mentions with
exact spans and the right concept. Relaxed: share of mentions with exact spans that have the right concept.

Source: Pradhan et al. 2014, https://aclanthology.org/S14-2007/.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from bench.api.data import Fragment
from bench.api.task import Scores
from bench.kit.scores import prf, ratio

Annotations = Mapping[tuple[Fragment, ...], str]
"""Fragments to concept, of one document."""


def document_statistics(gold: Annotations, predicted: Annotations) -> dict[str, float]:
    """Additive statistics of one document; a document without gold has false positives only.

    Args:
        gold: gold concepts by fragments.
        predicted: predicted concepts by fragments.
    """
    exact = gold.keys() & predicted.keys()
    touched = Touching(gold)
    overlapping = sum(map(touched, predicted))
    covered = sum(map(Touching(predicted), gold))
    return {
        "task_a.strict.tp": float(len(exact)),
        "task_a.strict.fp": float(len(predicted) - len(exact)),
        "task_a.strict.fn": float(len(gold) - len(exact)),
        "task_a.relaxed.tp": float(overlapping),
        "task_a.relaxed.fp": float(len(predicted) - overlapping),
        "task_a.relaxed.fn": float(len(gold) - covered),
        "task_b.gold": float(len(gold)),
        "task_b.exact": float(len(exact)),
        "task_b.right": float(sum(gold[key] == predicted[key] for key in exact)),
    }


def summarise(sums: Mapping[str, Any]) -> Scores:
    """Scores from summed statistics; numbers give numbers, arrays give arrays.

    Args:
        sums: what `document_statistics` gives, summed over documents.
    """
    right = sums["task_b.right"]
    return {
        "task_a": {row: prf(sums, f"task_a.{row}") for row in ("strict", "relaxed")},
        "task_b": {"strict": ratio(right, sums["task_b.gold"]), "relaxed": ratio(right, sums["task_b.exact"])},
    }


class Touching:
    """Tests whether a mention overlaps any of a set of mentions, without comparing every pair.

    Args:
        mentions: fragments of each.
    """

    def __init__(self, mentions: Iterable[Sequence[Fragment]]) -> None:
        pieces = sorted(piece for mention in mentions for piece in mention if piece[1] > piece[0])
        self._starts = [start for start, _ in pieces]
        self._reach = list(accumulate((end for _, end in pieces), max))

    def __call__(self, mention: Sequence[Fragment]) -> bool:
        """Whether a fragment of the mention shares a character with a fragment of the set."""
        return any(end > start and self._covers(start, end) for start, end in mention)

    def _covers(self, start: int, end: int) -> bool:
        before = bisect_left(self._starts, end)
        return before > 0 and self._reach[before - 1] > start
