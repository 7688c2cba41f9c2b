"""The verdict of a study of unseen tasks, by planted differences."""

from __future__ import annotations

import pytest
from bench_plugins.studies.unseen import Unseen, verdict_of

from bench.results.display import change
from bench.stats.intervals import Estimate


def gain(difference: float, half: float, p: float | None = 0.001, seeds: int = 6) -> Estimate:
    low, high = difference - half, difference + half
    return Estimate(
        difference, seeds, 200, low, high, difference - 0.8 * half, difference + 0.8 * half, p, p, half / 2, detectable=0.03
    )


@pytest.mark.parametrize(
    ("estimate", "kind"),
    [
        (gain(0.05, 0.02), "better than a fresh start"),
        (gain(-0.05, 0.02), "worse than a fresh start"),
        (gain(0.05, 0.02, p=0.2), "unresolved"),  # adjusted for all that was asked, it no longer stands
        (gain(0.001, 0.005, p=0.7), "no difference"),
        (gain(0.01, 0.05, p=0.7), "unresolved"),
        (gain(0.05, 0.02, seeds=5), "unresolved"),
    ],
)
def test_what_is_said_of_a_difference(estimate: Estimate, kind: str) -> None:
    found, reason = verdict_of(estimate, 0.01, 0.05)
    assert found == kind
    assert change(estimate.difference) in reason
    assert found in Unseen.tones


def test_the_table_has_no_interval_of_two_seeds() -> None:
    for seeds, bounds in ((2, ("not estimable", None)), (3, (pytest.approx(0.03), pytest.approx(0.07)))):
        told = {"target": "t", "shots": 8, "from_sources": 0.5, "fresh": 0.45, "kind": "unresolved"}
        (table,) = Unseen().tables({"comparisons": [told | {"gain": gain(0.05, 0.02, seeds=seeds).to_json()}]})
        ((*_, low, high, _, _),) = table.rows
        assert (low, high) == bounds


def test_few_seeds_are_said() -> None:
    assert "5, and a verdict wants 6 or more" in verdict_of(gain(0.05, 0.02, seeds=5), 0.01, 0.05)[1]
