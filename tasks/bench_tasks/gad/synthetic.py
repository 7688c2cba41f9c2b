"""Writes the seeded synthetic corpus: sentences about a masked gene and a masked disease, in the corpus's JSON Lines.

A sentence is positive where it states that the two are associated, whatever the direction; negative where it denies it, leaves
it open, or is about something else. Most words of a finding stand on both sides, so that it is the way they are put together
that tells. No split shares a frame with another; words are shared in part.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.api.data import SPLITS
from bench.kit.synthetic import Draws, begin

SIZES: Mapping[str, int] = {"train": 400, "dev": 80, "test": 120}

# {v} a variant, {c} a cohort, {e} an effect, {o} another matter, {k} a number
FRAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "train": {
        "1": (
            "{c}, carriers of the {v} of @GENE$ had {e} of @DISEASE$ (OR {k}).",
            "The {v} in the @GENE$ gene was significantly associated with @DISEASE$ {c}.",
            "Our data suggest that @GENE$ contributes to susceptibility to @DISEASE$, but not to {o}.",
            "@DISEASE$ was linked to the @GENE$ {v}, with {e} per allele.",
            "Although no effect on {o} was seen, the {v} of @GENE$ influenced the risk of @DISEASE$ {c}.",
            "{c}, homozygotes for the @GENE$ {v} developed @DISEASE$ more often than others.",
            "The frequency of the {v} of @GENE$ differed between patients with @DISEASE$ and controls (P = 0.00{k}).",
            "These findings confirm a role of @GENE$ in @DISEASE$ and none in {o}.",
        ),
        "0": (
            "{c}, carriers of the {v} of @GENE$ had {e} of {o}, while @DISEASE$ was equally common.",
            "The {v} in the @GENE$ gene was not associated with @DISEASE$ {c}.",
            "Our data do not suggest that @GENE$ contributes to susceptibility to @DISEASE$, in contrast to {o}.",
            "We genotyped the {v} of @GENE$ {c} and compared patients with @DISEASE$ and controls.",
            "Although an effect on {o} was seen, the {v} of @GENE$ had none on the risk of @DISEASE$ {c}.",
            "Whether the @GENE$ {v} matters for @DISEASE$ remains to be shown {c}.",
            "The frequency of the {v} of @GENE$ was alike in patients with @DISEASE$ and controls (P = 0.{k}).",
            "These findings argue against a role of @GENE$ in @DISEASE$ and for one in {o}.",
        ),
    },
    "dev": {
        "1": (
            "A higher prevalence of @DISEASE$ was observed with the {v} of @GENE$ {c}.",
            "Not only {o} but also @DISEASE$ depended on the @GENE$ {v}.",
            "@GENE$ may be regarded as a susceptibility locus of @DISEASE$ {c}, given {e}.",
            "The @GENE$ {v} conferred {e} of @DISEASE$, independent of {o}.",
        ),
        "0": (
            "A higher prevalence of {o}, not of @DISEASE$, was observed with the {v} of @GENE$ {c}.",
            "Neither {o} nor @DISEASE$ depended on the @GENE$ {v}.",
            "@GENE$ could not be confirmed as a susceptibility locus of @DISEASE$ {c}, in spite of {e} of {o}.",
            "This study was designed to test the @GENE$ {v} in @DISEASE$, independent of {o}.",
        ),
    },
    "test": {
        "1": (
            "Subjects bearing the {v} of @GENE$ were significantly more likely to have @DISEASE$ {c} (OR {k}).",
            "{c}, the {v} in @GENE$ predisposed to @DISEASE$ without altering {o}.",
            "We confirm the relation between @GENE$ and @DISEASE$ {c}, with {e} among carriers.",
            "@DISEASE$ developed earlier, and more often, in those who inherited the {v} of @GENE$.",
            "We found that @GENE$ contributes to the onset of @DISEASE$, whereas {o} stayed unchanged.",
            "Genotypes of the @GENE$ {v} were associated with @DISEASE$ {c} (P < 0.00{k}).",
        ),
        "0": (
            "Subjects bearing the {v} of @GENE$ were not more likely to have @DISEASE$ {c} (P = 0.{k}).",
            "{c}, the {v} in @GENE$ altered {o} but had no effect on @DISEASE$.",
            "The reported relation between @GENE$ and @DISEASE$ did not replicate {c}, with {e} of {o} alone.",
            "@DISEASE$ was equally common, and alike in onset, whoever inherited the {v} of @GENE$.",
            "Whether @GENE$ modifies the onset of @DISEASE$, in contrast to {o}, is unknown.",
            "Genotypes of the @GENE$ {v} were associated with {o}, none with @DISEASE$ {c} (P = 0.{k}).",
        ),
    },
}

_SHARED: Mapping[str, tuple[str, ...]] = {
    "v": ("promoter polymorphism", "missense variant", "deletion allele", "insertion", "TT genotype", "rare haplotype"),
    "c": ("In a Japanese population", "In a case-control study", "Among 300 women", "In two cohorts", "In elderly men"),
    "e": ("an increased risk", "a lower risk", "a twofold risk", "a modest excess", "a reduced incidence"),
    "o": ("blood pressure", "body mass index", "survival", "drug response", "bone density", "smoking"),
}
_OWN: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "train": {
        "v": ("Val158Met substitution", "3' UTR marker", "C677T mutation", "null genotype", "short repeat", "exon 4 variant"),
        "c": ("In Finnish families", "Among smokers", "In a Korean sample", "In a prospective cohort", "In young adults"),
        "o": ("age at onset", "serum lipids", "tumor stage", "insulin levels", "alcohol intake", "birth weight"),
    },
    "dev": {
        "v": ("intron 2 marker", "AA genotype", "long repeat"),
        "c": ("In Turkish patients", "Among diabetics", "In a hospital series"),
        "o": ("renal function", "plasma glucose", "cognitive scores"),
    },
    "test": {
        "v": ("frameshift allele", "Gly972Arg change", "tandem repeat", "splice site variant", "minor allele", "CC genotype"),
        "c": ("In Icelandic trios", "Among never-smokers", "In a Brazilian registry", "In a meta-analysis", "In children"),
        "o": ("platelet count", "lung function", "disease duration", "telomere length", "viral load", "height"),
    },
}


def write_corpus(folder: Path, seed: int, sizes: Mapping[str, int] | None = None) -> None:
    """Writes ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl``, and the marker file.

    Sizes count sentences; see `CorpusTask.synthesize`.
    """
    wanted = begin(folder, sizes, SIZES)
    for split in SPLITS:
        lines = []
        for number in range(wanted[split]):
            draws = Draws(seed, "gad", split, number)
            # Both classes from the second sentence on, however few are asked for.
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
    return (*_SHARED[slot], *_OWN[split].get(slot, ()))
