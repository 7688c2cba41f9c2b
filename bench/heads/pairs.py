"""The pair head: which pairs of a document's concepts are related, whichever of their mentions say so.

The mentions are the corpus's own, with their concepts. The document is one window, cut at the end where it is too long. A pair
of concepts is a candidate where mentions of both lie in the window, with labels that occurred related in training. Every pair
of their mentions gets a score from the relation head's module (`bench.heads.relation`), however far apart; the logarithm of the
summed exponentials of these is the score of the two concepts. A pair of concepts without a yes is not related.

Source: Verga, Strubell & McCallum 2018, "Simultaneously Self-Attending to All Mentions for Full-Abstract Biological Relation
Extraction", arXiv 1802.10569.

Shapes: batch B, pairs of mentions of all windows P, pairs of concepts of all windows Q, most pairs of mentions of one pair of
concepts K, labels L.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, ClassVar, cast

from bench.api.data import Document, Fragment, Key, Mention
from bench.api.head import Cut, Encoding, Gold, Window
from bench.errors import DataError
from bench.heads.lazy import F, torch
from bench.heads.relation import Pairs, Places, Related, RelationExtractionHead, RelationModule, Row
from bench.heads.tensors import NEVER, probabilities

if TYPE_CHECKING:
    from torch import Tensor

ANYWHERE = 1 << 30
"""Most words between two mentions of a candidate: no limit."""
_SOURCE_ENDS, _TARGET_ENDS = 0x110000, 0x110001
"""What stands after the source and after the target in the column of concepts: beyond the code points of Unicode."""


@dataclass(frozen=True)
class ConceptPairs(Pairs):
    """What the training documents say about related concepts; candidates are pairs of concepts.

    Args:
        spread: mean logarithm of the number of pairs of mentions that a candidate has.
    """

    spread: float = 0.0


class ConceptPairHead(RelationExtractionHead):
    """Encodes the candidate pairs of a document's concepts, and decodes relations between concepts."""

    name = "pairs"
    summary = "which pairs of a document's concepts are related, whichever mentions say so"
    citation = "as in Verga et al. 2018, full-abstract relation extraction, arXiv:1802.10569"
    predicts: ClassVar[tuple[Gold, ...]] = ("pairs",)
    cuts: ClassVar[Cut] = "whole"
    facts: ClassVar[type[Pairs]] = ConceptPairs

    def fit(self, documents: Sequence[Document]) -> None:
        """Learns labels, which labels of mentions are related, and how common each label is among the candidates.

        Raises:
            DataError: no mentions carry the concepts of any relation.
        """
        from bench.data.windows import words  # its patterns take 9 ms to compile, which listing heads does not need

        types = {
            (first.label, second.label)
            for document in documents
            for ends in {(r.source[1], r.target[1]) for r in document.relations}
            for first in _named(document, ends[0])
            for second in _named(document, ends[1])
        }
        if not types:
            raise DataError(
                "The training documents hold no relation whose concepts have mentions; a pair head needs at least one.",
                "Check the task's data folder.",
            )
        kinds = tuple(sorted({kind for pair in types for kind in pair}))
        labels = tuple(sorted({r.label for d in documents for r in d.relations}))
        indices = tuple(sorted((kinds.index(source), kinds.index(target)) for source, target in types))
        facts = ConceptPairs(labels, kinds, indices, ANYWHERE, 0, 0, (0,) * len(labels))
        sizes: list[float] = []
        carried: Counter[str] = Counter()
        for document in documents:
            candidates = _Candidates(document, words(document.text), facts)
            sizes += [math.log(len(members)) for members in candidates.members.values()]
            carried.update(r.label for r in set(document.relations) if (r.source[1], r.target[1]) in candidates.members)
        related = tuple(carried[label] for label in labels)
        self.pairs = ConceptPairs(labels, kinds, indices, ANYWHERE, 0, len(sizes), related, spread=round(fmean(sizes), 6))

    def encode(self, window: Window, gold: Document) -> Encoding:
        """Gold of a document, of the mentions that lie in its window.

        Columns, flat: ``mentions`` (n) the index of the label, -1 for one that takes part in no relation; ``places`` (n, 2)
        first and last word; ``pairs`` (p, 2) indices of source and target, each a pair of mentions; of the q candidates, in
        the order of their concepts, ``sizes`` (q) the number of pairs of mentions, ``members`` these pairs, ``concepts`` the
        code points of both names, and ``targets`` (q, L) 0/1. Relations that are no candidate are lost: to ``label``,
        ``mention`` (no mention has the concept), ``window`` (those that have it lie behind the end), or ``pair`` (labels that
        never occurred related). Words are what is counted as supervised, as in the relation head.
        """
        facts = self.fitted()
        candidates = _Candidates(gold, window.words, facts)
        order = sorted(candidates.members)
        everywhere = {concept for mention in gold.mentions for concept in mention.concepts}
        within = {concept for concepts in candidates.concepts for concept in concepts}
        carried: dict[tuple[str, str], set[str]] = {}
        lost: Counter[str] = Counter()
        for relation in dict.fromkeys(gold.relations):
            ends = relation.source[1], relation.target[1]
            if relation.label not in facts.labels:
                lost["label"] += 1
            elif ends in candidates.members:
                carried.setdefault(ends, set()).add(relation.label)
            elif not everywhere.issuperset(ends):
                lost["mention"] += 1
            else:
                lost["pair" if within.issuperset(ends) else "window"] += 1
        text = candidates.text
        return Encoding(
            columns={
                "mentions": list(text.kinds),
                "places": [word for place in text.places for word in place],
                "pairs": [end for pair in candidates.pairs for end in pair],
                "sizes": [len(candidates.members[ends]) for ends in order],
                "members": [pair for ends in order for pair in candidates.members[ends]],
                "concepts": [
                    *(code for ends in order for code in (*map(ord, ends[0]), _SOURCE_ENDS, *map(ord, ends[1]), _TARGET_ENDS))
                ],
                "targets": [int(label in carried.get(ends, ())) for ends in order for label in facts.labels],
            },
            supervised=len(window.words),
            lost=lost,
        )

    def collate(self, rows: Sequence[Mapping[str, Sequence[int]]], words: int) -> dict[str, Tensor]:
        """Joins the windows' columns; N most code points of a pair of names.

        Returns:
            What the relation head gives, ``targets`` being (Q, L); ``members`` (Q, K) rows of ``pairs``, filled up with -1;
            ``owner`` (Q) the window; ``concepts`` (Q, N) code points, filled up with 0.
        """
        import numpy as np

        batch = super().collate(rows, words)
        members: list[Sequence[int]] = []
        names: list[Sequence[int]] = []
        owner: list[int] = []
        before = 0
        for window, row in enumerate(rows):
            at = 0
            for size in row["sizes"]:
                members.append([before + pair for pair in row["members"][at : at + size]])
                owner.append(window)
                at += size
            names += _split(row["concepts"])
            before += len(row["pairs"]) // 2
        for name, lists, blank in (("members", members, -1), ("concepts", names, 0)):
            filled = np.full((len(lists), max(1, *map(len, lists), 1)), blank, np.int64)
            for i, values in enumerate(lists):
                filled[i, : len(values)] = values
            batch[name] = torch.from_numpy(filled)
        return batch | {"owner": torch.tensor(owner, dtype=torch.long)}

    def module(self, hidden_size: int) -> ConceptPairModule:
        """The trainable module."""
        return ConceptPairModule(hidden_size, cast(ConceptPairs, self.fitted()), self.floor)

    def oracle(self, encoding: Encoding) -> list[Related]:
        """The gold relations among the candidates."""
        names, count = _split(encoding.columns["concepts"]), len(self.fitted().labels)
        chosen = [divmod(at, count) for at, yes in enumerate(encoding.columns["targets"]) if yes]
        return [(*_ends(names[pair]), label, 1.0) for pair, label in chosen]

    def _key(self, row: Row) -> Key:
        return (), "".join(map(chr, row))


