"""The phases of a run as one sampler: one after another, in all the run's budget to within one example."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from bench.api.schedule import Phase
from bench.data.batches import Sampler, Update
from bench.errors import UsageError

ROUNDING = 1e-6
"""Tolerance of the sum of shares, which must be 1."""


class Phases:
    """Draws updates phase by phase, with the interface of a `Sampler`.

    The end of a phase follows from the shares of all phases up to it, so that rounding of one phase does not move later ones.
    An update never holds examples of two phases.

    Args:
        make: makes the sampler of a phase from its tasks, a seed and its tokens.
        joint: the sampler of a run with all tasks at once; nothing is drawn from it.
        phases: of the schedule.
        seed: of the run.
        restarts: whether the learning-rate schedule (`span`) restarts with every phase.
    """

    def __init__(
        self,
        make: Callable[[Sequence[str], int, int], Sampler],
        joint: Sampler,
        phases: Sequence[Phase],
        seed: int,
        restarts: bool,
    ) -> None:
        self.budget, self.batch_tokens, self.widest = joint.budget, joint.batch_tokens, joint.widest
        self.units: Mapping[str, NDArray[np.int64]] = joint.units
        self.phases, self.shares = tuple(phases), total_shares(phases)
        self._make, self._whole, self._seed, self._restarts = make, joint, seed, restarts
        self._ends = [round(float(end) * joint.budget) for end in np.cumsum([phase.tokens for phase in phases])]
        self._samplers: list[Sampler] = []
        self._begin()

    def _begin(self) -> None:
        index = len(self._samplers)
        phase, spent = self.phases[index], self.tokens
        # a task that is in several phases has another order in each
        seed = self._seed if index == 0 else crc32(f"{self._seed} phase {index}".encode())
        sampler = self._make(list(phase.shares), seed, max(1, self._ends[index] - spent))
        sampler.shares = dict(phase.shares)
        self._samplers.append(sampler)

    @property
    def tokens(self) -> int:
        """Marked tokens drawn so far."""
        return sum(sampler.tokens for sampler in self._samplers)

    @property
    def step(self) -> int:
        """Updates drawn so far."""
        return sum(sampler.step for sampler in self._samplers)

    @property
    def ended(self) -> int:
        """Phases that are over."""
        return len(self._samplers) - (not self._samplers[-1].done)

    @property
    def done(self) -> bool:
        """Whether the last phase is over."""
        return self.ended == len(self.phases)

    @property
    def span(self) -> tuple[int, int]:
        """Learning-rate schedule in tokens seen: where it starts, and its length."""
        if not self._restarts:
            return 0, self.budget
        before = self.tokens - self._samplers[-1].tokens
        return before, self._samplers[-1].budget

    def shortest(self, task: str) -> int:
        """Marked tokens of the smallest unit of a task."""
        return self._whole.shortest(task)

    def draw(self) -> Update:
        """The next update."""
        if self._samplers[-1].done:
            self._begin()
        before = self.step
        return replace(self._samplers[-1].draw(), step=before)

    def epochs(self) -> dict[str, float]:
        """Passes over each task's data so far."""
        passes = dict.fromkeys(self.shares, 0.0)
        for sampler in self._samplers:
            for task, count in sampler.epochs().items():
                passes[task] += count
        return passes

    def state(self) -> dict[str, object]:
        """The position, as JSON."""
        return {"phases": [sampler.state() for sampler in self._samplers]}

    def restore(self, state: Mapping[str, object]) -> None:
        """Continues from a `state`."""
        self._samplers.clear()
        for position in state["phases"]:  # type: ignore[attr-defined]
            self._begin()
            self._samplers[-1].restore(position)


def tasks_of(phases: Sequence[Phase]) -> tuple[str, ...]:
    """The distinct tasks of some phases, in order."""
    return tuple(dict.fromkeys(task for phase in phases for task in phase.shares))


def total_shares(phases: Sequence[Phase]) -> dict[str, float]:
    """Task to its share of all tokens of some phases."""
    shares = dict.fromkeys(tasks_of(phases), 0.0)
    for phase in phases:
        for task, share in phase.shares.items():
            shares[task] += phase.tokens * share
    return shares


def checked(phases: Sequence[Phase], tasks: Sequence[str], name: str) -> tuple[Phase, ...]:
    """Checks the phases that the schedule `name` gave for the tasks of a run.

    Raises:
        UsageError: shares do not add up to 1, a task is not the run's, or a task of the run is in no phase.
    """

    def wrong(shares: Sequence[float]) -> bool:
        return any(not 0 < share <= 1 + ROUNDING for share in shares) or abs(sum(shares) - 1) > ROUNDING

    hint = f"Run 'bench check {name}'."
    if not phases or wrong([phase.tokens for phase in phases]) or any(wrong([*p.shares.values()]) for p in phases):
        raise UsageError(f"The schedule {name!r} gives shares that are not above 0 or do not add up to 1.", hint)
    odd = set(tasks) ^ set(tasks_of(phases))
    if odd:
        raise UsageError(f"The schedule {name!r} leaves out, or makes up, the task {min(odd)!r}.", hint)
    return tuple(phases)
