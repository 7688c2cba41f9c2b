"""Schedules: in which order the tasks of a run take their tokens, and what holds the weights back on the way.

The core keeps the budget, the ledger and the checkpoints whatever the order; a schedule only says which share of the run's
tokens each stretch of training has, and which tasks share it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.api.part import Part

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Phase:
    """A stretch of training.

    Args:
        tokens: share of the run's tokens, above 0; those of all phases add up to 1.
        shares: task to its share of the phase's tokens; they add up to 1. A task that is not in it gets none.
    """

    tokens: float
    shares: Mapping[str, float]


class Penalty(ABC):
    """A loss of the trained weights alone, added to that of every update; such as what holds them near earlier values.

    It is part of every checkpoint, so that a resumed run goes on bit for bit.
    """

    @abstractmethod
    def phase_ended(
        self,
        tasks: Sequence[str],
        weights: Mapping[str, nn.Parameter],
        squared_gradients: Callable[[str], Mapping[str, Tensor]],
    ) -> None:
        """Looks at the weights at the end of a phase that another one follows.

        Args:
            tasks: of the phase.
            weights: every trained tensor by name.
            squared_gradients: task to the mean of the squared gradient of the loss over single training windows, by the name of
                the trained tensor; it reads some hundred windows, which the result counts apart.
        """

    @abstractmethod
    def add_gradients(self, weights: Mapping[str, nn.Parameter]) -> float:
        """Adds the penalty's gradient to ``grad`` of every tensor that has one, and gives the penalty's value.

        A tensor without a gradient is not moved by the update and gets none.
        """

    @abstractmethod
    def state(self) -> Mapping[str, Tensor]:
        """All that a resumed run needs, by name."""

    @abstractmethod
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Puts back a `state`."""


class Schedule(Part):
    """An order of the tasks of a run."""

    options: ClassVar[Mapping[str, float]] = {}
    """Numbers that a user may set with ``--schedule-option OPTION=N``, with their defaults."""
    restarts: ClassVar[bool] = False
    """Whether the learning rate rises and falls once a phase, instead of once a run."""

    @abstractmethod
    def phases(self, shares: Mapping[str, float]) -> Sequence[Phase]:
        """The phases of a run.

        Args:
            shares: task to its share of the run's tokens by ``--sampling``, in the order in which the tasks were named.
        """

    def penalty(self, options: Mapping[str, float]) -> Penalty | None:
        """What is added to the loss, or None.

        Args:
            options: every one of `options`, as the user set it.
        """
        return None
