"""The multi-label head: any number of classes a document, from the mean of its hidden states, each with a probability.

Documents are read and pooled as by the classification head (`bench.heads.classify`). The loss is the binary cross-entropy of
every class. A class is accepted from one half on, or from its threshold on dev (`bench.evaluation.thresholds`).

Source: independent binary decisions with one shared encoder, "binary relevance": Zhang & Zhou 2014, "A Review on Multi-Label
Learning Algorithms", doi:10.1109/TKDE.2013.39.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.api.data import Document, Judgement
from bench.api.head import Encoding, Gold, HeadModule, Window
from bench.errors import DataError
from bench.heads.classify import ClassificationHead, ClassifyModule
from bench.heads.lazy import F, torch
from bench.heads.tensors import probabilities

if TYPE_CHECKING:
    from torch import Tensor

HALF = 0.5


class MultiLabelHead(ClassificationHead):
    """Encodes the chosen classes of a document as zeros and ones; decodes a probability for each class."""

    name = "multilabel"
    summary = "any number of classes a document, from the mean of its hidden states"
    citation = "binary relevance as in Zhang & Zhou 2014, doi:10.1109/TKDE.2013.39"
    predicts: ClassVar[tuple[Gold, ...]] = ("labels",)

    def fit(self, documents: Sequence[Document]) -> None:
        """Learns the classes and how common each is.

        Raises:
            DataError: no document has a class.
        """
        counts = Counter(j.name for document in documents for j in document.judgements if j.chosen)
        if not counts:
            raise DataError(
                "The training documents hold no class; a multi-label head needs at least one.", "Check the task's data folder."
            )
        self.classes = tuple(sorted({j.name for document in documents for j in document.judgements}))
        self.rates = tuple((counts[name] + 0.5) / (len(documents) + 1.0) for name in self.classes)

    def encode(self, window: Window, gold: Document) -> Encoding:
        """Gold of a document: the column ``labels``, 0 or 1 a class. One that training never saw is lost under ``label``."""
        chosen = {j.name for j in gold.judgements if j.chosen}
        columns = {"labels": [int(name in chosen) for name in self.classes]}
        return Encoding(columns, supervised=len(self.classes), lost=+Counter(label=len(chosen.difference(self.classes))))

    def collate(self, rows: Sequence[Mapping[str, Sequence[int]]], words: int) -> dict[str, Tensor]:
        """``labels`` (batch, classes) of 0 and 1."""
        return {"labels": torch.tensor([list(row["labels"]) for row in rows], dtype=torch.float32)}

    def module(self, hidden_size: int) -> HeadModule:
        """The trainable module."""
        return MultiLabelModule(hidden_size, self.rates)

    def decode(self, window: Window, prediction: Sequence[float]) -> tuple[Judgement, ...]:
        """A judgement for every class; those from one half on are chosen.

        Args:
            window: of the document.
            prediction: probability of each class.
        """
        return tuple(Judgement(name, score, score >= HALF) for name, score in zip(self.classes, prediction, strict=True))

    def oracle(self, encoding: Encoding) -> list[float]:
        """1 for a class of gold, 0 for another."""
        return [float(label) for label in encoding.columns["labels"]]


class MultiLabelModule(ClassifyModule):
    """Decides on every class by the mean of a window's hidden states; arguments as of `ClassifyModule`."""

    def __init__(self, hidden_size: int, rates: Sequence[float]) -> None:
        super().__init__(hidden_size, rates)
        with torch.no_grad():
            self.classes.bias.copy_(torch.tensor([math.log(rate / (1 - rate)) for rate in rates]))

    def loss(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Binary cross-entropy of ``labels`` (batch, classes), summed; hidden states are (batch, seq, hidden)."""
        with torch.autocast(hidden.device.type, enabled=False):
            return F.binary_cross_entropy_with_logits(self._logits(hidden, batch), batch["labels"], reduction="sum")

    def choices(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor | None:
        """None: a document's classes are no choice of one among several."""
        return None

    def predict(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> list[list[float]]:
        """Probability of each class, for each window."""
        with torch.no_grad(), torch.autocast(hidden.device.type, enabled=False):
            rows: list[list[float]] = probabilities(self._logits(hidden, batch)).tolist()
            return rows
