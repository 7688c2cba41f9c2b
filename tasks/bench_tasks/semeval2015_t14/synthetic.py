"""Writes the seeded synthetic corpus in the official layout. Every note is a function of seed, split and number alone."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from pathlib import Path

from bench.api.data import SPLITS, Document, Fragment, Mention
from bench_tasks.common.synthetic import begin
from bench_tasks.semeval2015_t14.pipe import CUI_LESS, write_mentions
from bench_tasks.semeval2015_t14.synthesis.markup import Marked
from bench_tasks.semeval2015_t14.synthesis.notes import write_note

SIZES: Mapping[str, int] = {"train": 240, "dev": 60, "test": 60}
_IDENTIFIERS = 1_000_000
_UNLINKED = 11
"""One lexeme set in so many has no concept."""


class Identifiers:
    """Made-up but well-formed CUIs, one for each set of lexemes; they name nothing in UMLS.

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
    """Writes ``train``, ``dev`` and ``test`` with a `.text` and a `.pipe` file a note, and the marker file.

    Sizes count notes; see `CorpusTask.synthesize`.
    """
    wanted = begin(folder, sizes, SIZES)
    concepts, sites = Identifiers("C9"), Identifiers("C8")
    for split in SPLITS:
        (folder / split).mkdir(parents=True, exist_ok=True)
        for number in range(1, wanted[split] + 1):
            note = write_note(split, random.Random(f"{seed}/{split}/{number}"))
            name = f"{split}-{number:05d}-DISCHARGE_SUMMARY"
            annotated, cues = _annotated(name, note.mentions, concepts, sites)
            (folder / split / f"{name}.text").write_bytes(note.text.encode("utf-8"))
            (folder / split / f"{name}.pipe").write_bytes(write_mentions(annotated, cues).encode("utf-8"))


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
        key = "+".join(mark.lexemes)
        concept = CUI_LESS if _number(key) % _UNLINKED == 0 else concepts[key]
        mentions.append(Mention(mark.fragments, concept=concept, slots=slots))
    return Document(name, "", tuple(mentions)), cues


def _number(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
