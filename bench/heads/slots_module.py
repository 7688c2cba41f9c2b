"""The trainable half of the span head with slots.

Shapes: batch B, words W, candidates M, features D, attention heads H, V columns of all slots (see `Inventory`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F

from bench.heads.mentions import Rates
from bench.heads.slots import Inventory
from bench.heads.span import Found
from bench.heads.span_module import SIZE, Judged, SpanModule
from bench.heads.tensors import NEVER, pick

if TYPE_CHECKING:
    from torch import Tensor

HEADS = 8
NEAR = 6  # buckets of distance on either side of a mention: 1, 2, 3-4, 5-8, 9-16 words, and further
WEIGHT = (
    0.1  # of the slots' loss: they have layers of their own, and Adam moves those alike; with more, fewer mentions are found
)
GAIN, CONTEXT = 4.0, 2.0  # of features and of what is attended to: small at first, they would need hundreds of updates to count
SHARE = 0.5  # of the likeliest value's probability, from which another value of the same slot is predicted too


class SlotModule(nn.Module):
    """Classes of every slot, from a mention's features and from what it attends to among the words of its window.

    A cue stands to the left ("denies fever"), to the right ("fever has resolved") or within ("renal" for the kidney), so each
    head of the attention weighs words by what they are and by how far they stand from the mention, and on which side.

    Args:
        hidden_size: of the backbone.
        slots: the inventory; biases start at the log odds of the training mentions.
    """

    def __init__(self, hidden_size: int, slots: Inventory) -> None:
        super().__init__()
        self.sizes, self.several = slots.sizes, [slot.several for slot in slots]
        self.project = nn.Linear(hidden_size, SIZE)
        self.norm = nn.LayerNorm(SIZE)
        self.query = nn.Linear(SIZE, SIZE)
        self.key = nn.Linear(SIZE, SIZE, bias=False)
        self.value = nn.Linear(SIZE, SIZE)
        self.places = nn.Embedding(2 * NEAR + 1, HEADS)
        self.classes = nn.Linear(SIZE, sum(self.sizes))
        nn.init.normal_(self.classes.weight, std=0.02)
        with torch.no_grad():
            self.places.weight.copy_(_looks())
            counts = [torch.tensor(slot.counts, dtype=torch.float) + 0.5 for slot in slots]
            self.classes.bias.copy_(torch.cat([(c / c.sum()).log() for c in counts]))

    def forward(self, hidden: Tensor, batch: Mapping[str, Tensor], judged: Judged) -> Tensor:
        """Log-probabilities (B, M, V), which sum to one within each slot.

        Args:
            hidden: (batch, seq, hidden).
            batch: see `HeadModule`.
            judged: candidates of the span head.
        """
        tokens = self.norm(self.project(hidden.float()))
        seen = (pick(tokens, batch["first"]) + pick(tokens, batch["last"])) / 2
        rows, words, _ = seen.shape
        depth = SIZE // HEADS
        query = self.query(F.gelu(judged.mixed)).view(rows, -1, HEADS, depth).transpose(1, 2)
        key, value = (layer(seen).view(rows, words, HEADS, depth).transpose(1, 2) for layer in (self.key, self.value))
        outside = ~batch["word_mask"].bool()[:, None, None]
        bias = self.places(_side(judged, words)).permute(0, 3, 1, 2).masked_fill(outside, NEVER)
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        logits = self.classes(GAIN * F.gelu(judged.mixed + CONTEXT * found.transpose(1, 2).flatten(2)))
        return torch.cat([part.log_softmax(-1) for part in torch.split(logits, self.sizes, -1)], -1)

    def chosen(self, logs: Tensor) -> Tensor:
        """Which values are predicted, (B, M, V): the likeliest of each slot, with others where a slot may have several."""
        made = []
        for part, several in zip(torch.split(logs, self.sizes, -1), self.several, strict=True):
            best, at = part.max(-1, keepdim=True)
            default = torch.arange(part.shape[-1], device=part.device) == 0
            also = (part >= best + torch.tensor(SHARE).log()) & (at > 0) & ~default
            made.append((also if several else torch.zeros_like(also)).scatter(-1, at, True))
        return torch.cat(made, -1)


class SlotSpanModule(SpanModule):
    """Mentions, and slots of the mentions.

    Args:
        hidden_size: of the backbone.
        rates: see `SpanModule`.
        slots: at least one.
        width: most words in a span.
        most: most fragments in a mention.
        cap: most candidates a window is given when predicting.
        floor: least probability of a candidate that is predicted.
    """

    def __init__(
        self, hidden_size: int, rates: Rates, slots: Inventory, width: int, most: int, cap: int, floor: float = 0.5
    ) -> None:
        super().__init__(hidden_size, rates, width, most, cap, floor)
        self.slots = SlotModule(hidden_size, slots)

    def loss(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """The losses of mentions, and the cross-entropies of the slots of gold mentions, summed.

        Args:
            hidden: (batch, seq, hidden).
            batch: see `HeadModule` and `SlotSpanHead.collate`.
        """
        with torch.autocast(hidden.device.type, enabled=False):
            total, judged = self._trained(hidden, batch)
            target = batch["slots"]
            logs: Tensor = self.slots(hidden, batch, judged.first(target.shape[1]))
            return total - WEIGHT * (logs * target).sum()

    @torch.no_grad()
    def predict(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> list[Any]:
        """Accepted candidates of each window and the columns of their slots' values; see `bench.heads.slots.Filled`."""
        with torch.autocast(hidden.device.type, enabled=False):
            found, proposed, judged = self._accepted(hidden, batch)
            filled: list[dict[int, list[int]]] = [{} for _ in found]
            for i, at, column in self.slots.chosen(self.slots(hidden, batch, judged)).nonzero().tolist():
                filled[i].setdefault(at, []).append(column)
        return [
            (Found((accepted for accepted, _ in mentions), made), [tuple(filled[i][at]) for _, at in mentions])
            for i, (mentions, made) in enumerate(zip(found, proposed, strict=True))
        ]


def _side(judged: Judged, words: int) -> Tensor:
    """Bucket of each word's distance from each mention, (B, M, W): left of it, from its first word to its last, right of it."""
    word = torch.arange(words, device=judged.begin.device)
    left, right = judged.begin[..., None] - word, word - judged.stop[..., None]
    near = torch.maximum(left, right).clamp(min=1).float().log2().ceil().long().clamp(max=NEAR - 1)
    return torch.where(left > 0, NEAR - 1 - near, torch.where(right > 0, NEAR + 1 + near, NEAR))


def _looks() -> Tensor:
    """What the heads look at to begin with, (2 * NEAR + 1, H): by turns left of the mention, right of it, and at itself.

    Heads that began by looking everywhere alike took several times the updates to find a cue.
    """
    side = torch.arange(-NEAR, NEAR + 1.0)
    right = torch.where(side > 0, 0.7 * (1 - side), -4.0)
    return torch.stack([(right.flip(0), right, -side.abs())[head % 3] for head in range(HEADS)], 1)
