"""The span head: mentions of one or more fragments, overlapping and nested as they come.

(1) Every span of up to `width` words is classified as a fragment of a mention of each label, or of none. (2) Links are scored
between fragments; they only propose candidates: all cliques of the link graph, single fragments included. (3) Each
candidate is accepted or rejected, per label, as a whole. See `bench.heads.mentions` for why cliques alone do not do.

With a causal base model a span's first token has not seen the rest of it, nor what follows: the end of the span carries
what there is, and a right context (a head noun that follows a shared modifier) is out of sight.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.api.data import Document, Mention, in_order
from bench.api.head import Encoding, Head, HeadModule, Proposals, Window
from bench.api.part import Requirement
from bench.errors import DataError
from bench.heads.mentions import Parts, Rates, Span, characters_of, cliques, measure, mention_graph, words_of

if TYPE_CHECKING:
    from torch import Tensor


Accepted = tuple[Parts, int, float]
"""A predicted mention: its fragments in words, the index of its label, and how probable the module finds it."""


@dataclass(frozen=True)
class Proposed:
    """What the candidates of a window were made of.

    Args:
        fragments: in words.
        links: pairs of indices of fragments.
        candidates: those that were judged, as indices of fragments.
    """

    fragments: Sequence[Span] = ()
    links: Sequence[tuple[int, int]] = ()
    candidates: Sequence[tuple[int, ...]] = ()


class Found(list[Accepted]):
    """The accepted candidates of a window.

    Args:
        accepted: these candidates.
        proposed: what they were chosen from.
    """

    def __init__(self, accepted: Iterable[Accepted], proposed: Proposed) -> None:
        super().__init__(accepted)
        self.proposed = proposed


class SpanClassificationHead(Head):
    """Encodes mentions as fragments, links and candidates, and decodes accepted candidates.

    Args:
        width: most words in a fragment.
        fragments: most fragments in a mention.
        cap: most candidates in a window.
        floor: least probability of a candidate that the module hands over; see `Head.floor`.
    """

    name = "span"
    version = "1"
    summary = "mentions of one or more fragments, overlapping and nested as they come"
    citation = "described in bench/heads/span.py"
    licence = "Apache-2.0"
    requires = (Requirement("torch", "bench-suite[train]"),)

    def __init__(self, width: int = 8, fragments: int = 3, cap: int = 256, floor: float = 0.05) -> None:
        self.floor: float = floor
        self.width = width
        self.fragments = fragments
        self.cap = cap
        self.rates: Rates | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The label inventory, sorted; call after `fit`."""
        return self._fitted().labels

    def fit(self, documents: Sequence[Document]) -> None:
        """Learns the labels and how common fragments, links and mentions are."""
        rates = measure(documents)
        if not rates.labels:
            raise DataError(
                "The training documents hold no mention; a span head needs at least one.", "Check the task's data folder."
            )
        self.rates = rates

    def state(self) -> dict[str, Any]:
        """The counts behind the labels and the priors."""
        return {k: dict(v) if isinstance(v, Counter) else v for k, v in vars(self._fitted()).items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back a `state`."""
        counts: dict[str, Any] = {k: Counter(v) if isinstance(v, Mapping) else v for k, v in state.items()}
        self.rates = Rates(**counts)

    def encode(self, window: Window, gold: Document) -> Encoding:
        """Gold of a window.

        Columns, flat, L labels, K most fragments: ``fragments`` (n, 2) first and last word; ``fragment_labels`` (n, L) 0/1;
        ``links`` (m, 2) indices of fragments; ``candidates`` (c, K) indices of fragments, -1 where there are fewer;
        ``candidate_labels`` (c, L) 0/1.
        """
        labels = self.labels
        lost: Counter[str] = Counter()
        graph = mention_graph(words_of(window, gold.mentions, lost), labels, self.width, self.fragments, self.cap, lost)
        kinds = range(len(labels))
        blank = (-1,) * self.fragments
        return Encoding(
            columns={
                "fragments": [word for span in graph.fragments for word in span],
                "fragment_labels": [int(kind in carried) for carried in graph.fragment_labels for kind in kinds],
                "links": [end for link in graph.links for end in link],
                "candidates": [i for clique in graph.candidates for i in (*clique, *blank)[: self.fragments]],
                "candidate_labels": [int(kind in verdict) for verdict in graph.verdicts for kind in kinds],
            },
            supervised=len(window.words),
            lost=lost,
        )

    def collate(self, rows: Sequence[Mapping[str, Sequence[int]]], words: int) -> dict[str, Tensor]:
        """Pads the columns; G most fragments and C most candidates of a window, each at least 1.

        Returns:
            ``fragments`` (batch, G, 2) and ``candidates`` (batch, C, K), padded with -1; ``fragment_labels`` (batch, G, L),
            ``candidate_labels`` (batch, C, L) and ``links`` (batch, G, G), symmetric, of 0 and 1.
        """
        import numpy as np
        import torch

        kinds, most = len(self.labels), self.fragments
        tall = max(1, *(len(row["fragments"]) // 2 for row in rows))
        wide = max(1, *(len(row["candidates"]) // most for row in rows))
        made: dict[str, Any] = {
            "fragments": np.full((len(rows), tall, 2), -1, np.int64),
            "fragment_labels": np.zeros((len(rows), tall, kinds), np.float32),
            "links": np.zeros((len(rows), tall, tall), np.float32),
            "candidates": np.full((len(rows), wide, most), -1, np.int64),
            "candidate_labels": np.zeros((len(rows), wide, kinds), np.float32),
        }
        for i, row in enumerate(rows):
            for name, shape in (
                ("fragments", 2),
                ("fragment_labels", kinds),
                ("candidates", most),
                ("candidate_labels", kinds),
            ):
                values = np.asarray(row[name], np.int64).reshape(-1, shape)
                made[name][i, : len(values)] = values
            a, b = np.asarray(row["links"], np.int64).reshape(-1, 2).T
            made["links"][i, a, b] = made["links"][i, b, a] = 1
        return {name: torch.from_numpy(array) for name, array in made.items()}

    def module(self, hidden_size: int) -> HeadModule:
        """The trainable module; the same number of parameters for every arm."""
        from bench.heads.span_module import SpanModule

        return SpanModule(hidden_size, self._fitted(), self.width, self.fragments, self.cap, self.floor)

    def decode(self, window: Window, prediction: Sequence[Accepted]) -> tuple[Mention, ...]:
        """Mentions from accepted candidates.

        Args:
            window: the tokenized window.
            prediction: see `Accepted`.
        """
        found = {(parts, kind): sure for parts, kind, sure in prediction}
        return in_order(
            [Mention(characters_of(window, parts), self.labels[kind], confidence=sure) for (parts, kind), sure in found.items()]
        )

    def proposals(self, window: Window, prediction: Found) -> Proposals:
        """Fragments, links and candidates of a window.

        Args:
            window: the tokenized window.
            prediction: with what was proposed.
        """
        proposed = prediction.proposed
        places = characters_of(window, tuple(proposed.fragments))
        return Proposals(
            frozenset(places),
            frozenset((min(places[a], places[b]), max(places[a], places[b])) for a, b in proposed.links),
            frozenset(tuple(sorted(places[i] for i in clique)) for clique in proposed.candidates),
        )

    def oracle(self, encoding: Encoding) -> Found:
        """What a perfect module gives: gold fragments and links propose, and the gold verdicts accept."""
        columns, kinds, most = encoding.columns, len(self.labels), self.fragments
        spans = rows_of(columns["fragments"], 2)
        accepted = {
            tuple(i for i in clique if i >= 0): [kind for kind, yes in enumerate(verdict) if yes]
            for clique, verdict in zip(
                rows_of(columns["candidates"], most), rows_of(columns["candidate_labels"], kinds), strict=True
            )
        }
        links = rows_of(columns["links"], 2)
        proposed = cliques(len(spans), links, most, self.cap)
        found = ((tuple(spans[i] for i in clique), kind, 1.0) for clique in proposed for kind in accepted.get(clique, ()))
        return Found(found, Proposed(spans, links, proposed))

    def _fitted(self) -> Rates:
        if self.rates is None:
            raise RuntimeError("SpanClassificationHead: call fit() with the training documents first.")
        return self.rates


def rows_of(flat: Sequence[int], width: int) -> list[Any]:
    """A flat column as tuples of `width` numbers."""
    return [tuple(flat[i : i + width]) for i in range(0, len(flat), width)]
