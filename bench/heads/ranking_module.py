"""The trainable half of the ranking head."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from bench.api.head import HeadModule
from bench.heads.pooling import mean
from bench.heads.ranking import IGNORE

if TYPE_CHECKING:
    from torch import Tensor

SIZE = 128
MARGIN = 1.0
"""By how much a relevant passage has to score higher than an irrelevant one of its query, in logits."""


class RankingModule(HeadModule, nn.Module):
    """Scores a query with a passage.

    Args:
        hidden_size: of the backbone.
        rate: share of the training passages that are relevant; the bias starts from it.
    """

    def __init__(self, hidden_size: int, rate: float) -> None:
        super().__init__()
        self.project = nn.Linear(hidden_size, SIZE)
        self.norm = nn.LayerNorm(SIZE)
        self.mix = nn.Linear(4 * SIZE, SIZE)
        self.score = nn.Linear(SIZE, 1)
        nn.init.normal_(self.score.weight, std=0.02)
        rate = min(max(rate, 1e-5), 1 - 1e-5)
        nn.init.constant_(self.score.bias, math.log(rate / (1 - rate)))

    def loss(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Logistic loss of each judged window, and its mean margin loss over its partners; summed.

        The first part is the same however an update is cut into micro-batches. The second depends on the cut in one way: a
        window has as partners only those passages of its query that share its micro-batch, which are all that were drawn
        where they fit. It is a mean over them, so that no window weighs more where there are many.

        Args:
            hidden: (batch, seq, hidden).
            batch: see `HeadModule` and `SequenceRankingHead.collate`.
        """
        with torch.autocast(hidden.device.type, enabled=False):
            scores, relevant = self._scores(hidden, batch), batch["relevant"]
            judged = relevant != IGNORE
            alone = F.binary_cross_entropy_with_logits(scores, (relevant > 0).to(scores), reduction="none")
            return (alone * judged).sum() + self._pairwise(scores, relevant, batch["query"])

    @torch.no_grad()
    def predict(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> list[float]:
        """The score of each window."""
        with torch.autocast(hidden.device.type, enabled=False):
            scores: list[float] = self._scores(hidden, batch).tolist()
            return scores

    @staticmethod
    def _pairwise(scores: Tensor, relevant: Tensor, query: Tensor) -> Tensor:
        """Sum over windows of the mean margin loss against their partners: same query, other relevance; each input (batch,)."""
        better = (query[:, None] == query) & (relevant[:, None] == 1) & (relevant == 0)
        short = F.relu(MARGIN - (scores[:, None] - scores)) * better
        # Both windows of a pair carry the margin, each by its own number of partners.
        partners = better | better.T
        return ((short + short.T) / partners.sum(1, keepdim=True).clamp(min=1)).sum()

    def _scores(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """(batch,)."""
        tokens = self.norm(self.project(hidden.float()))
        marked = batch["attention_mask"].bool()
        later = torch.arange(hidden.shape[1], device=hidden.device) >= batch["passage"][:, None]
        query, passage = mean(tokens, marked & ~later), mean(tokens, marked & later)
        features = torch.cat([query, passage, query * passage, (query - passage).abs()], -1)
        scores: Tensor = self.score(F.gelu(self.mix(features))).squeeze(-1)
        return scores
