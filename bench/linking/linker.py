"""The linker: finds candidate concepts of a mention, ranks them by weights fitted on train, and cuts them off by dev."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.api.data import Document, Mention
from bench.linking.candidates import Finder, Query, Trained, learn, queries
from bench.linking.features import rows, setting
from bench.linking.meanings import Meanings
from bench.linking.rerank import Choice, Ranker, fit, threshold
from bench.linking.table import NameTable
from bench.sealed import read_sealed, write_sealed

FOLDS = 5
"""Parts of the training documents. A mention is ranked without the training mentions of its own part: else the linker would
learn that every mention is in the dictionary."""

MOST, AT_ONCE = 2000, 64
"""Distinct training mentions that the re-ranker learns from; and documents that are looked up together."""
RECENT = 20_000
"""Mentions and documents whose ranking is kept: both stages of a run, and its accuracies, ask for most of them again."""


@dataclass(frozen=True)
class Ranked:
    """A candidate concept of a mention with the re-ranker's score, higher is better."""

    concept: str
    score: float


@dataclass(frozen=True)
class Lesson:
    """A training mention that the re-ranker learns from: features of its candidates, shape (candidates, features).

    There are none, and `right` is no index, where the right candidate is not among them. `count` equal mentions stand in the
    document, which is in the fold.
    """

    rows: NDArray[np.float32]
    right: int | None
    count: int
    fold: int


@dataclass(frozen=True)
class LinkAccuracy:
    """How often mentions that have a concept are linked to it: the share whose concept comes first, and the share whose concept
    is not among the candidates (`missed`).
    """

    accuracy: float
    missed: float


