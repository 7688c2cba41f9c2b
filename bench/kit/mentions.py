"""Scores of mentions by exact spans and labels: overall, among discontiguous ones, and by type.

A mention is right when all its fragments and its label are. A document's mentions are a set: a repeated one counts once. On
IOB2 tags this equals `seqeval` in strict mode, and tests compare the two; seqeval itself gives figures of a corpus alone,
while intervals need counts that can be summed over any sample of documents.

Source: seqeval, https://github.com/chakki-works/seqeval.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.api.data import Document, Key
from bench.api.task import Scores
from bench.kit.scores import BY_TYPE, by_type, counts, prf, summed


def statistics(
    gold: Sequence[Document], predicted: Iterable[Document], labels: Iterable[str] = ()
) -> list[Mapping[str, float]]:
    """Additive statistics of every gold document, in order; predictions are matched by id, others are ignored.

    A document without a prediction has none of its mentions found. `labels` are types that have a row even where nothing
    carries them.
    """
    predictions = {document.id: document for document in predicted}
    return [_counts(_keys(document), _keys(predictions.get(document.id)), labels) for document in gold]


def summarise(sums: Mapping[str, Any]) -> Scores:
    """``strict``, ``discontiguous`` and ``by_type``, each with counts, precision, recall and F1, from sums of `statistics`."""
    return {"strict": prf(sums, "strict"), "discontiguous": prf(sums, "discontiguous"), "by_type": by_type(sums)}


def score(gold: Sequence[Document], predicted: Iterable[Document], labels: Iterable[str] = ()) -> Scores:
    """Scores of predictions against gold, as `summarise` gives them; arguments as of `statistics`."""
    return summarise(summed(statistics(gold, predicted, labels)))


def as_written(predicted: Document | None, gold: Document) -> Document:
    """Predictions with spans written as in gold's file where the two differ in the order of fragments or in white space alone.

    For official scorers that compare spans as text: a system that predicts words cannot know how the file divides them.
    """
    if predicted is None:
        return Document(gold.id, "")
    spans = {mention.fragments: mention.written for mention in gold.mentions if mention.written is not None}
    if not spans:
        return predicted
    return replace(predicted, mentions=tuple(replace(m, written=spans.get(m.fragments)) for m in predicted.mentions))


def _keys(document: Document | None) -> set[Key]:
    return {mention.key for mention in document.mentions} if document else set()


def _counts(gold: set[Key], predicted: set[Key], labels: Iterable[str]) -> dict[str, float]:
    row = counts("strict", gold, predicted)
    row |= counts("discontiguous", *({key for key in keys if len(key[0]) > 1} for keys in (gold, predicted)))
    for label in sorted({*labels, *(key[1] for key in gold | predicted)}):
        row |= counts(f"{BY_TYPE}{label}", *({key for key in keys if key[1] == label} for keys in (gold, predicted)))
    return row
