"""Strict F1: a mention counts where all its fragments and its label are right; in all, and label by label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.api.data import Document
from bench.api.task import Scores

LABELS = ("Drug", "Dose", "Frequency")


def statistics(gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
    """True positives, false positives and misses of every gold document, in order."""
    given = {d.id: {m.key for m in d.mentions} for d in predicted}
    rows = []
    for document in gold:
        right, said = {m.key for m in document.mentions}, given.get(document.id, set())
        row: dict[str, float] = {}
        for name in ("all", *LABELS):
            wanted = {k for k in right if name in ("all", k[1])}
            found = {k for k in said if name in ("all", k[1])}
            row |= {f"{name}.tp": len(wanted & found), f"{name}.fp": len(found - wanted), f"{name}.fn": len(wanted - found)}
        rows.append(row)
    return rows


def summarise(sums: Mapping[str, Any]) -> Scores:
    """Precision, recall and F1 from sums; arrays of sums give arrays of scores."""
    return {"strict": _row(sums, "all"), "labels": {name: _row(sums, name) for name in LABELS}}


def _row(sums: Mapping[str, Any], name: str) -> dict[str, Any]:
    tp, fp, fn = (sums[f"{name}.{part}"] for part in ("tp", "fp", "fn"))
    found = {"precision": _ratio(tp, tp + fp), "recall": _ratio(tp, tp + fn), "f1": _ratio(2 * tp, 2 * tp + fp + fn)}
    return {"tp": tp, "fp": fp, "fn": fn, **found}


def _ratio(above: Any, below: Any) -> Any:
    import numpy as np

    value = np.where(np.asarray(below) > 0, above / np.maximum(below, 1), 0.0)
    return value if value.ndim else float(value)
