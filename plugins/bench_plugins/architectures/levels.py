"""The modules of `bench_plugins.architectures.hierarchical`: attention between levels, and a model that routes by level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from math import sqrt
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bench.adapters.model import AdaptedModel, lora_model
from bench.api.architecture import ParameterBudget

if TYPE_CHECKING:
    from bench_plugins.architectures.hierarchical import Hierarchical

HEADS, KEY_SIZE = 4, 16
"""Heads of the attention, and the width of each: 4·d·64 parameters."""


class CrossLevelAttention(nn.Module):
    """h = h_2 + W_o · attention(W_q h_2, W_k h_1, W_v h_1), four heads of 16, 256·d parameters; it starts at h_2.

    Args:
        hidden_size: d, width of the hidden states.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        inner = HEADS * KEY_SIZE
        self.query = nn.Linear(hidden_size, inner, bias=False)
        self.key = nn.Linear(hidden_size, inner, bias=False)
        self.value = nn.Linear(hidden_size, inner, bias=False)
        self.output = nn.Linear(inner, hidden_size, bias=False)
        nn.init.zeros_(self.output.weight)
        self.entropy: Tensor | None = None
        """Of the last batch: entropy of the weights over that of equal weights, between 0 and 1, mean over tokens and heads."""

    def weights(self, below: Tensor, above: Tensor, mask: Tensor) -> Tensor:
        """The attention of every token to every token of the level below, (batch, heads, seq, seq); each row sums to 1.

        Args:
            below: states of level 1, (batch, seq, hidden).
            above: states of level 2, the same shape.
            mask: (batch, seq), 1 at real tokens.
        """
        dtype = self.query.weight.dtype
        query, key = (_heads(layer(state.to(dtype))) for layer, state in ((self.query, above), (self.key, below)))
        scores = (query @ key.transpose(-1, -2)).float() / sqrt(KEY_SIZE)
        weights: Tensor = scores.masked_fill(~mask[:, None, None, :].bool(), float("-inf")).softmax(dim=-1)
        return weights

    def forward(self, below: Tensor, above: Tensor, mask: Tensor) -> Tensor:
        """States of level 2 plus their attention over level 1, (batch, seq, hidden), in their dtype."""
        weights = self.weights(below, above, mask)
        self.entropy = _entropy(weights.detach(), mask)
        value = _heads(self.value(below.to(self.value.weight.dtype)))
        attended = (weights.to(value.dtype) @ value).transpose(1, 2).flatten(-2)
        joined: Tensor = (above + self.output(attended)).to(above.dtype)
        return joined


def _heads(states: Tensor) -> Tensor:
    """(batch, seq, heads · width) as (batch, heads, seq, width)."""
    return states.view(*states.shape[:-1], HEADS, KEY_SIZE).transpose(1, 2)


def _entropy(weights: Tensor, mask: Tensor) -> Tensor:
    """Mean over real tokens and heads of the entropy of their weights, divided by that of equal weights."""
    bits = -(weights * weights.clamp_min(1e-12).log()).sum(-1).mean(1)
    most = mask.sum(-1, keepdim=True).clamp_min(2).log()
    return (bits / most)[mask.bool()].mean()


class LevelledModel(AdaptedModel):
    """LoRA adapters of which a task uses those of its level."""

    detaches = False
    levels: Mapping[str, int]

    @classmethod
    def attached(
        cls, architecture: Hierarchical, backbone: nn.Module, tasks: Sequence[str], budget: ParameterBudget
    ) -> LevelledModel:
        """The adapters at the ranks that the budget allows."""
        model = lora_model(architecture, backbone, tasks, budget, cls)
        assert isinstance(model, LevelledModel)
        model.detaches = architecture.detaches
        model.levels = {task: architecture.level(task) for task in tasks}
        return model

    def forward(self, task: str, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Hidden states of the last layer, (batch, seq, hidden); of level 2 with its attention over level 1."""
        if self.passes(task) == 1:
            return super().forward(task, input_ids, attention_mask)
        with torch.no_grad() if self.detaches else nullcontext():
            below = self.one_pass(task, 0, input_ids, attention_mask)
        above = self.one_pass(task, 1, input_ids, attention_mask)
        assert self.fusion is not None
        joined: Tensor = self.fusion(below, above, attention_mask)
        return joined

    def trainable(self, task: str) -> dict[str, nn.Parameter]:
        """The parameters that a batch of this task trains; where level 1 is detached, level 2 does not train its adapter."""
        parameters = super().trainable(task)
        if not self.detaches or self.passes(task) == 1:
            return parameters
        used = {*self.route(task)[1], "fusion"}
        return {name: parameter for name, parameter in parameters.items() if self.component(name) in used}

    def observed(self) -> dict[str, float]:
        """``attention_entropy`` of the last batch of level 2: 1 where all weights are equal."""
        entropy = getattr(self.fusion, "entropy", None)
        return {} if entropy is None else {"attention_entropy": float(entropy)}

    def facts(self) -> dict[str, Any]:
        """The ranks, and the level of every task."""
        return {**super().facts(), "levels": dict(self.levels)}
