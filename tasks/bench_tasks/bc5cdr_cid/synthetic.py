"""Writes the seeded synthetic corpus: abstracts of made-up chemicals and diseases in PubTator, with CID lines.

An abstract has two chemicals and two or three diseases, each with a full name and a short one. A frame is about one chemical
and one disease, in one sentence or in two, and says that the one induces the other or that it does not; a pair without a frame
is not related. No two splits share a frame; they share a part of the names.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.api.data import SPLITS
from bench.kit.synthetic import Draws, begin, read_words
from bench_tasks.common.abstract_task import CDR_FILES

SIZES: Mapping[str, int] = {"train": 300, "dev": 80, "test": 80}
_LISTS: Mapping[str, Any] = read_words(Path(__file__).with_name("wording.json"))
FRAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = _LISTS["frames"]
"""Split to ``titles``, and to frames that state a relation (``induces``) and that do not (``other``)."""
_FIRST = {"train": 10_000_000, "dev": 20_000_000, "test": 30_000_000}
_OWN = 0.6
"""Share of the words that only this split uses."""
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class _Concept:
    """A made-up chemical or disease: its names, the short one last, and its id, the same wherever the name is drawn."""

    kind: str
    names: tuple[str, str]
    id: str


def write_corpus(folder: Path, seed: int, sizes: Mapping[str, int] | None = None) -> None:
    """Writes the three files and the marker; sizes count abstracts; see `CorpusTask.synthesize`."""
    counts = begin(folder, sizes, SIZES)
    for split in SPLITS:
        articles = "".join(_article(split, number, Draws(seed, "bc5cdr-cid", split, number)) for number in range(counts[split]))
        (folder / CDR_FILES[split]).write_bytes(articles.encode())


def _article(split: str, number: int, draws: Draws) -> str:
    name = str(_FIRST[split] + number)
    chemicals = _concepts("Chemical", 2, split, draws)
    diseases = _concepts("Disease", draws.number(2, 3), split, draws)
    # The first abstract of a split has three relations, so that a small split holds some.
    pairs = draws.shuffled([(c, d) for c in chemicals for d in diseases])[: draws.number(2, 4) if number else 4]
    related = [draws.chance(0.4) or (number == 0 and at < 3) for at in range(len(pairs))]
    text, mentions = "", list[tuple[int, int, str, str, str]]()
    seen: set[str] = set()
    frames = [draws.choose(FRAMES[split]["titles"])]
    frames += [draws.choose(FRAMES[split]["induces" if yes else "other"]) for yes in related]
    for place, (frame, pair) in enumerate(zip(frames, [pairs[0], *pairs], strict=True)):
        at = 0
        text += ("", "\n", " ")[min(place, 2)]
        for slot in _SLOT.finditer(frame):
            text += frame[at : slot.start()]
            at = slot.end()
            concept = {"C": pair[0], "D": pair[1]}.get(slot[1])
            word = _word(slot[1], split, draws) if concept is None else _named(concept, seen, draws)
            if slot.start() == 0:
                word = word[0].upper() + word[1:]
            if concept is not None:
                mentions.append((len(text), len(text) + len(word), word, concept.kind, concept.id))
            text += word
        text += frame[at:]
    title, _, abstract = text.partition("\n")
    lines = [f"{name}|t|{title}", f"{name}|a|{abstract}"]
    lines += ["\t".join((name, str(start), str(end), *rest)) for start, end, *rest in mentions]
    lines += [f"{name}\tCID\t{c.id}\t{d.id}" for (c, d), yes in zip(pairs, related, strict=True) if yes]
    return "".join(f"{line}\n" for line in [*lines, ""])


def _concepts(kind: str, count: int, split: str, draws: Draws) -> list[_Concept]:
    """Concepts of a kind, no two of them with the same short name."""
    made: dict[str, _Concept] = {}
    while len(made) < count:
        if kind == "Chemical":
            full = _word("root", split, draws) + draws.choose(_LISTS["chemical_endings"])
        else:
            full = f"{_word('site', split, draws)} {draws.choose(_LISTS['disease_endings'])}"
        first, _, second = full.partition(" ")
        short = (first[:3] + second[:1]).upper()
        made.setdefault(
            short, _Concept(kind, (full, short), f"{'CD'[kind == 'Disease']}{zlib.crc32(full.encode()) % 10**6:06d}")
        )
    return list(made.values())


def _named(concept: _Concept, seen: set[str], draws: Draws) -> str:
    """The full name at first, then either."""
    name = draws.choose(concept.names) if concept.id in seen else concept.names[0]
    seen.add(concept.id)
    return name


def _word(kind: str, split: str, draws: Draws) -> str:
    words = _LISTS[kind]
    word: str = draws.choose(words[split if draws.chance(_OWN) else "shared"])
    return word
