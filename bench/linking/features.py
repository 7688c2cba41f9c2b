"""Features of a mention and a candidate for the re-ranker. None names a concept or a word, so that all hold for unseen ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from math import log1p

import numpy as np
from numpy.typing import NDArray

from bench.api.data import Document
from bench.linking.candidates import Evidence, Finder, Query
from bench.linking.normalise import all_words, head, lemma, lemmas, stem, stems
from bench.linking.readers import KINDS
from bench.linking.table import LEVELS

KIND_WEIGHTS = dict(zip(range(len(KINDS)), (1.0, 0.9, 0.6, 0.5, 0.5), strict=True))
"""Weight of a name by its kind, for a key that several concepts have."""
RELATIVE = 11
"""The first features, this many, are repeated as differences from the best candidate's."""
SAID, SUPPORT = slice(5, 7), 8
"""Columns of the features that depend on the document."""
REMEMBERED = 1 << 14
"""Mentions whose other features are cached: every evaluation asks for the same ones."""


@dataclass(frozen=True)
class Setting:
    """The document around a mention: the stems of its words, and concept to the texts of mentions that share a key with it."""

    stems: Set[str]
    keyed: Mapping[str, Set[str]]

    def support(self, query: Query, concept: str) -> int:
        """How many mentions with another text may be the concept."""
        return len(self.keyed.get(concept, frozenset()) - {query.text})


def setting(document: Document, candidates_of: Mapping[Query, Mapping[str, Evidence]]) -> Setting:
    """The setting of a document's mentions, given the candidates of each."""
    keyed: dict[str, set[str]] = {}
    for query, candidates in candidates_of.items():
        for concept, evidence in candidates.items():
            if any(level == "lemmas" for _, level, _ in evidence.by_key):
                keyed.setdefault(concept, set()).add(query.text)
    return Setting(_stems_of(document.text), keyed)


@lru_cache(maxsize=1024)
def _stems_of(text: str) -> frozenset[str]:
    return frozenset(stem(lemma(word)) for word in set(all_words(text)))


def rows(
    query: Query, candidates: Mapping[str, Evidence], finder: Finder, place: Setting, without: int | None = None
) -> NDArray[np.float32]:
    """The features, shape (candidates, features), in the order of `candidates`, at least one, which `finder` found.

    `place` is the document around the mention; `without` the fold of training documents that is left out.
    """
    key = query, without
    if key not in finder.text_features:
        if len(finder.text_features) >= REMEMBERED:
            finder.text_features.clear()
        finder.text_features[key] = _text_features(query, candidates, finder, without)
    features = finder.text_features[key].copy()
    mention_stems = {s for text in query.texts for s in stems(text)}
    for row, concept in zip(features, candidates, strict=True):
        names = [finder.name_stems(i) - mention_stems for i in finder.of_concept(concept)]
        row[SAID] = _said(names, place.stems, finder)
        row[SUPPORT] = log1p(place.support(query, concept))
    leading = features[:, :RELATIVE]
    return np.concatenate([features, leading - leading.max(axis=0, keepdims=True)], axis=1)


def _text_features(
    query: Query, candidates: Mapping[str, Evidence], finder: Finder, without: int | None
) -> NDArray[np.float32]:
    """Features that do not depend on the document: similarity by n-grams, words, training mentions and embeddings.

    The columns `SAID` and `SUPPORT` are left at 0.
    """
    exact = {
        concept: sum(finder.trained.count(i, without) for i in evidence.keyed("plain", trained=True))
        for concept, evidence in candidates.items()
    }
    total = max(1, sum(exact.values()))
    names_of = {concept: finder.of_concept(concept) for concept in candidates}
    alike = finder.likenesses(query, candidates, names_of)
    texts, trained = finder.names.texts, finder.trained
    features = []
    for concept, evidence in candidates.items():
        named = _best_overlap(query, (texts[i] for i in evidence.names), finder)
        known = _best_overlap(query, (trained.table.texts[i] for i in evidence.trained), finder)
        features.append(
            [
                max(evidence.names.values(), default=0.0),
                max(evidence.trained.values(), default=0.0),
                named[0],
                named[1],
                known[0],
                0.0,
                0.0,
                log1p(trained.prior(concept, without)),
                0.0,
                *alike[concept],
                *named[2:],
                *known[1:],
                exact[concept] / total,
                log1p(exact[concept]),
                *_keyed(evidence, finder, without),
            ]
        )
    return np.array(features, dtype=np.float32)


def _keyed(evidence: Evidence, finder: Finder, without: int | None) -> Iterator[float]:
    """For each key, of the mention as written and written out: weight of the best name that has it; log count in training."""
    for level in LEVELS:
        for reading in (0, 1):
            kinds = [finder.names.kinds[i] for i in evidence.by_key.get((False, level, reading), ())]
            yield max((KIND_WEIGHTS[int(kind)] for kind in kinds), default=0.0)
            entries = evidence.by_key.get((True, level, reading), ())
            yield log1p(sum(finder.trained.count(i, without) for i in entries))


def _best_overlap(query: Query, names: Iterable[str], finder: Finder) -> tuple[float, ...]:
    """The overlap of the name that overlaps most with a reading of the mention."""
    return max((_overlap(text, name, finder) for name in names for text in query.texts), default=(0.0,) * 5)


def _overlap(text: str, name: str, finder: Finder) -> tuple[float, ...]:
    """Dice coefficient of the stems, weighted by idf; shared part of either side; whether head word and last word agree."""
    ours, theirs = set(stems(text)), set(stems(name))
    shared, mine, its = (sum(map(finder.weight, sorted(part))) for part in (ours & theirs, ours, theirs))
    return (
        2 * shared / max(mine + its, 1e-9),
        shared / max(mine, 1e-9),
        shared / max(its, 1e-9),
        float(head(text) == head(name)),
        float(lemmas(text)[-1:] == lemmas(name)[-1:]),
    )


def _said(further: Sequence[Set[str]], document: Set[str], finder: Finder) -> tuple[float, float]:
    """Share of the words of a concept's names, beyond the mention's own, that are in the document: of all names, of the best.

    Source: the overlap of glosses and context, Lesk 1986, doi:10.1145/318723.318728.
    """

    def share(part: Set[str]) -> float:
        total = sum(map(finder.weight, sorted(part)))
        return sum(map(finder.weight, sorted(part & document))) / total if total else 1.0

    return share(set().union(*further)), max(map(share, further), default=0.0)
