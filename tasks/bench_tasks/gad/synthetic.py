"""Writes the seeded synthetic corpus: sentences about a masked gene and a masked disease, in the corpus's JSON Lines.

A sentence is positive where it states that the two are associated, in whichever direction; negative where it denies it, leaves
it open, or is about something else. Both classes use mostly the same words, so that words alone do not decide. No two splits
share a frame; they share a part of the words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.api.data import SPLITS
from bench.kit.synthetic import Draws, begin, read_words

SIZES: Mapping[str, int] = {"train": 400, "dev": 80, "test": 120}

_LISTS: Mapping[str, Any] = read_words(Path(__file__).with_name("wording.json"))
FRAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = _LISTS["frames"]
"""Split to class to frames: {v} a variant, {c} a cohort, {e} an effect, {o} another matter, {k} a number."""
_WORDS: Mapping[str, Mapping[str, tuple[str, ...]]] = _LISTS["words"]


def write_corpus(folder: Path, seed: int, sizes: Mapping[str, int] | None = None) -> None:
    """Writes ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl``, and the marker file.

    Sizes count sentences; see `CorpusTask.synthesize`.
    """
    counts = begin(folder, sizes, SIZES)
    for split in SPLITS:
        lines = []
        for number in range(counts[split]):
            draws = Draws(seed, "gad", split, number)
            # The first two sentences have one class each, so that a small split has both.
            label = str(number % 2) if number < 2 else str(int(draws.chance(0.53)))
            record = {"id": str(number), "document_id": str(number), "text": _sentence(split, label, draws), "labels": [label]}
            lines.append(json.dumps(record) + "\n")
        (folder / f"{split}.jsonl").write_bytes("".join(lines).encode("utf-8"))


def _sentence(split: str, label: str, draws: Draws) -> str:
    frame = draws.choose(FRAMES[split][label])
    words = {slot: draws.choose(_words(split, slot)) for slot in "vceo"}
    if not frame.startswith("{c}"):
        words["c"] = words["c"][0].lower() + words["c"][1:]
    return frame.format(k=draws.number(2, 9), **words)


def _words(split: str, slot: str) -> Sequence[str]:
    return (*_WORDS["shared"][slot], *_WORDS[split].get(slot, ()))
