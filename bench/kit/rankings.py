"""Scores of rankings by the rules of SemEval-2017 Task 3, and mean average precision by those of trec_eval.

The task's MAP is not trec's: it looks at the top 10 and divides by the number of relevant candidates **among these**. Its
AvgRec is the mean over cut-offs 1 to 10 of relevant candidates above the cut-off, divided by the most there could be, both
summed over queries.

Source: Nakov et al. 2017, https://aclanthology.org/S17-2003/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ctypes import c_float
from typing import Any

from bench.api.data import Document
from bench.api.task import Scores
from bench.kit.scores import ratio

TOP = 10


def statistics(gold: Sequence[Document], predicted: Iterable[Document]) -> list[Mapping[str, float]]:
    """Additive statistics of every gold query, in order; predictions are matched by id, their scores rank the passages.

    A query without a prediction has nothing ranked.
    """
    scores = {document.id: {j.name: j.score for j in document.judgements} for document in predicted}
    return [query_statistics(_relevance(document), scores.get(document.id, {})) for document in gold]


def _relevance(document: Document) -> dict[str, bool]:
    """Passage to relevance, in text order."""
    said = {judgement.name: judgement.chosen for judgement in document.judgements}
    order = [passage.id for passage in document.passages] or list(said)
    return {name: said.get(name, False) for name in order}


def query_statistics(gold: Mapping[str, bool], scores: Mapping[str, float]) -> dict[str, float]:
    """Additive statistics of one query: the relevance of its candidates, in file order, which breaks ties, and their scores.

    Candidates without a score are not ranked, other names are ignored.
    """
    ranked = sorted((name for name in gold if name in scores), key=lambda name: -scores[name])
    hits = [gold[name] for name in ranked[:TOP]]
    places = [place for place, hit in enumerate(hits, 1) if hit]
    relevant = sum(gold.values())
    row = {
        "queries": 1.0,
        "precision": _precision(places, len(places)),
        "reciprocal": 1 / places[0] if places else 0.0,
        "trec": trec_average_precision(gold, scores),
    }
    for cut in range(1, TOP + 1):
        row[f"found@{cut}"] = float(sum(hits[:cut]))
        row[f"most@{cut}"] = float(min(cut, relevant))
    return row


def trec_average_precision(gold: Mapping[str, bool], scores: Mapping[str, float]) -> float:
    """Average precision of one query as trec_eval computes it, in [0, 1].

    It looks at the whole ranking, divides by all relevant candidates, keeps scores in single precision, and breaks ties by id
    in descending order.
    """
    ranked = sorted(
        (name for name in gold if name in scores), key=lambda n: (c_float(scores[n]).value, n.encode()), reverse=True
    )
    return _precision([place for place, name in enumerate(ranked, 1) if gold[name]], sum(gold.values()))


def summarise(sums: Mapping[str, Any]) -> Scores:
    """Scores from sums of `query_statistics`; numbers give numbers, arrays give arrays."""
    queries = sums["queries"]
    recalls = [ratio(sums[f"found@{cut}"], sums[f"most@{cut}"]) for cut in range(1, TOP + 1)]
    return {
        "map": ratio(sums["precision"], queries),
        "avg_rec": sum(recalls) / TOP,
        "mrr": 100 * ratio(sums["reciprocal"], queries),
        "trec_map": ratio(sums["trec"], queries),
    }


def _precision(places: Sequence[int], divisor: int) -> float:
    """Sum of the precisions at the ranks of hits, divided by `divisor`; 0 where that is 0."""
    return sum(number / place for number, place in enumerate(places, 1)) / divisor if divisor else 0.0
