"""Arms over several tasks: known numbers, agreement with other implementations, bounds, and calibration on simulated tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.stats.across import Across, across, aggregate, meaning, posterior, replicability
from bench.stats.intervals import Estimate

pytest.importorskip("statsmodels")

p_values = st.lists(st.floats(1e-6, 1.0), min_size=2, max_size=8)


def named(values: Sequence[float]) -> dict[str, float]:
    return {f"t{i}": value for i, value in enumerate(values)}


def partial_conjunctions(values: Sequence[float]) -> tuple[list[float], list[float]]:
    """p of fewer than u effects for every u, as Dror et al. (2017) write them, by Bonferroni and by Fisher."""
    ordered, count = sorted(values), len(values)
    bonferroni = [(count - u + 1) * ordered[u - 1] for u in range(1, count + 1)]
    fisher = [float(stats.combine_pvalues(ordered[u - 1 :], method="fisher").pvalue) for u in range(1, count + 1)]
    return bonferroni, fisher


def test_replicability_by_hand() -> None:
    found = replicability({"a": 0.30, "b": 0.001, "c": 0.02, "d": 0.015}, 0.05)
    # Bonferroni: 4 x .001, 3 x .015 = .045, 2 x .02 = .04, .30. Holm: .004, .045, .045, .30.
    assert (found.dependent, found.tasks) == (3, ("b", "c", "d"))
    # Fisher's of the last two: chi2(4) at -2 ln(.02 x .3) = 10.23, p .037; of the last .30.
    assert found.independent == 3
    nothing = replicability({"a": 0.2, "b": 0.9}, 0.05)
    assert (nothing.dependent, nothing.independent, nothing.tasks) == (0, 0, ())
    # Many small effects, none of which stands alone: Fisher's adds them up.
    weak = replicability(named([0.04] * 6), 0.05)
    assert (weak.dependent, weak.tasks) == (0, ())
    assert weak.independent == 6


@settings(max_examples=40)
@given(p_values)
def test_replicability_is_the_last_of_the_rejected_partial_conjunctions(values: list[float]) -> None:
    assume(all(abs(p - 0.05) > 1e-9 for conjunctions in partial_conjunctions(values) for p in conjunctions))
    found = replicability(named(values), 0.05)
    for estimate, conjunctions in zip((found.dependent, found.independent), partial_conjunctions(values), strict=True):
        highest = [max(conjunctions[:u]) for u in range(1, len(values) + 1)]
        assert estimate == sum(p <= 0.05 for p in highest)
    assert len(found.tasks) <= len(values)
    assert bool(found.tasks) == (found.dependent > 0)  # the first of both is N times the smallest p
    turned = replicability(dict(reversed(named(values).items())), 0.05)
    assert (turned.dependent, turned.independent, {*turned.tasks}) == (found.dependent, found.independent, {*found.tasks})


def test_the_estimate_is_too_high_in_at_most_alpha_of_all_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gc.collect", lambda *_: 0)  # statsmodels' Holm calls it every time, for tens of milliseconds
    rng = np.random.default_rng(1)
    too_high = np.zeros(2)
    for _ in range(1000):
        z = rng.normal(size=6) + np.array([3.0, 3.0, 0, 0, 0, 0])
        found = replicability(named(stats.norm.sf(z).tolist()), 0.05)
        too_high += [found.dependent > 2, found.independent > 2]
    assert (too_high / 1000 <= 0.065).all()


FIRST = [[0.60, 0.62, 0.64, 0.61], [0.80, 0.81, 0.79, 0.83], [0.40, 0.45, 0.42, 0.41]]
SECOND = [[0.65, 0.63, 0.66, 0.60], [0.82, 0.80, 0.84, 0.85], [0.43, 0.44, 0.47, 0.41]]


def arrays(rows: Sequence[Sequence[float]]) -> list[Any]:
    return [np.array(row) for row in rows]


def test_interquartile_mean_and_improvement_by_hand() -> None:
    found = aggregate(arrays(FIRST), arrays(SECOND))
    assert found.first.value == pytest.approx(stats.trim_mean(np.concatenate(FIRST), 0.25))
    assert found.second.value == pytest.approx(stats.trim_mean(np.concatenate(SECOND), 0.25))
    assert found.difference.value == pytest.approx(found.second.value - found.first.value)
    by_task = []
    for one, two in zip(FIRST, SECOND, strict=True):
        by_task.append(stats.mannwhitneyu(two, one).statistic / 16)
    assert found.improvement.value == pytest.approx(np.mean(by_task))
    for part in (found.first, found.second, found.difference, found.improvement):
        assert part.low <= part.value <= part.high
    assert found == aggregate(arrays(FIRST), arrays(SECOND))  # the same seed


def test_it_agrees_with_rliable() -> None:
    """Figures of rliable 1.2.0 on the same scores: 20,000 resamples, and 5,000 for the probability of improvement."""
    rng = np.random.default_rng(3)
    first, second = rng.normal(0.7, 0.03, (6, 4)), rng.normal(0.72, 0.04, (6, 4))
    found = aggregate([*first.T], [*second.T], resamples=20_000)
    assert found.first.value == pytest.approx(0.694499156328011, abs=1e-12)
    assert found.second.value == pytest.approx(0.7261504205425315, abs=1e-12)
    assert found.improvement.value == pytest.approx(0.673611111111111, abs=1e-12)
    assert (found.first.low, found.first.high) == pytest.approx((0.68662, 0.70410), abs=1e-3)
    assert (found.second.low, found.second.high) == pytest.approx((0.71093, 0.73974), abs=1e-3)
    assert (found.improvement.low, found.improvement.high) == pytest.approx((0.5, 0.8333), abs=0.015)


def test_the_bootstrap_resamples_seeds_within_tasks() -> None:
    rng = np.random.default_rng(5)
    drawn = []
    for _ in range(4000):
        rows = [np.array(row)[rng.integers(0, 4, 4)] for row in FIRST]
        drawn.append(stats.trim_mean(np.concatenate(rows), 0.25))
    found = aggregate(arrays(FIRST), arrays(SECOND), resamples=4000).first
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.002)
    same = aggregate(arrays(FIRST), arrays(FIRST))
    assert (same.difference.value, same.difference.low, same.difference.high) == (0, 0, 0)  # arms get the same seeds
    assert same.improvement.value == 0.5


@given(st.permutations(range(3)))
def test_the_order_of_tasks_does_not_matter(order: list[int]) -> None:
    found = aggregate([arrays(FIRST)[i] for i in order], [arrays(SECOND)[i] for i in order], resamples=10)
    whole = aggregate(arrays(FIRST), arrays(SECOND), resamples=10)
    for name in ("first", "second", "difference", "improvement"):
        assert getattr(found, name).value == pytest.approx(getattr(whole, name).value)


def test_the_posterior_is_the_integral_over_mean_and_spread() -> None:
    d, s, rope = np.array([0.02, 0.03, 0.005]), np.array([0.005, 0.006, 0.004]), 0.01

    mu, tau = np.linspace(-1, 1, 2001)[:, None], np.geomspace(1e-6, 20, 1500)
    joint = np.gradient(tau) / (1 + (tau / (5 * rope)) ** 2)
    for effect, error in zip(d, s, strict=True):
        joint = joint * stats.norm.pdf(effect, mu, np.hypot(error, tau))
    right = float((joint * stats.norm.sf(rope, mu, tau)).sum() / joint.sum())
    found = posterior(d, s, rope)
    assert found.right == pytest.approx(right, abs=0.01)
    assert found.left + found.inside + found.right == pytest.approx(1)
    mirrored = posterior(-d, s, rope)
    assert (mirrored.left, mirrored.right) == pytest.approx((found.right, found.left))
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low), abs=1e-6)
    assert posterior(d[::-1], s[::-1], rope).right == pytest.approx(found.right)


def test_probabilities_are_right_as_often_as_they_say() -> None:
    """Of tasks drawn from the model, each probability is the share that comes true."""
    rng = np.random.default_rng(2)
    said, came, held = [], [], 0
    for _ in range(3000):
        count = int(rng.integers(3, 8))
        tau, mu = 0.05 * np.tan(np.pi / 2 * rng.random()), rng.uniform(-0.7, 0.7)
        errors, effects = rng.uniform(0.003, 0.02, count), rng.normal(mu, tau, count + 1)
        found = posterior(rng.normal(effects[:count], errors), errors)
        said.append(found.right)
        came.append(effects[count] > found.rope)
        held += found.low <= mu <= found.high
    assert 0.935 <= held / 3000 <= 0.965
    likely, true = np.array(said), np.array(came)
    for low, high in ((0.0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1.01)):
        group = (likely >= low) & (likely < high)
        assert true[group].mean() == pytest.approx(likely[group].mean(), abs=0.1)


def estimates(differences: Sequence[float], seeds: int = 6) -> dict[str, Estimate]:
    return {
        f"t{i}": Estimate(d, seeds, 100, p=float(2 * stats.t.sf(abs(d) / 0.004, 8)), se=0.004, df=8.0)
        for i, d in enumerate(differences)
    }


def judged(differences: Sequence[float], seeds: int = 6) -> Across:
    first = [np.full(seeds, 0.6) + 0.001 * np.arange(seeds) for _ in differences]
    found = across(estimates(differences, seeds), first, [x + d for x, d in zip(first, differences, strict=True)])
    assert found is not None
    return found


def test_both_sides_are_told() -> None:
    found = judged([0.03, 0.025, -0.03, 0.04])
    assert found.second_better is not None
    assert found.first_better is not None
    assert (found.second_better.tasks, found.first_better.tasks) == (("t0", "t1", "t3"), ("t2",))
    text = meaning(found, "A1", "A2")
    assert text.startswith("A2 is better on at least 3 of 4 tasks, by name t0, t1, t3. A1 is better on at least 1 of 4 tasks")
    assert "75%" in text
    assert "A2 would be better by more than .01 with a probability of" in text


def test_a_difference_without_variance_proves_nothing() -> None:
    known = estimates([0.03, 0.03]) | {"same": Estimate(0.03, 6, 100)}
    scores = [np.full(6, 0.5)] * 3
    found = across(known, scores, scores)
    assert found is not None
    assert found.second_better is not None
    assert "same" not in found.second_better.tasks
    assert found.posterior is None


def test_fewer_tasks_or_seeds() -> None:
    assert across(estimates([0.03, 0.02]), [np.zeros(6)] * 2, [np.ones(6)] * 2) is None
    assert across(estimates([0.03, 0.02, 0.03], seeds=2), [np.zeros(2)] * 3, [np.ones(2)] * 3) is None
    found = judged([0.03, 0.02, 0.03], seeds=3)
    assert (found.second_better, found.first_better, found.posterior) == (None, None, None)
    assert "With fewer than 6 seeds nothing is said" in meaning(found, "A1", "A2")
