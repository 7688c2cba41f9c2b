"""The regression head: a number for a text with its passage, such as how similar two sentences are.

Text and passage are read together, and their features are those of the ranking head (`bench.heads.ranking`). The number is
predicted in units of the training ratings' standard deviation, from their mean; the loss is the squared error in these units.

Source: similarity as a regression over both sentences read together, Devlin et al. 2019, "BERT", arXiv 1810.04805 (STS-B).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any, ClassVar

from bench.api.data import Document, Judgement
from bench.api.head import Cut, Encoding, Gold, Head, HeadModule, Window
from bench.api.part import Requirement
from bench.errors import DataError
from bench.heads.lazy import torch
from bench.heads.ranking import RankingModule, passage_start
from bench.wording import some

if TYPE_CHECKING:
    from torch import Tensor

STEPS = 10_000
"""Steps of a rating in a column of whole numbers, for each unit: four decimals."""


class RegressionHead(Head):
    """Encodes the rating of a pair of texts as one number; decodes a number."""

    name = "regress"
    version = "1"
    summary = "a number for two texts that are read together, such as their similarity"
    citation = "as on STS-B in Devlin et al. 2019, BERT, arXiv:1810.04805"
    licence = "Apache-2.0"
    requires = (Requirement("torch", "bench-suite[train]"),)
    predicts: ClassVar[tuple[Gold, ...]] = ("ratings",)
    learning_rate: ClassVar[float] = 1e-3
    cuts: ClassVar[Cut] = "pair"

    def __init__(self) -> None:
        self.mean = 0.0
        self.spread = 1.0

    def fit(self, documents: Sequence[Document]) -> None:
        """Learns mean and standard deviation of the ratings.

        Raises:
            DataError: there are none, or all are the same.
        """
        ratings = [j.score for document in documents for j in document.judgements]
        if len(set(ratings)) < 2:
            raise DataError(
                f"{some(len(set(ratings)), 'value')} in {some(len(ratings), 'training rating')}; a regression head needs at "
                "least two.",
                "Check the task's data folder.",
            )
        self.mean, self.spread = fmean(ratings), pstdev(ratings)

    def state(self) -> dict[str, Any]:
        """Mean and standard deviation of the ratings."""
        return {"mean": self.mean, "spread": self.spread}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back a `state`."""
        self.mean, self.spread = float(state["mean"]), float(state["spread"])

    def encode(self, window: Window, gold: Document) -> Encoding:
        """Gold of a pair.

        Returns:
            The columns ``rating`` (in `STEPS` a unit, 0 where there is none), ``rated`` (1 or 0) and ``passage`` (the token at
            which the second text begins).
        """
        ratings = [judgement.score for judgement in gold.judgements]
        columns = {
            "rating": [round(ratings[0] * STEPS) if ratings else 0], "rated": [int(bool(ratings))],
            "passage": [passage_start(window)],
        }  # fmt: skip
        return Encoding(columns, supervised=int(bool(ratings)))

    def collate(self, rows: Sequence[Mapping[str, Sequence[int]]], words: int) -> dict[str, Tensor]:
        """``rating``, ``rated`` and ``passage``, each (batch,)."""
        return {name: torch.tensor([row[name][0] for row in rows], dtype=torch.long) for name in ("rating", "rated", "passage")}

    def module(self, hidden_size: int) -> HeadModule:
        """The trainable module."""
        return RegressionModule(hidden_size, self.mean, self.spread)

    def decode(self, window: Window, prediction: float) -> tuple[Judgement, ...]:
        """The rating of the document's passage, named ``#n``.

        Args:
            window: of the pair.
            prediction: its rating; not a number where nothing is said.
        """
        return () if prediction != prediction else (Judgement(f"#{window.part}", float(prediction), True),)

    def oracle(self, encoding: Encoding) -> float:
        """The rating; not a number where there is none."""
        (rating,), (rated,) = encoding.columns["rating"], encoding.columns["rated"]
        return rating / STEPS if rated else float("nan")


class RegressionModule(RankingModule):
    """Rates a text with its passage.

    Args:
        hidden_size: of the backbone.
        mean: of the training ratings; what is predicted starts there.
        spread: their standard deviation.
    """

    def __init__(self, hidden_size: int, mean: float, spread: float) -> None:
        super().__init__(hidden_size, 0.5)
        self.mean, self.spread = mean, spread

    def loss(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Squared error of each rating in standard deviations, summed.

        Args:
            hidden: (batch, seq, hidden).
            batch: see `HeadModule` and `RegressionHead.collate`.
        """
        with torch.autocast(hidden.device.type, enabled=False):
            target = (batch["rating"].float() / STEPS - self.mean) / self.spread
            return ((self.logits(hidden, batch) - target).square() * batch["rated"]).sum()

    def predict(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> list[float]:
        """The rating of each window, to four decimals: what lies beyond moves with the padding of a batch."""
        with torch.no_grad(), torch.autocast(hidden.device.type, enabled=False):
            scores = self.logits(hidden, batch).double() * self.spread + self.mean
            ratings: list[float] = scores.round(decimals=4).tolist()
            return ratings
