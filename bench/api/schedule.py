"""Schedules: in which order a run takes its tokens, and what is added to its loss on the way.

The core keeps the budget, the ledger and the checkpoints whatever the order. A schedule says which share of the run's tokens
each stretch of training has, which tasks share it, and which of their windows may be drawn by then.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from bench.api.part import Part

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from bench.api.head import HeadModule


@dataclass(frozen=True)
class Phase:
    """A stretch of training: its share of the run's tokens, above 0, and each task's share of these; a task left out gets none.

    The tokens of all phases add up to 1, and so do the shares of a phase.
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


class Curriculum(ABC):
    """Which training windows may be drawn: the easiest first, ever more as training goes on.

    The core draws at random among them, an update's worth at a time, until all may be drawn; from then on pass after pass.
    """

    @abstractmethod
    def difficulty(self, task: str, tokens: NDArray[np.int64], supervised: NDArray[np.int64]) -> NDArray[np.float64]:
        """How hard each training window of a task is, (windows,); the order counts alone. Asked once.

        It is given the marked tokens and the supervised positions of each, (windows,). Windows that are drawn together, the
        passages of a query, are as hard as they are on average.
        """

    @abstractmethod
    def competence(self, progress: float) -> float:
        """Share of a task's windows that may be drawn, the easiest ones; 1 at the end.

        `progress` is the share of the tokens spent, of the phase where there are several; from 0 to 1.
        """


class FrozenModel(Protocol):
    """The model of a finished run, in evaluation mode and without gradients."""

    def hidden(self, task: str, batch: Mapping[str, Tensor]) -> Tensor:
        """Hidden states of a batch of one task, (batch, seq, hidden); the width is that of its own base model."""
        ...

    def head(self, task: str) -> HeadModule:
        """The head of a task, of the kind and with the labels that the run's own has."""
        ...


class Objective(ABC):
    """What stands in the place of the loss of a batch: with other models' outputs, or with further terms.

    It is used in updates and in the search for a micro-batch; the smoke test trains on what the head gives. It keeps nothing
    from one batch to the next, so that a resumed run goes on bit for bit, and draws nothing at random.
    """

    @abstractmethod
    def loss(self, task: str, batch: Mapping[str, Tensor], hidden: Tensor, head: HeadModule, loss: Tensor) -> Tensor:
        """The loss that is trained, a scalar: a sum over the batch's supervised positions, as that of a head.

        Args:
            task: whose batch it is.
            batch: as the head gets it; see `bench.api.head.HeadModule`.
            hidden: states of the model that is trained, (batch, seq, hidden).
            head: of the task.
            loss: what the head gives.
        """


class Schedule(Part):
    """An order of the tasks of a run."""

    options: ClassVar[Mapping[str, float]] = {}
    """Numbers that a user may set with ``--schedule-option OPTION=N``, with their defaults."""
    taught: ClassVar[bool] = False
    """Whether it learns from finished runs, which ``--teacher RUN`` names; it is refused without one."""
    restarts: ClassVar[bool] = False
    """Whether the learning rate rises and falls once a phase, instead of once a run."""

    def check(self, options: Mapping[str, float], taught: Mapping[str, HeadModule]) -> None:
        """Refuses what it cannot work with; asked at plan time.

        Args:
            options: every one of `options`, as the user set it.
            taught: the head of each task that a teacher has, as a rule on the meta device, where tensors have no values.

        Raises:
            UsageError: an option is out of range, or it cannot learn from another model's head of this kind.
        """

    @abstractmethod
    def phases(self, shares: Mapping[str, float]) -> Sequence[Phase]:
        """The phases of a run, given each task's share of its tokens by ``--sampling``; tasks are in the order of naming."""

    def penalty(self, options: Mapping[str, float]) -> Penalty | None:
        """What is added to the loss, or None, with every one of `options` as the user set it."""
        return None

    def curriculum(self, options: Mapping[str, float]) -> Curriculum | None:
        """Which windows may be drawn when, with every one of `options` as the user set it; None: all of them at any time."""
        return None

    def objective(self, options: Mapping[str, float], teachers: Mapping[str, FrozenModel]) -> Objective | None:
        """What is trained in the place of the heads' losses, with every one of `options` as the user set it; None: those.

        `teachers` maps a task to the model of the finished run that had it; of tasks that no ``--teacher`` had there is none.
        """
        return None
