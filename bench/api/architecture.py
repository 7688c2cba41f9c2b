"""An architecture: how LoRA adapters are composed over one frozen base model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.api.part import Part

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Adapter:
    """One LoRA adapter over every adapted linear layer.

    Args:
        name: unique within the architecture; letters, digits, ``-`` and ``_``.
        role: ``shared`` by all tasks, or ``private`` to one.
        task: the task a private adapter belongs to.
    """

    name: str
    role: Literal["shared", "private"]
    task: str | None = None


class Architecture(Part):
    """Declares adapters and how they meet; the core solves the ranks, attaches, counts, saves and loads.

    A task's hidden states come from one or more passes of the base model, each with a set of adapters active (their deltas
    add up), joined by a fusion module where there is more than one pass.
    """

    @abstractmethod
    def adapters(self, tasks: Sequence[str]) -> tuple[Adapter, ...]:
        """The adapters for these tasks."""

    @abstractmethod
    def passes(self, task: str) -> tuple[tuple[str, ...], ...]:
        """Names of the adapters active in each pass of the base model for a batch of this task."""

    def fusion(self, hidden_size: int) -> nn.Module | None:
        """Joins the passes; shared by all tasks. None where every task has a single pass.

        Its ``forward(states)`` takes a list of (batch, seq, hidden) tensors and gives one of the same shape.
        """
        return None
