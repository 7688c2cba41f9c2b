"""Concepts by look-up: a dictionary of the training mentions, which links mentions and is the baseline."""

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
    """The interface of a linker: it gives mentions their concepts."""

    def prepare(self, documents: Sequence[Document]) -> None:
        """Called with documents and the mentions that will be linked, for linkers that look up many faster together."""

    def link(self, document: Document, mentions: Sequence[Mention]) -> tuple[Mention, ...]:
        """The mentions with their concepts, in the order given."""

    def rank(self, document: Document, mentions: Sequence[Mention]) -> list[tuple[str, ...]]:
        """The candidate concepts of each mention, best first."""

    def forget(self) -> None:
        """Drops what is kept of linked texts once there are many; later links are the same."""


def mention_words(text: str, mention: Mention) -> Words:
    """The words of a mention's fragments in order, in lower case."""
    return tuple(word for start, end in mention.fragments for word in _WORD.findall(text[start:end].lower()))


class ConceptDictionary:
    """Concepts and labels of the training mentions by their normalised text.

    The most frequent concept is taken; ties go to the alphabetically first. A text that is not in training gets `default`, the
    task's own word, e.g. ``CUI-less``.
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
        """Learns from documents with gold mentions, replaces earlier content, and returns itself."""
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
        """Does nothing: one mention is looked up as fast as many."""

    def forget(self) -> None:
        """Does nothing: no text is kept."""

    def link(self, document: Document, mentions: Sequence[Mention]) -> tuple[Mention, ...]:
        """The mentions with their concepts from training, in the order given."""
        return tuple(replace(mention, concept=self._of(document, mention)[0]) for mention in mentions)

    def rank(self, document: Document, mentions: Sequence[Mention]) -> list[tuple[str, ...]]:
        """The concepts of each mention's text in training, most frequent first; the default where there is none."""
        return [tuple(c for c in self._of(document, mention) if c is not None) for mention in mentions]

    def _of(self, document: Document, mention: Mention) -> tuple[str | None, ...]:
        return self._concepts.get((mention.label, mention_words(document.text, mention)), (self.default,))

    def annotate(self, document: Document) -> tuple[Mention, ...]:
        """Predicts mentions for the baseline: from left to right, the longest sequence of words that is a training mention.

        Case, and white space between words, are ignored. The mentions are contiguous and do not overlap.
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
