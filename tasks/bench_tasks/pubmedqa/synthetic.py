"""Writes the seeded synthetic corpus: questions with abstracts, in the corpus's JSON Lines.

The answer is in the results alone: *yes* where the effect that the question asks about is found, *no* where it is absent or
reversed, *maybe* where it holds for a part of the patients or by one of two measures. Background and aims do not depend on the
answer. No two splits share a frame; they share a part of the words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.api.data import SPLITS
from bench.kit.synthetic import Draws, begin, read_words

SIZES: Mapping[str, int] = {"train": 300, "dev": 60, "test": 100}
CLASSES = ("yes", "no", "maybe")
_YES, _NO = 0.5, 0.85

_LISTS: Mapping[str, Any] = read_words(Path(__file__).with_name("wording.json"))
# {t} a treatment, {o} an outcome, {w} who, {n} {m} numbers of patients, {p} {q} percentages with p < q
QUESTIONS: Mapping[str, tuple[str, ...]] = _LISTS["questions"]
BEGINNINGS: Mapping[str, tuple[str, ...]] = _LISTS["beginnings"]
RESULTS: Mapping[str, Mapping[str, tuple[str, ...]]] = _LISTS["results"]
"""Split to answer to frames."""
ENDINGS: Mapping[str, tuple[str, ...]] = _LISTS["endings"]
_WORDS: Mapping[str, Mapping[str, tuple[str, ...]]] = _LISTS["words"]


def write_corpus(folder: Path, seed: int, sizes: Mapping[str, int] | None = None) -> None:
    """Writes ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl``, and the marker file.

    Sizes count questions; see `CorpusTask.synthesize`.
    """
    counts = begin(folder, sizes, SIZES)
    first = 90_000_000  # above the ids of real articles
    for split in SPLITS:
        lines = [
            json.dumps(_record(first + number, split, number, Draws(seed, "pubmedqa", split, number))) + "\n"
            for number in range(counts[split])
        ]
        first += counts[split]
        (folder / f"{split}.jsonl").write_bytes("".join(lines).encode("utf-8"))


def _record(name: int, split: str, number: int, draws: Draws) -> dict[str, object]:
    """One line; the first three of a split have one class each, so that a small split has all."""
    drawn = draws.chance(_YES), draws.chance((_NO - _YES) / (1 - _YES))
    label = CLASSES[number] if number < len(CLASSES) else "yes" if drawn[0] else "no" if drawn[1] else "maybe"
    low = draws.number(4, 20)
    words: dict[str, object] = {slot: draws.choose((*_WORDS["shared"][slot], *_WORDS[split][slot])) for slot in "tow"}
    words |= {slot.upper(): str(words[slot])[0].upper() + str(words[slot])[1:] for slot in "to"}
    words |= {"n": draws.number(40, 400), "m": draws.number(40, 400), "p": low, "q": low + draws.number(9, 40)}
    said = [draws.choose(BEGINNINGS[split]), draws.choose(RESULTS[split][label]), draws.choose(ENDINGS[split])]
    if draws.chance(0.5):  # the result is not always in the middle
        said = [said[0], said[2], said[1]]
    return {
        "pubid": name,
        "question": draws.choose(QUESTIONS[split]).format(**words),
        "context": {"contexts": [frame.format(**words) for frame in said], "labels": ["BACKGROUND", "RESULTS", "RESULTS"]},
        "long_answer": f"The answer is {label}.",
        "final_decision": label,
    }
