"""How well concepts are found: of gold mentions, and of predicted ones that stand in gold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.api.data import Document, Mention
from bench.data.concepts import ConceptDictionary, Linking, mention_words
from bench.results.evidence import ConceptAccuracy

RANKS = (1, 5, 20)


@dataclass(frozen=True)
class Seen:
    """What the training mentions hold.

    Args:
        texts: of the training mentions, by their words in lower case.
        concepts: that some training mention has.
    """

    texts: ConceptDictionary
    concepts: frozenset[str]

    @classmethod
    def of(cls, train: Sequence[Document]) -> Seen:
        """Of training documents."""
        concepts = {mention.concept for document in train for mention in document.mentions}
        return cls(ConceptDictionary().fit(train), frozenset(c for c in concepts if c is not None))


def accuracies(
    gold: Sequence[Document], linking: Linking, seen: Seen, predicted: Sequence[Document] | None = None
) -> ConceptAccuracy:
    """Shares of mentions whose concept is found, over those that have one in gold.

    Args:
        gold: documents with text.
        linking: ranks concepts.
        seen: what training holds.
        predicted: their predictions; every gold mention counts where None, else those whose fragments and label were predicted.

    Returns:
        ``mentions``, how many count; ``accuracy``, share whose concept comes first; the same of mentions whose words are those
        of a training mention (``accuracy_seen``), of the others (``accuracy_unseen``), and of those whose concept no training
        mention has (``accuracy_new``), with ``unseen`` and ``new``, how many those are; ``recall_at_1``, ``recall_at_5``,
        ``recall_at_20``, share whose concept is among the first so many. None where nothing counts.
    """
    known: list[bool] = []
    new: list[bool] = []
    places: list[int] = []
    for document, mention, ranked in _ranked(gold, linking, predicted):
        concept = mention.concept
        if concept is not None:
            known.append(mention_words(document.text, mention) in seen.texts)
            new.append(concept not in seen.concepts)
            places.append(ranked.index(concept) if concept in ranked else max(RANKS))
    first = [place == 0 for place in places]
    return ConceptAccuracy(
        mentions=len(places),
        unseen=known.count(False),
        new=sum(new),
        accuracy=_share(first),
        accuracy_seen=_share([right for right, one in zip(first, known, strict=True) if one]),
        accuracy_unseen=_share([right for right, one in zip(first, known, strict=True) if not one]),
        accuracy_new=_share([right for right, one in zip(first, new, strict=True) if one]),
        **{f"recall_at_{rank}": _share([place < rank for place in places]) for rank in RANKS},
    )


def _ranked(
    gold: Sequence[Document], linking: Linking, predicted: Sequence[Document] | None
) -> Iterator[tuple[Document, Mention, tuple[str, ...]]]:
    """Gold mentions that count, with the concepts that are given to them, the best first."""
    given = {document.id: document for document in predicted or ()}
    if predicted is None:
        linking.prepare(gold)
    for document in gold:
        mentions = document.mentions if predicted is None else given[document.id].mentions
        wanted = {mention.key: mention for mention in document.mentions}
        for mention, ranked in zip(mentions, linking.rank(document, mentions), strict=True):
            if mention.key in wanted:
                yield document, wanted.pop(mention.key), ranked


def _share(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None
