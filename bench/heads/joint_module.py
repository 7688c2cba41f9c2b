"""The trainable half of the joint head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from bench.api.head import HeadModule
from bench.heads.joint import Related
from bench.heads.relation import Pairs
from bench.heads.relation_module import RelationModule
from bench.heads.tensors import probabilities

if TYPE_CHECKING:
    from torch import Tensor

_AT_ONCE = 16384  # pairs that are scored together when predicting: 8 MB for each of their features


class MentionRelationModule(HeadModule, nn.Module):
    """Mentions by one module, relations between them by another.

    Args:
        span: of `SpanClassificationHead`.
        relation: of `RelationExtractionHead`.
        facts: what the relation part measured.
        kinds: for each label of the span part, the label of the mention that it stands for.
    """

    def __init__(self, span: HeadModule, relation: RelationModule, facts: Pairs, kinds: Sequence[str]) -> None:
        super().__init__()
        self.span, self.relation = span, relation
        self.facts = facts
        number = {kind: i for i, kind in enumerate(facts.kinds)}
        self.kinds = [number.get(kind, -1) for kind in kinds]

    def loss(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """The losses of both, summed; the relation part's is over gold mentions."""
        return self.span.loss(hidden, batch) + self.relation.loss(hidden, batch)

    @torch.no_grad()
    def predict(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> list[Related]:
        """The mentions of each window, and the relations between those."""
        found = self.span.predict(hidden, batch)
        most = max(1, *(len(mentions) for mentions in found))
        rows, places, pairs = [], [], []
        for window, mentions in enumerate(found):
            kinds = [self.kinds[kind] for _, kind, _ in mentions]
            ends = [(parts[0][0], parts[-1][1]) for parts, *_ in mentions]
            source, target = self.facts.near(kinds, ends, [0] * len(ends))
            pairs += [(window, a, b) for a, b in zip(source.tolist(), target.tolist(), strict=True)]
            rows.append([[kind] for kind in kinds] + [[-1]] * (most - len(kinds)))
            places.append([*ends, *[(0, 0)] * (most - len(ends))])
        made: list[Related] = [(mentions, []) for mentions in found]
        given = {
            **batch,
            "mentions": torch.tensor(rows, device=hidden.device),
            "places": torch.tensor(places, device=hidden.device),
        }
        for low in range(0, len(pairs), _AT_ONCE):
            part = torch.tensor(pairs[low : low + _AT_ONCE], device=hidden.device)
            logits = self.relation.logits(hidden, {**given, "pairs": part})
            chosen = logits > self.relation.least
            for (pair, label), sure in zip(chosen.nonzero().tolist(), probabilities(logits[chosen]).tolist(), strict=True):
                window, a, b = pairs[low + pair]
                made[window][1].append((a, b, label, sure))
        return made
