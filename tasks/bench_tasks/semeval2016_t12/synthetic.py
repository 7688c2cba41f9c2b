"""Writes the seeded synthetic corpus in Anafora's layout. Every note depends on seed, split and number alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from bench.api.data import SPLITS, Document, Mention, Relation
from bench.kit.synthetic import Draws, begin
from bench_tasks.semeval2016_t12 import scorer
from bench_tasks.semeval2016_t12.corpus import CONTAINS
from bench_tasks.semeval2016_t12.wording import FRAMES, HEADINGS, MONTHS, TIMES, UNITS, WEEKDAYS, WORDS, Frame

SIZES: Mapping[str, int] = {"train": 200, "dev": 60, "test": 60}
_OWN = 0.55
"""Share of words that only this split uses."""
_MARK = re.compile(r"\[(\w+) (=?\w+)(?: ([A-Z/]+))?\]")


def write_corpus(folder: Path, seed: int, sizes: Mapping[str, int] | None = None) -> None:
    """Writes ``train``, ``dev`` and ``test``, a folder with a text and an Anafora file for each note, and the marker.

    Sizes count notes; see `CorpusTask.synthesize`.
    """
    counts = begin(folder, sizes, SIZES)
    for split in SPLITS:
        for number in range(1, counts[split] + 1):
            note = _note(split, f"{split}{number:04d}_clinic_{number:03d}", Draws(seed, "2016-T12", split, number))
            scorer.write(folder / split, note)
            (folder / split / note.id / note.id).write_bytes(note.text.encode("utf-8"))


def _note(split: str, name: str, draws: Draws) -> Document:
    note = _Note(split, draws)
    frames = draws.shuffled(FRAMES[split])
    half = len(frames) // 2
    for heading, body in zip(HEADINGS[split], (frames[:half], frames[half:]), strict=True):
        note.text += f"{heading}:\n"
        for frame in body[: draws.number(2, 5)]:
            note.add(frame)
        note.text = note.text.rstrip() + "\n\n"
    return Document(name, note.text, tuple(note.mentions), tuple(note.relations))


class _Note:
    """A note that is being written."""

    def __init__(self, split: str, draws: Draws) -> None:
        self.split, self.draws = split, draws
        self.text = ""
        self.mentions: list[Mention] = []
        self.relations: list[Relation] = []

    def add(self, frame: Frame) -> None:
        """Adds a sentence with drawn words, and its mentions and containers."""
        pattern, containers = frame
        named: dict[str, Mention] = {}
        at, opening = 0, True
        for mark in _MARK.finditer(pattern):
            self.text += pattern[at : mark.start()]
            opening, at = mark.start() == 0, mark.end()
            value, label, slots = self._drawn(mark[2], mark[3])
            value = value[0].upper() + value[1:] if opening else value[0].lower() + value[1:] if mark[2] == "past" else value
            span = (len(self.text), len(self.text) + len(value))
            named[mark[1]] = Mention((span,), label, slots=slots)
            self.text += value
        self.text += pattern[at:] + " "
        self.mentions += named.values()
        for container in containers:
            source, _, target = container.partition(">")
            self.relations.append(Relation(named[source].key, named[target].key, CONTAINS))

    def _drawn(self, what: str, said: str | None) -> tuple[str, str, dict[str, tuple[str, ...]]]:
        """Text, label and properties of a mark."""
        if said is None:
            kind, value = self._time(what)
            return value, "TIMEX3", {"Class": (kind,)}
        source = self.split if self.draws.chance(_OWN) else "shared"
        value = what[1:] if what.startswith("=") else self.draws.choose(WORDS[source][what])
        when = said.removesuffix("/NEG")
        slots = {
            "DocTimeRel": when,
            "Type": "EVIDENTIAL" if what in ("=showed", "=revealed") else "N/A",
            "Degree": "N/A",
            "Polarity": "NEG" if said.endswith("/NEG") else "POS",
            "ContextualModality": "ACTUAL",
            "ContextualAspect": "N/A",
            "Permanence": "UNDETERMINED",
        }
        return value, "EVENT", {slot: (chosen,) for slot, chosen in slots.items()}

    def _time(self, what: str) -> tuple[str, str]:
        draws = self.draws
        if what == "date":
            return "DATE", f"{draws.choose(MONTHS[self.split])} {draws.number(1, 28)}, {draws.number(2008, 2014)}"
        kind, patterns = TIMES[self.split][what]
        pattern = draws.choose(patterns)
        number, unit, weekday = draws.number(2, 9), draws.choose(UNITS), draws.choose(WEEKDAYS[self.split])
        return kind, pattern.format(n=number, unit=unit, weekday=weekday)
