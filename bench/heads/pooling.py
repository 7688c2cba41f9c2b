"""Means of hidden states, for heads that say something of a whole text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


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
