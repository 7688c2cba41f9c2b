"""The ranking head: one score for each passage of a query, by which the passages are sorted.

A window is the query with one passage, read together; its score comes from the mean of the query's hidden states, the mean of
the passage's, their product and their difference.

The loss has two parts. The *pairwise* one is a margin: a relevant passage has to score higher by `MARGIN` than each irrelevant
one **of the same query**. It takes windows that are in memory together, so for each window it is the mean over the passages of
its query that are in the same micro-batch and of the other relevance, and nothing where there is none. A query is therefore
drawn with all its passages, and they share a micro-batch unless memory cannot hold them (`bench.data.batches`). The *pointwise*
one is the logistic loss of each window by itself, so that every window is supervised and a score above 0 means relevant.

Windows remember their query as a number: a checksum of the document's id. Two queries that share one by chance (odds of 2⁻³¹ a
pair) are compared when they meet, which does no more than the pointwise part does.

Sources: query and passage read together, Nogueira & Cho 2019, arXiv 1901.04085; the margin over pairs of one query, Joachims
2002, "Optimizing Search Engines using Clickthrough Data", doi:10.1145/775047.775067; the features, Conneau et al. 2017,
arXiv 1705.02364.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar
from zlib import crc32

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
MARGIN = 1.0
"""By how much a relevant passage has to score higher than an irrelevant one of its query, in logits."""
IGNORE = -100
"""The relevance of a passage that nobody judged."""
_BITS = 0x7FFFFFFF  # columns are 32-bit integers with a sign


class SequenceRankingHead(Head):
    """Encodes the relevance of a passage as one number; decodes its score."""

    name = "ranking"
    version = "1"
    summary = "a score for each passage of a query, by which they are sorted"
    citation = "after Nogueira & Cho 2019, Passage Re-ranking with BERT, arXiv:1901.04085"
    licence = "Apache-2.0"
    requires = (Requirement("torch", "bench-suite[train]"),)
    predicts: ClassVar[tuple[Gold, ...]] = ("rankings",)
    learning_rate: ClassVar[float] = 1e-3
    cuts: ClassVar[Cut] = "passages"

    def __init__(self) -> None:
        self.rate = 0.5

    def fit(self, documents: Sequence[Document]) -> None:
        """Learns how common relevant passages are.

        Raises:
            DataError: no passage is relevant, or all are.
        """
        judged = [j.chosen for document in documents for j in document.judgements]
        relevant = sum(judged)
        if not 0 < relevant < len(judged):
            raise DataError(
                f"Relevant: {relevant} of {some(len(judged), 'training passage')}; a ranking head needs both kinds.",
                "Check the task's data folder.",
            )
        self.rate = relevant / len(judged)

    def state(self) -> dict[str, Any]:
        """How common relevant passages are."""
        return {"rate": self.rate}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back a `state`."""
        self.rate = float(state["rate"])

    def encode(self, window: Window, gold: Document) -> Encoding:
        """Gold of a passage.

        Returns:
            The columns ``relevant`` (1, 0 or `IGNORE`), ``query`` (a number for the document) and ``passage`` (the token at
            which the passage begins).
        """
        relevant = int(any(j.chosen for j in gold.judgements)) if gold.judgements else IGNORE
        return Encoding(
            columns={
                "relevant": [relevant],
                "query": [crc32(window.document.encode()) & _BITS],
                "passage": [passage_start(window)],
            },
            supervised=int(relevant != IGNORE),
            lost=Counter(),
        )

    def collate(self, rows: Sequence[Mapping[str, Sequence[int]]], words: int) -> dict[str, Tensor]:
        """``relevant``, ``query`` and ``passage``, each (batch,)."""
        return {
            name: torch.tensor([row[name][0] for row in rows], dtype=torch.long) for name in ("relevant", "query", "passage")
        }

    def module(self, hidden_size: int) -> HeadModule:
        """The trainable module."""
        return RankingModule(hidden_size, self.rate)

    def decode(self, window: Window, prediction: float) -> tuple[Judgement, ...]:
        """The judgement of one passage, named ``#n`` for the document's passage n, counted from 0.

        Args:
            window: of the passage.
            prediction: its score, a logit; not a number where nothing is said.
        """
        if prediction != prediction:
            return ()
        return (Judgement(f"#{window.part}", float(prediction), prediction > 0),)

    def oracle(self, encoding: Encoding) -> float:
        """1 for a relevant passage, -1 for another; not a number where nobody judged it."""
        (relevant,) = encoding.columns["relevant"]
        return {1: 1.0, 0: -1.0}.get(relevant, float("nan"))


