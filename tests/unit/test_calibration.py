from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.api.data import Document, Judgement, Mention, Passage, Relation
from bench.evaluation.calibration import abstention, calibration, expected_error, outcomes, reliability
from bench.results.schema import plain

PAIRS = st.lists(st.tuples(st.integers(0, 1000).map(lambda n: n / 1000), st.booleans()), min_size=1, max_size=80)


def test_a_case_worked_by_hand() -> None:
    """Four bins of width .25: (.1 wrong, .2 right), nothing, nothing, (.8 right, .9 right, 1.0 wrong)."""
    confidence, right = [0.1, 0.9, 0.2, 0.8, 1.0], [False, True, True, True, False]
    rows = reliability(confidence, right, "equal_width", bins=4)
    assert [(r["low"], r["high"], r["count"]) for r in rows] == [(0.0, 0.25, 2), (0.75, 1.0, 3)]
    assert [r["confidence"] for r in rows] == pytest.approx([0.15, 0.9])
    assert [r["right"] for r in rows] == pytest.approx([0.5, 2 / 3])
    assert expected_error(rows) == pytest.approx(2 / 5 * 0.35 + 3 / 5 * (0.9 - 2 / 3))


def test_equal_mass_never_parts_equal_confidences() -> None:
    rows = reliability([0.5, 0.9, 0.5, 0.5, 0.7, 0.5], [True, True, False, False, True, True], "equal_mass", bins=3)
    assert [(r["low"], r["high"], r["count"], r["right"]) for r in rows] == [(0.5, 0.5, 4, 0.5), (0.7, 0.9, 2, 1.0)]


def test_equal_mass_bins_are_of_equal_mass() -> None:
    rows = reliability([n / 100 for n in range(100)], [True] * 100, "equal_mass", bins=10)
    assert [r["count"] for r in rows] == [10] * 10


@given(PAIRS, st.sampled_from(["equal_width", "equal_mass"]), st.randoms())
def test_bins_hold_every_prediction_once_in_any_order(pairs: list[tuple[float, bool]], width: Any, random: Any) -> None:
    rows = reliability(*zip(*pairs, strict=True), width)
    assert sum(r["count"] for r in rows) == len(pairs)
    assert sum(r["count"] * r["right"] for r in rows) == pytest.approx(sum(hit for _, hit in pairs))
    assert all(r["low"] <= r["confidence"] + 1e-9 and r["confidence"] <= r["high"] + 1e-9 for r in rows)
    error = expected_error(rows)
    assert error is not None
    assert 0 <= error <= 1
    overall = abs(np.mean([c for c, _ in pairs]) - np.mean([hit for _, hit in pairs]))
    assert error >= overall - 1e-9
    random.shuffle(pairs)
    assert expected_error(reliability(*zip(*pairs, strict=True), width)) == pytest.approx(error)


def test_honest_confidences_have_no_error_and_boasts_have_theirs() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.5, 1, 40_000)
    honest = generator.uniform(size=40_000) < confidence
    boast = generator.uniform(size=40_000) < confidence - 0.2
    for width in ("equal_width", "equal_mass"):
        assert (expected_error(reliability(confidence.tolist(), honest.tolist(), width)) or 0) < 0.01  # type: ignore[arg-type]
        found = expected_error(reliability(confidence.tolist(), boast.tolist(), width))  # type: ignore[arg-type]
        assert found == pytest.approx(0.2, abs=0.01)


@given(PAIRS)
def test_equal_width_is_that_of_torchmetrics(pairs: list[tuple[float, bool]]) -> None:
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("torchmetrics.functional.classification")
    pairs = [(min(c, 0.9995), hit) for c, hit in pairs]  # torchmetrics gives 1.0 a bin of its own
    confidence, right = zip(*pairs, strict=True)
    wanted = metrics.binary_calibration_error(
        torch.tensor(confidence, dtype=torch.float64), torch.tensor(right).int(), n_bins=15, norm="l1"
    )
    assert expected_error(reliability(confidence, right, "equal_width", 15)) == pytest.approx(float(wanted), abs=1e-6)


