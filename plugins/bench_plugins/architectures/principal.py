"""One shared adapter, as in A1, that starts from the largest directions of every weight: PiSSA.

Example: at rank 16 the adapter of a weight W of 384 × 1536 starts as B₀A₀·2, the 16 largest of the 384 terms of its singular
value decomposition, and these are taken away from W. The whole computes what W does; training moves what matters most in it,
where plain LoRA starts from noise times zero.

The base model itself stays as it is: W + 2·(BA - B₀A₀), with B₀ and A₀ frozen, is what the residual W - 2·B₀A₀ with the adapter
2·BA is. So a quantized base can be trained on, a base that is quantized afterwards takes the trained adapter, and what is saved
is a plain LoRA adapter of twice the rank.

Source: Meng, Wang & Zhang 2024, PiSSA: Principal Singular Values and Singular Vectors Adaptation, arXiv:2404.02948.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.api.architecture import ArchitectureModule, ParameterBudget
from bench_plugins.architectures.lora import SharedOnly

if TYPE_CHECKING:
    from torch import nn


class Pissa(SharedOnly):
    """One shared adapter that starts as the principal part of the base model's weights."""

    name = "A1-pissa"
    summary = "one shared adapter, started from the largest singular directions of the weights (PiSSA)"
    citation = "Meng et al. 2024, PiSSA: Principal Singular Values and Singular Vectors Adaptation, arXiv:2404.02948"

    def attach(self, backbone: nn.Module, tasks: Sequence[str], budget: ParameterBudget) -> ArchitectureModule:
        """The adapter at the ranks of A1, and its frozen start beside it."""
        from bench.adapters.model import lora_model
        from bench_plugins.architectures.principal_model import PrincipalModel

        return lora_model(self, backbone, tasks, budget, PrincipalModel)
