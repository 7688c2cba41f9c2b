"""Intervals: how much a score would move on other documents of the same kind.

Source: the cluster bootstrap, Field and Welsh (2007), Bootstrapping clustered data; percentiles by `scipy.stats.bootstrap`.
Mentions of one document are not independent, so whole documents are resampled. Where too little is right or wrong for that, the
interval comes from the counts instead (`bench.evaluation.small_counts`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.evaluation.small_counts import f1_interval, few, wilson
from bench.naming import flatten
from bench.results.scores import INTERVAL, INTERVAL_BY, FlatScores, Interval, IntervalBy, Score, score_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

RESAMPLES = 2000
SHARES = ("accuracy", "precision", "recall", "f1", "macro_f1", "map", "avg_rec", "trec_map")
"""Scores that are shares of documents or means of shares, by the last of their dotted names."""
_BATCH = 4_000_000  # drawn documents held at a time: 32 MB of indices


def with_intervals(
    rows: Sequence[Mapping[str, float]],
    summarise: Callable[[Mapping[str, Any]], dict[str, Any]],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    names: Sequence[str] = ("f1",),
) -> FlatScores:
    """Scores of the summed rows by their dotted names, with the interval of every score of the given names.

    Every score is taken on the same resampled documents, so differences between them are paired. Where items are few
    (`bench.evaluation.small_counts.few`), or no resample differs from another, the interval of an F1
    comes from ``tp``, ``fp`` and ``fn`` beside it, and that of a share from the number of documents; the score's name with
    ``.ci95_by`` then says so. None is left where there is nothing of its kind to find, and of other scores (a correlation)
    that are not a number or 0 in every resample.

    Args:
        rows: additive statistics of each document, as `bench.api.Task.statistics` gives them.
        summarise: scores from sums; sums may be arrays of shape (resamples,), and so are the scores then.
        resamples: bootstrap samples of documents.
        seed: of the resampling; same seed, same intervals.
        names: of the scores that get an interval, each the last of a dotted name.
    """
    point = flatten(summarise({key: float(sum(row.get(key, 0.0) for row in rows)) for key in _keys(rows)}))
    selected = [name for name in point if name.rpartition(".")[2] in names]
    spread = _intervals(rows, summarise, selected, resamples, seed) if len(rows) > 1 and selected else {}
    plain = {name: value.item() if hasattr(value, "item") else value for name, value in point.items()}
    scores: dict[str, Score] = {}
    for name, value in plain.items():
        scores[name] = value
        if name in selected:
            interval, method = _chosen(name, plain, len(rows), spread.get(name))
            scores[name + INTERVAL] = interval
            if method != "bootstrap":
                scores[name + INTERVAL_BY] = method
    return scores


def _chosen(name: str, point: FlatScores, documents: int, drawn: Interval | None) -> tuple[Interval | None, IntervalBy]:
    """The interval of a score, from the bootstrap's or from counts, and which it is."""
    beside, dot, last = name.rpartition(".")
    same = drawn is None or drawn[1] - drawn[0] < 1e-12
    tp, fp, fn = (score_of(point, f"{beside}{dot}{count}") for count in ("tp", "fp", "fn"))
    if last == "f1" and tp is not None and fp is not None and fn is not None:
        return (f1_interval(tp, fp, fn), "beta") if tp + fp + fn and (same or few(tp, fp + fn)) else (drawn, "bootstrap")
    share = score_of(point, name)
    if last in SHARES and documents and share is not None and 0 <= share <= 1:
        right = share * documents
        if same or (last == "accuracy" and few(right, documents - right)):
            return wilson(right, documents), "wilson"
    return drawn, "bootstrap"


def _keys(rows: Sequence[Mapping[str, float]]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _intervals(
    rows: Sequence[Mapping[str, float]],
    summarise: Callable[[Mapping[str, Any]], dict[str, Any]],
    names: Sequence[str],
    resamples: int,
    seed: int,
) -> dict[str, Interval]:
    import numpy as np
    from scipy import stats

    keys, count = _keys(rows), len(rows)
    table = np.array([[row.get(key, 0.0) for key in keys] for row in rows], dtype=np.float64)

    def statistic(drawn: NDArray[np.int64], axis: int = -1) -> Array:
        """Scores (names, resamples) of drawn documents (resamples, documents)."""
        drawn = np.atleast_2d(np.moveaxis(drawn, axis, -1))
        # How often each document was drawn, times its row, is the sum over the sample.
        offsets = np.arange(len(drawn))[:, None] * count
        times = np.bincount((drawn + offsets).ravel(), minlength=len(drawn) * count).reshape(len(drawn), count)
        sums = times.astype(np.float64) @ table
        with np.errstate(all="ignore"):
            scores = flatten(summarise({key: sums[:, i] for i, key in enumerate(keys)}))
        return np.stack([np.broadcast_to(np.asarray(scores[name], dtype=np.float64), len(drawn)) for name in names])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = stats.bootstrap(
            (np.arange(count),),
            statistic,
            n_resamples=resamples,
            batch=max(1, min(resamples, _BATCH // count)),
            vectorized=True,
            axis=-1,
            method="percentile",
            **_generator(seed),
        )
    samples = result.bootstrap_distribution
    usable = np.isfinite(samples).all(axis=-1) & samples.any(axis=-1)
    low, high = result.confidence_interval
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(names) if usable[i]}


def _generator(seed: int) -> dict[str, Any]:
    import inspect

    import numpy as np
    from scipy import stats

    # scipy 1.15 renamed the argument.
    name = "rng" if "rng" in inspect.signature(stats.bootstrap).parameters else "random_state"
    return {name: np.random.default_rng(seed)}
