"""Calibration of confidences: expected calibration error, reliability bins, and abstention curves.

A prediction is right where gold has exactly the same: fragments and label of a mention (concepts do not count, since they are
looked up), ends and label of a relation, the class of a document, the relevance of a passage. Only predictions have a
confidence, so that calibration says nothing about missed gold; the abstention curve gives recall besides precision.

Over bins b of n predictions, with mean confidence c_b and share right a_b, the expected calibration error is
Σ_b n_b/n · |a_b − c_b|. Bins are [low, high), the last one closed, as in torchmetrics; NumPy suffices, so that results can be
read without torch.

Sources: Naeini et al. 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning"; Guo et al. 2017, arXiv
1706.04599 (15 bins of equal width); Nguyen & O'Connor 2015, arXiv 1508.05154 (bins of equal mass, none of them nearly empty);
El-Yaniv & Wiener 2010, JMLR 11 (abstention); Geifman & El-Yaniv 2017, arXiv 1705.08500 (its area).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from bench.api.data import Document
from bench.api.head import Gold

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

BINS = 15
POINTS = 20
"""Points of the abstention curve."""

Width = Literal["equal_width", "equal_mass"]


@dataclass(frozen=True)
class Outcomes:
    """Predictions of one kind with their confidences.

    Args:
        confidence: in [0, 1], one a prediction.
        right: whether gold agrees, one a prediction.
        gold: number of gold annotations; None where every document or passage gets one answer.
        sure: confidence in the decision, where it differs from `confidence`: a passage with a low probability of relevance is
            a confident decision against it.
        decided: whether that decision was right.
    """

    confidence: tuple[float, ...]
    right: tuple[bool, ...]
    gold: int | None = None
    sure: tuple[float, ...] | None = None
    decided: tuple[bool, ...] | None = None


def calibration(gold: Sequence[Document], predicted: Sequence[Document], predicts: Collection[Gold] = ()) -> dict[str, Any]:
    """Calibration and abstention for every kind of prediction with a confidence.

    Args:
        gold: with annotations, and passages where those are ranked.
        predicted: matched by id; a missing document has no predictions.
        predicts: what the head predicts, which tells one class a document from several, and from ratings.

    Returns:
        ``mentions``, ``relations``, ``classes``, ``labels`` or ``passages`` to `describe`.
    """
    return {kind: describe(predictions) for kind, predictions in outcomes(gold, predicted, predicts).items()}


def describe(predictions: Outcomes) -> dict[str, Any]:
    """Figures for one kind of prediction, as JSON: ``predictions`` (their number), share ``right``, mean ``confidence``,
    ``brier``, ``ece`` and ``reliability`` by kind of bins, and ``abstention``.
    """
    import numpy as np

    confidence, right = _arrays(predictions.confidence, predictions.right)
    figures: dict[str, Any] = {
        "predictions": len(confidence),
        "right": float(right.mean()),
        "confidence": float(confidence.mean()),
        "brier": float(np.square(confidence - right).mean()),
        "ece": {},
        "reliability": {},
    }
    kinds: tuple[Width, ...] = ("equal_width", "equal_mass")
    for width in kinds:
        rows = reliability(predictions.confidence, predictions.right, width)
        figures["ece"][width] = expected_error(rows)
        figures["reliability"][width] = rows
    sure, decided = predictions.sure or predictions.confidence, predictions.decided or predictions.right
    return figures | {"abstention": abstention(sure, decided, predictions.gold)}


def outcomes(gold: Sequence[Document], predicted: Sequence[Document], predicts: Collection[Gold] = ()) -> dict[str, Outcomes]:
    """Kind to its predictions, compared with gold; kinds without a confidence are left out. Arguments as of `calibration`."""
    answers = {document.id: document for document in predicted}
    pairs = [(document, answers.get(document.id, Document(document.id, ""))) for document in gold]
    mentions = [
        (m.confidence, m.key in gold_keys)
        for truth, answer in pairs
        for gold_keys in [{m.key for m in truth.mentions}]
        for m in {m.key: m for m in answer.mentions}.values()
        if m.confidence is not None
    ]
    relations = [
        (r.confidence, r in truth.relations)
        for truth, answer in pairs
        for r in dict.fromkeys(answer.relations)
        if r.confidence is not None
    ]
    by_kind = {
        "mentions": _outcomes(mentions, sum(len({m.key for m in truth.mentions}) for truth, _ in pairs)),
        "relations": _outcomes(relations, sum(len(set(truth.relations)) for truth, _ in pairs)),
        **_judged(pairs, predicts),
    }
    return {kind: predictions for kind, predictions in by_kind.items() if predictions is not None}


def reliability(confidence: Sequence[float], right: Sequence[bool], width: Width, bins: int = BINS) -> list[dict[str, float]]:
    """The bins of a reliability diagram, empty ones left out.

    Args:
        confidence: in [0, 1].
        right: one a confidence.
        width: bins of equal width over [0, 1]; or of equal mass, where equal confidences are in the same bin.
        bins: most bins.

    Returns:
        For each bin ``low`` and ``high`` (for equal mass the least and the greatest confidence), ``count``, mean
        ``confidence`` and share ``right``.
    """
    import numpy as np

    values, hits = _arrays(confidence, right)
    order = np.argsort(values, kind="stable")
    values, hits = values[order], hits[order]
    if width == "equal_width":
        inner = np.searchsorted(values, np.linspace(0, 1, bins + 1)[1:-1], side="left")
    else:
        starts = [len(values) * n // bins for n in range(1, bins)]
        inner = np.searchsorted(values, values[starts], side="left") if len(values) else np.zeros(bins - 1, np.int64)
    cuts = [0, *inner.tolist(), len(values)]
    rows = []
    for n, (first, end) in enumerate(pairwise(cuts)):
        if end > first:
            part = values[first:end]
            low, high = (n / bins, (n + 1) / bins) if width == "equal_width" else (float(part[0]), float(part[-1]))
            rows.append(
                {
                    "low": low, "high": high, "count": end - first,
                    "confidence": float(part.mean()), "right": float(hits[first:end].mean()),
                }
            )  # fmt: skip
    return rows


def expected_error(rows: Sequence[Mapping[str, float]]) -> float | None:
    """The expected calibration error of reliability bins; None where there are none."""
    total = sum(row["count"] for row in rows)
    return sum(row["count"] * abs(row["right"] - row["confidence"]) for row in rows) / total if total else None


def abstention(
    confidence: Sequence[float], right: Sequence[bool], gold: int | None = None, points: int = POINTS
) -> dict[str, Any]:
    """The abstention curve: quality when only the most confident predictions are kept.

    Args:
        confidence: of each prediction.
        right: one a prediction.
        gold: number of gold annotations, for recall; None where recall has no meaning.
        points: of the curve, at evenly spaced coverages.

    Returns:
        ``curve``: for each point ``coverage`` (share of predictions kept; equal confidences are kept together, so that it may
        exceed the intended one), ``threshold`` (least confidence kept), ``right`` (share of those kept), and with `gold`
        ``recall`` and ``f1``. ``risk_area``: mean share wrong over all coverages, lower is better; None without a prediction.
    """
    import numpy as np

    values, hits = _arrays(confidence, right)
    if not len(values):
        return {"curve": [], "risk_area": None}
    levels, group = np.unique(-values, return_inverse=True)
    size = np.bincount(group)
    shared = np.bincount(group, weights=hits) / size
    kept = np.cumsum(size)
    cumulated = np.cumsum(np.repeat(shared, size))
    curve = []
    for level in np.unique(np.searchsorted(kept, [math.ceil(len(values) * n / points) for n in range(1, points + 1)])):
        count, good = int(kept[level]), float(cumulated[kept[level] - 1])
        point = {"coverage": count / len(values), "threshold": float(-levels[level]), "right": good / count}
        if gold is not None:
            point |= {"recall": good / gold if gold else 0.0, "f1": 2 * good / (count + gold)}
        curve.append(point)
    return {"curve": curve, "risk_area": float(1 - (cumulated / np.arange(1, len(values) + 1)).mean())}


def _arrays(confidence: Sequence[float], right: Sequence[bool]) -> tuple[Array, Array]:
    import numpy as np

    return np.asarray(confidence, np.float64), np.asarray(right, np.float64)


def _outcomes(predictions: Sequence[tuple[float | None, bool]], gold: int | None) -> Outcomes | None:
    known = [(sure, hit) for sure, hit in predictions if sure is not None]
    return Outcomes(tuple(sure for sure, _ in known), tuple(hit for _, hit in known), gold) if known else None


def _classes(truth: Document, answer: Document) -> Iterable[tuple[float, bool]]:
    ranked = {passage.id for passage in truth.passages}
    chosen = {j.name for j in truth.judgements if j.chosen}
    if chosen and not ranked & {j.name for j in truth.judgements}:
        yield from ((j.score, j.name in chosen) for j in answer.judgements if j.chosen)


def _judged(pairs: Sequence[tuple[Document, Document]], predicts: Collection[Gold]) -> Mapping[str, Outcomes | None]:
    """What is said of whole documents and of passages; a rating has no confidence."""
    if "ratings" in predicts:
        return {}
    if "labels" in predicts:
        return {"labels": _labels(pairs)}
    return {
        "classes": _outcomes([pair for truth, answer in pairs for pair in _classes(truth, answer)], None),
        "passages": _passages(pairs),
    }


def _labels(pairs: Sequence[tuple[Document, Document]]) -> Outcomes | None:
    """Every class of documents that may have any number of them."""
    said = [
        (j.score, yes, max(j.score, 1 - j.score), j.chosen == yes)
        for truth, answer in pairs
        for chosen in [{j.name for j in truth.judgements if j.chosen}]
        for j in answer.judgements
        for yes in [j.name in chosen]
    ]
    if not said:
        return None
    probability, right, sure, decided = zip(*said, strict=True)
    return Outcomes(probability, right, sure=sure, decided=decided)


def _passages(pairs: Sequence[tuple[Document, Document]]) -> Outcomes | None:
    """Relevance of passages; their scores are logits."""
    scores: list[float] = []
    relevant: list[bool] = []
    for truth, answer in pairs:
        ranked = {passage.id for passage in truth.passages}
        known = {j.name: j.chosen for j in truth.judgements if j.name in ranked}
        scores += [j.score for j in answer.judgements if j.name in known]
        relevant += [known[j.name] for j in answer.judgements if j.name in known]
    if not scores:
        return None
    probabilities = [1 / (1 + math.exp(-max(-700.0, score))) for score in scores]
    return Outcomes(
        tuple(probabilities),
        tuple(relevant),
        sure=tuple(max(probability, 1 - probability) for probability in probabilities),
        decided=tuple((score > 0) == yes for score, yes in zip(scores, relevant, strict=True)),
    )
