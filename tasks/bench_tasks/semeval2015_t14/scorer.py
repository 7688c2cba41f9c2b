"""Official scores of SemEval-2015 Task 14, reimplemented; tests compare them with outputs of the organisers' scripts.

Task 1: mentions with their concepts, strict and relaxed. Task 2: slots. Further rows: spans alone, discontiguous mentions
alone. The organisers' scripts visit documents and mentions in hash order; here documents are visited by name, and mentions by
their first offset, then span string. Two fragments overlap when neither starts after the other's end, ends inclusive.

Source: Elhadad et al. 2015, https://aclanthology.org/S15-2051/.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from bench.api.data import Fragment
from bench.api.task import Scores
from bench.kit.scores import COUNTS, prf, ratio
from bench_tasks.common.pipe import BODY_LOCATION, CONCEPT_WEIGHT, SLOTS
from bench_tasks.common.pipe_scoring import Annotation, Annotations
from bench_tasks.semeval2015_t14.overlaps import Walk

ROWS = ("strict", "relaxed", "span_only", "discontiguous")
SLOT_NAMES = ("CUI", *(slot.name for slot in SLOTS), BODY_LOCATION.name)


def document_statistics(gold: Annotations, predicted: Annotations) -> dict[str, float]:
    """Additive statistics of one document.

    A document without gold is not scored: its predictions do not count as false positives.

    Args:
        gold: gold annotations by span string.
        predicted: predicted annotations by span string.
    """
    if not gold:
        predicted = {}
    rows = {
        "task1.strict": _sets({(k, a.concept) for k, a in gold.items()}, {(k, a.concept) for k, a in predicted.items()}),
        "task1.relaxed": _relaxed(gold, predicted),
        "task1.span_only": _sets(set(gold), set(predicted)),
        "task1.discontiguous": _sets(_discontiguous(gold), _discontiguous(predicted)),
    }
    pairs, counts = _slot_pairs(gold, predicted)
    rows["task2"] = counts
    sums = {f"{row}.{name}": float(value) for row, values in rows.items() for name, value in zip(COUNTS, values, strict=True)}
    return sums | _slot_statistics([(gold[g], predicted[p]) for g, p in pairs])


def summarise(sums: Mapping[str, Any]) -> Scores:
    """Scores from summed statistics; numbers give numbers, arrays give arrays.

    Args:
        sums: what `document_statistics` gives, summed over documents.
    """
    task1 = {row: prf(sums, f"task1.{row}") for row in ROWS}
    task2 = prf(sums, "task2")
    accuracy = ratio(sums["task2.agreed"] / len(SLOT_NAMES), sums["task2.tp"])
    weighted = ratio(sums["task2.weighted"], sums["task2.tp"])
    task2 |= {
        "accuracy": accuracy,
        "f1_accuracy": task2["f1"] * accuracy,
        "weighted_accuracy": weighted,
        "f1_weighted_accuracy": task2["f1"] * weighted,
        "slots": {name: ratio(sums[f"task2.{name}.agreed"], sums[f"task2.{name}.weight"]) for name in SLOT_NAMES},
    }
    return {"task1": task1, "task2": task2}


def _sets(gold: set[Any], predicted: set[Any]) -> tuple[int, int, int]:
    hits = len(gold & predicted)
    return hits, len(predicted) - hits, len(gold) - hits


def _discontiguous(annotations: Annotations) -> set[str]:
    return {key for key, annotation in annotations.items() if annotation.discontiguous}


def _in_walking_order(annotations: Annotations) -> list[str]:
    return sorted(annotations, key=lambda key: (min(annotations[key].fragments)[0], key))


def _relaxed(gold: Annotations, predicted: Annotations) -> tuple[int, int, int]:
    """True positives, false positives and misses of Task 1 relaxed."""
    exact = {key for key, annotation in gold.items() if key in predicted and predicted[key].concept == annotation.concept}
    # One set of marked span strings for gold and predictions, as in the organisers' script.
    marked, matched, surplus = set(exact), len(exact), 0
    by_concept: defaultdict[str, dict[str, Sequence[Fragment]]] = defaultdict(dict)
    for key in _in_walking_order(predicted):
        by_concept[predicted[key].concept][key] = predicted[key].fragments
    walks = {concept: Walk(mentions, exact) for concept, mentions in by_concept.items()}
    for key in _in_walking_order(gold):
        if key in marked:
            continue
        walk = walks.get(gold[key].concept)
        taken = walk.take(gold[key].fragments) if walk else []
        if taken:
            matched += 1
            surplus += len(taken) - 1
            marked.update(taken)
    return matched, surplus + len(predicted.keys() - marked), len(gold) - matched


def _slot_pairs(gold: Annotations, predicted: Annotations) -> tuple[list[tuple[str, str]], tuple[int, int, int]]:
    """Pairs of span strings whose slots are compared, and the counts of Task 2."""
    partner = {key: key for key in gold if key in predicted}
    walk = Walk({key: predicted[key].fragments for key in _in_walking_order(predicted)}, set(partner))
    left, surplus = len(predicted) - len(partner), 0
    order = _in_walking_order(gold)
    for key in order:
        taken = walk.take(gold[key].fragments)
        if taken:
            # Replaces a partner with equal spans, which then no longer counts.
            partner[key] = taken[0]
            surplus += len(taken) - 1
            left -= len(taken)
    return [(key, partner[key]) for key in order if key in partner], (len(partner), surplus + left, len(gold) - len(partner))


def _slot_statistics(pairs: list[tuple[Annotation, Annotation]]) -> dict[str, float]:
    sums = {f"task2.{name}.{part}": 0.0 for name in SLOT_NAMES for part in ("agreed", "weight")}
    agreed, weighted = 0, 0.0
    for gold, predicted in pairs:
        agree, weights = _agreement(gold, predicted)
        for name, same, weight in zip(SLOT_NAMES, agree, weights, strict=True):
            sums[f"task2.{name}.agreed"] += weight * same
            sums[f"task2.{name}.weight"] += weight
        agreed += sum(agree)
        weighted += sum(w for w, same in zip(weights, agree, strict=True) if same) / sum(weights)
    return sums | {"task2.agreed": float(agreed), "task2.weighted": weighted}


def _agreement(gold: Annotation, predicted: Annotation) -> tuple[list[bool], list[float]]:
    """Whether each of the nine slots agrees, and the weights of the gold values."""
    agree = [gold.concept == predicted.concept]
    agree += [g == p for g, p in zip(gold.slots, predicted.slots, strict=True)]
    agree.append(not gold.places.isdisjoint(predicted.places))
    weights = [CONCEPT_WEIGHT, *(slot.weight(value) for slot, value in zip(SLOTS, gold.slots, strict=True))]
    weights.append(BODY_LOCATION.weight(min(gold.places)) if len(gold.places) == 1 else BODY_LOCATION.weights[1])
    return agree, weights
