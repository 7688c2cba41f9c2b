"""A shared and a private pass joined by a gated residual: h = h_shared + σ(W [h_shared; h_private]) ⊙ h_private.

Example: for a token of hidden size 384, W turns the 768 numbers of both passes into 384 gates between 0 and 1; each says how
much of one dimension of the private state is added to the shared one.

W is the product of two matrices of inner width 42, since a whole one of d × 2d would take several times the budget of A4's
fusion from the adapters: so both fusions cost about 128·d parameters, and A4 and A4-gated train adapters of the same ranks.

Sources: gates, Srivastava et al. 2015, arXiv:1505.00387; shared and private parts, Liu et al. 2017, arXiv:1704.05742.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench_plugins.architectures.lora import Fused

if TYPE_CHECKING:
    from torch import nn


class Gated(Fused):
    """The passes of A4, joined by a gated residual in the place of attention."""

    name = "A4-gated"
    summary = "shared and private passes, the private one added through a gate"
    citation = "Hu et al. 2021, LoRA, arXiv:2106.09685; gates after Srivastava et al. 2015, Highway Networks, arXiv:1505.00387"

    def fusion(self, hidden_size: int) -> nn.Module:
        """The gate that all tasks share."""
        from bench_plugins.architectures.fusion import GatedResidual

        return GatedResidual(hidden_size)