def test_abstention_worked_by_hand() -> None:
    found = abstention([0.9, 0.6, 0.8, 0.6], [True, False, True, True], gold=5, points=4)
    assert [(p["coverage"], p["threshold"]) for p in found["curve"]] == [(0.25, 0.9), (0.5, 0.8), (1.0, 0.6)]
    assert [p["right"] for p in found["curve"]] == pytest.approx([1.0, 1.0, 0.75])
    assert [p["recall"] for p in found["curve"]] == pytest.approx([0.2, 0.4, 0.6])
    assert [p["f1"] for p in found["curve"]] == pytest.approx([2 / 6, 4 / 7, 6 / 9])
    # The two of .6 stand for half a hit each: risks 0, 0, 1/6, 1/4.
    assert found["risk_area"] == pytest.approx((1 / 6 + 1 / 4) / 4)


@given(PAIRS)
def test_full_coverage_keeps_everything(pairs: list[tuple[float, bool]]) -> None:
    confidence, right = zip(*pairs, strict=True)
    found = abstention(confidence, right)
    last = found["curve"][-1]
    assert last["coverage"] == 1
    assert last["threshold"] == min(confidence)
    assert last["right"] == pytest.approx(np.mean(right))
    covered = [p["coverage"] for p in found["curve"]]
    assert covered == sorted(set(covered))
    for point in found["curve"]:
        kept = [hit for c, hit in pairs if c >= point["threshold"]]
        assert point["coverage"] == pytest.approx(len(kept) / len(pairs))
        assert point["right"] == pytest.approx(np.mean(kept))


def test_every_kind_of_prediction_is_held_against_gold() -> None:
    a, b = Mention(((0, 4),), "A", "C1"), Mention(((5, 9),), "B")
    passages = (Passage("p1", (0, 4)), Passage("p2", (5, 9)), Passage("p3", (9, 12)))
    gold = [
        Document("m", "x", (a, b), (Relation(a.key, b.key, "r"),)),
        Document("c", "x", judgements=(Judgement("yes", 1, True), Judgement("no", 0, False))),
        Document("q", "x", judgements=(Judgement("p1", 1, True), Judgement("p2", 0, False)), passages=passages),
    ]
    ranked = (Judgement("p1", -math.log(3), False), Judgement("p2", -math.log(9), False), Judgement("p3", 4, True))
    predicted = [
        Document(
            "m",
            "",
            (Mention(((0, 4),), "A", "C2", confidence=0.75), Mention(((5, 9),), "A", confidence=0.5)),
            (Relation(a.key, b.key, "r", 0.5), Relation(b.key, a.key, "r", 0.25)),
        ),
        Document("c", "", judgements=(Judgement("yes", 0.25, False), Judgement("no", 0.75, True))),
        Document("q", "", judgements=ranked),
    ]
    found = outcomes(gold, predicted)
    assert (found["mentions"].confidence, found["mentions"].right, found["mentions"].gold) == ((0.75, 0.5), (True, False), 2)
    assert (found["relations"].confidence, found["relations"].right) == ((0.5, 0.25), (True, False))
    assert found["relations"].gold == 1
    assert (found["classes"].confidence, found["classes"].right) == ((0.75,), (False,))
    assert found["passages"].confidence == pytest.approx((0.25, 0.1))
    assert found["passages"].right == (True, False)
    assert found["passages"].sure == pytest.approx((0.75, 0.9))
    assert found["passages"].decided == (False, True)
    told = plain(calibration(gold, predicted))
    assert set(told) == {"mentions", "relations", "classes", "passages"}
    assert told["classes"]["brier"] == pytest.approx(0.75**2)
    assert told["classes"]["ece"] == {"equal_width": 0.75, "equal_mass": 0.75}
    assert "recall" not in told["classes"]["abstention"]["curve"][0]


def test_what_has_no_confidence_is_left_out() -> None:
    gold = [Document("m", "x", (Mention(((0, 4),)),))]
    assert calibration(gold, [Document("m", "", (Mention(((0, 4),)),))]) == {}
    assert calibration(gold, []) == {}
