"""Elastic weight consolidation against its formula, and what later tasks took from earlier ones."""

from __future__ import annotations

from typing import Any

import pytest

from bench.registry import load
from bench.steps.together import transfer_between_phases


def test_a_task_after_another_has_the_tokens_of_a_joint_run() -> None:
    from bench.data.phases import total_shares

    shares = {"a": 0.25, "b": 0.75}
    for name in ("joint", "sequential"):
        phases = load().get("schedules", name).phases(shares)
        assert total_shares(phases) == shares
    assert [list(phase.shares) for phase in load().get("schedules", "sequential").phases(shares)] == [["a"], ["b"]]


def test_without_lambda_there_is_no_penalty() -> None:
    assert load().get("schedules", "sequential").penalty({"lambda": 0.0}) is None
    assert load().get("schedules", "joint").penalty({}) is None


def test_the_penalty_is_the_sum_over_earlier_tasks() -> None:
    torch = pytest.importorskip("torch")
    strength = 3.0
    penalty = load().get("schedules", "sequential").penalty({"lambda": strength})
    assert penalty is not None
    generator = torch.Generator().manual_seed(0)

    def drawn() -> dict[str, Any]:
        return {name: torch.randn(4, 3, generator=generator, dtype=torch.float64) for name in ("x", "y")}

    earlier = []
    for task in ("first", "second"):
        anchor, fisher = drawn(), {name: value.square() for name, value in drawn().items()}
        weights = {name: torch.nn.Parameter(value.clone()) for name, value in anchor.items()}
        penalty.phase_ended([task], weights, lambda task, fisher=fisher: fisher)  # type: ignore[misc]
        earlier.append((anchor, fisher))
    weights = {name: torch.nn.Parameter(value) for name, value in drawn().items()}
    loss = sum(
        strength / 2 * (fisher[name] * (weights[name] - anchor[name]) ** 2).sum()
        for anchor, fisher in earlier
        for name in weights
    )
    wanted = torch.autograd.grad(loss, list(weights.values()))
    for weight in weights.values():
        weight.grad = torch.ones_like(weight)
    value = penalty.add_gradients(weights)
    assert value == pytest.approx(float(loss))
    for weight, gradient in zip(weights.values(), wanted, strict=True):
        assert torch.allclose(weight.grad, gradient + 1)


def test_backward_and_forward_transfer() -> None:
    rows = [
        {"tasks": [], "scores": {"a": 0.0, "b": 0.1, "c": 0.0}, "read": 0},
        {"tasks": ["a"], "scores": {"a": 0.8, "b": 0.3, "c": 0.1}, "read": 50},
        {"tasks": ["b"], "scores": {"a": 0.5, "b": 0.7, "c": 0.0}, "read": 50},
        {"tasks": ["c"], "scores": {"a": 0.6, "b": 0.4, "c": 0.9}, "read": 0},
    ]
    found = transfer_between_phases(rows)
    assert found["backward"] == pytest.approx({"a": 0.6 - 0.8, "b": 0.4 - 0.7})
    assert found["forward"] == pytest.approx({"b": 0.3 - 0.1, "c": 0.0})
    assert found["backward_transfer"] == pytest.approx(-0.25)
    assert found["forward_transfer"] == pytest.approx(0.1)
    assert found["read"] == 100


def test_a_task_that_comes_again_is_judged_from_its_last_phase() -> None:
    rows = [
        {"tasks": [], "scores": {"a": 0.0, "b": 0.0}, "read": 0},
        {"tasks": ["a"], "scores": {"a": 0.5, "b": 0.0}, "read": 0},
        {"tasks": ["a", "b"], "scores": {"a": 0.4, "b": 0.6}, "read": 0},
    ]
    found = transfer_between_phases(rows)
    assert found["backward"] == {}
    assert found["backward_transfer"] is None
    assert found["forward"] == {"b": 0.0}
