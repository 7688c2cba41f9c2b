"""Intervals from counts: against statsmodels, against simulated gamma variates, and their bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.evaluation.small_counts import f1_interval, few, wilson
from bench.pages.verdicts import mean_mark

counts = st.integers(0, 200)


def test_wilson_is_that_of_statsmodels() -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    for right, total in ((3, 14), (0, 14), (14, 14), (50, 100), (1, 1)):
        assert wilson(right, total) == pytest.approx(proportion.proportion_confint(right, total, method="wilson"), abs=1e-12)
    assert wilson(2, 10, level=0.9) == pytest.approx(proportion.proportion_confint(2, 10, alpha=0.1, method="wilson"))
    assert wilson(0, 0) is None


def test_f1_is_that_of_goutte_and_gaussiers_gamma_variates() -> None:
    rng = np.random.default_rng(0)
    for tp, fp, fn in ((10, 4, 4), (3, 47, 56), (1, 0, 12)):
        hits, misses = rng.gamma(tp + 0.5, 2, 400_000), rng.gamma(fp + fn + 1, 1, 400_000)
        assert f1_interval(tp, fp, fn) == pytest.approx(np.quantile(hits / (hits + misses), [0.025, 0.975]), abs=2e-3)


@given(counts, counts, counts)
def test_an_interval_of_f1_holds_the_score_and_stays_in_bounds(tp: int, fp: int, fn: int) -> None:
    interval = f1_interval(tp, fp, fn)
    if not tp + fp + fn:
        assert interval is None
        return
    assert interval is not None
    low, high = interval
    assert 0 <= low <= 2 * tp / (2 * tp + fp + fn) <= high <= 1
    assert low < high
    assert (low == 0) == (tp == 0)
    assert (high == 1) == (fp + fn == 0)
    assert f1_interval(tp, fn, fp) == interval  # F1 does not tell the two apart
    narrow = f1_interval(tp, fp, fn, level=0.5)
    assert narrow is not None
    assert narrow[1] - narrow[0] < high - low or tp == 0 or fp + fn == 0


@given(counts, st.integers(1, 200))
def test_wilsons_interval_holds_the_share_and_mirrors(right: int, total: int) -> None:
    right = min(right, total)
    interval, mirrored = wilson(right, total), wilson(total - right, total)
    assert interval is not None
    assert mirrored is not None
    assert 0 <= interval[0] <= right / total <= interval[1] <= 1
    assert interval == pytest.approx((1 - mirrored[1], 1 - mirrored[0]), abs=1e-12)


def test_few_is_fewer_than_thirty_or_five_on_a_side() -> None:
    assert [few(*sides) for sides in ((5, 25), (4, 26), (26, 4), (15, 14), (15, 15), (1000, 4))] == [
        False, True, True, True, False, True,
    ]  # fmt: skip


def test_a_mark_of_few_mentions_is_at_least_as_wide_as_wilsons() -> None:
    none = mean_mark([0.0, 0.0, 0.0], 14, "2+", "a", "A1")
    assert (none.low, none.high) == wilson(0, 14)  # three runs that agree are no evidence about other mentions
    alone = mean_mark([0.5], 400, "1", "a", "A1")
    assert (alone.low, alone.high) == wilson(200, 400)
    many = mean_mark([0.5, 0.52, 0.48], 400, "1", "a", "A1")
    assert many.low == pytest.approx(0.5 - 4.3027 * 0.02 / 3**0.5, abs=1e-4)  # over runs, as before
