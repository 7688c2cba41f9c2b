"""Sorts mentions into groups, for counts of errors by group; of a mention's text only numbers and yes or no are kept."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from bench.api.data import Document, Mention
from bench.data.concepts import Words, mention_words

_LENGTHS = ((1, "1"), (2, "2"), (4, "3-4"))
_SEEN = ((0, "0"), (1, "1"), (5, "2-5"))
_NEGATION = frozenset({"ni", "negation", "negated", "polarity"})
_NEGATIVE = frozenset({"yes", "true", "1", "neg", "negative", "negated"})
_SHORT = re.compile(r"[A-Za-z0-9][A-Za-z0-9./&-]{1,7}")


@dataclass(frozen=True)
class Sorter:
    """Puts mentions into groups.

    Args:
        seen: words of a mention to the number of training mentions with these words.
        negation: names of the slots that say whether a mention is negated; empty where there is none.
    """

    seen: Mapping[Words, int]
    negation: Collection[str] = ()

    @classmethod
    def fit(cls, train: Iterable[Document]) -> Sorter:
        """Learns from the training documents."""
        seen: Counter[Words] = Counter()
        slots: set[str] = set()
        for document in train:
            for mention in document.mentions:
                seen[mention_words(document.text, mention)] += 1
                slots.update(mention.slots)
        return cls(seen, frozenset(name for name in slots if name.lower() in _NEGATION))

    @cached_property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """The groups of each sort, in order."""
        sorts: dict[str, tuple[str, ...]] = {
            "length": ("1", "2", "3-4", "5+"),
            "training": ("0", "1", "2-5", "6+"),
            "fragments": ("1", "2+"),
            "abbreviation": ("no", "yes"),
        }
        return sorts | ({"negated": ("no", "yes")} if self.negation else {})

    def __call__(self, document: Document, mention: Mention) -> dict[str, str]:
        """The group of a mention in each sort.

        Args:
            document: with its text.
            mention: of the document, gold or predicted.
        """
        words = mention_words(document.text, mention)
        sorts = {
            "length": _bucket(max(len(words), 1), _LENGTHS, "5+"),
            "training": _bucket(self.seen.get(words, 0), _SEEN, "6+"),
            "fragments": "2+" if mention.discontiguous else "1",
            "abbreviation": "yes" if abbreviated(document.text, mention) else "no",
        }
        if self.negation:
            values = {value.lower() for name in self.negation for value in mention.slots.get(name, ())}
            sorts["negated"] = "yes" if values & _NEGATIVE else "no"
        return sorts


def abbreviated(text: str, mention: Mention) -> bool:
    """Whether a mention looks like an abbreviation: one fragment of 2 to 8 characters, with at least two letters, and at least
    half of all letters, in upper case. A rule of thumb: it includes short words of a heading in upper case.
    """
    (start, end), *more = mention.fragments
    if more or not _SHORT.fullmatch(text, start, end):
        return False
    letters = [sign for sign in text[start:end] if sign.isalpha()]
    capitals = sum(sign.isupper() for sign in letters)
    return capitals >= 2 and 2 * capitals >= len(letters)


def _bucket(value: int, limits: Iterable[tuple[int, str]], beyond: str) -> str:
    return next((name for limit, name in limits if value <= limit), beyond)
