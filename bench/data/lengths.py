"""How long a task's windows have to be: the 99th percentile of what its training documents need, and no more than that.

What a window must hold depends on how the head has documents cut. Where whole sentences are packed, a sentence is what must
not be broken; a longer window would only be fuller. Where a document or a query with its passage is one window, all of it
counts.

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
"""Tokens of a window that sentences are packed into, where no more are needed."""
SAMPLE = 2_000
"""Training documents that are looked at, evenly spread over the split."""


@dataclass(frozen=True)
class WindowLength:
    """The length that was chosen, and why.

    Args:
        tokens: longest window, special tokens included.
        needed: the percentile of what the units need, special tokens included; not rounded, not capped.
        longest: what the longest unit needs.
        over: share of the units that need more than `tokens`.
        units: sentences, documents, or queries with a passage, that were looked at.
    """

    tokens: int
    needed: int
    longest: int
    over: float
    units: int

    def as_json(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def choose_length(documents: Sequence[Document], tokenizer: Any, how: Cut, most: int) -> WindowLength:
    """Chooses a task's window length from its training documents; a pure function of them.

    Args:
        documents: of the training split, with text.
        tokenizer: a fast tokenizer of transformers.
        how: see `bench.api.head.Cut`.
        most: tokens that the model takes at most.
    """
    chosen = evenly(len(documents), SAMPLE)
    need = np.array([n for at in chosen for n in needs(documents[at], tokenizer, how)], dtype=np.int64)
    if len(need) == 0:
        return WindowLength(min(PACKED, most), 0, 0, 0.0, 0)
    # An example's own length, not one between two: half a token holds nothing.
    needed = int(np.percentile(need, PERCENTILE, method="higher"))
    rounded = -(-needed // MULTIPLE) * MULTIPLE
    tokens = min(most, max(rounded, PACKED) if how == "sentences" else max(rounded, 2 * MULTIPLE))
    return WindowLength(tokens, needed, int(need.max()), float((need > tokens).mean()), len(need))


def kept_length(path: Path, documents: Sequence[Document], tokenizer: Any, how: Cut, most: int) -> WindowLength:
    """What `choose_length` chooses, or what stands in a file of it that is whole; numbers, no text.

    Args:
        path: of the JSON file; the caller puts everything that decides the choice into its name.
        documents: as for `choose_length`.
        tokenizer: likewise.
        how: likewise.
        most: likewise.
    """
    kept = read_sealed(path)
    if kept is not None:
        return WindowLength(**kept)
    found = choose_length(documents, tokenizer, how, most)
    write_sealed(path, found.as_json())
    return found


def needs(document: Document, tokenizer: Any, how: Cut) -> list[int]:
    """Tokens that each sentence of a document, or all of it, or its query with each passage, takes, special ones included."""
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
