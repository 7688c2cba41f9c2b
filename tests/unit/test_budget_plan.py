"""What a budget means in tokens, and the ones that no data can reach."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.api.model import LinearShape, ModelSpec
from bench.config import RunConfig
from bench.data.batches import shares
from bench.errors import DataError, UsageError
from bench.training import plan
from bench.training.plan import Estimate, budget_of, refuse_unreachable
from bench.training.rates import layer_rates

EPOCH = {"large": 900, "small": 100}
LENGTHS = {task: np.full(tokens // 10, 10, dtype=np.int64) for task, tokens in EPOCH.items()}


def config(**changes: Any) -> RunConfig:
    return RunConfig(task=tuple(EPOCH), batch_tokens=100, **changes)


@pytest.mark.parametrize(
    ("tokens", "wanted"),
    [
        (2, 10_000),
        (900, 10_000),
        (1_100, 11_000),
        (50_000, 500_000),
        (112_000, 1_000_000),
        (400_000, 1_000_000),
        (600_000, 1_200_000),
    ],
)
def test_real_text_gets_a_million_tokens_by_default_or_ten_passes_or_a_hundred_updates(tokens: int, wanted: int) -> None:
    epoch = {"a": tokens}
    assert budget_of(config(), epoch, shares(epoch), synthetic=False).tokens == wanted
    assert budget_of(config(), epoch, shares(epoch)).tokens == 2 * tokens
    assert budget_of(config(epochs=3.0), epoch, shares(epoch), synthetic=False).tokens == 3 * tokens


@pytest.mark.parametrize(
    ("changes", "like", "tokens", "given_as"),
    [
        ({"tokens": 5000}, None, 5000, "--tokens"),
        ({"tokens_like": "run:small"}, 777, 777, "--tokens-like"),
        ({"steps": 7}, None, 700, "--steps"),
        ({"epochs": 1.5}, None, 1500, "--epochs"),
        ({}, None, 2000, "default"),
    ],
)
def test_every_way_to_give_a_budget_is_tokens(changes: dict[str, Any], like: int | None, tokens: int, given_as: str) -> None:
    budget = budget_of(config(**changes), EPOCH, shares(EPOCH), like)
    assert (budget.tokens, budget.given_as, budget.controlled) == (tokens, given_as, given_as != "default")
    assert budget.like == ("run:small" if like else None)
    assert sum(budget.task_tokens.values()) == pytest.approx(tokens, abs=1)
    assert budget.task_tokens["large"] == round(0.75 * tokens)
    assert budget.epochs == pytest.approx({"large": 0.75 * tokens / 900, "small": 0.25 * tokens / 100})
    assert budget.updates == -(-tokens // 100)
    told = budget.as_json()
    assert "marks" in told["counts"]
    assert "padding" in told["counts"]


def test_a_budget_that_repeats_one_tasks_data_beyond_reason_names_it() -> None:
    with pytest.raises(UsageError, match=r"repeat the 100 training tokens of small .* times; at most 10,000 makes sense"):
        budget_of(config(tokens=4_100_000), EPOCH, shares(EPOCH))
    budget_of(config(tokens=4_100_000), EPOCH, shares(EPOCH, "proportional"))


def test_a_budget_that_holds_no_example_at_all() -> None:
    with pytest.raises(UsageError, match="A budget of 3 tokens holds not one training example"):
        refuse_unreachable(config(), budget_of(config(tokens=3), EPOCH, shares(EPOCH)), LENGTHS)


def test_a_budget_that_leaves_a_task_without_an_example_names_it() -> None:
    low = budget_of(config(tokens=36), EPOCH, shares(EPOCH))
    with pytest.raises(UsageError, match="leaves 9 to small, whose shortest training example has 10"):
        refuse_unreachable(config(), low, LENGTHS)
    refuse_unreachable(config(), budget_of(config(tokens=40), EPOCH, shares(EPOCH)), LENGTHS)
    even = config(tokens=36, sampling="uniform")
    refuse_unreachable(even, budget_of(even, EPOCH, shares(EPOCH, "uniform")), LENGTHS)


def test_a_task_without_training_examples_is_no_division_by_zero() -> None:
    with pytest.raises(DataError, match="empty has no training example"):
        shares({"full": 10, "empty": 0})
    with pytest.raises(DataError, match="only has no training example"):
        shares({"only": 0})


def test_a_budget_that_holds_no_query_with_its_passages() -> None:
    queries = {task: np.arange(len(lengths)) // 5 for task, lengths in LENGTHS.items()}  # fifty tokens each
    few = budget_of(config(tokens=20), EPOCH, shares(EPOCH))
    refuse_unreachable(config(tokens=20), few, {"large": LENGTHS["large"]})
    with pytest.raises(UsageError, match="A budget of 20 tokens holds not one query with its passages"):
        refuse_unreachable(config(tokens=20), few, LENGTHS, queries)
    low = budget_of(config(tokens=160), EPOCH, shares(EPOCH))
    with pytest.raises(UsageError, match="leaves 40 to small, whose shortest query with its passages has 50"):
        refuse_unreachable(config(tokens=160), low, LENGTHS, {"small": queries["small"]})


def test_the_estimate_counts_training_and_evaluation_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "layer_rates", lambda *given: (1e9, 1e9))
    linears = (LinearShape("layer.0.a", 64, 64), LinearShape("layer.0.b", 64, 256))
    spec = ModelSpec("x", "bert", False, 64, 1, 512, 30_000, linears)

    def guess(tokens: int, evaluated: int, gated: int = 0) -> Estimate:
        budget = budget_of(config(tokens=tokens), EPOCH, shares(EPOCH), None)
        return plan.estimate(spec, budget, evaluated, gated, 1000, 32, 1, "fp32", "cpu", 20_480)

    one = guess(5000, 3000)
    assert guess(10_000, 3000).seconds == pytest.approx(2 * one.seconds)
    assert guess(10_000, 3000).evaluation == one.evaluation
    assert one.before == plan.STARTING
    assert guess(5000, 3000, 500).before == pytest.approx(plan.STARTING + one.seconds / 10)
    predicting = one.evaluation - plan.ENDING
    assert guess(5000, 9000).evaluation == pytest.approx(plan.ENDING + 3 * predicting)
    assert 1.8 < one.seconds / 5000 / (predicting / 3000) < 3.2  # a backward pass costs as much as a forward one, and more


@pytest.mark.parametrize(("given", "updates", "every"), [(None, 98, 49), (None, 1, 1), (None, 99, 50), (10, 98, 10)])
def test_dev_is_looked_at_twice_unless_the_user_says_otherwise(given: int | None, updates: int, every: int) -> None:
    assert plan.updates_between_evaluations(given, updates) == every


@pytest.mark.parametrize(("width", "precision"), [(64, "fp32"), (96, "bf16")])
def test_a_layer_is_timed_with_and_without_gradients(width: int, precision: str) -> None:
    pytest.importorskip("torch")
    training, evaluation = layer_rates(width, precision, "cpu")
    assert 1e6 < training < 1e15
    assert 1e6 < evaluation < 1e15
    assert layer_rates(width, precision, "cpu") == (training, evaluation)  # timed once: a second time gives other numbers
