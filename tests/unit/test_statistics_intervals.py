from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from bench.evaluation.small_counts import f1_interval, wilson
from bench.evaluation.statistics import with_intervals

Rows = list[Mapping[str, float]]


def f1(tp: Any, fp: Any, fn: Any) -> Any:
    bottom = 2 * tp + fp + fn
    return np.where(bottom > 0, 2 * tp / np.where(bottom > 0, bottom, 1), 0.0)


def summarise(sums: Mapping[str, Any]) -> dict[str, Any]:
    def one(name: str) -> dict[str, Any]:
        tp, fp, fn = (sums[f"{name}.{k}"] for k in ("tp", "fp", "fn"))
        return {"tp": tp, "fp": fp, "fn": fn, "f1": f1(tp, fp, fn)}

    return {"task1": {"strict": one("strict"), "other": one("other")}}


def make(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, other: float = 0.0) -> Rows:
    return [
        {"strict.tp": a, "strict.fp": b, "strict.fn": c, "other.tp": other, "other.fp": 0.0, "other.fn": 0.0}
        for a, b, c in zip(tp.astype(float), fp.astype(float), fn.astype(float), strict=True)
    ]


def corpus(seed: int, documents: int = 80) -> Rows:
    rng = np.random.default_rng(seed)
    gold = rng.integers(1, 12, documents)
    tp = rng.binomial(gold, rng.beta(6, 2, documents))  # documents differ in how hard they are
    return make(tp, rng.poisson(1.5, documents), gold - tp)


def test_the_scores_are_those_of_the_sums_and_the_interval_stands_beside_f1() -> None:
    rows = corpus(1)
    scores = with_intervals(rows, summarise)
    tp, fp, fn = (sum(r[f"strict.{k}"] for r in rows) for k in ("tp", "fp", "fn"))
    assert scores["task1.strict.tp"] == tp
    assert scores["task1.strict.f1"] == pytest.approx(2 * tp / (2 * tp + fp + fn), abs=1e-12)
    low, high = scores["task1.strict.f1.ci95"]
    assert low < scores["task1.strict.f1"] < high
    assert list(scores)[:5] == [f"task1.strict.{name}" for name in ("tp", "fp", "fn", "f1", "f1.ci95")]
    assert type(scores["task1.strict.f1"]) is float
    json.dumps(scores, allow_nan=False)


def test_it_agrees_with_a_loop_that_draws_documents() -> None:
    rows = corpus(2)
    rng = np.random.default_rng(9)
    drawn = []
    for _ in range(4000):
        sample = [rows[i] for i in rng.integers(0, len(rows), len(rows))]
        drawn.append(summarise({k: sum(r[k] for r in sample) for k in rows[0]})["task1"]["strict"]["f1"])
    got = with_intervals(rows, summarise, resamples=4000)["task1.strict.f1.ci95"]
    assert got == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.006)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    truth = summarise({k: sum(r[k] for r in corpus(0, 200_000)) for k in corpus(0, 1)[0]})["task1"]["strict"]["f1"]
    covered = sum(
        low <= truth <= high
        for low, high in (with_intervals(corpus(s), summarise, resamples=400)["task1.strict.f1.ci95"] for s in range(1, 201))
    )
    assert 180 <= covered <= 199  # of 200; 190 expected


def test_documents_and_not_mentions_are_resampled() -> None:
    apart = make(np.array([10, 0] * 10), np.array([0, 10] * 10), np.array([0, 10] * 10))
    alike = make(np.array([5] * 20), np.array([5] * 20), np.array([5] * 20))
    low, high = with_intervals(apart, summarise)["task1.strict.f1.ci95"]
    assert high - low > 0.3
    # Documents that are all the same leave nothing to draw: what is left are the mentions.
    scores = with_intervals(alike, summarise)
    assert scores["task1.strict.f1.ci95"] == f1_interval(100, 100, 100)
    assert scores["task1.strict.f1.ci95_by"] == "beta"


