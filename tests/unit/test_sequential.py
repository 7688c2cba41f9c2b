"""Group-sequential levels: against published boundaries, over all looks by simulation, and what a spent error rate leaves."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import special, stats
from simulated_studies import TASK, Effect, Shape, f1, looked, study

from bench.errors import UsageError
from bench.stats.sequential import ALPHA, ONE_LOOK, Look, Spending, levels, looks_of_plan, planned_looks, spent
from bench.studies.verdict import verdicts

QUARTERS = (0.25, 0.5, 0.75, 1.0)
LOOKS = looks_of_plan((6, 12, 18, 24))


@pytest.mark.parametrize(
    ("shares", "spending", "published"),
    [
        # R's gsDesign (sfLDOF, sfLDPocock) and ldbounds, two-sided 5%.
        (QUARTERS, "obrien-fleming", (4.333, 2.963, 2.359, 2.014)),
        ((0.2, 0.4, 0.6, 0.8, 1.0), "obrien-fleming", (4.877, 3.357, 2.680, 2.290, 2.031)),
        ((1 / 3, 2 / 3, 1.0), "obrien-fleming", (3.710, 2.511, 1.993)),
        ((0.5, 1.0), "obrien-fleming", (2.963, 1.969)),
        (QUARTERS, "pocock", (2.368, 2.368, 2.358, 2.350)),
        ((1 / 3, 2 / 3, 1.0), "pocock", (2.279, 2.295, 2.296)),
        ((1.0,), "pocock", (1.960,)),
    ],
)
def test_boundaries_are_those_that_were_published(
    shares: tuple[float, ...], spending: Spending, published: tuple[float, ...]
) -> None:
    boundaries = [-special.ndtri(level / 2) for level in levels(shares, 0.05, spending)]
    assert boundaries == pytest.approx(published, abs=6e-4)


def test_the_whole_error_rate_is_spent_at_the_end_and_no_more_before() -> None:
    for spending in ("obrien-fleming", "pocock"):
        gone = [spent(share, 0.05, spending) for share in (0.01, *QUARTERS)]
        assert all(earlier < later for earlier, later in pairwise(gone))
        assert gone[-1] == 0.05


@pytest.mark.parametrize("spending", ["obrien-fleming", "pocock"])
def test_normal_scores_cross_in_five_of_a_hundred_and_one_sided_in_no_more(spending: Spending) -> None:
    draws = np.random.default_rng(2).standard_normal((400_000, 4)).cumsum(axis=1) / np.sqrt(np.arange(1, 5))
    held = np.array(levels(QUARTERS, 0.05, spending))
    assert (np.abs(draws) > -special.ndtri(held / 2)).any(axis=1).mean() == pytest.approx(0.05, abs=0.0015)
    # Equivalence holds each of two one-sided tests to the level of the look.
    assert (draws > -special.ndtri(held)).any(axis=1).mean() <= 0.0505


def test_t_tests_of_few_seeds_hold_the_error_rate_too() -> None:
    draws = np.random.default_rng(3).standard_normal((60_000, 24))
    crossed = np.zeros(len(draws), dtype=bool)
    again = np.zeros(len(draws), dtype=bool)
    for look in LOOKS:
        p = stats.ttest_1samp(draws[:, : look.seeds[-1]], 0, axis=1).pvalue
        crossed |= p < look.alpha
        again |= p < ALPHA
    assert crossed.mean() <= 0.053
    assert again.mean() > 0.11  # what looking again at 5% comes to


def test_p_over_all_looks_is_below_five_percent_exactly_where_p_is_below_the_level() -> None:
    for look in LOOKS:
        assert look.adjusted(look.alpha * 0.9999) < ALPHA < look.adjusted(look.alpha * 1.0001)  # type: ignore[operator]
        values = [look.adjusted(p) for p in (1e-14, 1e-6, 1e-4, 0.003, 0.04, 0.3, 1.0)]
        assert values == sorted(values)  # type: ignore[type-var]
        assert values[-1] == 1.0
    # A third of the error rate: the design for 5% / 3, as Holm's first step of three questions asks for it.
    third = LOOKS[1].at(ALPHA / 3)
    assert LOOKS[1].adjusted(third) == pytest.approx(ALPHA / 3, rel=1e-4)
    assert third < LOOKS[1].alpha / 3
    assert LOOKS[1].adjusted(None) is None


def test_one_look_changes_nothing() -> None:
    assert (ONE_LOOK.alpha, ONE_LOOK.level, ONE_LOOK.exhausted) == (ALPHA, 0.95, False)
    assert ONE_LOOK.adjusted(0.0123) == 0.0123
    assert looks_of_plan((30,))[0].alone


def test_what_others_have_spent_is_gone() -> None:
    gone = Look((12,), 12, budgets=(0.0,))
    assert (gone.exhausted, gone.alpha, gone.adjusted(1e-9), gone.level) == (True, 0.0, 1.0, 0.95)
    rest = Look((12,), 12, budgets=(0.4,))
    assert rest.alpha == pytest.approx(0.02)
    assert rest.adjusted(0.01) == pytest.approx(0.025, rel=1e-4)
    cut = Look((6, 12), 12, 2, budgets=(1.0, 0.5))
    assert cut.cumulative == pytest.approx(0.025)
    assert 0.0220 < cut.alpha < 0.025
    assert Look((6, 12), 12, 2, budgets=(1.0, 0.05)).exhausted
    assert cut.adjusted(0.9) == 1.0


def test_a_look_that_comes_very_early_has_an_interval_and_something_left() -> None:
    early = Look((6,), 120, 3)
    assert early.alpha < 1e-15
    assert not early.exhausted
    assert early.level < 1
    assert (early.adjusted(1e-9) or 0) > ALPHA


@pytest.mark.parametrize(
    ("looks", "seeds", "told"),
    [
        ((6, 6), 12, "must grow"),
        ((12, 6), 12, "must grow"),
        ((6, 24), 12, "the study has 12 seeds"),
        ((3, 12), 12, "fewer than 6 seeds resolves nothing"),
    ],
)
def test_looks_that_mean_nothing(looks: tuple[int, ...], seeds: int, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        planned_looks(looks, seeds)


def test_the_last_look_is_at_all_seeds() -> None:
    assert planned_looks((6, 12), 24) == planned_looks((6, 12, 24), 24) == (6, 12, 24)
    assert planned_looks((), 24) == ()
    with pytest.raises(UsageError, match="Did you mean 'pocock'"):
        looks_of_plan((6, 12), "pocok")  # type: ignore[arg-type]


def test_simulated_studies_find_a_difference_that_is_not_there_in_five_of_a_hundred_over_all_looks() -> None:
    shape = Shape(seeds=24, documents=40, mentions=6, seed_sd=0.1)
    again = [look for seeds in (6, 12, 18, 24) for look in looks_of_plan([seeds])]
    outcomes = looked(shape, Effect(), {"planned": LOOKS, "again": again}, 400, seed=5)
    assert outcomes["planned"].rate() <= 0.06
    assert outcomes["again"].rate() > 1.5 * outcomes["planned"].rate()
    assert outcomes["planned"].covered / 400 >= 0.93  # intervals hold at all looks at once
    found = looked(shape, Effect(0.04, 0.04), {"planned": LOOKS}, 40, seed=6)["planned"]
    assert found.rate() > 0.9
    assert found.wrong == 0
    assert found.seeds < 40 * 24  # studies end where they have found it


def test_pools_of_sites_find_a_difference_that_is_not_there_in_five_of_a_hundred_over_all_looks() -> None:
    pytest.importorskip("statsmodels")
    shape = Shape(seeds=24, mentions=6, seed_sd=0.1)
    again = [look for seeds in (6, 12, 18, 24) for look in looks_of_plan([seeds])]
    outcomes = looked(shape, Effect(), {"planned": LOOKS, "again": again}, 300, seed=8, sites=(20, 40))
    assert outcomes["planned"].rate() <= 0.07
    assert outcomes["again"].rate() > 1.5 * outcomes["planned"].rate()
    assert outcomes["planned"].covered / 300 >= 0.92
    found = looked(shape, Effect(0.04, 0.04), {"planned": LOOKS}, 30, seed=9, sites=(20, 40))["planned"]
    assert (found.rate(), found.wrong) == (1.0, 0)


def test_a_verdict_at_a_look_goes_by_its_level() -> None:
    arms = study(Shape(), Effect(0.02, 0.02), np.random.default_rng(1))
    given = (arms["multi"], arms["total"], arms["own"], {TASK: f1})
    alone, early = verdicts(*given), verdicts(*given, look=LOOKS[0])
    assert verdicts(*given, look=looks_of_plan([6])[0]) == alone
    assert (early.level, early[TASK].at_total.p) == (LOOKS[0].level, alone[TASK].at_total.p)
    assert early[TASK].at_total.p_holm == LOOKS[0].adjusted(alone[TASK].at_total.p)
    assert (early[TASK].at_total.low or 0) < (alone[TASK].at_total.low or 0) - 0.01
    assert (alone[TASK].kind, early[TASK].kind) == ("genuine transfer", "unresolved")
