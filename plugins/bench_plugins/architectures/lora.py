"""The four architectures: where LoRA adapters are shared between tasks, and how shared and private ones meet.

Example, A4 on tasks ``a`` and ``b``: adapters ``shared``, ``private-a`` and ``private-b``; a batch of ``a`` runs twice, once
with ``shared`` and once with ``private-a``, and a fusion weighs the two hidden states of every token.

Source: LoRA, arXiv:2106.09685; AdapterFusion, arXiv:2005.00247; shared and private parts, arXiv:1704.05742.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.api.architecture import Adapter, Architecture
from bench.api.part import Requirement

if TYPE_CHECKING:
    from torch import nn

SHARED = Adapter("shared", "shared")


def private(task: str) -> Adapter:
    """The private adapter of a task."""
    return Adapter(f"private-{re.sub(r'[^A-Za-z0-9_-]', '-', task)}", "private", task)


class Lora(Architecture):
    """Base class of the LoRA arms of this package."""

    version = "1"
    citation = "Hu et al. 2021, LoRA: Low-Rank Adaptation of Large Language Models, arXiv:2106.09685"
    licence = "Apache-2.0"
    requires = (Requirement("torch", "bench-suite[train]"), Requirement("peft", "bench-suite[train]"))


class SharedOnly(Lora):
    """One adapter that every task trains."""

    name = "A1"
    summary = "one shared adapter for all tasks"

    def adapters(self, tasks: Sequence[str]) -> tuple[Adapter, ...]:
        """The shared adapter alone."""
        return (SHARED,)

    def passes(self, task: str) -> tuple[tuple[str, ...], ...]:
        """One pass through the shared adapter."""
        return ((SHARED.name,),)


class PrivateOnly(Lora):
    """One adapter a task; tasks share nothing but the frozen base model."""

    name = "A2"
    summary = "one private adapter for each task"

    def adapters(self, tasks: Sequence[str]) -> tuple[Adapter, ...]:
        """One private adapter a task."""
        return tuple(private(task) for task in tasks)

    def passes(self, task: str) -> tuple[tuple[str, ...], ...]:
        """One pass through the task's own adapter."""
        return ((private(task).name,),)


class SharedAndPrivate(Lora):
    """A shared and a private adapter, both active in one pass: their deltas add up."""

    name = "A3"
    summary = "shared and private adapters, deltas added in one pass"

    def adapters(self, tasks: Sequence[str]) -> tuple[Adapter, ...]:
        """The shared adapter and one private adapter a task."""
        return (SHARED, *(private(task) for task in tasks))

    def passes(self, task: str) -> tuple[tuple[str, ...], ...]:
        """One pass with both adapters active."""
        return ((SHARED.name, private(task).name),)


class Fused(SharedAndPrivate):
    """A shared and a private pass, joined token by token by attention over the two."""

    name = "A4"
    summary = "shared and private passes, fused per token by attention"
    citation = "Hu et al. 2021, arXiv:2106.09685; after Pfeiffer et al. 2021, AdapterFusion, arXiv:2005.00247"

    def passes(self, task: str) -> tuple[tuple[str, ...], ...]:
        """Two passes, the shared one first: the fusion takes its query from the first."""
        return ((SHARED.name,), (private(task).name,))

    def fusion(self, hidden_size: int) -> nn.Module:
        """The fusion that all tasks share."""
        from bench_plugins.architectures.fusion import TokenFusion

        return TokenFusion(hidden_size)
