"""The trainable half of the relation head.

Shapes: batch B, words W, mentions M, pairs of all windows together P, labels of relations L, `SIZE` features D. All of it runs
in fp32, whatever the backbone's precision.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from bench.api.head import HeadModule
from bench.heads.relation import Pairs, Related, trimmed
from bench.heads.tensors import pick, probabilities

if TYPE_CHECKING:
    from torch import Tensor

SIZE = 128
RARE = 8.0  # weight of a pair: the loss is taken over words, of which a window has twenty times more
_BUCKETS = 14  # of a distance: overlapping mentions, then two for each doubling of the words between


class RelationModule(HeadModule, nn.Module):
    """Scores every candidate pair: both mentions at their ends, the words between, how far apart and which comes first.

    Args:
        hidden_size: of the backbone.
        facts: measured on the training documents; the biases start from them.
        floor: least probability of a relation that is predicted.
    """

    def __init__(self, hidden_size: int, facts: Pairs, floor: float = 0.5) -> None:
        super().__init__()
        self.least = math.log(floor / (1 - floor))
        self.project = nn.Linear(hidden_size, SIZE)
        self.norm = nn.LayerNorm(SIZE)
        self.start = nn.Linear(SIZE, SIZE)
        self.end = nn.Linear(SIZE, SIZE, bias=False)
        self.kinds = nn.Embedding(len(facts.kinds), SIZE)
        self.source = nn.Linear(SIZE, SIZE)
        self.target = nn.Linear(SIZE, SIZE, bias=False)
        self.both = nn.Linear(SIZE, SIZE, bias=False)
        self.gap = nn.Linear(SIZE, SIZE, bias=False)
        self.distances = nn.Embedding(2 * _BUCKETS, SIZE)
        self.mix = nn.Linear(SIZE, SIZE)
        self.label = nn.Linear(SIZE, len(facts.labels))
        for table in (self.kinds, self.distances):
            nn.init.normal_(table.weight, std=0.1)
        nn.init.normal_(self.label.weight, std=0.02)
        rates = [min(max((count + 0.5) / (facts.candidates + 1.0), 1e-5), 0.9) for count in facts.related]
        with torch.no_grad():
            self.label.bias.copy_(torch.tensor([math.log(rate / (1 - rate)) for rate in rates]))

    def loss(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Binary cross-entropy of every label of every candidate, weighted and summed.

        Args:
            hidden: (batch, seq, hidden).
            batch: see `HeadModule` and `RelationExtractionHead.collate`.
        """
        logits = self.logits(hidden, batch)
        return RARE * F.binary_cross_entropy_with_logits(logits, batch["targets"].to(logits), reduction="sum")

    @torch.no_grad()
    def predict(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> list[list[Related]]:
        """The relations of each window from `floor` on; see `bench.heads.relation.Related`."""
        logits = self.logits(hidden, batch)
        pair, kind = (logits > self.least).nonzero().unbind(1)
        ends, sure = batch["pairs"][pair].tolist(), probabilities(logits[pair, kind]).tolist()
        rows: list[list[list[int]]] = batch["mentions"].tolist()
        found: list[list[Related]] = [[] for _ in rows]
        for (window, source, target), label, chance in zip(ends, kind.tolist(), sure, strict=True):
            found[window].append((trimmed(rows[window][source]), trimmed(rows[window][target]), label, chance))
        return found

    def logits(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Logits (P, L) of the candidates.

        Args:
            hidden: (batch, seq, hidden).
            batch: ``first``, ``last``, ``word_mask`` (B, W); ``places`` (B, M, 2); ``pairs`` (P, 3); of ``mentions``
                (B, M, …) the first column is read.
        """
        with torch.autocast(hidden.device.type, enabled=False):
            tokens = self.norm(self.project(hidden.float()))
            first, last = (pick(tokens, batch[name]) for name in ("first", "last"))
            sums = F.pad(((first + last) / 2 * batch["word_mask"].bool()[..., None]).cumsum(1), (0, 0, 1, 0))
            begin, stop = batch["places"].unbind(-1)
            kinds = self.kinds(batch["mentions"][..., 0].clamp(min=0))
            mentions = F.gelu(self.start(pick(first, begin)) + self.end(pick(last, stop)) + kinds)

            window, source, target = batch["pairs"].unbind(-1)
            one, other = _at(mentions, window, source), _at(mentions, window, target)
            ahead = begin[window, source] <= begin[window, target]
            low = torch.minimum(stop[window, source], stop[window, target]) + 1
            high = torch.maximum(begin[window, source], begin[window, target])
            apart = (high - low).clamp(min=-1)
            between = _at(sums, window, high) - _at(sums, window, torch.minimum(low, high))
            between = between / apart.clamp(min=1)[:, None] * (apart > 0)[:, None]
            bucket = (apart + 1).float().add(1).log2().mul(2).long().clamp(max=_BUCKETS - 1)
            far = self.distances(bucket + _BUCKETS * ahead)
            pair = F.gelu(self.source(one) + self.target(other) + self.both(one * other) + self.gap(between) + far)
            logits: Tensor = self.label(F.gelu(self.mix(pair)) + pair)
            return logits


def _at(source: Tensor, window: Tensor, index: Tensor) -> Tensor:
    """Rows (P, D) of `source` (B, N, D).

    By way of `embedding`, whose gradient is summed in a fixed order on CPU; that of an index adds in any order where there are
    several threads, and a resumed run would not be the uninterrupted one bit for bit.
    """
    return F.embedding(window * source.shape[1] + index, source.flatten(0, 1))
