"""Writes the seeded synthetic corpus: abstracts of sentences that speak of a hallmark, or of none, in the form of BLUE.

No two splits share a sentence's pattern; they share a part of the words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.api.data import SPLITS
from bench.kit import tables
from bench.kit.synthetic import Draws, begin, read_words
from bench_tasks.hoc.corpus import COLUMNS
from bench_tasks.hoc.task import CLASSES

SIZES: Mapping[str, int] = {"train": 300, "dev": 60, "test": 80}
_OWN = 0.6
"""Share of the words that only this split uses."""
_FIRST = {"train": 1_000_000, "dev": 2_000_000, "test": 3_000_000}
_SLOT = re.compile(r"\{(\w+)\}")
_LISTS: Mapping[str, Any] = read_words(Path(__file__).with_name("wording.json"))
SENTENCES: Mapping[str, tuple[tuple[str, ...], ...]] = _LISTS["sentences"]
"""Split to class to patterns of sentences, the classes in the order of `CLASSES`."""


def write_corpus(folder: Path, seed: int, sizes: Mapping[str, int] | None = None) -> None:
    """Writes the three tables and the marker file; sizes count abstracts; see `CorpusTask.synthesize`."""
    counts = begin(folder, sizes, SIZES)
    for split in SPLITS:
        rows = [row for number in range(counts[split]) for row in _abstract(split, number, Draws(seed, "hoc", split, number))]
        tables.write(folder / f"{split}.tsv", COLUMNS, rows)


def _abstract(split: str, number: int, draws: Draws) -> list[tuple[str, str, str]]:
    # The first abstract has a hallmark, so that a small split holds one.
    hallmarks = draws.choose((0, 1, 1, 1, 2, 2, 3)) if number else 1
    classes = draws.shuffled(range(len(CLASSES)))[:hallmarks]
    sentences = [(chosen, draws.choose(SENTENCES[split][chosen])) for chosen in classes]
    sentences += [(-1, draws.choose(_LISTS["plain"][split])) for _ in range(draws.number(2, 3))]
    rows = []
    for place, (chosen, pattern) in enumerate(draws.shuffled(sentences)):
        text = _SLOT.sub(lambda slot: draws.choose(_words(slot[1], split, draws)), pattern)
        labels = ",".join(f"{at}_{int(at == chosen)}" for at in range(len(CLASSES)))
        rows.append((labels, text[0].upper() + text[1:], f"{_FIRST[split] + number}_s{place}"))
    return rows


def _words(slot: str, split: str, draws: Draws) -> tuple[str, ...]:
    words: tuple[str, ...] = _LISTS["words"][slot][split if draws.chance(_OWN) else "shared"]
    return words
