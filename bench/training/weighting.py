"""The weight of each task's loss: equal, or by an uncertainty that is trained with the model.

Example: a task whose mean loss stays at 0.5 settles at a log-variance of log(2 · 0.5) = 0, which is a weight of 1; one at
2.0 settles at log 4, a weight of 1/4.

Source: Kendall, Gal & Cipolla 2018, Multi-Task Learning Using Uncertainty to Weigh Losses, arXiv 1705.07115, section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import nn

Kind = Literal["equal", "uncertainty"]


class Uncertainty:
    """A trainable log-variance s for each task: of T tasks in an update the loss is the mean of exp(-s)·L + s/2.

    All start at 0, where every weight is 1 and the gradients of the model are those of equal weighting. The gradient of s is
    written down rather than traced: it needs the task's mean loss over the whole update, which no micro-batch has. It stays
    out of the clipping of the model's gradients, which would otherwise be cut by how large a loss is.

    Args:
        tasks: of the run.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        # One number a task: on the CPU wherever the model is, so that reading it waits for no device.
        self.log_variance = {task: nn.Parameter(torch.zeros(())) for task in tasks}

    def parameters(self) -> dict[str, nn.Parameter]:
        """Name to parameter, as the optimizer's state names them."""
        return {f"weighting.{task}": parameter for task, parameter in self.log_variance.items()}

    def weight(self, task: str) -> float:
        """What the task's loss is multiplied by: exp(-s)."""
        return math.exp(-self.log_variance[task].item())

    def set_gradients(self, losses: Mapping[str, float]) -> None:
        """Gives every task of an update its gradient, from its mean loss, not weighted; the others have none and stay."""
        for task, parameter in self.log_variance.items():
            loss = losses.get(task)
            parameter.grad = None if loss is None else torch.tensor((0.5 - self.weight(task) * loss) / len(losses))

    def state(self) -> dict[str, float]:
        """Task to log-variance; a float holds every bit of it."""
        return {task: parameter.item() for task, parameter in self.log_variance.items()}

    @torch.no_grad()
    def restore(self, state: Mapping[str, float]) -> None:
        """Puts back a `state`."""
        for task, value in state.items():
            self.log_variance[task].fill_(value)

    def report(self) -> dict[str, Any]:
        """The entry of the result, JSON-able."""
        return {
            "kind": "uncertainty",
            "parameters": len(self.log_variance),
            "log_variance": self.state(),
            "weight": {task: self.weight(task) for task in self.log_variance},
        }
