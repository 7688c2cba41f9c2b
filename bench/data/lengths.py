"""The window length of a task: the 99th percentile of the tokens that the units of its training documents need.

A unit is what must not be cut, and depends on how the head cuts documents: a sentence where sentences are packed, else a
document, or a query with its passage.

Example: of the 2,159 sentences that ncbi-disease has in training, 99 in 100 need at most 80 tokens of MiniLM's and the longest
115, so the usual 128 stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.api.data import Document
from bench.api.head import Cut
from bench.data.batches import evenly
from bench.data.cuts import separator
from bench.data.windows import sentences, special_tokens, tokenized, words
from bench.sealed import read_sealed, write_sealed

PERCENTILE = 99.0
MULTIPLE = 8
PACKED = 128
"""Least tokens of a window into which sentences are packed."""
SAMPLE = 2_000
"""Training documents that are read, evenly spread over the split."""


@dataclass(frozen=True)
class WindowLength:
    """The chosen length, and the figures behind it.

    Args:
        tokens: longest window, special tokens included.
        needed: percentile of the tokens that units need, special tokens included; not rounded, not capped.
        longest: tokens of the longest unit.
        over: share of the units that need more than `tokens`.
        units: number of units that were measured.
    """

    tokens: int
    needed: int
    longest: int
    over: float
    units: int

    def as_json(self) -> dict[str, Any]:
        """The fields, as JSON."""
        return asdict(self)


def choose_length(documents: Sequence[Document], tokenizer: Any, how: Cut, most: int) -> WindowLength:
    """A task's window length, a pure function of its training documents; `most` is the model's longest input."""
    chosen = evenly(len(documents), SAMPLE)
    need = np.array([n for at in chosen for n in needs(documents[at], tokenizer, how)], dtype=np.int64)
    if len(need) == 0:
        return WindowLength(min(PACKED, most), 0, 0, 0.0, 0)
    # The length of an actual unit, without interpolation: half a token is of no use.
    needed = int(np.percentile(need, PERCENTILE, method="higher"))
    rounded = -(-needed // MULTIPLE) * MULTIPLE
    tokens = min(most, max(rounded, PACKED) if how == "sentences" else max(rounded, 2 * MULTIPLE))
    return WindowLength(tokens, needed, int(need.max()), float((need > tokens).mean()), len(need))


def kept_length(path: Path, documents: Sequence[Document], tokenizer: Any, how: Cut, most: int) -> WindowLength:
    """The result of `choose_length`, cached in a JSON file; it holds numbers, no text.

    The file's name must contain a hash of everything that decides the choice.
    """
    stored = read_sealed(path)
    if stored is not None:
        return WindowLength(**stored)
    chosen = choose_length(documents, tokenizer, how, most)
    write_sealed(path, chosen.as_json())
    return chosen


def needs(document: Document, tokenizer: Any, how: Cut) -> list[int]:
    """Tokens of each unit of a document (see `WindowLength`), special tokens included."""
    spans = words(document.text)
    if not spans:
        return []
    _, first, last = tokenized(document.text, spans, tokenizer)
    before, after = special_tokens(tokenizer)
    frame = len(before) + len(after)
    if how == "sentences":
        return [frame + last[end - 1] + 1 - first[start] for start, end in sentences(document.text)]
    if how == "whole":
        return [frame + last[-1] + 1 - first[0]]
    starts = np.array([start for start, _ in spans])

    def size(low: int, high: int) -> int:
        begin, end = np.searchsorted(starts, [low, high])
        return last[end - 1] + 1 - first[begin] if end > begin else 0

    frame += len(separator(tokenizer))
    query = size(0, document.passages[0].span[0]) if document.passages else 0
    return [frame + query + size(*passage.span) for passage in document.passages]
