"""Planning power: components of variance, the designs that follow, and whether planned designs have the power."""

from __future__ import annotations

import json

import numpy as np
import pytest
from simulated_studies import TASK, Effect, Shape, f1, looked, pilot, study

import bench
from bench.errors import UsageError
from bench.stats.intervals import Estimate
from bench.stats.power import (
    Components,
    detectable,
    documents_needed,
    equality_of,
    power_of,
    seeds_needed,
    sequential_power,
)
from bench.stats.sequential import ALPHA, looks_of_plan
from bench.studies.power import Question, power_plan, stated
from bench.studies.verdict import verdicts

KNOWN = Components(0.01**2, 0.05**2, 0.1**2)


def test_components_give_back_the_estimate_that_they_come_from() -> None:
    arms = study(Shape(seeds=8, seed_sd=0.1), Effect(), np.random.default_rng(3))
    estimate = verdicts(arms["multi"], arms["total"], arms["own"], {TASK: f1})[TASK].at_total
    components = Components.of(estimate)
    assert components is not None
    assert components.at(8, 100) == pytest.approx((estimate.se, estimate.df))
    assert Components.of(Estimate(0.1, 1, 100)) is None


def test_more_seeds_and_documents_find_more_until_the_other_decides() -> None:
    powers = [power_of(KNOWN, 0.02, seeds, 100) for seeds in (6, 12, 48)]
    assert powers == sorted(powers)
    assert power_of(KNOWN, 0.02, 500, 100) < power_of(KNOWN, 0.02, 24, 10_000)
    assert power_of(KNOWN, 0.02, 12, 100, ALPHA / 5) < powers[1]
    assert power_of(KNOWN, detectable(KNOWN, 9, 100), 9, 100) == pytest.approx(0.8, abs=1e-3)
    assert equality_of(KNOWN, 0.02, 24, 400) > equality_of(KNOWN, 0.02, 6, 100)


def test_what_is_needed_is_the_fewest_that_are_enough() -> None:
    seeds = seeds_needed(KNOWN, 0.02, 100)
    assert seeds is not None
    assert power_of(KNOWN, 0.02, seeds, 100) >= 0.8 > power_of(KNOWN, 0.02, seeds - 1, 100)
    documents = documents_needed(KNOWN, 0.012, 12)
    assert documents is not None
    assert power_of(KNOWN, 0.012, 12, documents) >= 0.8 > power_of(KNOWN, 0.012, 12, documents - 1)
    assert seeds_needed(KNOWN, 0.005, 100) is None  # documents decide
    assert documents_needed(KNOWN, 0.005, 6) is None  # seeds decide


def test_one_look_is_the_t_test_and_several_cost_little() -> None:
    single = sequential_power(KNOWN, 0.02, 100, looks_of_plan([12]))
    assert single.power == pytest.approx(power_of(KNOWN, 0.02, 12, 100), abs=0.015)
    assert single.seeds == 12
    several = sequential_power(KNOWN, 0.02, 100, looks_of_plan([6, 12, 18, 24]))
    assert several.power == pytest.approx(power_of(KNOWN, 0.02, 24, 100), abs=0.04)
    assert list(several.by_look) == sorted(several.by_look)
    assert several.by_look[-1] == pytest.approx(several.power)
    assert 6 < several.seeds < 24
    nothing = sequential_power(KNOWN, 1e-9, 100, looks_of_plan([6, 12, 18, 24]))
    assert nothing.power <= 0.03  # one side of 5%
    assert sequential_power(KNOWN, 0.02, 100, looks_of_plan([6, 12]), family=5).power < several.power


@pytest.mark.parametrize("seed_sd", [0.03, 0.1])
def test_a_planned_design_has_about_the_power_that_was_planned(seed_sd: float) -> None:
    shape = Shape(seeds=12, documents=60, mentions=6, seed_sd=seed_sd)
    components = pilot(shape, Effect(0.03, 0.03), 20)
    effect = detectable(components, 8, 60)
    seeds = seeds_needed(components, effect, 60)
    assert seeds in (8, 9)
    designs = {"planned": looks_of_plan([seeds])}
    found = looked(shape, Effect(effect, effect), designs, 200, 7)["planned"]
    assert found.rate() == pytest.approx(0.8, abs=0.1)


