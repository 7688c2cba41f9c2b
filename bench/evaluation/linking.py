"""Accuracy of linked concepts: for gold mentions, and for predicted mentions that are right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.api.data import Document, Mention
from bench.data.concepts import ConceptDictionary, Linking, mention_words
from bench.evaluation.small_counts import wilson
from bench.results.evidence import ConceptAccuracy

RANKS = (1, 5, 20)


@dataclass(frozen=True)
class Seen:
    """Texts and concepts of the training mentions.

    Args:
        texts: of the training mentions, by their words in lower case.
        concepts: of the training mentions.
    """

    texts: ConceptDictionary
    concepts: frozenset[str]

    @classmethod
    def of(cls, train: Sequence[Document]) -> Seen:
        """Collects them from training documents."""
        concepts = {mention.concept for document in train for mention in document.mentions}
        return cls(ConceptDictionary().fit(train), frozenset(c for c in concepts if c is not None))


def accuracies(
    gold: Sequence[Document], linking: Linking, seen: Seen, predicted: Sequence[Document] | None = None
) -> ConceptAccuracy:
    """Shares of mentions whose concept is ranked first or high, over those that have one in gold.

    Args:
        gold: documents with text.
        linking: ranks concepts.
        seen: texts and concepts of training.
        predicted: predictions; only gold mentions whose fragments and label were predicted count. None: all count.

    Returns:
        ``mentions``, the number that count; ``accuracy``, the share whose concept is ranked first; the same for mentions whose
        words are those of a training mention (``accuracy_seen``), for the others (``accuracy_unseen``), and for those whose
        concept is not in training (``accuracy_new``); ``unseen`` and ``new``, the numbers of these; ``recall_at_1``,
        ``recall_at_5``, ``recall_at_20``, the share whose concept is among the first so many. Shares are None where no mention
        counts; ``ci95`` has Wilson's interval of each of the others.
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
    judged = {
        "accuracy": first,
        "accuracy_seen": [right for right, flag in zip(first, known, strict=True) if flag],
        "accuracy_unseen": [right for right, flag in zip(first, known, strict=True) if not flag],
        "accuracy_new": [right for right, flag in zip(first, new, strict=True) if flag],
        **{f"recall_at_{rank}": [place < rank for place in places] for rank in RANKS},
    }
    intervals = {name: wilson(sum(right), len(right)) for name, right in judged.items()}
    return ConceptAccuracy(
        mentions=len(places),
        unseen=known.count(False),
        new=sum(new),
        **{name: sum(right) / len(right) if right else None for name, right in judged.items()},
        ci95={name: interval for name, interval in intervals.items() if interval is not None},
    )


def _ranked(
    gold: Sequence[Document], linking: Linking, predicted: Sequence[Document] | None
) -> Iterator[tuple[Document, Mention, tuple[str, ...]]]:
    """Yields gold mentions that count, with their ranked concepts."""
    answers = {document.id: document for document in predicted or ()}
    if predicted is None:
        linking.prepare(gold)
    for document in gold:
        mentions = document.mentions if predicted is None else answers[document.id].mentions
        gold_mentions = {mention.key: mention for mention in document.mentions}
        for mention, ranked in zip(mentions, linking.rank(document, mentions), strict=True):
            if mention.key in gold_mentions:
                yield document, gold_mentions.pop(mention.key), ranked
