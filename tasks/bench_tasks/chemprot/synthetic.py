"""Writes the seeded synthetic corpus. Every abstract depends on seed, split and number alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.api.data import SPLITS
from bench.kit.synthetic import Draws, begin
from bench_tasks.chemprot.corpus import FILES, NAMES
from bench_tasks.chemprot.wording import (
    CELLS,
    CHEMICAL_ENDINGS,
    CHEMICAL_ROOTS,
    DOSES,
    FRAMES,
    GENE_FAMILIES,
    GENE_ROOTS,
    VERBS,
    WEIGHTS,
    Frame,
)

SIZES: Mapping[str, int] = {"train": 300, "dev": 80, "test": 80}
_OWN = 0.6
"""Share of names and verbs that only this split uses."""
_FIRST = {"train": 10_000_000, "dev": 20_000_000, "test": 30_000_000}
_SLOT = re.compile(r"\{(\w+)\}")


def write_corpus(folder: Path, seed: int, sizes: Mapping[str, int] | None = None) -> None:
    """Writes the three files and the marker; sizes count abstracts; see `CorpusTask.synthesize`."""
    counts = begin(folder, sizes, SIZES)
    for split in SPLITS:
        lines = [json.dumps(_abstract(split, number, seed), ensure_ascii=False) + "\n" for number in range(counts[split])]
        (folder / FILES[split]).write_bytes("".join(lines).encode("utf-8"))


def _abstract(split: str, number: int, seed: int) -> dict[str, Any]:
    draws = Draws(seed, "chemprot", split, number)
    frames = FRAMES[split]
    abstract = _Abstract(split, draws)
    abstract.add(draws.choose(frames["titles"]), "\n")
    for frame in draws.shuffled(frames["bodies"])[: draws.number(4, 6)]:
        abstract.add(frame, " ")
    text = abstract.text.rstrip()
    passage = {"id": "p1", "type": "title and abstract", "text": [text], "offsets": [[0, len(text)]]}
    return {
        "id": str(number),
        "document_id": str(_FIRST[split] + number),
        "passages": [passage],
        "entities": abstract.entities,
        "events": [],
        "coreferences": [],
        "relations": abstract.relations,
    }


class _Abstract:
    """An abstract that is being written."""

    def __init__(self, split: str, draws: Draws) -> None:
        self.split, self.draws = split, draws
        self.text = ""
        self.entities: list[dict[str, Any]] = []
        self.relations: list[dict[str, Any]] = []

    def add(self, frame: Frame, after: str) -> None:
        """Adds a sentence with drawn names, and its entities and relations."""
        pattern, related = frame
        names: dict[str, tuple[str, str]] = {}
        ids: dict[str, str] = {}
        at = 0
        for slot in _SLOT.finditer(pattern):
            self.text += pattern[at : slot.start()]
            at = slot.end()
            value, kind = names[slot[1]] = self._draw(slot[1], {text for text, _ in names.values()})
            if slot.start() == 0:
                value = value[0].upper() + value[1:]
            if slot[1][0] in "CG":
                ids[slot[1]] = f"T{len(self.entities) + 1}"
                offsets = [[len(self.text), len(self.text) + len(value)]]
                entity = {"id": ids[slot[1]], "type": kind, "text": [value], "offsets": offsets, "normalized": []}
                self.entities.append(entity)
            self.text += value
        self.text += pattern[at:] + after
        for chemical, gene, verb in related:
            if names[verb][1]:
                self.relations.append(
                    {
                        "id": f"R{len(self.relations) + 1}",
                        "type": NAMES[names[verb][1]],
                        "arg1_id": ids[chemical],
                        "arg2_id": ids[gene],
                        "normalized": [],
                    }
                )

    def _draw(self, slot: str, taken: set[str]) -> tuple[str, str]:
        """The text for a slot, and its type of entity or class of relation."""
        draws = self.draws
        if slot == "cell":
            return draws.choose(CELLS[self.split]), ""
        if slot == "dose":
            return draws.choose(DOSES), ""
        source = self.split if draws.chance(_OWN) else "shared"
        if slot[0] == "V":
            group = draws.choose([group for group, weight in WEIGHTS for _ in range(weight)])
            return draws.choose(VERBS[source][group]), group
        while True:
            if slot[0] == "C":
                name, kind = draws.choose(CHEMICAL_ROOTS[source]) + draws.choose(CHEMICAL_ENDINGS), "CHEMICAL"
            elif draws.chance(0.3):
                name, kind = draws.choose(GENE_FAMILIES[source]), "GENE-N"
            else:
                name, kind = f"{draws.choose(GENE_ROOTS[source])}{draws.number(1, 9)}", "GENE-Y"
            if name not in taken:
                return name, kind
