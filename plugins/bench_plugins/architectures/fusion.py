"""Joins hidden states of two passes, one token at a time: by attention over the passes, or by a gate.

Attention, for a token with hidden states h_1 (shared) and h_2 (private): weights = softmax over i of (W_q h_1)·(W_k h_i)/√64,
and the result is their weighted sum. While both adapters are still zero the two are the same, and either weighs 0.5.

The gate: h_1 + σ(W [h_1; h_2]) ⊙ h_2. It starts half open, whatever the states.

Sources: attention after AdapterFusion, arXiv:2005.00247, without its value matrix; gates as in Highway Networks,
arXiv:1505.00387.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn

KEY_SIZE = 64
"""d_k, width of queries and keys."""
GATE_SIZE = 2 * KEY_SIZE // 3
"""Inner width of the gate's matrix: 3·d·42 parameters, where queries and keys have 2·d·64."""


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
        """The weight of each pass at each token, summing to 1: (batch, seq, passes).

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


class GatedResidual(nn.Module):
    """Adds the private pass to the shared one through a gate for each dimension, 3·d·42 parameters.

    Args:
        hidden_size: d, width of the hidden states.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.inner = nn.Linear(2 * hidden_size, GATE_SIZE, bias=False)
        self.outer = nn.Linear(GATE_SIZE, hidden_size, bias=False)
        nn.init.zeros_(self.outer.weight)

    def gate(self, states: list[Tensor]) -> Tensor:
        """How much of the private state is added, between 0 and 1: (batch, seq, hidden).

        Args:
            states: (batch, seq, hidden) of the shared and of the private pass.
        """
        dtype = self.inner.weight.dtype
        both = torch.cat([state.to(dtype) for state in states], dim=-1)
        return torch.sigmoid(self.outer(self.inner(both)).float())

    def forward(self, states: list[Tensor]) -> Tensor:
        """The shared state plus the gated private one: (batch, seq, hidden), in their dtype."""
        shared, private = states
        return (shared + self.gate(states) * private).to(shared.dtype)
