"""Concepts by look-up: a dictionary of the training mentions, which links mentions and serves as the baseline to beat."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from bench.api.data import Document, Mention, in_order

_WORD = re.compile(r"\w+|[^\w\s]")

Words = tuple[str, ...]


class Linking(Protocol):
    """What gives mentions their concepts."""

    def prepare(self, documents: Sequence[Document]) -> None:
        """Told of documents with the mentions that will be linked, in case many are looked up faster together."""

    def link(self, document: Document, mentions: Sequence[Mention]) -> tuple[Mention, ...]:
        """The mentions with their concepts filled in, in the order given."""

    def rank(self, document: Document, mentions: Sequence[Mention]) -> list[tuple[str, ...]]:
        """The concepts that each mention may have, the best first."""

    def forget(self) -> None:
        """Drops what was kept of texts that were linked, where it has become much; what is linked later comes out the same."""


def mention_words(text: str, mention: Mention) -> Words:
    """The mention's normalised text: its words in order, lower case, whatever stands between its fragments left out."""
    return tuple(word for start, end in mention.fragments for word in _WORD.findall(text[start:end].lower()))


class ConceptDictionary:
    """Concepts and labels of the training mentions by their normalised text.

    The most frequent concept wins, ties go to the alphabetically first.

    Args:
        default: concept of a text never seen in training; the task's own word, e.g. ``CUI-less``.
    """

    def __init__(self, default: str | None = None) -> None:
        self.default = default
        self._concepts: dict[tuple[str, Words], tuple[str | None, ...]] = {}
        self._labels: dict[Words, str] = {}
        self._longest: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._labels)

    def __contains__(self, words: Words) -> bool:
        return words in self._labels

    def fit(self, documents: Iterable[Document]) -> ConceptDictionary:
        """Learns from documents with gold mentions, replacing what was known; returns itself."""
        concepts: defaultdict[tuple[str, Words], Counter[str | None]] = defaultdict(Counter)
        labels: defaultdict[Words, Counter[str]] = defaultdict(Counter)
        for document in documents:
            for mention in document.mentions:
                words = mention_words(document.text, mention)
                if words:
                    concepts[mention.label, words][mention.concept] += 1
                    labels[words][mention.label] += 1
        self._concepts = {key: _by_frequency(counts) for key, counts in concepts.items()}
        self._labels = {words: _commonest(counts) for words, counts in labels.items()}
        self._longest = {}
        for words in self._labels:
            self._longest[words[0]] = max(len(words), self._longest.get(words[0], 0))
        return self

    def prepare(self, documents: Sequence[Document]) -> None:
        """Nothing: one mention is looked up as fast as many."""

    def forget(self) -> None:
        """Nothing: no text is kept."""

    def link(self, document: Document, mentions: Sequence[Mention]) -> tuple[Mention, ...]:
        """The mentions with their concepts filled in from training, in the order given."""
        return tuple(replace(mention, concept=self._of(document, mention)[0]) for mention in mentions)

    def rank(self, document: Document, mentions: Sequence[Mention]) -> list[tuple[str, ...]]:
        """The concepts that training gives each mention's text, the most frequent first; the default where it gives none."""
        return [tuple(c for c in self._of(document, mention) if c is not None) for mention in mentions]

    def _of(self, document: Document, mention: Mention) -> tuple[str | None, ...]:
        return self._concepts.get((mention.label, mention_words(document.text, mention)), (self.default,))

    def annotate(self, document: Document) -> tuple[Mention, ...]:
        """The dictionary baseline: from left to right, the longest run of words that is a training mention.

        Case is ignored, and so is white space between words; mentions found are contiguous and do not overlap.
        """
        return self.link(document, in_order(list(self._matches(document.text))))

    def _matches(self, text: str) -> Iterator[Mention]:
        spans = [(m.start(), m.end()) for m in _WORD.finditer(text)]
        words = [text[start:end].lower() for start, end in spans]
        index = 0
        while index < len(words):
            longest = min(self._longest.get(words[index], 0), len(words) - index)
            step = 1
            for length in range(longest, 0, -1):
                label = self._labels.get(tuple(words[index : index + length]))
                if label is not None:
                    yield Mention(((spans[index][0], spans[index + length - 1][1]),), label)
                    step = length
                    break
            index += step


def _by_frequency(counts: Counter[str | None]) -> tuple[str | None, ...]:
    return tuple(sorted(counts, key=lambda value: (-counts[value], value is None, value or "")))


def _commonest(counts: Counter[str]) -> str:
    return min(counts, key=lambda value: (-counts[value], value))
