"""Checks of a schedule: its phases for three tasks, its curriculum, and that a penalty comes back as it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from bench.api.schedule import Schedule
from bench.conformance.common import described
from bench.conformance.workbench import Workbench, expect, scramble, without_heavy_imports
from bench.data.paced import difficulties
from bench.data.phases import checked
from bench.wording import some

SHARES = {"a": 0.5, "b": 0.3, "c": 0.2}


def metadata(schedule: Schedule, bench: Workbench) -> str:
    """Phases have shares that add up to 1 and cover exactly the tasks, without torch; options have valid defaults."""
    described(schedule)
    with without_heavy_imports():
        phases = checked(schedule.phases(SHARES), list(SHARES), schedule.name)
        alone = checked(schedule.phases({"a": 1.0}), ["a"], schedule.name)
    odd = [name for name, value in schedule.options.items() if not isinstance(value, float) or value < 0]
    expect(not odd, f"options has defaults that are no number of at least 0: {', '.join(odd)}")
    schedule.check(schedule.options, {})
    return f"{some(len(phases), 'phase')} of three tasks, {len(alone)} of one"


def determinism(schedule: Schedule, bench: Workbench) -> str:
    """The same shares give the same phases, whatever the random state."""
    scramble(1)
    first = list(schedule.phases(SHARES))
    scramble(2)
    expect(list(schedule.phases(SHARES)) == first, "phases() gives other phases for the same shares")
    curriculum = schedule.curriculum(numbers(schedule))
    if curriculum is None:
        return f"{some(len(first), 'phase')} twice"
    tokens, supervised = np.array([7, 3, 9, 3, 120]), np.array([1, 0, 4, 2, 9])
    hard = difficulties(curriculum, schedule.name, {"a": (tokens, supervised)})["a"]
    scramble(3)
    again = difficulties(curriculum, schedule.name, {"a": (tokens, supervised)})["a"]
    expect(np.array_equal(hard, again), "difficulty() gives other numbers for the same windows")
    reached = [curriculum.competence(progress / 10) for progress in range(11)]
    expect(all(0 < level <= 1 for level in reached), f"competence() gives {reached[0]:g} at first; wanted above 0, at most 1")
    expect(reached[-1] == 1, f"competence() ends at {reached[-1]:g}; the hardest windows would never be drawn")
    return f"{some(len(first), 'phase')} twice, competence from {reached[0]:.2f} to 1"


def save_and_load(schedule: Schedule, bench: Workbench) -> str:
    """A penalty that is saved and loaded gives the same value and gradients, and adds none to a tensor that has none."""
    import torch

    options = numbers(schedule)
    penalty = schedule.penalty(options)
    if penalty is None:
        return "no penalty"

    def weights(shift: float) -> dict[str, torch.nn.Parameter]:
        generator = torch.Generator().manual_seed(0)
        return {name: torch.nn.Parameter(torch.randn(3, 2, generator=generator) + shift) for name in ("shared", "other")}

    def gradients(which: object) -> tuple[float, torch.Tensor, torch.Tensor | None]:
        moved = weights(0.5)
        moved["shared"].grad = torch.zeros_like(moved["shared"])
        value = which.add_gradients(moved)  # type: ignore[attr-defined]
        return value, moved["shared"].grad, moved["other"].grad

    before = weights(0.0)
    penalty.phase_ended(["a"], before, lambda task: {name: torch.ones_like(w) for name, w in before.items()})
    state = {name: tensor.clone() for name, tensor in penalty.state().items()}
    other = schedule.penalty(options)
    expect(other is not None and other is not penalty, "penalty() gives the same object twice, which two runs would share")
    assert other is not None
    other.load_state(state)
    first, second = gradients(penalty), gradients(other)
    expect(first[0] == second[0] and torch.equal(first[1], second[1]), "load_state() gives another penalty than was saved")
    expect(first[2] is None, "add_gradients() gives a gradient to a tensor that had none, which the update would then move")
    expect(first[0] > 0 and bool(first[1].abs().sum() > 0), "the penalty of moved weights is 0")
    return some(len(state), "tensor")


def numbers(schedule: Schedule) -> dict[str, float]:
    """Every option at its default, or at 1 where that is 0, which as a rule means none."""
    return {name: value or 1.0 for name, value in schedule.options.items()}


CHECKS: Mapping[str, Callable[[Schedule, Workbench], str]] = {
    "metadata": metadata,
    "determinism": determinism,
    "save-and-load": save_and_load,
}
