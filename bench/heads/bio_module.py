"""The trainable half of the tagging heads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from bench.api.head import HeadModule
from bench.heads.bio import IGNORE, Scheme, followers

if TYPE_CHECKING:
    from torch import Tensor

SIZE = 128


class BioModule(HeadModule, nn.Module):
    """Tags every word from its first and last token; predicts the best row of tags that the scheme allows.

    Args:
        hidden_size: of the backbone.
        rates: share of each tag in the training documents; the biases start from it.
        scheme: of the tags.
    """

    allowed: Tensor

    def __init__(self, hidden_size: int, rates: Sequence[float], scheme: Scheme = "BI") -> None:
        super().__init__()
        tags = len(rates)
        self.scheme = scheme
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

    @torch.no_grad()
    def predict(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> list[list[tuple[int, float]]]:
        """The best allowed row of tags of each window (Viterbi over the batch, on the device); see `bench.heads.bio.Tagged`."""
        scores = self._logits(hidden, batch).log_softmax(-1)
        best = scores[:, 0] + self.allowed[0]
        back = []
        for at in range(1, scores.shape[1]):
            value, origin = (best[:, :, None] + self.allowed).max(1)
            alive = batch["word_mask"][:, at].bool()[:, None]
            best = torch.where(alive, value + scores[:, at], best)
            back.append(torch.where(alive, origin, torch.arange(best.shape[1], device=best.device)))
        tag = (best + self.allowed[:, 0]).argmax(1)
        row = [tag]
        for origin in reversed(back):
            tag = origin.gather(1, tag[:, None])[:, 0]
            row.append(tag)
        tags = torch.stack(row[::-1], 1)
        sure = self._sure(scores, tags, batch["word_mask"].bool()).tolist()
        lengths = batch["word_mask"].sum(1).tolist()
        return [
            list(zip(row[:length], chance[:length], strict=True))
            for row, chance, length in zip(tags.tolist(), sure, lengths, strict=True)
        ]

    def _sure(self, scores: Tensor, tags: Tensor, words: Tensor) -> Tensor:
        """Probability of the tag of each word (batch, words), and that its mention ends there where no tag says so."""
        own = scores.gather(2, tags[..., None])[..., 0].exp()
        if self.scheme != "BI":
            return own
        inside = tags + tags % 2  # the I of a word's own label, for its B and for its I
        ahead = F.pad(scores[:, 1:], (0, 0, 0, 1), value=-math.inf).exp()
        goes_on = F.pad(tags[:, 1:], (0, 1)) == inside
        more = ahead.gather(2, inside[..., None])[..., 0] * F.pad(words[:, 1:], (0, 1))
        return torch.where((tags > 0) & ~goes_on, own * (1 - more), own)

    def _logits(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            tokens = self.norm(self.project(hidden.float()))
            ends = [tokens.gather(1, batch[name][..., None].expand(-1, -1, SIZE)) for name in ("first", "last")]
            logits: Tensor = self.tag(F.gelu(self.mix(torch.cat(ends, -1))))
            return logits


def _transitions(tags: int, scheme: Scheme = "BI") -> Tensor:
    """(tags, tags) of 0 where a tag may follow another and -inf where not."""
    allowed = torch.full((tags, tags), -math.inf)
    for before, after in followers(scheme, (tags - 1) // len(scheme)):
        allowed[before, after] = 0.0
    return allowed
