"""Scores of rankings as SemEval-2017 Task 3 counts them, and trec's mean average precision beside them.

The task's MAP is not trec's: it looks at the top 10 and divides by the number of relevant candidates **found there**. Its
AvgRec is the mean over cut-offs 1 to 10 of the relevant candidates found by all queries, over those that could have been found.

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
    """Additive statistics of every gold query, in order; a query without a prediction has nothing ranked.

    Args:
        gold: queries as documents: each judgement names a passage and says whether it is relevant.
        predicted: matched by id; each judgement's score ranks its passage.
    """
    given = {document.id: {j.name: j.score for j in document.judgements} for document in predicted}
    return [query_statistics(_relevance(document), given.get(document.id, {})) for document in gold]


def _relevance(document: Document) -> dict[str, bool]:
    """Passage to relevance, in the order of the text."""
    said = {judgement.name: judgement.chosen for judgement in document.judgements}
    order = [passage.id for passage in document.passages] or list(said)
    return {name: said.get(name, False) for name in order}


def query_statistics(gold: Mapping[str, bool], scores: Mapping[str, float]) -> dict[str, float]:
    """Additive statistics of one query.

    Args:
        gold: candidate to relevance, in file order, which breaks ties.
        scores: candidate to score; one without is not ranked, one that is no candidate counts for nothing.
    """
    ranked = sorted((name for name in gold if name in scores), key=lambda name: -scores[name])
    hits = [gold[name] for name in ranked[:TOP]]
    places = [place for place, hit in enumerate(hits, 1) if hit]
    relevant = sum(gold.values())
    found = {
        "queries": 1.0,
        "precision": _precision(places, len(places)),
        "reciprocal": 1 / places[0] if places else 0.0,
        "trec": trec_average_precision(gold, scores),
    }
    for cut in range(1, TOP + 1):
        found[f"found@{cut}"] = float(sum(hits[:cut]))
        found[f"most@{cut}"] = float(min(cut, relevant))
    return found


def trec_average_precision(gold: Mapping[str, bool], scores: Mapping[str, float]) -> float:
    """Average precision of one query as trec_eval counts it.

    It looks at the whole ranking, divides by all relevant candidates, holds scores in single precision, and breaks ties by id,
    the last one first.
    """
    ranked = sorted(
        (name for name in gold if name in scores), key=lambda n: (c_float(scores[n]).value, n.encode()), reverse=True
    )
    return _precision([place for place, name in enumerate(ranked, 1) if gold[name]], sum(gold.values()))


def summarise(sums: Mapping[str, Any]) -> Scores:
    """Scores from summed statistics; numbers give numbers, arrays give arrays.

    Args:
        sums: what `query_statistics` gives, summed over queries.
    """
    queries = sums["queries"]
    recalls = [ratio(sums[f"found@{cut}"], sums[f"most@{cut}"]) for cut in range(1, TOP + 1)]
    return {
        "map": ratio(sums["precision"], queries),
        "avg_rec": sum(recalls) / TOP,
        "mrr": 100 * ratio(sums["reciprocal"], queries),
        "trec_map": ratio(sums["trec"], queries),
    }


def _precision(places: Sequence[int], divisor: int) -> float:
    """Sum of the precisions at the places of hits, over something; 0 where there is nothing to find."""
    return sum(number / place for number, place in enumerate(places, 1)) / divisor if divisor else 0.0
