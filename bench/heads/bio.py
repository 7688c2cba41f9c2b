"""The BIO head: one tag a word. It is the baseline that shows why spans are needed.

A row of tags holds contiguous mentions that do not overlap, and nothing else. Discontiguous mentions are not squeezed into
it (their first fragment alone is no mention): they are counted lost under ``discontiguous``. Of mentions that overlap or
contain one another the longest is kept, the leftmost among equals; the others are lost under ``overlap``. Its
discontiguous recall is therefore 0 by construction.

Source: tags as in Ramshaw & Marcus 1995, "Text Chunking using Transformation-Based Learning", arXiv cmp-lg/9505040.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.api.data import Document, Mention, in_order
from bench.api.head import Encoding, Head, HeadModule, Window
from bench.errors import DataError
from bench.heads.mentions import Span, characters_of, measure, words_of

if TYPE_CHECKING:
    from torch import Tensor

IGNORE = -100


class BioHead(Head):
    """Encodes contiguous mentions as tags: 0 is O, 1 + 2·i is B and 2 + 2·i is I of label i."""

    name = "bio"

    def __init__(self) -> None:
        self.labels: tuple[str, ...] = ()
        self.rates: tuple[float, ...] = ()

    def fit(self, documents: Sequence[Document]) -> None:
        """Learns the labels and how common each tag is."""
        counted = measure(documents)
        if not counted.labels:
            raise DataError(
                "The training documents hold no mention; a BIO head needs at least one.", "Check the task's data folder."
            )
        self.labels = counted.labels
        begins = [counted.alone[label] / max(counted.words, 1) for label in self.labels]
        inside = counted.continued
        rates = [
            rate
            for label, begin in zip(self.labels, begins, strict=True)
            for rate in (begin, inside[label] / max(counted.words, 1))
        ]
        self.rates = (max(1.0 - sum(rates), 0.05), *rates)

    def state(self) -> dict[str, Any]:
        """The labels and how common each tag is."""
        return {"labels": list(self.labels), "rates": list(self.rates)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back a `state`."""
        self.labels, self.rates = tuple(state["labels"]), tuple(state["rates"])

    def encode(self, window: Window, gold: Document) -> Encoding:
        """Gold of a window: the column ``tags``, one a word."""
        lost: Counter[str] = Counter()
        index = {label: i for i, label in enumerate(self.labels)}
        flat: list[tuple[Span, int]] = []
        for parts, label in words_of(window, gold.mentions, lost):
            if label not in index:
                lost["label"] += 1
            elif len(parts) > 1:
                lost["discontiguous"] += 1
            else:
                flat.append((parts[0], index[label]))
        tags = [0] * len(window.words)
        for (first, last), kind in sorted(flat, key=lambda item: (item[0][0] - item[0][1], item)):
            if any(tags[first : last + 1]):
                lost["overlap"] += 1
            else:
                tags[first : last + 1] = [1 + 2 * kind] + [2 + 2 * kind] * (last - first)
        return Encoding(columns={"tags": tags}, supervised=len(tags), lost=lost)

    def collate(self, rows: Sequence[Mapping[str, Sequence[int]]], words: int) -> dict[str, Tensor]:
        """``tags`` (batch, words), padded with `IGNORE`."""
        import torch

        tags = torch.full((len(rows), words), IGNORE, dtype=torch.long)
        for i, row in enumerate(rows):
            tags[i, : len(row["tags"])] = torch.tensor(row["tags"], dtype=torch.long)
        return {"tags": tags}

    def module(self, hidden_size: int) -> HeadModule:
        """The trainable module."""
        from bench.heads.bio_module import BioModule

        return BioModule(hidden_size, self.rates)

    def decode(self, window: Window, prediction: Sequence[int]) -> tuple[Mention, ...]:
        """Mentions from one tag a word; an I that continues nothing is passed over, though `BioModule` gives none."""
        found: list[Mention] = []
        begin, open_kind = 0, -1
        for at, tag in enumerate([*prediction, 0]):
            kind, starts = (tag - 1) // 2 if tag else -1, tag % 2 == 1
            if open_kind >= 0 and (starts or kind != open_kind):
                found.append(Mention(characters_of(window, ((begin, at - 1),)), self.labels[open_kind]))
                open_kind = -1
            if starts:
                begin, open_kind = at, kind
        return in_order(found)

    def oracle(self, encoding: Encoding) -> list[int]:
        """The gold tags."""
        return list(encoding.columns["tags"])
