"""The classification head: one class a document, from the mean of its hidden states.

A mean over every marked token serves encoders and causal decoders alike: no token has to be trained to stand for the text.
A document is one window, cut at the end where it is too long; exactly one of its judgements is chosen.

Source: mean pooling as in Reimers & Gurevych 2019, "Sentence-BERT", arXiv 1908.10084.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from bench.api.data import Document, Judgement
from bench.api.head import Cut, Encoding, Gold, Head, HeadModule, Window
from bench.api.part import Requirement
from bench.errors import DataError
from bench.heads.lazy import F, Module, nn, torch
from bench.heads.tensors import mean
from bench.wording import some

if TYPE_CHECKING:
    from torch import Tensor

SIZE = 128
IGNORE = -100
"""The class of a document whose class training never saw, or that has none."""


class ClassificationHead(Head):
    """Encodes the chosen class of a document as one number; decodes a probability for each class."""

    name = "classify"
    version = "1"
    summary = "one class a document, from the mean of its hidden states"
    citation = "mean pooling as in Reimers & Gurevych 2019, Sentence-BERT, arXiv:1908.10084"
    licence = "Apache-2.0"
    requires = (Requirement("torch", "bench-suite[train]"),)
    predicts: ClassVar[tuple[Gold, ...]] = ("classes",)
    learning_rate: ClassVar[float] = 1e-3
    cuts: ClassVar[Cut] = "whole"
    floor = 0.0  # every class is handed over with its probability

    def __init__(self) -> None:
        self.classes: tuple[str, ...] = ()
        self.rates: tuple[float, ...] = ()

    def fit(self, documents: Sequence[Document]) -> None:
        """Learns the classes and how common each is.

        Raises:
            DataError: a document has not exactly one class, or all have the same.
        """
        counts: Counter[str] = Counter()
        names: set[str] = set()
        for document in documents:
            chosen = [j.name for j in document.judgements if j.chosen]
            if len(chosen) != 1:
                raise DataError(
                    f"Training document {document.id!r} has {some(len(chosen), 'class')}; a classification head wants "
                    "exactly one.",
                    "Check the task's data folder.",
                )
            counts.update(chosen)
            names.update(j.name for j in document.judgements)
        if len(counts) < 2:
            raise DataError(
                f"The training documents hold {some(len(counts), 'class')}; a classification head needs at least two.",
                "Check the task's data folder.",
            )
        self.classes = tuple(sorted(names))
        # A class that training never chose still gets a probability: half a document stands for it.
        whole = sum(max(counts[name], 0.5) for name in self.classes)
        self.rates = tuple(max(counts[name], 0.5) / whole for name in self.classes)

    def state(self) -> dict[str, Any]:
        """The classes and how common each is."""
        return {"classes": list(self.classes), "rates": list(self.rates)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back a `state`."""
        self.classes, self.rates = tuple(state["classes"]), tuple(state["rates"])

    def outputs(self) -> dict[str, Any]:
        """The classes."""
        return {"classes": list(self.classes)}

    def encode(self, window: Window, gold: Document) -> Encoding:
        """Gold of a document: the column ``class``, one number. A class that training never saw is lost under ``label``."""
        index = {name: i for i, name in enumerate(self.classes)}
        chosen = [j.name for j in gold.judgements if j.chosen]
        known = [index[name] for name in chosen if name in index]
        if len(chosen) == 1 and known:
            return Encoding(columns={"class": known}, supervised=1)
        return Encoding(columns={"class": [IGNORE]}, supervised=0, lost=+Counter(label=len(chosen)))

    def collate(self, rows: Sequence[Mapping[str, Sequence[int]]], words: int) -> dict[str, Tensor]:
        """``class`` (batch,), `IGNORE` where it is not supervised."""
        return {"class": torch.tensor([row["class"][0] for row in rows], dtype=torch.long)}

    def module(self, hidden_size: int) -> HeadModule:
        """The trainable module."""
        return ClassifyModule(hidden_size, self.rates)

    def decode(self, window: Window, prediction: Sequence[float]) -> tuple[Judgement, ...]:
        """A judgement for every class; the likeliest is chosen, the first among equals.

        Args:
            window: of the document.
            prediction: probability of each class; empty where nothing is said.
        """
        best = max(range(len(prediction)), key=prediction.__getitem__, default=-1)
        return tuple(
            Judgement(name, float(score), place == best)
            for place, (name, score) in enumerate(zip(self.classes, prediction, strict=bool(prediction)))
        )

    def oracle(self, encoding: Encoding) -> list[float]:
        """All probability at the gold class; nothing where it is not supervised."""
        (gold,) = encoding.columns["class"]
        return [float(place == gold) for place in range(len(self.classes))] if gold != IGNORE else []


class ClassifyModule(HeadModule, Module):
    """Classifies a window by the mean of its hidden states.

    Args:
        hidden_size: of the backbone.
        rates: share of each class in the training documents; the biases start from it.
    """

    def __init__(self, hidden_size: int, rates: Sequence[float]) -> None:
        super().__init__()
        self.project = nn.Linear(hidden_size, SIZE)
        self.norm = nn.LayerNorm(SIZE)
        self.mix = nn.Linear(SIZE, SIZE)
        self.classes = nn.Linear(SIZE, len(rates))
        nn.init.normal_(self.classes.weight, std=0.02)
        with torch.no_grad():
            self.classes.bias.copy_(torch.tensor([math.log(max(rate, 1e-5)) for rate in rates]))

    def loss(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy of ``class`` (batch,), summed.

        Args:
            hidden: (batch, seq, hidden).
            batch: see `HeadModule` and `ClassificationHead.collate`.
        """
        with torch.autocast(hidden.device.type, enabled=False):
            return F.cross_entropy(self.logits(hidden, batch), batch["class"], ignore_index=IGNORE, reduction="sum")

    def choices(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """(windows with a class, classes)."""
        with torch.autocast(hidden.device.type, enabled=False):
            return self.logits(hidden, batch)[batch["class"] != IGNORE]

    def predict(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> list[list[float]]:
        """Probability of each class, for each window."""
        with torch.no_grad(), torch.autocast(hidden.device.type, enabled=False):
            rows: list[list[float]] = self.logits(hidden, batch).softmax(-1).tolist()
            return rows

    def logits(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Scores of the classes, (batch, classes)."""
        pooled = mean(hidden.float(), batch["attention_mask"])
        logits: Tensor = self.classes(F.gelu(self.mix(self.norm(self.project(pooled)))))
        return logits
