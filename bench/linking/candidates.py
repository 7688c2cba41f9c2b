"""Candidate concepts of a mention: by names and training mentions with the same key, similar n-grams or near embeddings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.api.data import Document, Mention
from bench.linking.abbreviations import definitions, expanded, initials
from bench.linking.columns import Columns
from bench.linking.meanings import Meanings
from bench.linking.normalise import keys, plain, stems
from bench.linking.readers import TRAINED
from bench.linking.table import LEVELS, Name, NameTable, write

NEAREST = 20
"""Names, and as many training mentions, that are taken by similar n-grams."""
MOST = 64
"""Names of one key that are read."""
MOST_NAMES = 32
"""Names of one concept that are read."""
KEPT = 1 << 14
"""`Finder.forget` drops what was found once it is of more texts than this."""


def surface(text: str, mention: Mention) -> str:
    """The words of a mention's fragments in order."""
    return " ".join(" ".join(text[start:end] for start, end in mention.fragments).split())


@dataclass(frozen=True)
class Query:
    """A mention as it is looked up: its words, and these with the document's abbreviations written out (`long`)."""

    text: str
    long: str
    label: str

    @property
    def texts(self) -> tuple[str, ...]:
        """The distinct readings, the written one first."""
        return (self.text,) if self.text == self.long else (self.text, self.long)


def queries(document: Document, mentions: Sequence[Mention]) -> list[Query]:
    """One query a mention, in order; abbreviations come from the document and from its other mentions."""
    texts = [surface(document.text, mention) for mention in mentions]
    known = initials(texts) | definitions(document.text)
    return [Query(text, expanded(text, known), mention.label) for text, mention in zip(texts, mentions, strict=True)]


@dataclass(frozen=True)
class Trained:
    """The training mentions as a table of names, with their counts in each fold of documents.

    Args:
        table: one entry for each combination of text, label and concept.
        labels: label of each entry.
        counts: shape (names, folds).
        concepts: concept to the number of its mentions, shape (folds,); mentions without a concept are not in it.
        none: what the corpus writes for a mention without a concept.
    """

    table: NameTable
    labels: tuple[str, ...]
    counts: NDArray[np.int64]
    concepts: Mapping[str, NDArray[np.int64]]
    none: str | None

    def count(self, index: int, without: int | None) -> int:
        """How often an entry occurs outside the fold `without`, or in all folds."""
        total = self._totals[index]
        return total if without is None else total - int(self.counts[index, without])

    @cached_property
    def _totals(self) -> list[int]:
        return [int(total) for total in self.counts.sum(axis=1)]

    def unlinked(self, index: int) -> bool:
        """Whether an entry is of mentions without a concept."""
        return self.table.concept(index) == self.none

    def prior(self, concept: str, without: int | None) -> int:
        """How often a concept occurs outside the fold `without`, or in all folds."""
        by_fold = self.concepts.get(concept)
        return 0 if by_fold is None else int(by_fold.sum()) - (0 if without is None else int(by_fold[without]))


def learn(documents: Sequence[Document], folds: int, unlinked: str | None) -> Trained:
    """Collects the training mentions that have a concept, or `unlinked`, the corpus's own word for "no concept".

    Document i of the training split is in fold i modulo `folds`.
    """
    counts: defaultdict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0] * folds)
    spelled: dict[tuple[str, str, str], str] = {}
    concepts: defaultdict[str, list[int]] = defaultdict(lambda: [0] * folds)
    for number, document in enumerate(documents):
        for mention in document.mentions:
            concept = mention.concept or unlinked
            text = surface(document.text, mention)
            if concept is None or not plain(text):
                continue
            key = plain(text), mention.label, concept
            counts[key][number % folds] += 1
            spelled.setdefault(key, text)
            if concept != unlinked:
                concepts[concept][number % folds] += 1
    order = sorted(counts)
    table = write((Name(key[2], spelled[key], TRAINED) for key in order), Columns())
    return Trained(
        table,
        tuple(key[1] for key in order),
        np.array([counts[key] for key in order], dtype=np.int64).reshape(-1, folds),
        {concept: np.array(by_fold) for concept, by_fold in concepts.items()},
        unlinked,
    )


