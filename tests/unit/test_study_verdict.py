"""The verdict of token control: each kind by its definition, and on simulated studies with planted effects."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from simulated_studies import TASK, Effect, Shape, f1, outcome, study

from bench.stats.intervals import Estimate, wanted
from bench.stats.sequential import looks_of_plan
from bench.studies.verdict import judge, verdicts


def known(difference: float, half: float, seeds: int = 6, p: float | None = None) -> Estimate:
    """An estimate whose 95% interval is the difference and half of it to each side."""
    p_holm = p if p is not None else 0.001 if abs(difference) > half else 0.5
    return Estimate(
        difference,
        seeds,
        100,
        low=difference - half,
        high=difference + half,
        tight_low=difference - 0.8 * half,
        tight_high=difference + 0.8 * half,
        p=p_holm,
        p_holm=p_holm,
        se=half / 2,
        se_seeds=half / 2.6,
        se_documents=half / 2.6,
        detectable=1.5 * half,
        margin_detectable=1.4 * half,
    )


@pytest.mark.parametrize(
    ("at_total", "at_own", "kind", "reason"),
    [
        (known(0.03, 0.01), known(0.05, 0.01), "genuine transfer", "better at equal total (+.030 [+.020, +.040])"),
        (known(0.03, 0.01), known(0.00, 0.01), "genuine transfer", "equal within ±.01 at its own tokens"),
        (known(0.03, 0.01), known(0.00, 0.03), "genuine transfer", "not resolved at its own tokens"),
        (known(0.001, 0.005), known(0.05, 0.01), "data exposure", "equal within ±.01 at equal total"),
        (known(-0.03, 0.01), known(0.05, 0.01), "costly sharing", "less than as many of its own"),
        (known(-0.03, 0.01), known(0.001, 0.005), "no transfer", "do nothing for it"),
        (known(-0.03, 0.01), known(-0.05, 0.01), "negative transfer", "do harm"),
        (known(0.001, 0.005), known(-0.05, 0.01), "negative transfer", "worse at its own tokens (−.050"),
        (known(0.001, 0.02), known(-0.05, 0.01), "negative transfer", "not resolved at equal total"),
        (known(0.001, 0.005), known(0.001, 0.005), "no effect", "nor more of its own"),
        (known(0.03, 0.01), known(-0.05, 0.01), "unresolved", "contradict"),
        (
            known(0.001, 0.02),
            known(0.05, 0.01),
            "unresolved",
            "not resolved at equal total (+.001 [−.019",
        ),
        (known(0.001, 0.02), known(0.001, 0.005), "unresolved", "equality shown within ±.028. For ±.01 it takes about"),
        (known(0.001, 0.005), known(0.001, 0.02), "unresolved", "equality shown within ±.028"),
        (known(-0.03, 0.01), known(0.001, 0.02), "unresolved", "worse at equal total"),
        # What is shown to be within the margin is equal, also where it is not 0.
        (known(0.004, 0.003), known(0.05, 0.01), "data exposure", "equal within ±.01, though above 0, at equal total"),
        (known(-0.004, 0.003), known(0.05, 0.01), "data exposure", "though below 0"),
        (known(-0.004, 0.003), known(-0.004, 0.003), "no effect", "though below 0"),
        # A difference without an interval that leaves out 0 is none, and neither is one that the family takes back.
        (known(0.05, 0.06), known(0.05, 0.06), "unresolved", "true difference of .090 would have been found 80%"),
        (known(0.03, 0.01, p=0.06), known(0.001, 0.005), "unresolved", "Holm's adjustment (p .060), at equal total"),
        (
            known(-0.03, 0.01, p=0.06),
            known(0.05, 0.01),
            "unresolved",
            "not resolved, after Holm's adjustment (p .060), at equal",
        ),
        (known(0.03, 0.01, seeds=5), known(0.05, 0.01), "unresolved", "Not resolved at this number of seeds: 5"),
        (known(0.03, 0.01), known(0.05, 0.01, seeds=5), "unresolved", "Not resolved at this number of seeds: 5"),
        (Estimate(0.03, 6, 100), Estimate(0.05, 6, 100), "unresolved", "do not vary"),
    ],
)
def test_each_verdict_by_its_definition(at_total: Estimate, at_own: Estimate, kind: str, reason: str) -> None:
    found, why = judge(at_total, at_own, 0.01)
    assert found == kind
    assert reason in why


def test_documents_are_called_what_they_are() -> None:
    open_one = known(0.001, 0.02)
    for unit, words in (("", "100 documents"), ("sentences", "100 sentences")):
        assert f"With 6 seeds and {words} a true" in judge(replace(open_one, unit=unit), open_one, 0.01)[1]
    assert (Estimate(0.1, 6, 1, unit="notes").units, Estimate(0.1, 6, 4797, unit="notes").units) == (
        "1 document",
        "4,797 notes",
    )


def test_the_margin_decides_what_is_equivalent() -> None:
    at_total, at_own = known(0.001, 0.02), known(0.05, 0.01)
    assert judge(at_total, at_own, 0.01)[0] == "unresolved"
    assert judge(at_total, at_own, 0.02)[0] == "data exposure"


def test_an_open_verdict_says_what_could_tell() -> None:
    arms = study(Shape(seed_sd=0.1), Effect(), np.random.default_rng(2))
    found = verdicts(arms["multi"], arms["total"], arms["own"], {TASK: f1})[TASK]
    ((seeds, documents), *_) = wanted(found.at_total, 0.03)
    assert (found.kind, documents) == ("unresolved", 100)
    assert seeds > 6
    larger = study(Shape(seed_sd=0.1, seeds=seeds), Effect(), np.random.default_rng(2))
    enough = verdicts(larger["multi"], larger["total"], larger["own"], {TASK: f1})[TASK]
    assert enough.at_total.margin_detectable == pytest.approx(0.03, rel=0.35)


def test_what_a_look_could_show_is_not_mixed_with_what_one_look_takes() -> None:
    """At a strict early look as many seeds and documents as there are can be too few here, and enough at a single look."""
    arms = study(Shape(documents=500), Effect(), np.random.default_rng(2))
    look = looks_of_plan((6, 12, 18, 24))[0]
    found = verdicts(arms["multi"], arms["total"], arms["own"], {TASK: f1}, margin=0.02, look=look)[TASK]
    assert found.reason.endswith("For ±.02 a study with one look takes about 6 seeds and 500 documents.")


def test_no_difference_beyond_what_scores_can_have_is_told_and_no_way_twice() -> None:
    two = replace(known(0.0, 0.005, seeds=2), detectable=1.03, margin_detectable=0.3)
    _, reason = judge(two, two, 0.01)
    assert "With 2 seeds and 100 documents no true difference, however large, would have been found 80% of the time" in reason
    assert "it takes about 6 seeds and 100 documents." in reason


def test_what_is_wanted_is_what_the_same_variances_give() -> None:
    arms = study(Shape(seed_sd=0.003, arm_sd=0.3), Effect(), np.random.default_rng(3))
    at_total = verdicts(arms["multi"], arms["total"], arms["own"], {TASK: f1})[TASK].at_total
    assert wanted(at_total, (at_total.margin_detectable or 0.0) * 1.001) == [(6, 100), (6, 100)]
    ((seeds, documents),) = wanted(at_total, 0.01)  # more seeds do not help where documents decide
    assert seeds == 6
    assert documents == pytest.approx(100 * ((at_total.margin_detectable or 0.0) / 0.01) ** 2, rel=0.1)
    assert wanted(at_total, 1e-6) == []
    assert wanted(Estimate(0.1, 6, 100), 0.01) == []


def test_a_verdict_is_json_with_every_number() -> None:
    arms = study(Shape(), Effect(0.05, 0.08), np.random.default_rng(1))
    found = verdicts(arms["multi"], arms["total"], arms["own"], {TASK: f1}, {TASK: "strict.f1"}, margin=0.02)
    value = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (value["margin"], value["level"], value["power"], value["minimum_seeds"]) == (0.02, 0.95, 0.8, 6)
    (task,) = value["tasks"]
    assert (task["task"], task["kind"], task["metric"]) == (TASK, "genuine transfer", "strict.f1")
    assert task["at_total"]["difference"] == pytest.approx(task["multi"] - task["total"])
    assert task["at_own"]["difference"] == pytest.approx(task["multi"] - task["own"])
    assert task["at_total"]["low"] < task["at_total"]["difference"] < task["at_total"]["high"]
    assert task["at_total"]["p_holm"] == task["at_total"]["p"]
    assert found[TASK].multi == task["multi"]


def test_a_verdict_over_sentences_says_so() -> None:
    arms = study(Shape(), Effect(0.05, 0.08), np.random.default_rng(1))
    as_sentences = {
        name: {TASK: {seed: replace(one, unit="sentences") for seed, one in arm[TASK].items()}} for name, arm in arms.items()
    }
    plain = verdicts(arms["multi"], arms["total"], arms["own"], {TASK: f1})[TASK]
    found = verdicts(as_sentences["multi"], as_sentences["total"], as_sentences["own"], {TASK: f1})[TASK]
    assert plain.at_total.caution == ""
    assert found.reason in [f"{plain.reason} {one.caution}" for one in (found.at_total, found.at_own)]
    assert "100 sentences, not documents; neighbours are no more alike than others" in found.reason
    assert (found.at_total.low, found.at_total.high) == (plain.at_total.low, plain.at_total.high)


def test_many_tasks_are_one_family() -> None:
    pytest.importorskip("statsmodels")
    arms = study(Shape(), Effect(0.02, 0.02), np.random.default_rng(4))
    tasks = [f"task{i}" for i in range(5)]
    many = {name: dict.fromkeys(tasks, arm[TASK]) for name, arm in arms.items()}
    alone = verdicts(arms["multi"], arms["total"], arms["own"], {TASK: f1})[TASK]
    found = verdicts(many["multi"], many["total"], many["own"], dict.fromkeys(tasks, f1))
    assert len(found.tasks) == 5
    assert found["task3"].at_total.p == alone.at_total.p
    assert found["task3"].at_total.p_holm == pytest.approx(min(1.0, 5 * (alone.at_total.p or 0)))
    assert (found["task3"].at_total.detectable or 0) > (alone.at_total.detectable or 0)


def test_five_seeds_resolve_nothing_however_large_the_effect() -> None:
    found = outcome(Shape(seeds=5), Effect(0.2, 0.2), 5)
    assert found.kinds == {"unresolved": 5}


def test_planted_effects_are_those_of_the_population() -> None:
    arms = study(Shape(seeds=20, documents=4000), Effect(0.04, 0.1), np.random.default_rng(5))
    scored = {name: np.mean([f1(one.sums()) for one in arm[TASK].values()]) for name, arm in arms.items()}
    assert scored["multi"] == pytest.approx(0.82, abs=0.012)
    assert scored["multi"] - scored["total"] == pytest.approx(0.04, abs=0.008)
    assert scored["multi"] - scored["own"] == pytest.approx(0.1, abs=0.008)


@pytest.mark.parametrize(
    "shape",
    [Shape(), Shape(seed_sd=0.1), Shape(seed_sd=0.1, heavy=True), Shape(seed_sd=0.003, arm_sd=0.3), Shape(documents=20)],
    ids=["usual", "seeds decide", "heavy tails", "documents decide", "few documents"],
)
def test_genuine_transfer_is_hardly_ever_found_where_there_is_none(shape: Shape) -> None:
    found = outcome(shape, Effect(), 300, seed=11)
    assert found.rate("genuine transfer") <= 0.05
    assert found.covered / found.studies >= 0.92


def test_seeds_and_documents_must_both_enter_the_interval() -> None:
    """The very same studies, judged by documents alone or by seeds alone, are wrong too often."""
    from scipy import stats

    for shape, alone in ((Shape(seed_sd=0.1), "se_documents"), (Shape(seed_sd=0.003, arm_sd=0.3), "se_seeds")):
        rng, wrong = np.random.default_rng(12), 0
        for _ in range(150):
            arms = study(shape, Effect(), rng)
            at_total = verdicts(arms["multi"], arms["total"], arms["own"], {TASK: f1})[TASK].at_total
            freedom = 99 if alone == "se_documents" else 5
            wrong += abs(at_total.difference) / getattr(at_total, alone) > stats.t.isf(0.025, freedom)
        assert wrong / 150 > 0.1


@pytest.mark.parametrize(
    ("shape", "effect", "kind", "least"),
    [
        (Shape(), Effect(0.03, 0.05), "genuine transfer", 0.95),
        (Shape(), Effect(-0.03, -0.03), "negative transfer", 0.95),
        (Shape(), Effect(-0.03, 0.03), "costly sharing", 0.95),
        (Shape(documents=500, seed_sd=0.02, seeds=12), Effect(0.0, 0.03), "data exposure", 0.85),
        (Shape(documents=500, seed_sd=0.02, seeds=12), Effect(-0.03, 0.0), "no transfer", 0.85),
        (Shape(documents=500, seed_sd=0.02, seeds=12), Effect(0.0, 0.0), "no effect", 0.75),
    ],
)
def test_planted_effects_are_found(shape: Shape, effect: Effect, kind: str, least: float) -> None:
    assert outcome(shape, effect, 100, seed=13).rate(kind) >= least


def test_the_stated_power_is_what_is_had() -> None:
    shape = Shape()
    effect = outcome(shape, Effect(0.02, 0.02), 150, seed=14).detectable
    assert outcome(shape, Effect(effect, effect), 300, seed=15).rate("genuine transfer") == pytest.approx(0.8, abs=0.06)
    fewer = outcome(replace(shape, documents=20), Effect(0.02, 0.02), 50, seed=14).detectable
    assert fewer > 1.5 * effect
