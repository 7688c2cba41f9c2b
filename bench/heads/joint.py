"""The joint head: mentions, and the relations between them, from one pass of the base model.

A pipeline inside one head: `SpanClassificationHead` finds mentions, `RelationExtractionHead` relates them. The relation part is
trained on gold mentions and, when predicting, given the mentions that the span part found; its errors are therefore added to
those of the span part, as they would be in two models. An attribute of a mention can be folded into its label (see `written`).

Source: two steps over one text, entities and then relations between predicted entities, as in Zhong & Chen 2021, "A
Frustratingly Easy Approach for Entity and Relation Extraction", arXiv 2010.12812; here both share their encoder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from bench.api.data import Annotation, Document, Fragment, Key, Mention, Relation, in_order
from bench.api.head import Encoding, Gold, Head, HeadModule, Proposals, Window
from bench.api.part import Requirement
from bench.heads.lazy import Module, torch
from bench.heads.mentions import characters_of
from bench.heads.relation import Pairs, RelationExtractionHead, RelationModule
from bench.heads.span import Accepted, Found, SpanClassificationHead
from bench.heads.tensors import probabilities

if TYPE_CHECKING:
    from torch import Tensor

_AT_ONCE = 16384  # pairs that are scored together when predicting: 8 MB for each of their features

Related = tuple[Found, list[tuple[int, int, int, float]]]
"""Mentions, as `SpanClassificationHead` predicts them; relations as the indices of two of them and of a label, with the
probability that the relation holds between the two."""


class MentionRelationHead(Head):
    """Encodes and decodes mentions together with the relations between them.

    Args:
        span: finds mentions.
        relation: relates them.
    """

    name = "joint"
    version = "1"
    summary = "mentions, and the relations between them, from one pass"
    citation = "after Zhong & Chen 2021, arXiv:2010.12812"
    licence = "Apache-2.0"
    requires = (Requirement("torch", "bench-suite[train]"),)
    predicts: ClassVar[tuple[Gold, ...]] = ("mentions", "relations")

    def __init__(self, span: SpanClassificationHead | None = None, relation: RelationExtractionHead | None = None) -> None:
        self.span = span or SpanClassificationHead()
        self.relation = relation or RelationExtractionHead()
        self.floor = self.span.floor

    def written(self, mention: Mention) -> str:
        """The label that the span part learns for a mention; `read` takes it apart again."""
        return mention.label

    def read(self, fragments: tuple[Fragment, ...], written: str) -> Mention:
        """The mention that a predicted label of the span part stands for."""
        return Mention(fragments, written)

    def fit(self, documents: Sequence[Document]) -> None:
        """Learns mentions and relations; see the two parts."""
        self.span.fit([self._folded(document) for document in documents])
        self.relation.fit(documents)

    def state(self) -> dict[str, Any]:
        """The states of both parts."""
        return {"span": self.span.state(), "relation": self.relation.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back a `state`."""
        self.span.restore(state["span"])
        self.relation.restore(state["relation"])

    def encode(self, window: Window, gold: Document) -> Encoding:
        """Gold of a window: the columns of both parts, and ``origin``, the index of each related mention's source among those
        that the span part can reach. A relation of a mention that it cannot reach is lost to ``mention``.
        """
        encoded = self.span.encode(window, self._folded(gold))
        reached: dict[Key, int] = {}
        for index, mention in enumerate(self._mentions(window, self.span.oracle(encoded))):
            reached.setdefault(mention.key, index)
        mentions = tuple({m.key: m for m in gold.mentions if m.key in reached}.values())
        relations = dict.fromkeys(gold.relations)
        reachable = tuple(r for r in relations if r.source in reached and r.target in reached)
        related = self.relation.encode(window, replace(gold, mentions=mentions, relations=reachable))
        lost = Counter(encoded.lost)
        lost.update(related.lost)
        lost["mention"] += len(relations) - len(reachable)
        most = self.relation.fitted().fragments
        origin = [reached[m.key] for m in mentions if len(m.fragments) <= most]
        columns = {**encoded.columns, **related.columns, "origin": origin}
        return Encoding(columns=columns, supervised=encoded.supervised, lost=+lost)

    def collate(self, rows: Sequence[Mapping[str, Sequence[int]]], words: int) -> dict[str, Tensor]:
        """What both parts make of their columns; their names differ."""
        return {**self.span.collate(rows, words), **self.relation.collate(rows, words)}

    def module(self, hidden_size: int) -> HeadModule:
        """The trainable module: those of both parts."""
        kinds = [self.read((), label).label for label in self.span.labels]
        return MentionRelationModule(
            self.span.module(hidden_size), self.relation.module(hidden_size), self.relation.fitted(), kinds
        )

    def decode(self, window: Window, prediction: Related) -> tuple[Annotation, ...]:
        """Mentions and relations. Where one place was given several labels that mean one mention with different attributes,
        the likeliest stands. A relation is right only where both of its mentions are, so that its confidence is the product of
        three probabilities, as if they were independent.
        """
        accepted, pairs = prediction
        mentions = self._mentions(window, accepted)
        likeliest: dict[Key, Mention] = {}
        for i in sorted(range(len(accepted)), key=lambda i: -accepted[i][2]):
            likeliest.setdefault(mentions[i].key, mentions[i])
        labels = self.relation.fitted().labels
        relations: dict[Relation, Relation] = {}
        for a, b, label, sure in sorted(pairs, key=lambda pair: -pair[3] * accepted[pair[0]][2] * accepted[pair[1]][2]):
            chance = round(sure * accepted[a][2] * accepted[b][2], 4)
            relation = Relation(mentions[a].key, mentions[b].key, labels[label], chance)
            if self.floor is None or chance >= self.floor:
                relations.setdefault(relation, relation)
        return (*in_order(tuple(likeliest.values())), *relations.values())

    def proposals(self, window: Window, prediction: Related) -> Proposals | None:
        """What the span part considered."""
        return self.span.proposals(window, prediction[0])

    def oracle(self, encoding: Encoding) -> Related:
        """Gold mentions as the span part reaches them, and the gold relations among the candidates."""
        columns = encoding.columns
        count, origin = len(self.relation.fitted().labels), columns["origin"]
        ends = [origin[mention] for mention in columns["pairs"]]
        chosen = (divmod(at, count) for at, yes in enumerate(columns["targets"]) if yes)
        return self.span.oracle(encoding), [(ends[2 * pair], ends[2 * pair + 1], label, 1.0) for pair, label in chosen]

    def _folded(self, document: Document) -> Document:
        mentions = tuple(replace(m, label=self.written(m)) for m in document.mentions)
        return replace(document, mentions=mentions, relations=())

    def _mentions(self, window: Window, spans: Sequence[Accepted]) -> list[Mention]:
        labels = self.span.labels
        return [replace(self.read(characters_of(window, parts), labels[kind]), confidence=sure) for parts, kind, sure in spans]


