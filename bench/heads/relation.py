"""The relation head: which of the ordered pairs of given mentions are related, and how.

The mentions are the corpus's own; nothing is lost to where they begin or end. A pair is a candidate where the labels of its
mentions occurred related in training and it is near enough: within one passage, where the documents come with passages (a
loader that wants pairs of one sentence gives its sentences as passages), else within as many words as almost all related
pairs of the training documents are apart. Every candidate gets a yes or no for each label, several included; a pair without
a yes is not related, so negatives need no label.

Sources: a pair as the boundary states of its two mentions, Baldini Soares et al. 2019, "Matching the Blanks", arXiv
1906.03158; all pairs of a window at once over one pass of the encoder, which is cheaper than one marked copy of the text for
each pair, Zhong & Chen 2021, "A Frustratingly Easy Approach for Entity and Relation Extraction", arXiv 2010.12812.

Shapes: batch B, words W, mentions M, pairs of all windows together P, labels of relations L, `SIZE` features D. The module runs
in fp32, whatever the backbone's precision.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from bench.api.data import Document, Fragment, Key, Relation
from bench.api.head import Encoding, Gold, Head, HeadModule, Window
from bench.api.part import Requirement
from bench.errors import DataError
from bench.heads.lazy import F, Module, nn, torch
from bench.heads.tensors import gather_rows, log_odds, probabilities

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Indices = NDArray[np.int64]

SIZE = 128
RARE = 8.0  # weight of a pair: the loss is taken over words, of which a window has twenty times more
_BUCKETS = 14  # of a distance: overlapping mentions, then two for each doubling of the words between

Row = tuple[int, ...]
"""A mention: the index of its label, then start and end of each fragment in characters of the document."""


@dataclass(frozen=True)
class Pairs:
    """What the training documents say about related pairs: which are candidates, and what the biases start from.

    Args:
        labels: of relations, sorted.
        kinds: labels of mentions that take part in relations, sorted.
        types: (source kind, target kind) that occurred related, as indices, sorted.
        reach: most words between the mentions of a candidate; None where passages set the limit.
        fragments: most fragments of a mention.
        candidates: in the training documents.
        related: for each label, how many candidates carry it.
        forward: whether only pairs from the mention that comes first in the text to the other are candidates.
    """

    labels: tuple[str, ...]
    kinds: tuple[str, ...]
    types: tuple[tuple[int, int], ...]
    reach: int | None
    fragments: int
    candidates: int
    related: tuple[int, ...]
    forward: bool = False

    def near(self, kinds: Sequence[int], places: Sequence[Fragment], parts: Sequence[int]) -> tuple[Indices, Indices]:
        """The candidates among the mentions of a text.

        Args:
            kinds: index of each mention's label, -1 for one that takes part in no relation.
            places: first and last word of each mention.
            parts: the passage of each mention, anything where there are none.

        Returns:
            Indices of the sources and of the targets, ascending.
        """
        import numpy as np

        kind = np.asarray(kinds, np.int64)
        first, last = np.asarray(places, np.int64).reshape(-1, 2).T
        related = np.zeros((len(self.kinds) + 1,) * 2, bool)
        related[tuple(np.array(self.types).T)] = True
        near = related[kind[:, None], kind]
        np.fill_diagonal(near, False)
        if self.reach is None:
            part = np.asarray(parts, np.int64)
            near &= part[:, None] == part
        else:
            near &= np.maximum(first[:, None] - last, first - last[:, None]) - 1 <= self.reach
        if self.forward:
            near &= (first[:, None] < first) | ((first[:, None] == first) & (last[:, None] <= last))
        source, target = near.nonzero()
        return source, target


Related = tuple[Row, Row, int, float]
"""A predicted relation: source, target, the index of its label, and how probable the module finds it."""


class RelationExtractionHead(Head):
    """Encodes the candidate pairs of given mentions, and decodes relations.

    Args:
        share: of the related pairs of the training documents that may be candidates, where distance is the limit; the rest,
            which is far apart, would cost more wrong candidates than it brings.
        floor: least probability of a relation that the module hands over; see `Head.floor`.
        forward: whether only pairs from the mention that comes first in the text to the other are candidates, for corpora whose
            relations have no direction and are written so.
    """

    name = "relation"
    version = "1"
    summary = "which pairs of given mentions are related, and how"
    citation = "after Baldini Soares et al. 2019, Matching the Blanks, arXiv:1906.03158"
    licence = "Apache-2.0"
    requires = (Requirement("torch", "bench-suite[train]"),)
    predicts: ClassVar[tuple[Gold, ...]] = ("relations",)
    learning_rate: ClassVar[float] = 1e-3
    facts: ClassVar[type[Pairs]] = Pairs
    """What `fit` learns."""

    def __init__(self, share: float = 0.99, floor: float = 0.05, forward: bool = False) -> None:
        self.share = share
        self.forward = forward
        self.floor: float = floor
        self.pairs: Pairs | None = None

    def fit(self, documents: Sequence[Document]) -> None:
        """Learns labels, which pairs are candidates, and how common each label is among them."""
        from bench.data.windows import words  # its patterns take 9 ms to compile, which listing heads does not need

        related = [(r.source[1], r.target[1], r.label) for d in documents for r in set(d.relations)]
        if not related:
            raise DataError(
                "The training documents hold no relation; a relation head needs at least one.", "Check the task's data folder."
            )
        kinds = tuple(sorted({kind for source, target, _ in related for kind in (source, target)}))
        labels = tuple(sorted({label for _, _, label in related}))
        texts = [Places(d, {key: n for n, key in enumerate(_keys(d))}, words(d.text), kinds) for d in documents]
        apart = sorted(distance for text in texts for distance in text.distances())
        pairs = Pairs(
            labels=labels,
            kinds=kinds,
            types=tuple(sorted({(kinds.index(source), kinds.index(target)) for source, target, _ in related})),
            reach=None if any(d.passages for d in documents) else max(0, apart[math.ceil(self.share * len(apart)) - 1]),
            fragments=max(len(parts) for d in documents for r in d.relations for parts, _ in (r.source, r.target)),
            candidates=0,
            related=(0,) * len(labels),
            forward=self.forward,
        )
        count, carried = 0, Counter[str]()
        for text in texts:
            source, target = pairs.near(text.kinds, text.places, text.parts)
            count += len(source)
            there = set(zip(source.tolist(), target.tolist(), strict=True))
            carried.update(label for start, end, label in text.relations() if (start, end) in there)
        self.pairs = replace(pairs, candidates=count, related=tuple(carried[label] for label in labels))

    def state(self) -> dict[str, Any]:
        """Labels, types of pairs, their reach and the counts behind the priors."""
        return {k: list(map(list, v)) if k == "types" else v for k, v in asdict(self.fitted()).items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back a `state`."""
        facts: dict[str, Any] = {k: tuple(v) if isinstance(v, list | tuple) else v for k, v in state.items()}
        facts["types"] = tuple((int(source), int(target)) for source, target in state["types"])
        self.pairs = self.facts(**facts)

    def encode(self, window: Window, gold: Document) -> Encoding:
        """Gold of a window.

        Columns, flat, L labels of relations, K most fragments: ``mentions`` (n, 1 + 2K) the index of the label (-1 for one
        that takes part in no relation), then start and end of each fragment in characters of the document, -1 where there are
        fewer; ``places`` (n, 2) first and last word; ``pairs`` (p, 2) indices of source and target; ``targets`` (p, L) 0/1.
        Relations that are no candidate are lost: to ``label``, ``pair`` (labels of mentions that never occurred related),
        ``cap`` (fragments), ``direction``, ``distance`` or ``passage``. Words are what is counted as supervised: windows hold
        anything from no pair to dozens, and a mean over pairs would let those of an update that happens to hold few weigh the
        most.
        """
        pairs = self.fitted()
        known = [key for key in _keys(gold) if len(key[0]) <= pairs.fragments]
        text = Places(gold, {key: n for n, key in enumerate(known)}, window.words, pairs.kinds)
        source, target = pairs.near(text.kinds, text.places, text.parts)
        row = {pair: n for n, pair in enumerate(zip(source.tolist(), target.tolist(), strict=True))}
        targets = [[0] * len(pairs.labels) for _ in row]
        lost: Counter[str] = Counter()
        for relation in dict.fromkeys(gold.relations):
            ends = text.index.get(relation.source, -1), text.index.get(relation.target, -1)
            if relation.label not in pairs.labels:
                lost["label"] += 1
            elif -1 in ends:
                lost["cap"] += 1
            elif ends in row:
                targets[row[ends]][pairs.labels.index(relation.label)] = 1
            elif (text.kinds[ends[0]], text.kinds[ends[1]]) not in pairs.types or ends[0] == ends[1]:
                lost["pair"] += 1
            elif pairs.forward and text.places[ends[0]] > text.places[ends[1]]:
                lost["direction"] += 1
            else:
                lost["passage" if pairs.reach is None else "distance"] += 1
        blank = (-1,) * (2 * pairs.fragments)
        return Encoding(
            columns={
                "mentions": [
                    value
                    for (fragments, _), kind in zip(known, text.kinds, strict=True)
                    for value in (kind, *(*(end for part in fragments for end in part), *blank)[: len(blank)])
                ],
                "places": [word for place in text.places for word in place],
                "pairs": [end for pair in row for end in pair],
                "targets": [value for values in targets for value in values],
            },
            supervised=len(window.words),
            lost=lost,
        )

    def collate(self, rows: Sequence[Mapping[str, Sequence[int]]], words: int) -> dict[str, Tensor]:
        """Joins the windows' columns; M most mentions of a window, P pairs of all windows together.

        Returns:
            ``mentions`` (batch, M, 1 + 2K) and ``places`` (batch, M, 2), padded with -1 and 0; ``pairs`` (P, 3) window, source
            and target; ``targets`` (P, L) of 0 and 1.
        """
        import numpy as np

        facts = self.fitted()
        wide, labels = 1 + 2 * facts.fragments, len(facts.labels)
        most = max(1, *(len(row["places"]) // 2 for row in rows))
        mentions = np.full((len(rows), most, wide), -1, np.int64)
        places = np.zeros((len(rows), most, 2), np.int64)
        pairs, targets = [], []
        for i, row in enumerate(rows):
            for padded, name in ((mentions, "mentions"), (places, "places")):
                values = np.asarray(row[name], np.int64).reshape(-1, padded.shape[2])
                padded[i, : len(values)] = values
            ends = np.asarray(row["pairs"], np.int64).reshape(-1, 2)
            pairs.append(np.insert(ends, 0, i, axis=1))
            targets.append(np.asarray(row["targets"], np.float32).reshape(-1, labels))
        made_pairs, made_targets = np.concatenate(pairs), np.concatenate(targets)
        arrays = {"mentions": mentions, "places": places, "pairs": made_pairs, "targets": made_targets}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def module(self, hidden_size: int) -> RelationModule:
        """The trainable module."""
        return RelationModule(hidden_size, self.fitted(), self.floor)

    def decode(self, window: Window, prediction: Sequence[Related]) -> tuple[Relation, ...]:
        """Relations from pairs.

        Args:
            window: the tokenized window.
            prediction: see `Related`.
        """
        labels = self.fitted().labels
        relations = (Relation(self._key(a), self._key(b), labels[kind], sure) for a, b, kind, sure in prediction)
        return tuple(dict.fromkeys(relations))

    def oracle(self, encoding: Encoding) -> list[Related]:
        """The gold relations among the candidates."""
        facts, columns = self.fitted(), encoding.columns
        wide, count = 1 + 2 * facts.fragments, len(facts.labels)
        mentions = [trimmed(columns["mentions"][i : i + wide]) for i in range(0, len(columns["mentions"]), wide)]
        return [
            (mentions[columns["pairs"][2 * pair]], mentions[columns["pairs"][2 * pair + 1]], label, 1.0)
            for pair, label in (divmod(at, count) for at, yes in enumerate(columns["targets"]) if yes)
        ]

    def fitted(self) -> Pairs:
        """What `fit` learned."""
        if self.pairs is None:
            raise RuntimeError("RelationExtractionHead: call fit() with the training documents first.")
        return self.pairs

    def _key(self, row: Row) -> Key:
        return tuple(zip(row[1::2], row[2::2], strict=True)), self.fitted().kinds[row[0]]


def trimmed(row: Sequence[int]) -> Row:
    """A mention's row without what fills it up."""
    return (row[0], *(value for value in row[1:] if value >= 0))


def _keys(document: Document) -> Iterable[Key]:
    return dict.fromkeys(mention.key for mention in document.mentions)


class Places:
    """Mentions of a text as numbers: labels, words, passages."""

    def __init__(self, document: Document, index: Mapping[Key, int], spans: Sequence[Fragment], kinds: Sequence[str]) -> None:
        self.document, self.index = document, index
        number = {kind: i for i, kind in enumerate(kinds)}
        ends = [end for _, end in spans]
        opens = [passage.span[0] for passage in document.passages]
        self.kinds = [number.get(kind, -1) for _, kind in index]
        self.places = [(_word(ends, parts[0][0]), _word(ends, parts[-1][1] - 1)) for parts, _ in index]
        within = [(bisect_right(opens, parts[0][0]), bisect_right(opens, parts[-1][1] - 1)) for parts, _ in index]
        # A mention that crosses into another passage is near nothing.
        self.parts = [first if first == last else -1 - n for n, (first, last) in enumerate(within)]

    def relations(self) -> list[tuple[int, int, str]]:
        """Source, target and label of the relations between known mentions."""
        return [
            (self.index[r.source], self.index[r.target], r.label)
            for r in dict.fromkeys(self.document.relations)
            if r.source in self.index and r.target in self.index
        ]

    def distances(self) -> list[int]:
        """Words between source and target of each relation; negative where they overlap."""
        ends = [(self.places[source], self.places[target]) for source, target, _ in self.relations()]
        return [max(target[0] - source[1], source[0] - target[1]) - 1 for source, target in ends]


def _word(ends: Sequence[int], character: int) -> int:
    """The word that holds a character, or the next one."""
    return min(bisect_right(ends, character), max(len(ends) - 1, 0))


class RelationModule(HeadModule, Module):
    """Scores every candidate pair: both mentions at their ends, the words between, how far apart and which comes first.

    Args:
        hidden_size: of the backbone.
        facts: measured on the training documents; the biases start from them.
        floor: least probability of a relation that is predicted.
    """

    def __init__(self, hidden_size: int, facts: Pairs, floor: float = 0.5) -> None:
        super().__init__()
        self.least = math.log(floor / (1 - floor))
        self.project = nn.Linear(hidden_size, SIZE)
        self.norm = nn.LayerNorm(SIZE)
        self.start = nn.Linear(SIZE, SIZE)
        self.end = nn.Linear(SIZE, SIZE, bias=False)
        self.kinds = nn.Embedding(len(facts.kinds), SIZE)
        self.source = nn.Linear(SIZE, SIZE)
        self.target = nn.Linear(SIZE, SIZE, bias=False)
        self.both = nn.Linear(SIZE, SIZE, bias=False)
        self.gap = nn.Linear(SIZE, SIZE, bias=False)
        self.distances = nn.Embedding(2 * _BUCKETS, SIZE)
        self.mix = nn.Linear(SIZE, SIZE)
        self.label = nn.Linear(SIZE, len(facts.labels))
        for table in (self.kinds, self.distances):
            nn.init.normal_(table.weight, std=0.1)
        nn.init.normal_(self.label.weight, std=0.02)
        with torch.no_grad():
            self.label.bias.copy_(torch.tensor([log_odds(count, facts.candidates) for count in facts.related]))

    def loss(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Binary cross-entropy of every label of every candidate, weighted and summed.

        Args:
            hidden: (batch, seq, hidden).
            batch: see `HeadModule` and `RelationExtractionHead.collate`.
        """
        logits = self.logits(hidden, batch)
        return RARE * F.binary_cross_entropy_with_logits(logits, batch["targets"].to(logits), reduction="sum")

    def predict(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> list[list[Related]]:
        """The relations of each window from `floor` on; see `Related`."""
        with torch.no_grad():
            logits = self.logits(hidden, batch)
        pair, kind = (logits > self.least).nonzero().unbind(1)
        ends, sure = batch["pairs"][pair].tolist(), probabilities(logits[pair, kind]).tolist()
        rows: list[list[list[int]]] = batch["mentions"].tolist()
        related: list[list[Related]] = [[] for _ in rows]
        for (window, source, target), label, chance in zip(ends, kind.tolist(), sure, strict=True):
            related[window].append((trimmed(rows[window][source]), trimmed(rows[window][target]), label, chance))
        return related

    def logits(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Logits (P, L) of the candidates.

        Args:
            hidden: (batch, seq, hidden).
            batch: ``first``, ``last``, ``word_mask`` (B, W); ``places`` (B, M, 2); ``pairs`` (P, 3); of ``mentions``
                (B, M, …) the first column is read.
        """
        with torch.autocast(hidden.device.type, enabled=False):
            tokens = self.norm(self.project(hidden.float()))
            first, last = (gather_rows(tokens, batch[name]) for name in ("first", "last"))
            sums = F.pad(((first + last) / 2 * batch["word_mask"].bool()[..., None]).cumsum(1), (0, 0, 1, 0))
            begin, stop = batch["places"].unbind(-1)
            kinds = self.kinds(batch["mentions"][..., 0].clamp(min=0))
            mentions = F.gelu(self.start(gather_rows(first, begin)) + self.end(gather_rows(last, stop)) + kinds)

            window, source, target = batch["pairs"].unbind(-1)
            sources, targets = _at(mentions, window, source), _at(mentions, window, target)
            ahead = begin[window, source] <= begin[window, target]
            low = torch.minimum(stop[window, source], stop[window, target]) + 1
            high = torch.maximum(begin[window, source], begin[window, target])
            apart = (high - low).clamp(min=-1)
            between = _at(sums, window, high) - _at(sums, window, torch.minimum(low, high))
            between = between / apart.clamp(min=1)[:, None] * (apart > 0)[:, None]
            bucket = (apart + 1).float().add(1).log2().mul(2).long().clamp(max=_BUCKETS - 1)
            far = self.distances(bucket + _BUCKETS * ahead)
            pair = F.gelu(self.source(sources) + self.target(targets) + self.both(sources * targets) + self.gap(between) + far)
            logits: Tensor = self.label(F.gelu(self.mix(pair)) + pair)
            return logits


def _at(source: Tensor, window: Tensor, index: Tensor) -> Tensor:
    """Rows (P, D) of `source` (B, N, D).

    By way of `embedding`, whose gradient is summed in a fixed order on CPU; that of an index adds in any order where there are
    several threads, and a resumed run would not be the uninterrupted one bit for bit.
    """
    return F.embedding(window * source.shape[1] + index, source.flatten(0, 1))
