"""A seeded synthetic corpus of medication orders. Splits have templates and doses of their own, and some drugs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.api.data import SPLITS, Document, Mention, in_order
from bench.kit.synthetic import Draws, begin
from bench_example.corpus import write

SIZES: Mapping[str, int] = {"train": 160, "dev": 40, "test": 40}
_DRUGS: Mapping[str, tuple[str, ...]] = {
    "train": (
        "warfarin",
        "metoprolol",
        "lisinopril",
        "furosemide",
        "atorvastatin",
        "insulin glargine",
        "omeprazole",
        "heparin",
    ),
    "dev": ("metoprolol", "furosemide", "amlodipine", "gabapentin", "potassium chloride", "prednisone"),
    "test": ("warfarin", "omeprazole", "clopidogrel", "levothyroxine", "ferrous sulfate", "sertraline", "vancomycin"),
}
_NUMBERS = sorted({drug for drugs in _DRUGS.values() for drug in drugs})
_DOSES: Mapping[str, tuple[str, ...]] = {
    "train": ("5 mg", "25 mg", "10 units", "40 mg", "1 tablet"),
    "dev": ("12.5 mg", "20 units", "2 tablets"),
    "test": ("75 mg", "100 mcg", "1 g", "3 capsules"),
}
_FREQUENCIES = ("daily", "twice daily", "every 6 hours", "at bedtime", "three times a day", "as needed")
_TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "train": (
        "Start {Drug} {Dose} {Frequency}.",
        "Patient was continued on {Drug} {Frequency} at home.",
        "{Drug} was increased to {Dose} after the procedure.",
        "Denies chest pain; tolerating {Drug} well.",
        "The wound was clean and dry for the last 5 days.",
    ),
    "dev": (
        "Discharged with {Drug}, {Dose} by mouth {Frequency}.",
        "Please hold {Drug} until seen in clinic.",
        "Blood pressure was checked daily in the ward.",
    ),
    "test": (
        "We recommend {Dose} of {Drug} {Frequency}.",
        "Home medications include {Drug} {Dose}.",
        "Received {Drug} overnight without reaction.",
        "Pain was rated 3 of 10 at bedtime.",
    ),
}


def write_corpus(folder: Path, seed: int, sizes: Mapping[str, int] | None) -> None:
    """Writes the three files and the marker; the same seed gives the same bytes."""
    wanted = begin(folder, sizes, SIZES)
    for split in SPLITS:
        write(folder / f"{split}.jsonl", [_note(split, n, Draws(seed, split, n)) for n in range(1, wanted[split] + 1)])


def _note(split: str, number: int, draws: Draws) -> Document:
    text, mentions = "", []
    for _ in range(draws.number(3, 6)):
        rest = draws.choose(_TEMPLATES[split])
        while "{" in rest:
            before, _, rest = rest.partition("{")
            label, _, rest = rest.partition("}")
            text += before
            value = draws.choose({"Drug": _DRUGS[split], "Dose": _DOSES[split]}.get(label, _FREQUENCIES))
            concept = f"SYN{_NUMBERS.index(value):04d}" if label == "Drug" else None
            mentions.append(Mention(((len(text), len(text) + len(value)),), label, concept))
            text += value
        text += f"{rest}\n"
    return Document(f"{split}-{number:04d}", text, in_order(mentions))
