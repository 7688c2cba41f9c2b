"""Micro F1 of relations: a relation is right when its source, its target and its label are.

Pairs without a relation in gold and in predictions are not counted. A document's relations are a set: a repeated one counts
once. Tests compare this with scikit-learn's `precision_recall_fscore_support` over all pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.api.data import Document
from bench.api.task import Scores
from bench.kit.scores import BY_TYPE, by_type, counts, prf

MICRO = "relations"


def statistics(
    gold: Sequence[Document], predicted: Iterable[Document], labels: Iterable[str] = ()
) -> list[Mapping[str, float]]:
    """Additive statistics of every gold document, in order; predictions are matched by id, others are ignored.

    A document without a prediction has nothing found. `labels` are types that have a row even where nothing carries them.
    """
    predictions = {document.id: set(document.relations) for document in predicted}
    types = tuple(labels)
    rows: list[Mapping[str, float]] = []
    for document in gold:
        sides = set(document.relations), predictions.get(document.id, set())
        row = counts(MICRO, *sides)
        for label in sorted({*types, *(relation.label for side in sides for relation in side)}):
            row |= counts(f"{BY_TYPE}{label}", *({relation for relation in side if relation.label == label} for side in sides))
        rows.append(row)
    return rows


def summarise(sums: Mapping[str, Any]) -> Scores:
    """``relations`` (micro) and ``by_type``, each with counts, precision, recall and F1; numbers or arrays."""
    return {MICRO: prf(sums, MICRO), "by_type": by_type(sums)}
