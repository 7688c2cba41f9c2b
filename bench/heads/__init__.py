"""Heads: from hidden states to losses and predictions. Nothing here imports torch before a module is built."""

from __future__ import annotations

from bench.api.head import Head
from bench.errors import unknown

HEADS = ("span", "bio")


def make_head(name: str) -> Head:
    """A fresh head.

    Args:
        name: ``span`` for mentions of any shape, ``bio`` for the tagging baseline.

    Raises:
        UsageError: no head has this name.
    """
    if name == "span":
        from bench.heads.span import SpanClassificationHead

        return SpanClassificationHead()
    if name == "bio":
        from bench.heads.bio import BioHead

        return BioHead()
    raise unknown("head", name, HEADS, "bench run --help")
