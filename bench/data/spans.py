"""Normalises white space in mentions, for every corpus and every prediction: see `bench.api.data.tidy`.

Fragments lose the white space at their ends, and fragments with only white space between them are joined. Gold keeps the
file's own spans in `Mention.written`, for scorers whose official rules compare spans as they are written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from bench.api.data import Corpus, Document, Key, Mention, Relation, tidy
from bench.api.spool import spooled

SORTED, TRIMMED, JOINED = "sorted", "trimmed", "joined"

A = TypeVar("A")


def tidied_corpus(corpus: Corpus) -> Corpus:
    """A corpus with tidy mentions; `adjusted` counts those that were changed."""
    counts: Counter[str] = Counter(corpus.adjusted)
    splits = {split: spooled(_tidied(document, counts) for document in corpus[split]) for split in corpus}
    return replace(corpus, splits=splits, adjusted=dict(sorted((+counts).items())))


def tidied(annotations: Iterable[A], text: str) -> list[A]:
    """Predicted annotations with tidy fragments, those of relations too."""
    tidy_annotations: list[A] = []
    for annotation in annotations:
        if isinstance(annotation, Mention):
            fragments = tidy(annotation.fragments, text)
            tidy_annotations.append(
                annotation if fragments == annotation.fragments else replace(annotation, fragments=fragments)
            )
        elif isinstance(annotation, Relation):
            ends = [(tidy(parts, text) if parts else (), label) for parts, label in (annotation.source, annotation.target)]
            same = ends == [annotation.source, annotation.target]
            tidy_annotations.append(annotation if same else replace(annotation, source=ends[0], target=ends[1]))
        else:
            tidy_annotations.append(annotation)
    return tidy_annotations


def tidied_document(document: Document) -> Document:
    """A document with tidy mentions; unchanged where it has no text."""
    return _tidied(document, Counter())


def _tidied(document: Document, counts: Counter[str]) -> Document:
    moved: dict[Key, Key] = {}
    mentions: dict[tuple[Key, str | None], Mention] = {}
    for mention in document.mentions:
        fragments = tidy(mention.fragments, document.text)
        counts[SORTED] += list(mention.as_written) != sorted(mention.as_written)
        counts[JOINED] += len(fragments) < len(mention.as_written)
        if fragments == mention.fragments:
            mentions.setdefault((mention.key, mention.concept), mention)
            continue
        counts[TRIMMED] += _ends(fragments) != _ends(mention.fragments) or len(fragments) == len(mention.fragments)
        tidy_mention = replace(mention, fragments=fragments, written=mention.as_written)
        moved[mention.key] = tidy_mention.key
        mentions.setdefault((tidy_mention.key, tidy_mention.concept), tidy_mention)
    if not moved:
        return document
    relations = dict.fromkeys(
        replace(r, source=moved.get(r.source, r.source), target=moved.get(r.target, r.target)) for r in document.relations
    )
    return replace(document, mentions=tuple(mentions.values()), relations=tuple(relations))


def _ends(fragments: tuple[tuple[int, int], ...]) -> tuple[int, int]:
    return fragments[0][0], fragments[-1][1]
