"""Correlations of predicted ratings with gold: Pearson's of the ratings, and Spearman's, which is Pearson's of their ranks.

Both are computed from sums over documents, so that intervals can resample documents. Ranks are those among all documents that
are scored together: the figure itself is exactly Spearman's, while its resamples keep these ranks and rank nothing anew. Tests
compare both with `scipy.stats.pearsonr` and `scipy.stats.spearmanr`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.api.data import Document
from bench.api.task import Scores
from bench.kit.scores import ratio

PEARSON, SPEARMAN = "pearson", "spearman"


def rating(document: Document | None) -> float:
    """The rating of a document; 0 where it has none."""
    return document.judgements[0].score if document is not None and document.judgements else 0.0


def statistics(gold: Sequence[Document], predicted: Iterable[Document]) -> list[Mapping[str, float]]:
    """Additive statistics of every gold document, in order; predictions are matched by id, a missing one rates 0."""
    predictions = {document.id: document for document in predicted}
    truth, answers = [rating(d) for d in gold], [rating(predictions.get(d.id)) for d in gold]
    rows: list[dict[str, float]] = [{"ratings": 1.0} for _ in gold]
    for name, xs, ys in ((PEARSON, truth, answers), (SPEARMAN, _ranks(truth), _ranks(answers))):
        for row, x, y in zip(rows, xs, ys, strict=True):
            row |= {f"{name}.x": x, f"{name}.y": y, f"{name}.xx": x * x, f"{name}.yy": y * y, f"{name}.xy": x * y}
    return list(rows)


def _ranks(values: Sequence[float]) -> list[float]:
    """Ranks about their mean, which is nearer to 0 and loses no digits in sums; ties share the mean of theirs."""
    from scipy.stats import rankdata

    ranks: list[float] = (rankdata(values) - (len(values) + 1) / 2).tolist() if len(values) else []
    return ranks


def summarise(sums: Mapping[str, Any]) -> Scores:
    """``pearson`` and ``spearman`` from summed statistics, 0 where one side does not vary; numbers or arrays."""
    return {name: _correlation(sums, name) for name in (PEARSON, SPEARMAN)}


def _correlation(sums: Mapping[str, Any], name: str) -> Any:
    import numpy as np

    n = sums["ratings"]
    x, y, xx, yy, xy = (sums[f"{name}.{part}"] for part in ("x", "y", "xx", "yy", "xy"))
    spread = np.asarray((n * xx - x * x) * (n * yy - y * y))
    # What rounding leaves of no variance at all is none.
    spread = np.where(spread > 1e-12 * np.asarray(n * xx * n * yy), spread, 0.0)
    value: Any = ratio(n * xy - x * y, np.sqrt(spread))
    return value
