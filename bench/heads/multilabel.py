"""The multi-label head: any number of classes a document, each with a probability of its own.

A document is one window, cut at the end where it is too long, as for the classification head (`bench.heads.classify`). Every
class attends to the tokens by itself and decides on what it sees: the one sentence that speaks of it, which a mean over the
document would dilute. The loss is the binary cross-entropy of every class. A class is accepted from one half on, or from its
threshold on dev (`bench.evaluation.thresholds`).

Source: label-wise attention, Mullenbach et al. 2018, "Explainable Prediction of Medical Codes from Clinical Text", arXiv
1802.05695.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.api.data import Document, Judgement
from bench.api.head import Encoding, Gold, HeadModule, Window
from bench.errors import DataError
from bench.heads.classify import SIZE, ClassificationHead
from bench.heads.lazy import F, Module, nn, torch
from bench.heads.tensors import NEVER, probabilities

if TYPE_CHECKING:
    from torch import Tensor

HALF = 0.5


class MultiLabelHead(ClassificationHead):
    """Encodes the chosen classes of a document as zeros and ones; decodes a probability for each class."""

    name = "multilabel"
    summary = "any number of classes a document, each from what it attends to"
    citation = "label-wise attention as in Mullenbach et al. 2018, arXiv:1802.05695"
    predicts: ClassVar[tuple[Gold, ...]] = ("labels",)
    # On the synthetic abstracts of `hoc`, with MiniLM, the smoke test's loss fell to 17% at 2e-3, and to 45% at 1e-3.
    learning_rate: ClassVar[float] = 2e-3

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


class MultiLabelModule(HeadModule, Module):
    """Decides on every class by what it attends to in a window.

    Args:
        hidden_size: of the backbone.
        rates: share of the training documents that have each class; the biases start from it.
    """

    def __init__(self, hidden_size: int, rates: Sequence[float]) -> None:
        super().__init__()
        self.project = nn.Linear(hidden_size, SIZE)
        self.norm = nn.LayerNorm(SIZE)
        self.attend = nn.Linear(SIZE, len(rates), bias=False)
        self.mix = nn.Linear(SIZE, SIZE)
        self.label = nn.Linear(SIZE, len(rates))
        nn.init.normal_(self.label.weight, std=0.02)
        with torch.no_grad():
            self.label.bias.copy_(torch.tensor([math.log(rate / (1 - rate)) for rate in rates]))

    def loss(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Binary cross-entropy of ``labels`` (batch, classes), summed; hidden states are (batch, seq, hidden)."""
        with torch.autocast(hidden.device.type, enabled=False):
            return F.binary_cross_entropy_with_logits(self.logits(hidden, batch), batch["labels"], reduction="sum")

    def predict(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> list[list[float]]:
        """Probability of each class, for each window."""
        with torch.no_grad(), torch.autocast(hidden.device.type, enabled=False):
            rows: list[list[float]] = probabilities(self.logits(hidden, batch)).tolist()
            return rows

    def logits(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Scores of the classes, (batch, classes)."""
        tokens = self.norm(self.project(hidden.float()))
        scores = self.attend(tokens).masked_fill(~batch["attention_mask"].bool()[..., None], NEVER)
        seen = scores.softmax(1).transpose(1, 2) @ tokens  # (batch, classes, SIZE)
        logits: Tensor = (F.gelu(self.mix(seen)) * self.label.weight).sum(-1) + self.label.bias
        return logits
