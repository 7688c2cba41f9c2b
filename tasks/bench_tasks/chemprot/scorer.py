"""Micro F1 over the five classes: a relation is right when its chemical, its gene and its class are.

The field counts pairs; pairs that gold and predictions both leave out count nowhere. Documents' relations are sets, so that
one that is repeated counts once. Tests hold this to scikit-learn's `precision_recall_fscore_support` over all pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.api.data import Document
from bench.api.task import Scores
from bench_tasks.chemprot.corpus import CLASSES
from bench_tasks.common.figures import COUNTS, prf

_MICRO = "relations"


def statistics(gold: Sequence[Document], predicted: Iterable[Document]) -> list[Mapping[str, float]]:
    """Additive statistics of every gold document, in order; a document without a prediction has nothing found."""
    given = {document.id: set(document.relations) for document in predicted}
    rows: list[Mapping[str, float]] = []
    for document in gold:
        wanted, found = set(document.relations), given.get(document.id, set())
        row = dict.fromkeys((f"{name}.{count}" for name in (_MICRO, *CLASSES) for count in COUNTS), 0.0)
        for count, relations in zip(COUNTS, (wanted & found, found - wanted, wanted - found), strict=True):
            row[f"{_MICRO}.{count}"] = float(len(relations))
            for relation in relations:
                if relation.label in CLASSES:
                    row[f"{relation.label}.{count}"] += 1.0
        rows.append(row)
    return rows


def summarise(sums: Mapping[str, Any]) -> Scores:
    """``relations`` (micro) and ``by_type``, each with counts, precision, recall and F1; numbers or arrays."""
    return {_MICRO: prf(sums, _MICRO), "by_type": {label: prf(sums, label) for label in CLASSES}}
