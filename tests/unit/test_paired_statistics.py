"""Statistics of differences, against numbers worked by hand."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from simulated_studies import NAMES, f1

from bench.errors import ContractError, MissingError
from bench.results.statistics import Statistics
from bench.stats.intervals import align, contributions, estimate, scores
from bench.stats.multiplicity import Floor, Tally, holm, noise_floor, over_seeds, unequal
from bench.stats.paired import bootstrap, d_z, paired, permutation

Table = NDArray[np.float64]
SHARE = ("right", "documents")
T_1 = 12.706204736  # 97.5% quantile of t with one degree of freedom


def share(sums: Mapping[str, Any]) -> Any:
    return sums["right"] / sums["documents"]


def answers(*seeds: list[float]) -> Table:
    """Documents that are right or not, by seed."""
    return np.array([[[right, 1.0] for right in seed] for seed in seeds])


def counts(*documents: tuple[float, float, float]) -> Table:
    """One seed; tp, fp, fn of each document."""
    return np.array([documents], dtype=np.float64)


# Case one. Four documents; the first arm has only the first right, the second all four. Differences by document: 0, 1, 1, 1.
# Mean .75. Of the 16 ways to swap documents a difference of ±.75 comes out where the last three go one way together: 2 of 8,
# whatever the first does, 4 of 16: p = .25. Standard deviation .5: d_z = 1.5, standard error .5 / √4 = .25.
ONE = answers([1, 0, 0, 0]), answers([1, 1, 1, 1])

# Case two. F of two documents, (tp, fp, fn): first arm (1, 1, 1) and (1, 0, 1), so 2·2 / (2·2 + 1 + 2) = 4/7; second arm
# (2, 0, 0) and (2, 0, 0), so 1. Difference 3/7. Swapping the first document gives 3/4 − 6/7 = −3/28, the second its opposite
# +3/28, both −3/7: p = 2/4.
TWO = counts((1, 1, 1), (1, 0, 1)), counts((2, 0, 0), (2, 0, 0))


def test_case_one_by_hand() -> None:
    found = paired(*ONE, SHARE, share)
    assert (found.p, found.exact) == (0.25, True)
    assert found.d_documents == pytest.approx(1.5)
    assert found.d_seeds is None
    known = estimate(*ONE, SHARE, share)
    assert known.difference == pytest.approx(0.75)
    assert known.se_documents == pytest.approx(0.25)
    assert (known.low, known.p, known.detectable) == (None, None, None)


def test_case_two_by_hand() -> None:
    assert scores(TWO[0], NAMES, f1) == pytest.approx([4 / 7])
    assert scores(TWO[1], NAMES, f1) == pytest.approx([1.0])
    assert permutation(*TWO, NAMES, f1) == (0.5, True)
    # Without the first document the first arm is 2/3, without the second 1/2: 2·4/7 − 2/3 and 2·4/7 − 1/2.
    assert contributions(TWO[0], NAMES, f1)[0] == pytest.approx([8 / 7 - 2 / 3, 8 / 7 - 1 / 2])


def test_the_family_of_both_cases_by_hand() -> None:
    pytest.importorskip("statsmodels")
    # .25 and .5 of the cases, .01 beside them: 3 · .01, 2 · .25, and .5 is not less than what came before it.
    assert holm([0.25, 0.5, 0.01]) == pytest.approx([0.5, 0.5, 0.03])
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.04, None, 0.03]) == [pytest.approx(0.06), None, pytest.approx(0.06)]
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def test_a_family_of_one_or_none_needs_no_adjustment() -> None:
    assert holm([0.04, None]) == [0.04, None]
    assert holm([None]) == [None]


def test_without_statsmodels_the_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "statsmodels.stats.multitest", None)
    with pytest.raises(MissingError, match="pip install") as caught:
        holm([0.1, 0.2])
    assert "statsmodels" in str(caught.value)


def test_seeds_and_documents_together_by_hand() -> None:
    # Differences by seed and document: (1, 0) and (1, 1). Seeds .5 and 1, documents 1 and .5; each mean varies by .125 / 2, and
    # so does the interaction: residuals ±.25, sum of squares .25, over 1 · 1 degrees of freedom and 2 · 2 cells.
    known = estimate(answers([0, 0], [0, 0]), answers([1, 0], [1, 1]), SHARE, share)
    assert known.difference == pytest.approx(0.75)
    assert (known.se_seeds, known.se_documents, known.se) == pytest.approx((0.25, 0.25, 0.25))
    assert known.df == pytest.approx(1.0)
    assert known.high == pytest.approx(0.75 + T_1 * 0.25)
    assert known.p == pytest.approx(2 * (0.5 - np.arctan(3) / np.pi))  # t with one degree of freedom is Cauchy's
    assert (known.seeds, known.documents) == (2, 2)


def test_the_interval_is_never_narrower_than_seeds_or_documents_alone() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        first, second = (rng.poisson(3, (4, 9, 3)).astype(float) for _ in range(2))
        known = estimate(first, second, NAMES, f1)
        assert known.se is not None
        assert known.se_seeds is not None
        assert known.se_documents is not None
        assert known.df is not None
        assert known.se >= max(known.se_seeds, known.se_documents) - 1e-12
        assert known.df >= 3


def test_nothing_that_varies_gives_no_interval() -> None:
    known = estimate(answers([1, 0], [1, 0]), answers([1, 0], [1, 0]), SHARE, share)
    assert (known.difference, known.se, known.p) == (0.0, None, None)
    assert not known.within(0.01)


def test_the_bootstrap_draws_whole_documents() -> None:
    # Differences 0 and 1: a resample of two has mean 0, .5 or 1 with chances 1/4, 1/2, 1/4.
    first, second = answers([0, 0]), answers([0, 1])
    assert bootstrap(first, second, SHARE, share) == (0.0, 1.0)
    assert bootstrap(first, second, SHARE, share, level=0.4) == (0.5, 0.5)
    assert bootstrap(answers([0]), answers([1]), SHARE, share) == (None, None)


def test_the_bootstrap_pairs_documents_across_arms_and_seeds() -> None:
    rng = np.random.default_rng(1)
    right = rng.integers(0, 2, (3, 40)).astype(float)
    table = np.stack([right, np.ones_like(right)], axis=-1)
    better = table.copy()
    better[:, :, 0] += 0.25  # the same on every document, so that no resample moves it
    assert bootstrap(table, better, SHARE, share) == pytest.approx((0.25, 0.25))


def test_chunks_do_not_change_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    first, second = (rng.poisson(3, (2, 30, 3)).astype(float) for _ in range(2))
    whole = paired(first, second, NAMES, f1, resamples=500)
    monkeypatch.setattr("bench.stats.paired._CHUNK", 30 * 7)
    assert paired(first, second, NAMES, f1, resamples=500) == whole


def test_drawn_swaps_agree_with_all_of_them() -> None:
    rng = np.random.default_rng(3)
    first, second = (rng.poisson(3, (2, 12, 3)).astype(float) for _ in range(2))
    exact, whole = permutation(first, second, NAMES, f1, resamples=4096)
    drawn, part = permutation(first, second, NAMES, f1, resamples=4000)
    assert (whole, part) == (True, False)
    assert drawn == pytest.approx(exact, abs=0.03)
    assert permutation(first, second + 50 * np.array([1, 0, 0]), NAMES, f1, resamples=100)[0] == pytest.approx(1 / 101)


@pytest.mark.parametrize(("more", "exact"), [(0, True), (34, False)])
def test_what_has_no_score_is_no_evidence_of_a_difference(more: int, exact: bool) -> None:
    first, second = answers([1, 1, 1, 0, 0, 0, *[0] * more]), answers([1] * 6 + [0] * more)
    assert permutation(first, second, SHARE, lambda sums: sums["right"] * np.nan, resamples=100) == (1.0, exact)
    # Swaps that make the difference smaller leave an arm with four right, which has no score here.
    no_four = permutation(first, second, SHARE, lambda sums: np.where(sums["right"] == 4, np.nan, sums["right"]), resamples=100)
    assert no_four == (1.0, exact)


def test_seeds_by_hand() -> None:
    spread = over_seeds(np.array([0.02, 0.04]))
    assert spread.sd == pytest.approx(0.02 / np.sqrt(2))
    assert (spread.low, spread.high) == pytest.approx((0.03 - T_1 * 0.01, 0.03 + T_1 * 0.01))
    assert over_seeds(np.array([0.5])).low is None
    assert d_z(np.array([0.02, 0.04])) == pytest.approx(0.03 / (0.02 / np.sqrt(2)))


def test_wins_ties_and_losses() -> None:
    assert Tally.of([0.1, -0.1, 0.0, 1e-15]) == Tally(1, 2, 1)
    assert Tally.of([np.nan, -0.1]) == Tally(0, 1, 1)
    assert Tally.of([0.1, 0.1, -0.3], [0.2, 0.05, 0.2]) == Tally(1, 1, 1)
    assert str(Tally(5, 0, 1)) == "5–0–1"


def test_the_noise_floor_is_pooled_within_groups() -> None:
    # Within the groups 1 and 3, and 10, 12 and 14: squares 2 and 8, degrees of freedom 1 and 2.
    found = noise_floor([[1.0, 3.0], [10.0, 12.0, 14.0], [7.0]], "seeds")
    assert found.sd == pytest.approx(np.sqrt(10 / 3))
    assert (found.groups, found.runs) == (2, 5)
    assert noise_floor([[1.0]], "replicates").sd is None


def test_a_tie_is_within_the_noise_of_means_over_seeds() -> None:
    """Two arms that differ by chance alone tie as often as a normal value lies within one standard deviation."""
    rng, floor = np.random.default_rng(6), Floor("seeds", 0.01, 2, 12)
    for seeds in (1, 6, 24):
        first, second = rng.normal(0.8, 0.01, (2, 4000, seeds)).mean(axis=2)
        assert np.mean(np.abs(second - first) <= floor.tie(seeds, 0.01)) == pytest.approx(0.683, abs=0.03)
    assert floor.tie(2, 0.5) == 0.01
    assert Floor("seeds", None, 0, 0).tie(6, 0.02) == 0.02


def test_replicates_that_differ_are_found() -> None:
    one, other = np.zeros((2, 2)), np.array([[0.0, 1.0], [0.0, 0.0]])
    assert unequal({"same": [one, one.copy()], "not": [one, other], "alone": [other]}) == ["not"]


def statistics(documents: tuple[str, ...], rows: list[list[float]], names: tuple[str, ...] = ("a", "b")) -> Statistics:
    return Statistics("toy", "test", "trained", documents, names, np.array(rows))


def test_arms_are_aligned_by_document_name_and_seed() -> None:
    one = statistics(("x", "y"), [[1.0, 2.0], [3.0, 4.0]])
    turned = statistics(("y", "x"), [[30.0, 40.0], [10.0, 20.0]], ("b", "c"))
    first, second, names, seeds = align({0: one, 1: one}, {1: turned, 2: turned})
    assert (names, seeds) == (("a", "b", "c"), (1,))
    assert first.tolist() == [[[1, 2, 0], [3, 4, 0]]]
    assert second.tolist() == [[[0, 10, 20], [0, 30, 40]]]


def test_other_documents_or_seeds_are_refused() -> None:
    one, other = statistics(("x", "y"), [[1, 2], [3, 4]]), statistics(("x", "z"), [[1, 2], [3, 4]])
    with pytest.raises(ContractError, match="2 and 2 documents, 1 of them of the same id"):
        align({0: one}, {0: other})
    with pytest.raises(ContractError, match="share no seed: one has 0, the other 1"):
        align({0: one}, {1: one})
