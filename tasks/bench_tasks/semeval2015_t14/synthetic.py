"""Writes the seeded synthetic corpus in the official layout. Every note depends on seed, split and number alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from bench.api.data import SPLITS, Document, Fragment, Mention
from bench.kit.synthetic import begin
from bench_tasks.common.pipe import CUI_LESS, write_mentions
from bench_tasks.semeval2015_t14.synthesis import ontology
from bench_tasks.semeval2015_t14.synthesis.markup import Marked
from bench_tasks.semeval2015_t14.synthesis.notes import write_note

SIZES: Mapping[str, int] = {"train": 240, "dev": 60, "test": 60}
NAMES = "concepts.tsv"
"""File with the names of concepts; a run reads it without a flag."""
_IDENTIFIERS = 1_000_000
_UNLINKED = 11
"""One in so many sets of lexemes has no concept."""


class Identifiers:
    """Made-up but well-formed CUIs, one for each set of lexemes; they are not UMLS's.

    Args:
        prefix: first two characters, e.g. ``C9``.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._of: dict[str, int] = {}
        self._taken: set[int] = set()

    def __getitem__(self, key: str) -> str:
        if key not in self._of:
            number = _number(key) % _IDENTIFIERS
            while number in self._taken:
                number = (number + 1) % _IDENTIFIERS
            self._of[key] = number
            self._taken.add(number)
        return f"{self._prefix}{self._of[key]:06d}"


def write_corpus(folder: Path, seed: int, sizes: Mapping[str, int] | None = None) -> None:
    """Writes ``train``, ``dev`` and ``test`` with a `.text` and a `.pipe` file a note, names of concepts, and the marker.

    Sizes count notes; see `CorpusTask.synthesize`.
    """
    counts = begin(folder, sizes, SIZES)
    concepts, sites = Identifiers("C9"), Identifiers("C8")
    mentioned: set[tuple[str, ...]] = set()
    for split in SPLITS:
        (folder / split).mkdir(parents=True, exist_ok=True)
        for number in range(1, counts[split] + 1):
            note = write_note(seed, split, number)
            mentioned.update(mark.lexemes for mark in note.mentions)
            name = f"{split}-{number:05d}-DISCHARGE_SUMMARY"
            annotated, cues = _annotated(name, note.mentions, concepts, sites)
            (folder / split / f"{name}.text").write_bytes(note.text.encode("utf-8"))
            (folder / split / f"{name}.pipe").write_bytes(write_mentions(annotated, cues).encode("utf-8"))
    (folder / NAMES).write_bytes(_terminology(mentioned, concepts).encode("utf-8"))


def _terminology(mentioned: set[tuple[str, ...]], concepts: Identifiers) -> str:
    """The table of names, sorted."""
    known = mentioned | {other for lexemes in mentioned if (other := ontology.neighbour(lexemes)) is not None}
    rows = [
        f"{concepts[_key(lexemes)]}\t{name}\t{kind}\n"
        for lexemes in sorted(known)
        if not _is_unlinked(_key(lexemes))
        for name, kind in ontology.names(lexemes)
    ]
    return "".join(["concept\tname\tkind\n", *sorted(rows)])


def _key(lexemes: tuple[str, ...]) -> str:
    return "+".join(lexemes)


def _is_unlinked(key: str) -> bool:
    return _number(key) % _UNLINKED == 0


def _annotated(
    name: str, marked: tuple[Marked, ...], concepts: Identifiers, sites: Identifiers
) -> tuple[Document, dict[tuple[tuple[Fragment, ...], str], str]]:
    """A document with its mentions, and the offsets of their cues."""
    mentions: list[Mention] = []
    cues: dict[tuple[tuple[Fragment, ...], str], str] = {}
    for mark in marked:
        slots: dict[str, tuple[str, ...]] = {}
        for slot, (value, span) in mark.slots.items():
            slots[slot] = (value,)
            cues[mark.fragments, slot] = f"{span[0]}-{span[1]}"
        for lexeme, span in mark.places:
            slots["BL"] = (*slots.get("BL", ()), sites[lexeme])
            cues[mark.fragments, sites[lexeme]] = f"{span[0]}-{span[1]}"
        key = _key(mark.lexemes)
        concept = CUI_LESS if _is_unlinked(key) else concepts[key]
        mentions.append(Mention(mark.fragments, concept=concept, slots=slots))
    return Document(name, "", tuple(mentions)), cues


def _number(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
