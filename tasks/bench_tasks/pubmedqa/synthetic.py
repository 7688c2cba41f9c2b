"""Writes the seeded synthetic corpus: questions with abstracts, in the corpus's JSON Lines.

The answer stands in the results alone: *yes* where the effect that was asked about is found, *no* where it is not, or goes the
other way, *maybe* where it holds for a part of the patients or by one of two measures. Background and aims promise as much in
either case. No split shares a frame with another; words are shared in part.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from bench.api.data import SPLITS
from bench.kit.synthetic import Draws, begin

SIZES: Mapping[str, int] = {"train": 300, "dev": 60, "test": 100}
CLASSES = ("yes", "no", "maybe")
_YES, _NO = 0.5, 0.85

# {t} a treatment, {o} an outcome, {w} who, {n} {m} numbers of patients, {p} {q} percentages with p < q
QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "train": ("Does {t} reduce {o} in {w}?", "Is {t} effective against {o} in {w}?", "{T} for {w}: is there less {o}?"),
    "dev": ("Can {o} in {w} be prevented by {t}?", "Do {w} benefit from {t} with regard to {o}?"),
    "test": ("Should {t} be offered to {w} in order to lower {o}?", "Is the rate of {o} in {w} decreased by {t}?"),
}
BEGINNINGS: Mapping[str, tuple[str, ...]] = {
    "train": (
        "It is widely held that {t} protects from {o}. We followed {n} {w}.",
        "{O} is frequent in {w}, and trials of {t} gave conflicting results. We enrolled {n} patients and {m} controls.",
    ),
    "dev": ("Reports on {t} are few. The charts of {n} {w} were reviewed for {o}.",),
    "test": (
        "Guidelines mention {t}, yet evidence about {o} is scarce. We randomized {n} {w}.",
        "The burden of {o} calls for better care of {w}. This registry holds {n} who were given {t} and {m} who were not.",
    ),
}
RESULTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "train": {
        "yes": (
            "{O} was seen in {p}% with {t} and in {q}% without (P < 0.01).",
            "After {t}, {o} fell from {q}% to {p}% and the difference was significant in all groups.",
        ),
        "no": (
            "{O} was seen in {q}% with {t} and in {p}% without (P < 0.05).",
            "After {t}, {o} stayed at {q}% and did not differ between the groups (P = 0.{q}).",
        ),
        "maybe": (
            "{O} was seen in {p}% with {t} and in {q}% without among men, but equally often among women.",
            "After {t}, {o} fell from {q}% to {p}% at one month, and was back at {q}% after a year.",
        ),
    },
    "dev": {
        "yes": ("Events numbered {p} per hundred under {t} against {q} under placebo, a clear drop of {o}.",),
        "no": ("Events numbered {q} per hundred under {t} against {p} under placebo, hence no drop of {o}.",),
        "maybe": ("Events numbered {p} per hundred under {t} against {q} under placebo in one centre, not in the other.",),
    },
    "test": {
        "yes": (
            "The treated had {o} in {p}% of cases, the untreated in {q}%, and so it was in men and women.",
            "With {t}, {o} fell by half, and both measures were significant (P < 0.01).",
        ),
        "no": (
            "The treated had {o} in {q}% of cases, the untreated in {p}%, and so it was in men and women.",
            "With {t}, {o} did not change, and both measures were alike (P = 0.{q}).",
        ),
        "maybe": (
            "The treated had {o} in {p}% of cases, the untreated in {q}%, but it was the other way in women.",
            "With {t}, {o} fell by half at one visit, and was back after a year by both measures.",
        ),
    },
}
ENDINGS: Mapping[str, tuple[str, ...]] = {
    "train": ("Side effects were mild.", "Mean age was {q} years.", "Follow-up lasted {p} months."),
    "dev": ("Costs were alike.", "Two patients moved away."),
    "test": ("Adherence was {q}%.", "Nobody withdrew consent.", "The median stay was {p} days."),
}
_SHARED: Mapping[str, tuple[str, ...]] = {
    "t": ("low-dose aspirin", "early mobilisation", "vitamin D", "home monitoring", "music therapy", "antibiotic prophylaxis"),
    "o": ("wound infection", "postoperative pain", "delirium", "readmission", "anemia", "bleeding"),
    "w": ("elderly patients", "pregnant women", "children with asthma", "patients on dialysis"),
}
_OWN: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "train": {
        "t": ("preoperative fasting", "a nurse-led clinic", "statin therapy", "oral iron", "group exercise", "nasal oxygen"),
        "o": ("nausea", "falls", "pneumonia", "relapse", "sleep loss"),
        "w": ("stroke survivors", "patients after hip surgery", "heavy smokers", "preterm infants"),
    },
    "dev": {
        "t": ("compression stockings", "a short steroid course", "dietary fibre"),
        "o": ("thrombosis", "constipation"),
        "w": ("long-distance travellers", "burn victims"),
    },
    "test": {
        "t": ("laparoscopic repair", "acupuncture", "phone coaching", "probiotic drinks", "regional block", "light therapy"),
        "o": ("hernia recurrence", "depressive episodes", "urinary retention", "seizures", "headache"),
        "w": ("veterans", "organ recipients", "adolescents with diabetes", "shift workers"),
    },
}  # fmt: skip


def write_corpus(folder: Path, seed: int, sizes: Mapping[str, int] | None = None) -> None:
    """Writes ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl``, and the marker file.

    Sizes count questions; see `CorpusTask.synthesize`.
    """
    wanted = begin(folder, sizes, SIZES)
    first = 90_000_000  # beyond the ids of real articles
    for split in SPLITS:
        lines = [
            json.dumps(_record(first + number, split, number, Draws(seed, "pubmedqa", split, number))) + "\n"
            for number in range(wanted[split])
        ]
        first += wanted[split]
        (folder / f"{split}.jsonl").write_bytes("".join(lines).encode("utf-8"))


def _record(name: int, split: str, number: int, draws: Draws) -> dict[str, object]:
    """One line; the first three of a split have one class each, however few are asked for."""
    drawn = draws.chance(_YES), draws.chance((_NO - _YES) / (1 - _YES))
    label = CLASSES[number] if number < len(CLASSES) else "yes" if drawn[0] else "no" if drawn[1] else "maybe"
    low = draws.number(4, 20)
    words: dict[str, object] = {slot: draws.choose((*_SHARED[slot], *_OWN[split][slot])) for slot in "tow"}
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
