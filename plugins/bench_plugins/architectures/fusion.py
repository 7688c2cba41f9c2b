"""Joins hidden states of several passes by attention over the passes, one token at a time.

For a token with hidden states h_1 (shared) and h_2 (private): weights = softmax over i of (W_q h_1)·(W_k h_i)/√64, and the
result is their weighted sum. While both adapters are still zero the two are the same, and either weighs 0.5.

Source: after AdapterFusion, arXiv:2005.00247, without its value matrix.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn

KEY_SIZE = 64
"""d_k, width of queries and keys."""


class TokenFusion(nn.Module):
    """Per-token attention over passes, 2·d·64 parameters.

    Args:
        hidden_size: d, width of the hidden states.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.query = nn.Linear(hidden_size, KEY_SIZE, bias=False)
        self.key = nn.Linear(hidden_size, KEY_SIZE, bias=False)

    def weights(self, states: list[Tensor]) -> Tensor:
        """How much each pass weighs at each token, summing to 1: (batch, seq, passes).

        Args:
            states: (batch, seq, hidden) of every pass, the shared one first.
        """
        dtype = self.query.weight.dtype
        query = self.query(states[0].to(dtype))
        scores = torch.stack([(query * self.key(state.to(dtype))).sum(-1) for state in states], dim=-1)
        return (scores.float() / sqrt(KEY_SIZE)).softmax(dim=-1)

    def forward(self, states: list[Tensor]) -> Tensor:
        """The weighted sum of the passes, (batch, seq, hidden), in the dtype of the states."""
        weights = self.weights(states).unsqueeze(-1).unbind(dim=-2)
        joined = torch.stack([weight * state for weight, state in zip(weights, states, strict=True)]).sum(dim=0)
        return joined.to(states[0].dtype)