class MentionRelationModule(HeadModule, Module):
    """Mentions by one module, relations between them by another.

    Args:
        span: of `SpanClassificationHead`.
        relation: of `RelationExtractionHead`.
        facts: what the relation part measured.
        kinds: for each label of the span part, the label of the mention that it stands for.
    """

    def __init__(self, span: HeadModule, relation: RelationModule, facts: Pairs, kinds: Sequence[str]) -> None:
        super().__init__()
        self.span, self.relation = span, relation
        self.facts = facts
        number = {kind: i for i, kind in enumerate(facts.kinds)}
        self.kinds = [number.get(kind, -1) for kind in kinds]

    def loss(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """The losses of both, summed; the relation part's is over gold mentions."""
        return self.span.loss(hidden, batch) + self.relation.loss(hidden, batch)

    def logits(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor | None:
        """Those of the span part."""
        return self.span.logits(hidden, batch)

    def predict(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> list[Related]:
        """The mentions of each window, and the relations between those."""
        accepted = self.span.predict(hidden, batch)
        most = max(1, *(len(mentions) for mentions in accepted))
        rows, places, pairs = [], [], []
        for window, mentions in enumerate(accepted):
            kinds = [self.kinds[kind] for _, kind, _ in mentions]
            ends = [(parts[0][0], parts[-1][1]) for parts, *_ in mentions]
            source, target = self.facts.near(kinds, ends, [0] * len(ends))
            pairs += [(window, a, b) for a, b in zip(source.tolist(), target.tolist(), strict=True)]
            rows.append([[kind] for kind in kinds] + [[-1]] * (most - len(kinds)))
            places.append([*ends, *[(0, 0)] * (most - len(ends))])
        related: list[Related] = [(mentions, []) for mentions in accepted]
        inputs = {
            **batch,
            "mentions": torch.tensor(rows, device=hidden.device),
            "places": torch.tensor(places, device=hidden.device),
        }
        for low in range(0, len(pairs), _AT_ONCE):
            part = torch.tensor(pairs[low : low + _AT_ONCE], device=hidden.device)
            with torch.no_grad():
                logits = self.relation.logits(hidden, {**inputs, "pairs": part})
            chosen = logits > self.relation.least
            for (pair, label), sure in zip(chosen.nonzero().tolist(), probabilities(logits[chosen]).tolist(), strict=True):
                window, a, b = pairs[low + pair]
                related[window][1].append((a, b, label, sure))
        return related
