"""Shared and private adapters in two passes; a gate decides, token by token, how much of each goes on.

Example, tasks ``a`` and ``b``: adapters ``shared``, ``own-a`` and ``own-b``; a batch of ``a`` runs with ``shared`` and with
``own-a``, and the token's hidden state is g · h_shared + (1 - g) · h_own with g = sigmoid(w · [h_shared; h_own] + b).

Source: LoRA, arXiv:2106.09685; gated fusion as in Arevalo et al. 2017, Gated Multimodal Units, arXiv:1702.01992.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.api.architecture import Adapter, Architecture
from bench.api.part import Requirement

if TYPE_CHECKING:
    from torch import nn


def own(task: str) -> str:
    """The name of a task's private adapter."""
    return f"own-{re.sub(r'[^A-Za-z0-9_-]', '-', task)}"


class Gated(Architecture):
    """A4 with a gate in the place of attention: 2·d + 1 parameters of fusion, the rest goes to the adapters."""

    name = "gated"
    version = "1"
    summary = "shared and private passes, joined per token by a gate"
    citation = "after Arevalo et al. 2017, Gated Multimodal Units, arXiv:1702.01992"
    licence = "Apache-2.0"
    requires = (Requirement("torch", "bench-suite[train]"), Requirement("peft", "bench-suite[train]"))

    def adapters(self, tasks: Sequence[str]) -> tuple[Adapter, ...]:
        """The shared adapter and one of each task's own."""
        return (Adapter("shared", "shared"), *(Adapter(own(task), "private", task) for task in tasks))

    def passes(self, task: str) -> tuple[tuple[str, ...], ...]:
        """Two passes, the shared one first."""
        return (("shared",), (own(task),))

    def fusion(self, hidden_size: int) -> nn.Module:
        """The gate, shared by all tasks."""
        from bench_example.fusion import Gate

        return Gate(hidden_size)
