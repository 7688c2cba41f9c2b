"""Writes the seeded synthetic corpus: documents of made-up drugs in the corpus's XML, DrugBank and MedLine by turns.

A frame has up to three drugs, of which two interact or none; every pair of a sentence is listed, as in the corpus. No two
splits share a frame; they share a part of the drugs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from bench.api.data import SPLITS
from bench.kit.synthetic import Draws, begin, read_words
from bench_tasks.ddi2013.corpus import FOLDERS

SIZES: Mapping[str, int] = {"train": 240, "dev": 60, "test": 60}
_LISTS: Mapping[str, Any] = read_words(Path(__file__).with_name("wording.json"))
FRAMES: Mapping[str, tuple[tuple[str, str], ...]] = _LISTS["frames"]
"""Split to sentences, each with the drugs that interact and how, such as ``A B effect``; with an empty string where none do."""
_OWN = 0.6
"""Share of the words that only this split uses."""
_SLOT = re.compile(r"\{(\w+)\}")


def write_corpus(folder: Path, seed: int, sizes: Mapping[str, int] | None = None) -> None:
    """Writes the three folders and the marker; sizes count documents; see `CorpusTask.synthesize`."""
    counts = begin(folder, sizes, SIZES)
    number = 0
    for split in SPLITS:
        for at in range(counts[split]):
            source = ("DrugBank", "MedLine")[at % 2]
            path = folder / FOLDERS[split] / source / f"{source.lower()}-{at:04d}.xml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_document(f"DDI-{source}.d{number}", split, Draws(seed, "ddi-2013", split, at), at).encode())
            number += 1


def _document(name: str, split: str, draws: Draws, at: int) -> str:
    frames = FRAMES[split]
    # The first documents have an interaction, so that a small split holds some.
    drawn = [frames[at % 2], *draws.shuffled(frames)[: draws.number(2, 5)]]
    sentences = "".join(_sentence(f"{name}.s{n}", frame, split, draws) for n, frame in enumerate(drawn))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<document id="{name}">\n{sentences}</document>\n'


def _sentence(name: str, frame: tuple[str, str], split: str, draws: Draws) -> str:
    pattern, related = frame
    text, at, drugs = "", 0, dict[str, str]()
    entities: list[str] = []
    ids: dict[str, str] = {}
    for slot in _SLOT.finditer(pattern):
        text += pattern[at : slot.start()]
        at = slot.end()
        if slot[1] not in ("A", "B", "C"):
            word = _draw(_LISTS[slot[1]], split, draws)
            text += word if text else word[0].upper() + word[1:]
            continue
        drug, kind = _drug(split, draws, set(drugs.values()))
        drugs[slot[1]] = drug
        shown = drug if text else drug[0].upper() + drug[1:]
        ids[slot[1]] = f"{name}.e{len(ids)}"
        entities.append(
            f"    <entity id={quoteattr(ids[slot[1]])} charOffset={quoteattr(f'{len(text)}-{len(text) + len(shown) - 1}')} "
            f"type={quoteattr(kind)} text={quoteattr(shown)}/>\n"
        )
        text += shown
    text += pattern[at:]
    *ends, label = related.split() or [""]
    pairs = [
        f"    <pair id={quoteattr(f'{name}.p{n}')} e1={quoteattr(ids[a])} e2={quoteattr(ids[b])} "
        + (f'ddi="true" type="{label}"/>\n' if {a, b} == set(ends) else 'ddi="false"/>\n')
        for n, (a, b) in enumerate(combinations(ids, 2))
    ]
    return f"  <sentence id={quoteattr(name)} text={quoteattr(text)}>\n{''.join([*entities, *pairs])}  </sentence>\n"


def _drug(split: str, draws: Draws, taken: set[str]) -> tuple[str, str]:
    """A drug that the sentence does not have yet, and its type."""
    while True:
        kind = draws.choose(("drug", "drug", "drug", "brand", "group"))
        drug = _draw(_LISTS["roots"], split, draws) + draws.choose(_LISTS["endings"][kind])
        if kind == "brand":
            drug = drug[0].upper() + drug[1:]
        if drug not in taken:
            return drug, kind


def _draw(words: Mapping[str, tuple[str, ...]], split: str, draws: Draws) -> str:
    return draws.choose(words[split if draws.chance(_OWN) else "shared"])
