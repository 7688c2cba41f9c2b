"""Intervals of F1 of few items on simulated corpora: how often they hold the truth.

    python benchmarks/bench_small_counts.py [--quick] [--json FILE]

500 corpora of each kind (20 with ``--quick``): n gold mentions over 100 documents, or over five, that find them with a share
of their own (beta, intraclass correlation .1, mean equal to recall), and false ones so that precision equals recall, which is
then the true F1. Promised: what a result states for n up to 30 in 100 documents holds the truth in at least 90% of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import common
import numpy as np
from common import Figure

from bench.evaluation.small_counts import f1_interval
from bench.evaluation.statistics import with_intervals
from bench.kit.scores import COUNTS, prf

SIZES = (5, 14, 30, 100)
RATES = (0.1, 0.3, 0.6, 0.9, 0.97)
CORRELATION = 0.1
RESAMPLES = 400


def measure(options: argparse.Namespace) -> list[Figure]:
    """Simulates and prints the table."""
    corpora = 20 if options.quick else 500
    rows, figures = [], []
    for spread in (100, 5):
        for size in SIZES:
            cells: list[str] = []
            for rate in RATES:
                stated, bootstrap, counts = _coverage(size, rate, spread, corpora)
                cells.append(f"{stated:.2f} ({bootstrap:.2f}, {counts:.2f})")
                name = f"coverage: {size} mentions in {spread} documents, F {rate:g}"
                if spread == 100:
                    met = stated >= 0.9 if size <= 30 and not options.quick else None
                    figures.append(Figure(name, "≥ 90%" if size <= 30 else "", f"{stated:.1%}", met))
            rows.append((str(size), "all" if spread == 100 else "five", *cells))
    common.table(
        f"Stated (bootstrap alone, counts alone), {corpora:,} corpora each",
        ("mentions", "in", *(f"F {r:g}" for r in RATES)),
        rows,
    )
    return figures


def _coverage(size: int, rate: float, spread: int, corpora: int) -> tuple[float, float, float]:
    """Shares of corpora whose interval holds the truth: as results state it, by bootstrap, and from counts."""
    rng = np.random.default_rng([size, int(100 * rate), spread])
    held = np.zeros(3)
    for _ in range(corpora):
        rows = _corpus(size, rate, spread, rng)
        scores: Mapping[str, Any] = with_intervals(rows, _twice, resamples=RESAMPLES, names=("f1", "other"))
        counts_alone = f1_interval(*(scores[name] for name in COUNTS))
        intervals = scores["f1.ci95"], scores["other.ci95"], counts_alone
        held += [interval is not None and interval[0] <= rate <= interval[1] for interval in intervals]
    stated, bootstrap, counts = (held / corpora).tolist()
    return stated, bootstrap, counts


def _twice(sums: Mapping[str, Any]) -> dict[str, Any]:
    """F1, and again under a name that is not known as a share, whose interval is always the bootstrap's."""
    scores = prf(sums, "a")
    return {**scores, "other": scores["f1"]}


def _corpus(size: int, rate: float, spread: int, rng: np.random.Generator) -> list[Mapping[str, float]]:
    """Counts of 100 documents, `spread` of which hold something."""
    gold = rng.multinomial(size, np.ones(spread) / spread)
    odds = (1 - CORRELATION) / CORRELATION
    found = rng.binomial(gold, rng.beta(rate * odds, (1 - rate) * odds, spread))
    false = rng.poisson(size * (1 - rate) / spread, spread)
    empty = np.zeros(100 - spread)
    parts = [np.concatenate([part, empty]) for part in (found, false, gold - found)]
    return [{"a.tp": tp, "a.fp": fp, "a.fn": fn} for tp, fp, fn in zip(*(part.tolist() for part in parts), strict=True)]


if __name__ == "__main__":
    common.main(measure, __doc__)
