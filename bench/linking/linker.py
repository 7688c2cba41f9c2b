"""The linker: candidates by names and training mentions, re-ranked by what the training split teaches, cut off by dev."""

from __future__ import annotations

import random
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
"""Parts of the training documents, each ranked by what the others and the terminology know: else the linker would learn that
every mention is in the dictionary."""

MOST, AT_ONCE = 2000, 64
"""Training mentions, alike ones counted once, that the re-ranker learns from; and documents that are looked up together."""


@dataclass(frozen=True)
class Ranked:
    """A concept that a mention may have.

    Args:
        concept: its id, or the corpus's word for none.
        score: by the re-ranker.
    """

    concept: str
    score: float


@dataclass(frozen=True)
class Lesson:
    """A training mention that the re-ranker learns from.

    Args:
        rows: what speaks for each candidate; none where the right one is not among them.
        right: the index of the right one, or None.
        count: mentions of the document that are like it.
        fold: of the document.
    """

    rows: NDArray[np.float32]
    right: int | None
    count: int
    fold: int


@dataclass(frozen=True)
class Judged:
    """How mentions with a concept come out.

    Args:
        accuracy: share whose concept comes first.
        missed: share whose concept is not among the candidates.
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
        meanings: embeddings for the names and the training mentions it is called with; None where there is no encoder.
        kept: JSON file that what was fitted is read from, or written to where it is not there or not whole; the caller puts
            everything that decides the content into its name. It holds numbers, no text.

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
        trained: Trained = learn(train, FOLDS, unlinked)
        self._finder = Finder(names, trained, meanings(trained.table) if meanings is not None else None)
        facts = None if kept is None else read_sealed(kept)
        if facts is not None:
            self._ranker = None if facts["ranker"] is None else Ranker(**{k: np.array(v) for k, v in facts["ranker"].items()})
            self.judged, self.threshold = Judged(**facts["judged"]), float(facts["threshold"])
            return
        lessons = self._lessons(train)
        self.prepare(dev)
        self._ranker = _fitted(lessons)
        ranked = [pair for d in dev for pair in zip(d.mentions, self._scored(d, d.mentions), strict=True)]
        self.judged = self._judged(lessons, ranked)
        self.threshold = self._cut(ranked)
        if kept is not None:
            weights = None if self._ranker is None else {k: v.tolist() for k, v in vars(self._ranker).items()}
            write_sealed(kept, {"ranker": weights, "judged": asdict(self.judged), "threshold": str(self.threshold)})

    def prepare(self, documents: Sequence[Document]) -> None:
        """Looks documents up together: it takes about as long for many as for one to go through a large terminology."""
        for low in range(0, len(documents), AT_ONCE):
            part = documents[low : low + AT_ONCE]
            self._finder.prepare(query for document in part for query in queries(document, document.mentions))

    def forget(self) -> None:
        """Drops what was found of texts, once there are many, so that any number of documents can be linked in turn."""
        self._finder.forget()

    def link(self, document: Document, mentions: Sequence[Mention]) -> tuple[Mention, ...]:
        """The mentions with their concepts filled in, in the order given."""
        ranked = self.rank(document, mentions)
        return tuple(
            replace(mention, concept=found[0] if found else self._unlinked)
            for mention, found in zip(mentions, ranked, strict=True)
        )

    def rank(self, document: Document, mentions: Sequence[Mention]) -> list[tuple[str, ...]]:
        """The concepts that each mention may have, the best first; the corpus's word for none stands at the threshold.

        Args:
            document: with its text.
            mentions: all that are known of it, since one helps another.
        """
        return [self._ordered(found) for found in self._scored(document, mentions)]

    def _judged(self, lessons: Sequence[Lesson], dev: Sequence[tuple[Mention, list[Ranked]]]) -> Judged:
        """How the mentions that were learned from come out, by what the other folds teach, and those of dev."""
        right = missed = total = 0
        for fold in range(FOLDS):
            ranker = _fitted([one for one in lessons if one.fold != fold])
            for one in lessons:
                if one.fold == fold:
                    total += one.count
                    missed += one.count * (one.right is None)
                    if one.right is not None and ranker is not None:
                        right += one.count * int(ranker(one.rows).argmax() == one.right)
        for mention, found in dev:
            if mention.concept is not None and mention.concept != self._unlinked:
                total += 1
                right += bool(found) and found[0].concept == mention.concept
                missed += all(one.concept != mention.concept for one in found)
        return Judged(right / max(total, 1), missed / max(total, 1))

    def _ordered(self, found: Sequence[Ranked]) -> tuple[str, ...]:
        if self._unlinked is None:
            return tuple(one.concept for one in found)
        above = [one.concept for one in found if one.score >= self.threshold]
        below = [one.concept for one in found if one.score < self.threshold]
        return tuple(dict.fromkeys([*above, self._unlinked, *below]))

    def _scored(self, document: Document, mentions: Sequence[Mention]) -> list[list[Ranked]]:
        wanted = queries(document, mentions)
        self._finder.prepare(wanted)
        found = {query: self._finder.find(query) for query in dict.fromkeys(wanted)}
        place = setting(document, found)
        made: dict[Query, list[Ranked]] = {}
        for query, candidates in found.items():
            made[query] = []
            if candidates and self._ranker is not None:
                scores = self._ranker(rows(query, candidates, self._finder, place))
                pairs = [Ranked(concept, float(score)) for concept, score in zip(candidates, scores, strict=True)]
                made[query] = sorted(pairs, key=lambda one: (-one.score, one.concept))
        return [made[query] for query in wanted]

    def _lessons(self, train: Sequence[Document]) -> list[Lesson]:
        """Mentions of training documents, drawn document by document, up to `MOST`."""
        order = random.Random(0).sample(range(len(train)), len(train))
        found: list[Lesson] = []
        for low in range(0, len(order), AT_ONCE):
            part = order[low : low + AT_ONCE]
            self.prepare([train[i] for i in part])
            found += [lesson for i in part for lesson in self._lessons_of(train[i], i % FOLDS)]
            if len(found) >= MOST:
                break
        return found

    def _lessons_of(self, document: Document, fold: int) -> Iterator[Lesson]:
        """The mentions of a training document that have a concept, alike ones together, without what their fold knows."""
        wanted = queries(document, document.mentions)
        found = {query: self._finder.find(query, fold) for query in dict.fromkeys(wanted)}
        place = setting(document, found)
        counts: dict[tuple[Query, str], int] = {}
        for query, mention in zip(wanted, document.mentions, strict=True):
            concept = mention.concept or self._unlinked
            if concept is not None:
                counts[query, concept] = counts.get((query, concept), 0) + 1
        for (query, concept), count in counts.items():
            candidates = list(found[query])
            if concept in candidates:
                table = rows(query, found[query], self._finder, place, fold)
                yield Lesson(table, candidates.index(concept), count, fold)
            elif concept != self._unlinked:
                yield Lesson(np.zeros((0, 0), np.float32), None, count, fold)

    def _cut(self, dev: Sequence[tuple[Mention, list[Ranked]]]) -> float:
        best, right, unlinked = [], [], []
        if self._unlinked is None:
            return float("-inf")
        for mention, found in dev:
            if found:
                gold = mention.concept or self._unlinked
                best.append(found[0].score)
                right.append(found[0].concept == gold)
                unlinked.append(gold == self._unlinked)
        return threshold(best, right, unlinked)


def _fitted(lessons: Sequence[Lesson]) -> Ranker | None:
    choices = [Choice(one.rows, one.right, one.count**0.5) for one in lessons if one.right is not None and len(one.rows) > 1]
    return fit(choices) if choices else None
