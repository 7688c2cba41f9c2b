"""The trainable half of the classification head."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from bench.api.head import HeadModule
from bench.heads.classify import IGNORE
from bench.heads.pooling import mean

if TYPE_CHECKING:
    from torch import Tensor

SIZE = 128


class ClassifyModule(HeadModule, nn.Module):
    """Classifies a window by the mean of its hidden states.

    Args:
        hidden_size: of the backbone.
        rates: share of each class in the training documents; the biases start from it.
    """

    def __init__(self, hidden_size: int, rates: Sequence[float]) -> None:
        super().__init__()
        self.project = nn.Linear(hidden_size, SIZE)
        self.norm = nn.LayerNorm(SIZE)
        self.mix = nn.Linear(SIZE, SIZE)
        self.classes = nn.Linear(SIZE, len(rates))
        nn.init.normal_(self.classes.weight, std=0.02)
        with torch.no_grad():
            self.classes.bias.copy_(torch.tensor([math.log(max(rate, 1e-5)) for rate in rates]))

    def loss(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy of ``class`` (batch,), summed.

        Args:
            hidden: (batch, seq, hidden).
            batch: see `HeadModule` and `ClassificationHead.collate`.
        """
        with torch.autocast(hidden.device.type, enabled=False):
            return F.cross_entropy(self._logits(hidden, batch), batch["class"], ignore_index=IGNORE, reduction="sum")

    def choices(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """(windows with a class, classes)."""
        with torch.autocast(hidden.device.type, enabled=False):
            return self._logits(hidden, batch)[batch["class"] != IGNORE]

    @torch.no_grad()
    def predict(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> list[list[float]]:
        """Probability of each class, for each window."""
        with torch.autocast(hidden.device.type, enabled=False):
            rows: list[list[float]] = self._logits(hidden, batch).softmax(-1).tolist()
            return rows

    def _logits(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """(batch, classes)."""
        pooled = mean(hidden.float(), batch["attention_mask"])
        logits: Tensor = self.classes(F.gelu(self.mix(self.norm(self.project(pooled)))))
        return logits
