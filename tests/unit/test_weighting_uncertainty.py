"""Weights by uncertainty: where they settle, whom an update moves, and that a float holds all of them."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from bench.training.weighting import Uncertainty  # noqa: E402

losses = st.dictionaries(st.sampled_from("abc"), st.floats(0.001, 50), min_size=1)


def values(weights: Uncertainty) -> dict[str, float]:
    return {task: one.item() for task, one in weights.log_variance.items()}


def test_it_starts_at_equal_weights() -> None:
    weights = Uncertainty(["a", "b"])
    assert values(weights) == {"a": 0.0, "b": 0.0}
    assert [weights.weight(task) for task in "ab"] == [1.0, 1.0]
    assert [p.numel() for p in weights.parameters().values()] == [1, 1]


@given(losses, st.lists(st.floats(-3, 3), min_size=3, max_size=3))
def test_the_gradient_written_down_is_the_one_that_would_be_traced(found: dict[str, float], start: list[float]) -> None:
    weights = Uncertainty("abc")
    weights.restore(dict(zip("abc", start, strict=True)))
    weights.set_gradients(found)
    traced = {task: one.detach().clone().requires_grad_() for task, one in weights.log_variance.items()}
    total = sum(torch.exp(-traced[task]) * loss + traced[task] / 2 for task, loss in found.items()) / len(found)
    total.backward()
    for task, one in weights.log_variance.items():
        if task in found:
            wanted = traced[task].grad
            assert one.grad is not None
            assert wanted is not None
            assert one.grad.item() == pytest.approx(wanted.item(), rel=1e-5, abs=1e-6)
        else:
            assert one.grad is None


def test_it_settles_where_the_weight_is_half_of_one_over_the_loss() -> None:
    weights = Uncertainty(["half", "two", "absent"])
    optimizer = torch.optim.Adam(weights.parameters().values(), lr=0.05)
    for _ in range(400):
        weights.set_gradients({"half": 0.5, "two": 2.0})
        optimizer.step()
    assert values(weights) == pytest.approx({"half": 0.0, "two": math.log(4), "absent": 0.0}, abs=1e-2)
    assert weights.weight("two") == pytest.approx(0.25, rel=2e-2)
    report = weights.report()
    assert (report["kind"], report["parameters"]) == ("uncertainty", 3)
    assert report["weight"]["absent"] == 1.0


@given(st.lists(st.floats(-8, 8, width=32), min_size=2, max_size=2))
def test_json_holds_every_bit(numbers: list[float]) -> None:
    weights, again = Uncertainty("ab"), Uncertainty("ab")
    weights.restore(dict(zip("ab", numbers, strict=True)))
    again.restore(json.loads(json.dumps(weights.state())))
    assert all(torch.equal(again.log_variance[t], weights.log_variance[t]) for t in "ab")
    assert values(again) == dict(zip("ab", numbers, strict=True))
