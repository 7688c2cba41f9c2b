"""The trainable half of the tagging heads.

Words are tagged one by one in training; when predicting, rows of tags are weighed as wholes: those that the scheme forbids
count nothing, and a mention is as likely as all allowed rows that hold it, by the forward-backward algorithm. On dev of
NCBI-disease and of CRAFT's cell types the mentions likelier than one half scored about a point of F1 more than the best row.

Source: Rabiner 1989, "A Tutorial on Hidden Markov Models", Proceedings of the IEEE 77(2); probabilities of whole fields rather
than of tags, Culotta & McCallum 2004, "Confidence Estimation for Information Extraction", NAACL N04-4028.

Shapes: batch B, words W, tags T, labels L.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from bench.api.head import HeadModule
from bench.heads.bio import CONTINUING, IGNORE, Scheme, followers
from bench.heads.tensors import NEVER

if TYPE_CHECKING:
    from torch import Tensor

SIZE = 128


class BioModule(HeadModule, nn.Module):
    """Tags every word from its first and last token; predicts mentions over the rows of tags that the scheme allows.

    Args:
        hidden_size: of the backbone.
        rates: share of each tag in the training documents; the biases start from it.
        scheme: of the tags.
        floor: least probability of a mention that is predicted.
    """

    allowed: Tensor

    def __init__(self, hidden_size: int, rates: Sequence[float], scheme: Scheme = "BI", floor: float = 0.5) -> None:
        super().__init__()
        tags = len(rates)
        self.scheme, self.floor = scheme, floor
        self.project = nn.Linear(hidden_size, SIZE)
        self.norm = nn.LayerNorm(SIZE)
        self.mix = nn.Linear(2 * SIZE, SIZE)
        self.tag = nn.Linear(SIZE, tags)
        nn.init.normal_(self.tag.weight, std=0.02)
        with torch.no_grad():
            self.tag.bias.copy_(torch.tensor([math.log(max(rate, 1e-5)) for rate in rates]))
        self.register_buffer("allowed", _transitions(tags, scheme), persistent=False)

    def loss(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy of the tags (batch, words), summed."""
        logits = self._logits(hidden, batch)
        return F.cross_entropy(logits.flatten(0, 1), batch["tags"].flatten(), ignore_index=IGNORE, reduction="sum")

    def choices(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """(words, tags), the words of all windows together."""
        return self._logits(hidden, batch)[batch["tags"] != IGNORE]

    @torch.no_grad()
    def predict(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> list[list[tuple[int, int, int, float]]]:
        """Every mention of each window from `floor` on; see `bench.heads.bio.Tagged`."""
        words = batch["word_mask"].bool()
        scores = self._logits(hidden, batch).double().log_softmax(-1)
        scores[~words] = NEVER
        scores[..., 0].masked_fill_(~words, 0.0)  # behind the last word of a window there is nothing but O
        before, after = self._before(scores), self._after(scores)
        rows = (before[:, -1] + after[:, -1]).logsumexp(-1)[:, None, None]
        parts = len(self.scheme)
        begin, inside = slice(1, None, parts), slice(2, None, parts)
        single, end = (begin, inside) if self.scheme == "BI" else (slice(4, None, parts), slice(3, None, parts))
        closed = self._closed(scores, after)
        found: list[list[tuple[int, int, int, float]]] = [[] for _ in scores]
        ahead, length = before[..., begin], 1  # (B, starts, L): all rows up to the mention's last word
        chance = before[..., single] + closed[..., single] - rows
        while True:
            chance = chance.exp()
            for i, first, kind in (chance >= self.floor).nonzero().tolist():
                found[i].append((first, first + length - 1, kind, min(float(chance[i, first, kind]), 1.0)))
            going_on = ahead + after[:, length - 1 :, begin if length == 1 else inside] - rows
            if length == scores.shape[1] or going_on.exp().max() < self.floor:
                return found
            ahead, next_word = ahead[:, :-1], scores[:, length:]
            chance = ahead + next_word[..., end] + closed[:, length:, end] - rows
            ahead, length = ahead + next_word[..., inside], length + 1

    def _before(self, scores: Tensor) -> Tensor:
        """Log-probability of all rows up to a word, for each tag of that word (B, W, T), the word's own included."""
        made = [scores[:, 0] + self.allowed[0]]
        for at in range(1, scores.shape[1]):
            made.append((made[-1][:, :, None] + self.allowed).logsumexp(1) + scores[:, at])
        return torch.stack(made, 1)

    def _after(self, scores: Tensor) -> Tensor:
        """Log-probability of all rows behind a word, for each tag of that word (B, W, T), the word's own left out."""
        made = [self.allowed[:, 0].expand_as(scores[:, 0])]
        for at in range(scores.shape[1] - 1, 0, -1):
            made.append((self.allowed + (scores[:, at] + made[-1])[:, None]).logsumexp(2))
        return torch.stack(made[::-1], 1)

    def _closed(self, scores: Tensor, after: Tensor) -> Tensor:
        """As `_after`, of the rows in which the word's mention does not go on (B, W, T)."""
        stop = self.allowed.clone()
        for role in CONTINUING[self.scheme]:
            stop[:, 1 + role :: len(self.scheme)] = NEVER
        ahead = (scores + after)[:, 1:]
        made = [(stop + ahead[:, at, None]).logsumexp(2) for at in range(ahead.shape[1])]
        return torch.stack([*made, stop[:, 0].expand_as(scores[:, 0])], 1)

    def _logits(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            tokens = self.norm(self.project(hidden.float()))
            ends = [tokens.gather(1, batch[name][..., None].expand(-1, -1, SIZE)) for name in ("first", "last")]
            logits: Tensor = self.tag(F.gelu(self.mix(torch.cat(ends, -1))))
            return logits


def _transitions(tags: int, scheme: Scheme = "BI") -> Tensor:
    """(tags, tags) of 0 where a tag may follow another and `NEVER` where not."""
    allowed = torch.full((tags, tags), NEVER, dtype=torch.float64)
    for before, after in followers(scheme, (tags - 1) // len(scheme)):
        allowed[before, after] = 0.0
    return allowed