def test_a_plan_says_what_stated_variances_come_to() -> None:
    plan = power_plan(stated(0.01, 0.05, 100), Question(0.02, looks=looks_of_plan([6, 12])))
    assert (plan.seeds, plan.seeds_if_unsure, plan.pilot_seeds) == (6, 6, None)
    assert [design.seeds for design in plan.designs] == [6, 12, 24]
    assert plan.looks is not None
    assert plan.designs[0].hours is None
    json.dumps(plan.to_json(), allow_nan=False)
    (same,) = bench.plan_power(effect=0.02, seeds_sd=0.01, documents_sd=0.05, documents=100, looks=(6, 12))
    assert same == plan


NAN, INF = float("nan"), float("inf")
HOSTILE: dict[str, tuple[float, ...]] = {
    "effect": (NAN, INF, -1.0, 1e-320, 1e300), "power": (NAN, INF, -0.5, 0.01, 1e-300, 1 - 1e-12), "margin": (NAN, INF, -0.1),
    "family": (-1, 10**30), "seeds_sd": (NAN, INF, -1.0, 1e-320, 1e200), "documents": (-3, 10**30),
}  # fmt: skip


@pytest.mark.parametrize(
    "asked", [("effect", 1e-9), ("effect", 1.0), ("seeds_sd", 1e-9), ("seeds_sd", 1e6), ("power", 0.999999)]
)
def test_what_is_taken_comes_to_numbers(asked: tuple[str, float]) -> None:
    given: dict[str, float] = {"effect": 0.01, "seeds_sd": 0.01, "documents_sd": 0.1, "documents": 40, "power": 0.8}
    (plan,) = bench.plan_power(**{**given, asked[0]: asked[1]})  # type: ignore[arg-type]
    json.dumps(plan.to_json(), allow_nan=False)
    assert all(0 <= design.power <= 1 and design.detectable > 0 for design in plan.designs)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"effect": 2.0, "seeds_sd": 0.1, "documents_sd": 0.1, "documents": 9}, "--effect is 2; wanted 1e-09 to 1"),
        ({"effect": 0.0, "seeds_sd": 0.1, "documents_sd": 0.1, "documents": 9}, "--effect is 0"),
        ({"effect": 0.1, "power": 1.0, "seeds_sd": 0.1, "documents_sd": 0.1, "documents": 9}, "--power is 1"),
        ({"effect": 0.1, "family": 0, "seeds_sd": 0.1, "documents_sd": 0.1, "documents": 9}, "--family is 0"),
        ({"effect": 0.1, "seeds_sd": 0.1}, "also want --documents-sd and --documents"),
        ({"effect": 0.1, "seeds_sd": 0.0, "documents_sd": 0.0, "documents": 9}, "one above 0"),
        ({"effect": 0.1, "seeds_sd": 0.1, "documents_sd": 0.0, "documents": 1}, "--documents is 1"),
        ({"effect": 0.1}, "got neither"),
        *(
            (
                {"effect": 0.1, "seeds_sd": 0.1, "documents_sd": 0.1, "documents": 9, name: value},
                f"--{name.replace('_', '-')} is",
            )
            for name, values in HOSTILE.items()
            for value in values
        ),
        ({"effect": 0.1, "seeds_sd": 0.1, "documents_sd": 0.1, "documents": 9, "looks": (6, 501)}, "--looks goes to 501 seeds"),
        ({"effect": 0.1, "seeds_sd": 0.1, "documents_sd": 0.1, "documents": 9, "looks": (6, 10**30)}, "--looks goes to"),
    ],
)
def test_what_means_nothing_is_refused(asked: dict[str, float], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        bench.plan_power(**asked)  # type: ignore[arg-type]
