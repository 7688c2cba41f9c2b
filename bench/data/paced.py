"""A sampler that draws from the easiest windows first, as a curriculum says; tokens and shares are those of any other.

While a curriculum lets only some units be drawn, an update's worth of them is drawn at random, and what may be drawn is asked
again. Once all may be drawn they come pass after pass, as without a curriculum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.api.schedule import Curriculum
from bench.data.batches import BUNDLES, Sampler, Stream, bundles
from bench.errors import UsageError
from bench.wording import some

_SALT = 1903_09848
"""Keeps the choice of units apart from the shuffles of the same seed."""


@dataclass
class _PacedStream(Stream):
    """A stream of units from easy to hard, of which only the easiest are drawn: the share that `competence` gives.

    `reach` is how many might be drawn when the present order was made; None before there was one.
    """

    easiest: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    competence: Callable[[], float] = lambda: 1.0
    reach: int | None = None

    def shuffle(self) -> None:
        """Asks how many units may be drawn, and makes an order of some of them."""
        self.reach = min(len(self.easiest), max(1, ceil(self.competence() * len(self.easiest))))
        self._make(self.reach)

    def _make(self, reach: int) -> None:
        chosen: NDArray[np.int64] = np.arange(len(self.lengths))
        if reach < len(self.easiest):
            rng = np.random.default_rng([*self.seed, self.epoch, _SALT])
            chosen = rng.permutation(self.easiest[:reach])
            before = np.cumsum(self.lengths[chosen]) - self.lengths[chosen]
            chosen = np.sort(chosen[before < BUNDLES * self.bundle_tokens])
        bundled = bundles(self.lengths[chosen], (*self.seed, self.epoch), self.bundle_tokens)
        self.ordered([chosen[members] for members in bundled])

    def state(self) -> dict[str, int | None]:
        """The position, JSON-able."""
        return {**super().state(), "reach": self.reach}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from a `state`."""
        self.epoch, self.position, self.drawn, self.reach = (state[k] for k in ("epoch", "position", "drawn", "reach"))
        self._order = None
        if self.reach is not None:
            self._make(self.reach)


class PacedSampler(Sampler):
    """Draws updates over tasks, of each task the easiest windows first, as many as the curriculum says.

    `difficulty` maps a task to how hard each of its training examples is, shape (examples,); the others are as for `Sampler`.
    """

    def __init__(self, *args: Any, curriculum: Curriculum, difficulty: Mapping[str, NDArray[np.float64]]) -> None:
        self._curriculum, self._difficulty = curriculum, difficulty
        super().__init__(*args)

    def _stream(self, task: str, lengths: NDArray[np.int64], seed: tuple[int, ...], bundle_tokens: int) -> Stream:
        hard = self._difficulty[task]
        if task in self._members:
            hard = np.array([hard[members].mean() for members in self._members[task]])
        easiest = np.argsort(hard, kind="stable")
        return _PacedStream(lengths, seed, bundle_tokens, easiest=easiest, competence=self._competence)

    def _competence(self) -> float:
        return self._curriculum.competence(min(1.0, self.tokens / self.budget))


def difficulties(
    curriculum: Curriculum, name: str, windows: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64]]]
) -> dict[str, NDArray[np.float64]]:
    """Task to how hard each of its training windows is, given their marked tokens and supervised positions.

    Raises:
        UsageError: the curriculum, of the schedule `name`, does not give one number a window.
    """
    difficulty = {}
    for task, (tokens, supervised) in windows.items():
        hard = np.asarray(curriculum.difficulty(task, tokens.copy(), supervised.copy()), dtype=np.float64)
        if hard.shape != tokens.shape or not np.isfinite(hard).all():
            raise UsageError(
                f"The curriculum of {name!r} gives {some(hard.size, 'number')} for {some(len(tokens), 'window')} of {task}; "
                "wanted a finite one for each.",
                f"Run 'bench check {name}'.",
            )
        difficulty[task] = hard
    return difficulty
