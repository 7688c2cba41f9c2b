"""The gate that joins two passes."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Gate(nn.Module):
    """g · h_shared + (1 - g) · h_own with one g a token.

    Args:
        hidden_size: d, width of the hidden states.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * hidden_size, 1)

    def forward(self, states: list[Tensor]) -> Tensor:
        """The gated mean, (batch, seq, hidden), in the dtype of the states."""
        shared, private = states
        g = torch.sigmoid(self.gate(torch.cat([shared, private], -1).to(self.gate.weight.dtype)))
        return (g * shared + (1 - g) * private).to(shared.dtype)