def test_same_seed_same_interval() -> None:
    rows = corpus(3)
    assert with_intervals(rows, summarise, seed=4) == with_intervals(rows, summarise, seed=4)
    assert with_intervals(rows, summarise, seed=4) != with_intervals(rows, summarise, seed=5)


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        (make(np.array([9]), np.array([2]), np.array([7])), (9, 2, 7)),
        (make(np.zeros(14), np.zeros(14), np.ones(14)), (0, 0, 14)),
        (make(np.full(5, 3), np.zeros(5), np.zeros(5)), (15, 0, 0)),
        (make(np.array([3, 0, 2, 4]), np.array([1, 0, 2, 0]), np.array([2, 1, 0, 1])), (9, 3, 4)),
        (make(np.array([1] + [0] * 99), np.full(100, 6), np.full(100, 2)), (1, 600, 200)),
    ],
    ids=["one document", "nothing right", "all right", "few", "one right of many"],
)
def test_few_items_get_an_interval_from_their_counts(rows: Rows, counts: tuple[int, int, int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = with_intervals(rows, summarise)
    assert scores["task1.strict.f1.ci95"] == f1_interval(*counts)
    assert scores["task1.strict.f1.ci95_by"] == "beta"
    assert scores["task1.other.f1.ci95"] is None  # nothing to find and nothing found
    assert "task1.other.f1.ci95_by" not in scores


def test_many_items_keep_the_interval_of_the_bootstrap() -> None:
    def other(sums: Mapping[str, Any]) -> dict[str, Any]:
        return {"plain": f1(*(sums[f"strict.{name}"] for name in ("tp", "fp", "fn")))}

    scores = with_intervals(corpus(1), summarise)
    assert scores["task1.strict.f1.ci95"] == with_intervals(corpus(1), other, names=("plain",))["plain.ci95"]
    assert "task1.strict.f1.ci95_by" not in scores


def test_a_share_of_documents_gets_wilsons_interval() -> None:
    def accuracy(sums: Mapping[str, Any]) -> dict[str, Any]:
        return {"accuracy": sums["right"] / sums["documents"], "map": sums["right"] / sums["documents"], "kappa": sums["kappa"]}

    def scored(right: int, documents: int) -> Mapping[str, Any]:
        rows = [{"documents": 1.0, "right": float(i < right), "kappa": 0.0} for i in range(documents)]
        return with_intervals(rows, accuracy, names=("accuracy", "map", "kappa"))

    assert scored(0, 9)["accuracy.ci95"] == scored(0, 9)["map.ci95"] == wilson(0, 9)
    assert scored(97, 100)["accuracy.ci95"] == wilson(97, 100)
    assert scored(97, 100)["accuracy.ci95_by"] == "wilson"
    assert "map.ci95_by" not in scored(97, 100)  # whose hits cannot be counted in documents
    assert "accuracy.ci95_by" not in scored(60, 100)
    assert scored(0, 9)["kappa.ci95"] is None  # which may be below 0, so that 0 is no end


def test_a_score_that_is_not_a_number_in_some_resample_has_no_interval() -> None:
    def divides(sums: Mapping[str, Any]) -> dict[str, Any]:
        return {"f1": np.asarray(sums["a"]) / np.asarray(sums["b"])}

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = with_intervals([{"a": 1.0, "b": 0.0}, {"a": 1.0, "b": 1.0}], divides)
    assert scores == {"f1": 2.0, "f1.ci95": None}


def test_other_names_get_intervals_of_their_own() -> None:
    def two(sums: Mapping[str, Any]) -> dict[str, Any]:
        return {"f1": sums["a"] / 4, "accuracy": sums["b"] / 4}

    scores = with_intervals([{"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 1.0}], two, names=("f1", "accuracy"))
    assert list(scores) == ["f1", "f1.ci95", "accuracy", "accuracy.ci95", "accuracy.ci95_by"]
    assert scores["f1.ci95"] == (0.0, 0.5)  # a share without counts, as two documents say it


def test_rows_may_lack_keys_and_no_rows_is_no_crash() -> None:
    scores = with_intervals([{"a": 1.0}, {"b": 1.0}], lambda s: {"f1": s["a"] / (s["a"] + s["b"])})
    assert scores["f1"] == 0.5
    assert with_intervals([], lambda s: {"f1": 0.0}) == {"f1": 0.0, "f1.ci95": None}
