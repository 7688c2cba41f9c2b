"""Tensor operations that several heads share: rows by index, best combinations, means, dropout and masked losses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bench.heads.lazy import F, torch

if TYPE_CHECKING:
    from torch import Tensor

NEVER = -1e4
"""A logit that nothing outweighs."""


def gather_rows(source: Tensor, index: Tensor) -> Tensor:
    """Rows of `source` (B, N, …) at `index` (B, M)."""
    if source.dim() == 2:
        return source.gather(1, index)
    return source.gather(1, index[..., None].expand(*index.shape, source.shape[-1]))


def item_at(source: Tensor, index: Tensor) -> Tensor:
    """From (B, M, K, D), the item of the third axis that `index` (B, M) names."""
    return source.gather(2, index[..., None, None].expand(*index.shape, 1, source.shape[-1])).squeeze(2)


def highest(score: Tensor, number: int, base: int, digits: int) -> Tensor:
    """The highest of flat scores over `digits` axes of `base`, as indices (B, n, digits); -1 where none is allowed."""
    value, flat = score.topk(min(number, score.shape[1]), 1)
    axes = torch.stack([flat // base**power % base for power in reversed(range(digits))], -1)
    return torch.where((value > NEVER / 2)[..., None], axes, -1)


def padded(index: Tensor, most: int) -> Tensor:
    """Indices (B, n, digits) with -1 for the digits up to `most` that they lack."""
    return F.pad(index, (0, most - index.shape[-1]), value=-1)


def dropout(source: Tensor, share: float, batch: Mapping[str, Tensor], place: int = 0, each: bool = True) -> Tensor:
    """Dropout that depends on the update and the window alone, however the update is cut into micro-batches or shared out.

    Args:
        source: (B, tokens, D).
        share: of the features that are zeroed, the others growing in proportion.
        batch: with ``noise``, see `HeadModule`; without it nothing is dropped.
        place: tells one dropout of a module from another.
        each: whether every token has a mask of its own; otherwise all of a window have the same.

    Source: Srivastava et al. 2014, "Dropout", JMLR 15(56).
    """
    if "noise" not in batch or not share:
        return source
    mask = torch.zeros(len(source), source.shape[1] if each else 1, source.shape[2])
    lengths = batch["attention_mask"].sum(1).tolist()
    for row, seed, length in zip(mask, batch["noise"].tolist(), lengths, strict=True):
        generator = torch.Generator().manual_seed(seed ^ place)
        row[:length] = torch.rand(row[:length].shape, generator=generator) >= share
    return source * (mask / (1 - share)).to(source)


def log_odds(positive: float, total: float) -> float:
    """The logit that a bias starts at: of a count out of a total, smoothed."""
    rate = min(max((positive + 0.5) / (total + 1.0), 1e-5), 0.9)
    return math.log(rate / (1 - rate))


def probabilities(logits: Tensor) -> Tensor:
    """Probabilities of logits, to four decimals: what lies beyond moves with the padding of a batch."""
    return logits.double().sigmoid().round(decimals=4)


def entropy(logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Binary cross-entropy, summed over what the mask keeps."""
    return (F.binary_cross_entropy_with_logits(logits, target, reduction="none") * mask).sum()


def mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean over the positions that a mask marks; zeros where it marks none.

    Args:
        hidden: (batch, seq, hidden).
        mask: (batch, seq), 1 or True where a position counts. Whatever stands elsewhere has no part in it.

    Returns:
        (batch, hidden).
    """
    marked = mask.to(hidden.dtype)
    return (hidden * marked[..., None]).sum(1) / marked.sum(1, keepdim=True).clamp(min=1)
