"""Writes the seeded synthetic corpus: pairs of sentences, one said in two ways or with other words in it, scored from 0 to 4.

Pairs that say the same have about 4, a word exchanged costs about 1.4, and another matter has about 0 to 1; up to a fifth of a
point is drawn on top, as annotators differ. No two splits share a frame; they share a part of the words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.api.data import SPLITS
from bench.kit import tables
from bench.kit.synthetic import Draws, begin, read_words
from bench_tasks.biosses.corpus import COLUMNS, HIGHEST

SIZES: Mapping[str, int] = {"train": 200, "dev": 40, "test": 60}
_OWN = 0.6
"""Share of the words that only this split uses."""
_SLOT = re.compile(r"\{(\w+)\}")
_COST = 7
"""Fifths of a point that an exchanged word costs."""
_LISTS: Mapping[str, Any] = read_words(Path(__file__).with_name("wording.json"))
FRAMES: Mapping[str, tuple[tuple[str, str], ...]] = _LISTS["frames"]
"""Split to matters, each said in two ways."""


def write_corpus(folder: Path, seed: int, sizes: Mapping[str, int] | None = None) -> None:
    """Writes the three tables and the marker file; sizes count pairs; see `CorpusTask.synthesize`."""
    counts = begin(folder, sizes, SIZES)
    for split in SPLITS:
        rows = [(str(n), *_pair(split, n, Draws(seed, "biosses", split, n))) for n in range(counts[split])]
        tables.write(folder / f"{split}.tsv", COLUMNS, rows)


def _pair(split: str, number: int, draws: Draws) -> tuple[str, str, str]:
    frames = FRAMES[split]
    frame = draws.choose(frames)
    first = {slot: _word(slot, split, draws) for slot in dict.fromkeys(_SLOT.findall(frame[0]))}
    # The first two pairs are far apart in score, so that a small split has scores that differ.
    if draws.chance(0.25) if number > 1 else number == 1:
        other = draws.choose([another for another in frames if another is not frame])
        second = {slot: _word(slot, split, draws) for slot in dict.fromkeys(_SLOT.findall(other[1]))}
        fifths = 1 + 2 * sum(first.get(slot) == word for slot, word in second.items())
        texts = frame[0], other[1]
    else:
        exchanged = draws.shuffled(list(first))[: draws.choose((0, 0, 1, 1, 2)) if number > 1 else 0]
        second = {slot: _other(word, slot, split, draws) if slot in exchanged else word for slot, word in first.items()}
        fifths = round(5 * HIGHEST) - _COST * len(exchanged)
        texts = frame
    fifths = min(max(fifths + draws.number(-1, 1), 0), round(5 * HIGHEST))
    said = (
        _SLOT.sub(lambda slot, words=words: words[slot[1]], text)  # type: ignore[misc]
        for text, words in zip(texts, (first, second), strict=True)
    )
    one, two = (text[0].upper() + text[1:] for text in said)
    return one, two, f"{fifths / 5:.1f}"


def _word(slot: str, split: str, draws: Draws) -> str:
    words: tuple[str, ...] = _LISTS["words"][slot][split if draws.chance(_OWN) else "shared"]
    return draws.choose(words)


def _other(word: str, slot: str, split: str, draws: Draws) -> str:
    words: list[str] = [w for w in (*_LISTS["words"][slot]["shared"], *_LISTS["words"][slot][split]) if w != word]
    return draws.choose(words)
