"""The loss scale of fp16: gradients that overflow are computed again at half the scale, and nothing else changes."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from bench.modeling.scaling import LossScale  # noqa: E402


def made(precision: str = "fp16") -> tuple[LossScale, torch.nn.Parameter, torch.optim.Optimizer]:
    parameter = torch.nn.Parameter(torch.zeros(2))
    return LossScale("cpu", precision), parameter, torch.optim.SGD([parameter], lr=1.0)


def test_gradients_are_those_of_the_loss() -> None:
    scale, parameter, optimizer = made()
    scale.backward((parameter * torch.tensor([1.0, 1e-6])).sum())
    assert parameter.grad is not None
    assert parameter.grad.tolist() == pytest.approx([65536, 65536e-6])
    assert scale.settled(optimizer)
    assert parameter.grad.tolist() == pytest.approx([1.0, 1e-6])
    scale.step(optimizer)
    assert parameter.tolist() == pytest.approx([-1.0, -1e-6])
    assert scale.repeated == 0


def test_an_overflow_takes_the_gradients_away_and_halves_the_scale() -> None:
    scale, parameter, optimizer = made()
    tries = 0
    while True:
        scale.backward((parameter * 1e35).sum())
        tries += 1
        if scale.settled(optimizer):
            break
        assert parameter.grad is None
        assert parameter.tolist() == [0, 0]
    assert tries == 6  # the largest float is 3.4e38: scale 2048 is the first that fits
    assert (scale.value, scale.repeated) == (2048, 5)
    scale.step(optimizer)
    assert parameter.tolist() == pytest.approx([-1e35, -1e35])


def test_what_overflows_without_a_scale_is_left_for_the_caller_to_see() -> None:
    scale, parameter, optimizer = made()
    for _ in range(40):
        scale.backward((parameter * float("inf")).sum())
        if scale.settled(optimizer):
            break
    assert scale.value == 1
    assert parameter.grad is not None
    assert not parameter.grad.isfinite().any()


def test_a_state_is_put_back() -> None:
    scale, parameter, optimizer = made()
    scale.backward((parameter * 1e35).sum())
    assert not scale.settled(optimizer)
    other = LossScale("cpu", "fp16")
    other.restore(scale.state())
    assert (other.value, other.repeated, other.state()) == (32768, 1, scale.state())


def test_nothing_is_scaled_in_other_precisions() -> None:
    scale, parameter, optimizer = made("bf16")
    scale.backward((parameter * torch.tensor([1.0, float("inf")])).sum())
    assert scale.settled(optimizer)
    assert (scale.value, scale.state()) == (1, {})
    scale.step(optimizer)
    assert parameter[0] == -1
