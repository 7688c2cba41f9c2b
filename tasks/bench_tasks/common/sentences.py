"""Sentences as passages, for relations between mentions of one sentence."""

from __future__ import annotations

from bench.api.data import Passage
from bench.data.windows import sentences, words


def sentence_passages(text: str) -> tuple[Passage, ...]:
    """The sentences of a text, by the core's own splitter."""
    spans = words(text)
    return tuple(
        Passage(f"s{number}", (spans[low][0], spans[high - 1][1])) for number, (low, high) in enumerate(sentences(text), 1)
    )