class Linker:
    """Links mentions to the concepts of a terminology.

    Args:
        names: of the terminology.
        train: documents of the training split, with gold mentions; at least one has a concept.
        dev: documents of the dev split.
        unlinked: what the corpus writes for a mention without a concept, or None.
        meanings: makes embeddings, given the table of training mentions; None where there is no sentence encoder.
        kept: JSON file for the fitted weights: read if it is complete, else written. Its name must contain a hash of
            everything that decides its content. It holds numbers, no text.

    Raises:
        OSError: `kept` cannot be written.
    """

    def __init__(
        self,
        names: NameTable,
        train: Sequence[Document],
        dev: Sequence[Document],
        unlinked: str | None = None,
        meanings: Callable[[NameTable], Meanings] | None = None,
        kept: Path | None = None,
    ) -> None:
        self._unlinked = unlinked
        self._recent: dict[tuple[str, frozenset[Query]], dict[Query, tuple[str, ...]]] = {}
        self._recent_size = 0
        trained: Trained = learn(train, FOLDS, unlinked)
        self._finder = Finder(names, trained, meanings(trained.table) if meanings is not None else None)
        facts = None if kept is None else read_sealed(kept)
        if facts is not None:
            self._ranker = None if facts["ranker"] is None else Ranker(**{k: np.array(v) for k, v in facts["ranker"].items()})
            self.judged, self.threshold = LinkAccuracy(**facts["judged"]), float(facts["threshold"])
            return
        lessons = self._lessons(train)
        self.prepare(dev)
        self._ranker = _fitted(lessons)
        ranked = []
        for document in dev:
            lookups = queries(document, document.mentions)
            scored = self._scored(document, lookups)
            ranked += [(mention, scored[query]) for mention, query in zip(document.mentions, lookups, strict=True)]
        self.judged = self._accuracy(lessons, ranked)
        self.threshold = self._cut(ranked)
        if kept is not None:
            weights = None if self._ranker is None else {k: v.tolist() for k, v in vars(self._ranker).items()}
            write_sealed(kept, {"ranker": weights, "judged": asdict(self.judged), "threshold": str(self.threshold)})

    def prepare(self, documents: Sequence[Document]) -> None:
        """Looks up many documents at once: a pass over a large terminology takes about as long for many as for one."""
        for low in range(0, len(documents), AT_ONCE):
            part = documents[low : low + AT_ONCE]
            self._finder.prepare(query for document in part for query in queries(document, document.mentions))

    def forget(self) -> None:
        """Drops what is kept of linked texts once there are many, so that memory does not grow with the documents."""
        self._finder.forget()

    def link(self, document: Document, mentions: Sequence[Mention]) -> tuple[Mention, ...]:
        """The mentions with their concepts, in the order given."""
        ranked = self.rank(document, mentions)
        return tuple(
            replace(mention, concept=concepts[0] if concepts else self._unlinked)
            for mention, concepts in zip(mentions, ranked, strict=True)
        )

    def rank(self, document: Document, mentions: Sequence[Mention]) -> list[tuple[str, ...]]:
        """Candidate concepts of each mention, best first; the corpus's word for "no concept" is inserted at the threshold.

        All mentions of a document are wanted at once: features of one use the others.
        """
        lookups = queries(document, mentions)
        key = document.text, frozenset(lookups)
        if key not in self._recent:
            if self._recent_size > RECENT:
                self._recent.clear()
                self._recent_size = 0
            self._recent_size += 1 + len(lookups)
            self._recent[key] = {query: self._ordered(scores) for query, scores in self._scored(document, lookups).items()}
        return [self._recent[key][query] for query in lookups]

    def _accuracy(self, lessons: Sequence[Lesson], dev: Sequence[tuple[Mention, list[Ranked]]]) -> LinkAccuracy:
        """Accuracy on the training mentions, cross-validated over folds, and on those of dev, taken together."""
        right = missed = total = 0
        for fold in range(FOLDS):
            ranker = _fitted([lesson for lesson in lessons if lesson.fold != fold])
            for lesson in lessons:
                if lesson.fold == fold:
                    total += lesson.count
                    missed += lesson.count * (lesson.right is None)
                    if lesson.right is not None and ranker is not None:
                        right += lesson.count * int(ranker(lesson.rows).argmax() == lesson.right)
        for mention, candidates in dev:
            if mention.concept is not None and mention.concept != self._unlinked:
                total += 1
                right += bool(candidates) and candidates[0].concept == mention.concept
                missed += all(candidate.concept != mention.concept for candidate in candidates)
        return LinkAccuracy(right / max(total, 1), missed / max(total, 1))

    def _ordered(self, concepts: Sequence[Ranked]) -> tuple[str, ...]:
        if self._unlinked is None:
            return tuple(candidate.concept for candidate in concepts)
        above = [candidate.concept for candidate in concepts if candidate.score >= self.threshold]
        below = [candidate.concept for candidate in concepts if candidate.score < self.threshold]
        return tuple(dict.fromkeys([*above, self._unlinked, *below]))

    def _scored(self, document: Document, lookups: Sequence[Query]) -> dict[Query, list[Ranked]]:
        self._finder.prepare(lookups)
        candidates_of = {query: self._finder.find(query) for query in dict.fromkeys(lookups)}
        place = setting(document, candidates_of)
        scored: dict[Query, list[Ranked]] = {}
        for query, candidates in candidates_of.items():
            scored[query] = []
            if candidates and self._ranker is not None:
                scores = self._ranker(rows(query, candidates, self._finder, place))
                pairs = [Ranked(concept, float(score)) for concept, score in zip(candidates, scores, strict=True)]
                scored[query] = sorted(pairs, key=lambda candidate: (-candidate.score, candidate.concept))
        return scored

    def _lessons(self, train: Sequence[Document]) -> list[Lesson]:
        """Mentions of training documents in random order, about `MOST` of them."""
        order = random.Random(0).sample(range(len(train)), len(train))
        lessons: list[Lesson] = []
        for low in range(0, len(order), AT_ONCE):
            part = order[low : low + AT_ONCE]
            self.prepare([train[i] for i in part])
            lessons += [lesson for i in part for lesson in self._lessons_of(train[i], i % FOLDS)]
            if len(lessons) >= MOST:
                break
        return lessons

    def _lessons_of(self, document: Document, fold: int) -> Iterator[Lesson]:
        """The distinct mentions of a training document that have a concept; training mentions of its fold are not used."""
        lookups = queries(document, document.mentions)
        candidates_of = {query: self._finder.find(query, fold) for query in dict.fromkeys(lookups)}
        place = setting(document, candidates_of)
        concepts = [mention.concept or self._unlinked for mention in document.mentions]
        counts = Counter((q, concept) for q, concept in zip(lookups, concepts, strict=True) if concept is not None)
        for (query, concept), count in counts.items():
            candidates = list(candidates_of[query])
            if concept in candidates:
                table = rows(query, candidates_of[query], self._finder, place, fold)
                yield Lesson(table, candidates.index(concept), count, fold)
            elif concept != self._unlinked:
                yield Lesson(np.zeros((0, 0), np.float32), None, count, fold)

    def _cut(self, dev: Sequence[tuple[Mention, list[Ranked]]]) -> float:
        best, right, unlinked = [], [], []
        if self._unlinked is None:
            return float("-inf")
        for mention, candidates in dev:
            if candidates:
                gold = mention.concept or self._unlinked
                best.append(candidates[0].score)
                right.append(candidates[0].concept == gold)
                unlinked.append(gold == self._unlinked)
        return threshold(best, right, unlinked)


def _fitted(lessons: Sequence[Lesson]) -> Ranker | None:
    choices = [
        Choice(lesson.rows, lesson.right, lesson.count**0.5)
        for lesson in lessons
        if lesson.right is not None and len(lesson.rows) > 1
    ]
    return fit(choices) if choices else None
