"""Precision, recall and F1 from counts that add up over documents; numbers give numbers, arrays of sums give arrays.

A scorer has two halves: `statistics` gives counts of each document, such as ``{"strict.tp": 3.0, "strict.fp": 1.0}``, and
`summarise` turns their sum into scores. Bootstrap intervals hand the second half sums of many samples at once, as arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

COUNTS = ("tp", "fp", "fn")
BY_TYPE = "by_type."
"""Prefix of the rows of single types."""


def summed(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The sum of additive statistics, key by key: what a scorer's `summarise` takes."""
    total: dict[str, float] = {}
    for row in rows:
        for key, value in row.items():
            total[key] = total.get(key, 0.0) + value
    return total


def counts(row: str, gold: Set[Any], predicted: Set[Any]) -> dict[str, float]:
    """True and false positives and what is missed, under the names that `prf` reads for a row."""
    parts = (gold & predicted, predicted - gold, gold - predicted)
    return {f"{row}.{name}": float(len(part)) for name, part in zip(COUNTS, parts, strict=True)}


def prf(sums: Mapping[str, Any], row: str) -> dict[str, Any]:
    """Counts, precision, recall and F1 of a row of summed statistics.

    `row` is the prefix of its counts, e.g. ``strict`` for ``strict.tp``, ``strict.fp`` and ``strict.fn``; a missing one is 0.
    """
    tp, fp, fn = (as_count(sums.get(f"{row}.{name}", 0.0)) for name in COUNTS)
    return {
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "precision": ratio(tp, tp + fp),
        "recall": ratio(tp, tp + fn),
        "f1": ratio(2 * tp, 2 * tp + fp + fn),
    }


def by_type(sums: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Type to what `prf` gives for it, sorted, of every type that has a row, such as ``by_type.Drug.tp``."""
    types = sorted({key[len(BY_TYPE) :].rpartition(".")[0] for key in sums if key.startswith(BY_TYPE)})
    return {label: prf(sums, f"{BY_TYPE}{label}") for label in types}


def as_count(value: Any) -> Any:
    """A summed count as an int; an array stays as it is."""
    return value if getattr(value, "ndim", 0) else int(value)


def ratio(above: Any, below: Any) -> Any:
    """The quotient, 0 where `below` is 0; numbers or arrays."""
    import numpy as np  # half of what `bench list` may cost

    above, below = np.asarray(above, dtype=float), np.asarray(below, dtype=float)
    quotient = np.divide(above, below, out=np.zeros(np.broadcast(above, below).shape), where=below != 0)
    return quotient if quotient.ndim else float(quotient)