def passage_start(window: Window) -> int:
    """The token at which the passage of a window begins; the window's length where nothing of it is left."""
    starts = [start for start, _ in window.words]
    word = bisect_left(starts, window.start)
    return window.first[word] if word < len(starts) else len(window.input_ids)


class RankingModule(HeadModule, Module):
    """Scores a query with a passage.

    Args:
        hidden_size: of the backbone.
        rate: share of the training passages that are relevant; the bias starts from it.
    """

    def __init__(self, hidden_size: int, rate: float) -> None:
        super().__init__()
        self.project = nn.Linear(hidden_size, SIZE)
        self.norm = nn.LayerNorm(SIZE)
        self.mix = nn.Linear(4 * SIZE, SIZE)
        self.score = nn.Linear(SIZE, 1)
        nn.init.normal_(self.score.weight, std=0.02)
        rate = min(max(rate, 1e-5), 1 - 1e-5)
        nn.init.constant_(self.score.bias, math.log(rate / (1 - rate)))

    def loss(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Logistic loss of each judged window, and its mean margin loss over its partners; summed.

        The first part is the same however an update is cut into micro-batches. The second depends on the cut in one way: a
        window has as partners only those passages of its query that share its micro-batch, which are all that were drawn
        where they fit. It is a mean over them, so that no window weighs more where there are many.

        Args:
            hidden: (batch, seq, hidden).
            batch: see `HeadModule` and `SequenceRankingHead.collate`.
        """
        with torch.autocast(hidden.device.type, enabled=False):
            scores, relevant = self.logits(hidden, batch), batch["relevant"]
            judged = relevant != IGNORE
            alone = F.binary_cross_entropy_with_logits(scores, (relevant > 0).to(scores), reduction="none")
            return (alone * judged).sum() + self._pairwise(scores, relevant, batch["query"])

    def predict(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> list[float]:
        """The score of each window."""
        with torch.no_grad(), torch.autocast(hidden.device.type, enabled=False):
            scores: list[float] = self.logits(hidden, batch).tolist()
            return scores

    @staticmethod
    def _pairwise(scores: Tensor, relevant: Tensor, query: Tensor) -> Tensor:
        """Sum over windows of the mean margin loss against their partners: same query, other relevance; each input (batch,)."""
        better = (query[:, None] == query) & (relevant[:, None] == 1) & (relevant == 0)
        short = F.relu(MARGIN - (scores[:, None] - scores)) * better
        # Both windows of a pair carry the margin, each by its own number of partners.
        partners = better | better.T
        return ((short + short.T) / partners.sum(1, keepdim=True).clamp(min=1)).sum()

    def logits(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Scores of the passages, (batch,)."""
        tokens = self.norm(self.project(hidden.float()))
        marked = batch["attention_mask"].bool()
        later = torch.arange(hidden.shape[1], device=hidden.device) >= batch["passage"][:, None]
        query, passage = mean(tokens, marked & ~later), mean(tokens, marked & later)
        features = torch.cat([query, passage, query * passage, (query - passage).abs()], -1)
        scores: Tensor = self.score(F.gelu(self.mix(features))).squeeze(-1)
        return scores
