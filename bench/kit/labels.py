"""Tasks of any number of classes a document: micro F1 over documents and classes, and example-based scores.

``micro`` counts every pair of a document and a class, as BLURB does for HoC; ``macro_f1`` is the mean F1 over classes. For the
example-based scores precision and recall are taken of each document, averaged over the documents that have a class in gold, and
F1 is taken of these two means, as BLUE does. Tests compare the first two with scikit-learn, the third with BLUE's rules.

Sources: Gu et al. 2021, BLURB, arXiv 2007.15779; Peng et al. 2019, BLUE, arXiv 1906.05474.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from bench.api.data import Document, Judgement
from bench.api.task import Scores
from bench.kit.scores import counts, prf, ratio

MICRO = "micro"


def judgements(classes: Sequence[str], chosen: Collection[str]) -> tuple[Judgement, ...]:
    """One judgement a class; those chosen have score 1, the others 0."""
    return tuple(Judgement(name, float(name in chosen), name in chosen) for name in classes)


def chosen_classes(document: Document | None) -> set[str]:
    """The classes of a document."""
    return {judgement.name for judgement in document.judgements if judgement.chosen} if document else set()


def statistics(classes: Sequence[str], gold: Sequence[Document], predicted: Iterable[Document]) -> list[Mapping[str, float]]:
    """Additive statistics of every gold document, in order, by the task's `classes`; predictions are matched by id.

    A document without a prediction has no class.
    """
    predictions = {document.id: document for document in predicted}
    return [document_statistics(classes, chosen_classes(d), chosen_classes(predictions.get(d.id))) for d in gold]


def document_statistics(classes: Sequence[str], gold: Collection[str], predicted: Collection[str]) -> dict[str, float]:
    """Additive statistics of one document from its gold and its predicted classes."""
    row = counts(MICRO, set(gold), set(predicted))
    for name in classes:
        row |= counts(name, {name} & set(gold), {name} & set(predicted))
    right = len(set(gold) & set(predicted))
    row["examples"] = float(bool(gold))
    row["example_precision"] = right / len(predicted) if gold and predicted else 0.0
    row["example_recall"] = right / len(gold) if gold else 0.0
    return row


def summarise(classes: Sequence[str], sums: Mapping[str, Any]) -> Scores:
    """Scores from summed statistics; numbers give numbers, arrays give arrays."""
    by_class = {name: prf(sums, name) for name in classes}
    precision, recall = (ratio(sums[f"example_{name}"], sums["examples"]) for name in ("precision", "recall"))
    return {
        MICRO: prf(sums, MICRO),
        "macro_f1": sum(row["f1"] for row in by_class.values()) / len(classes),
        "example_based": {"precision": precision, "recall": recall, "f1": ratio(2 * precision * recall, precision + recall)},
        "by_class": by_class,
    }