class _Candidates:
    """The candidate pairs of a document's concepts, by the mentions that lie in its window.

    Attributes:
        concepts: of each mention of the window.
        text: its mentions as numbers.
        pairs: pairs of mentions, each the indices of source and target.
        members: source and target to the indices of their `pairs`.
    """

    def __init__(self, document: Document, spans: Sequence[Fragment], facts: Pairs) -> None:
        end = spans[-1][1] if spans else 0
        inside = {m.key: m for m in document.mentions if m.fragments[-1][1] <= end and m.concepts}
        self.concepts = [mention.concepts for mention in inside.values()]
        self.text = Places(document, {key: n for n, key in enumerate(inside)}, spans, facts.kinds)
        source, target = facts.near(self.text.kinds, self.text.places, self.text.parts)
        self.pairs: list[tuple[int, int]] = list(zip(source.tolist(), target.tolist(), strict=True))
        self.members: dict[tuple[str, str], list[int]] = {}
        for at, (first, second) in enumerate(self.pairs):
            for ends in {(a, b) for a in self.concepts[first] for b in self.concepts[second] if a != b}:
                self.members.setdefault(ends, []).append(at)


class ConceptPairModule(RelationModule):
    """Scores every candidate pair of concepts by all pairs of their mentions.

    Args:
        hidden_size: of the backbone.
        facts: measured on the training documents; the biases start from them, less what pooling adds.
        floor: least probability of a relation that is predicted.
    """

    def __init__(self, hidden_size: int, facts: ConceptPairs, floor: float = 0.5) -> None:
        super().__init__(hidden_size, facts, floor)
        with torch.no_grad():
            self.label.bias.sub_(facts.spread)

    def predict(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> list[list[Related]]:
        """The relations of each window from `floor` on; an end is the code points of a concept."""
        with torch.no_grad():
            logits = self.logits(hidden, batch)
        pair, kind = (logits > self.least).nonzero().unbind(1)
        related: list[list[Related]] = [[] for _ in range(len(batch["input_ids"]))]
        owners, names = batch["owner"][pair].tolist(), batch["concepts"][pair].tolist()
        sure = probabilities(logits[pair, kind]).tolist()
        for window, name, label, chance in zip(owners, names, kind.tolist(), sure, strict=True):
            related[window].append((*_ends(name), label, chance))
        return related

    def logits(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Logits (Q, L) of the candidates.

        Args:
            hidden: (batch, seq, hidden).
            batch: as of the relation head's module; ``members`` (Q, K).
        """
        scores = super().logits(hidden, batch)
        if not scores.shape[0]:  # a window without a pair of mentions has no pair of concepts; `len` would fix it in a graph
            return scores
        members = batch["members"]
        # By way of `embedding`, whose gradient is summed in a fixed order on CPU.
        pooled = F.embedding(members.clamp(min=0), scores).masked_fill((members < 0)[..., None], NEVER)
        return pooled.logsumexp(1)


def _named(document: Document, concept: str) -> list[Mention]:
    """The mentions of a concept."""
    return [mention for mention in document.mentions if concept in mention.concepts]


def _split(codes: Sequence[int]) -> list[list[int]]:
    """The code points of each pair of names, their ends included."""
    names: list[list[int]] = [[]]
    for code in codes:
        names[-1].append(code)
        if code == _TARGET_ENDS:
            names.append([])
    return names[:-1]


def _ends(name: Sequence[int]) -> tuple[Row, Row]:
    """The code points of source and target."""
    middle, end = name.index(_SOURCE_ENDS), name.index(_TARGET_ENDS)
    return tuple(name[:middle]), tuple(name[middle + 1 : end])