@dataclass
class Evidence:
    """The names and training mentions by which a concept became a candidate.

    Args:
        names: name to the best cosine of its n-grams with a reading of the mention; 0 where it shares a key alone.
        trained: training mention to the same.
        by_key: (whether training, level, reading) to the names that have the mention's key.
    """

    names: dict[int, float] = field(default_factory=dict)
    trained: dict[int, float] = field(default_factory=dict)
    by_key: dict[tuple[bool, str, int], list[int]] = field(default_factory=dict)

    def add(self, how: tuple[bool, str, int], index: int) -> None:
        """Adds a name, or training mention, that has a key of the mention."""
        (self.trained if how[0] else self.names).setdefault(index, 0.0)
        self.by_key.setdefault(how, []).append(index)

    def keyed(self, level: str, trained: bool) -> set[int]:
        """The names, or training mentions, that have a key of this level for either reading."""
        return {index for reading in (0, 1) for index in self.by_key.get((trained, level, reading), ())}


class Finder:
    """Finds candidates among names and training mentions; results for a text are cached; no `meanings` without an encoder."""

    def __init__(self, names: NameTable, trained: Trained, meanings: Meanings | None = None) -> None:
        self.names = names
        self.trained = trained
        self.meanings = meanings
        self.weight = lru_cache(maxsize=1 << 16)(names.weight)
        self.of_concept = lru_cache(maxsize=1 << 14)(lambda concept: names.of_concept(concept, MOST_NAMES))
        self.name_stems = lru_cache(maxsize=1 << 16)(lambda index: frozenset(stems(names.texts[index])))
        self.text_features: dict[tuple[Query, int | None], NDArray[np.float32]] = {}
        """(mention, left-out fold) to the features that do not depend on the document; see `bench.linking.features`."""
        self._near: dict[str, tuple[list[tuple[int, float]], list[tuple[int, float]]]] = {}

    def prepare(self, lookups: Iterable[Query]) -> None:
        """Looks up many mentions at once."""
        texts = sorted({text for query in lookups for text in query.texts} - self._near.keys())
        if texts:
            pairs = zip(self.names.nearest(texts, NEAREST), self.trained.table.nearest(texts, 2 * NEAREST), strict=True)
            self._near.update(zip(texts, pairs, strict=True))
            if self.meanings is not None:
                self.meanings.prepare(texts, sorted({i for text in texts for i, _ in self._near[text][0]}))

    def forget(self) -> None:
        """Drops what was found, once it is of more than `KEPT` texts."""
        if len(self._near) > KEPT:
            self._near.clear()
            if self.meanings is not None:
                self.meanings.forget()

    def find(self, query: Query, without: int | None = None) -> dict[str, Evidence]:
        """Concept to evidence of each candidate of a mention, after `prepare`; `without` leaves a training fold out."""
        candidates: defaultdict[str, Evidence] = defaultdict(Evidence)
        for reading, text in enumerate(query.texts):
            near, known = self._near[text]
            for index, score in near:
                _keep(candidates[self.names.concept(index)].names, index, score)
            usable = [(i, s) for i, s in known if self._counts(i, query, without) and not self.trained.unlinked(i)]
            for index, score in usable[:NEAREST]:
                _keep(candidates[self.trained.table.concept(index)].trained, index, score)
            for level, key in zip(LEVELS, keys(text), strict=True):
                for index in self.names.with_key(level, key)[:MOST]:
                    candidates[self.names.concept(index)].add((False, level, reading), index)
                for index in self.trained.table.with_key(level, key)[:MOST]:
                    if self._counts(index, query, without):
                        candidates[self.trained.table.concept(index)].add((True, level, reading), index)
            for index in self.meanings.nearest(text, NEAREST) if self.meanings is not None else ():
                _keep(candidates[self.names.concept(index)].names, index, 0.0)
        return dict(candidates)

    def likenesses(
        self, query: Query, candidates: Mapping[str, Evidence], names: Mapping[str, Sequence[int]]
    ) -> dict[str, tuple[float, float]]:
        """Concept to the best cosine of its names' embeddings, and of its training mentions'; 0 without an encoder.

        `names` gives further names of each candidate.
        """
        if self.meanings is None:
            return dict.fromkeys(candidates, (0.0, 0.0))
        indices = {concept: {*evidence.names, *names[concept]} for concept, evidence in candidates.items()}
        to_names = self.meanings.to_names(query.texts, set().union(*indices.values()))
        to_trained = self.meanings.to_trained(query.texts, {i for evidence in candidates.values() for i in evidence.trained})
        return {
            concept: (
                max((to_names.get(i, 0.0) for i in indices[concept]), default=0.0),
                max((to_trained[i] for i in evidence.trained), default=0.0),
            )
            for concept, evidence in candidates.items()
        }

    def _counts(self, index: int, query: Query, without: int | None) -> bool:
        return self.trained.labels[index] == query.label and self.trained.count(index, without) > 0


def _keep(scores: dict[int, float], index: int, score: float) -> None:
    scores[index] = max(score, scores.get(index, 0.0))
