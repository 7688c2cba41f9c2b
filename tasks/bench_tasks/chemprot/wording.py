"""Words and sentence frames of the synthetic abstracts, read from ``wording.json``.

A frame holds names in braces: ``C1`` a chemical, ``G1`` a gene, ``V1`` a verb, and ``cell``, ``dose``. Behind it stand its
relations: (chemical, gene, verb) says that the verb's class relates the two; pairs that no relation names are negatives. No
frame, and no chemical or gene root that is a split's own, occurs in another split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.kit.synthetic import read_words

Frame = tuple[str, tuple[tuple[str, str, str], ...]]
Words = Mapping[str, Sequence[str]]
"""Split, or ``shared``, to words."""

_HELD: Mapping[str, Any] = read_words(Path(__file__).with_name("wording.json"))

VERBS: Mapping[str, Words] = _HELD["verbs"]
"""Split to class to verbs; the class ``""`` relates nothing."""
WEIGHTS: Sequence[tuple[str, int]] = _HELD["weights"]
"""How often each class is drawn, about as in the corpus."""
FRAMES: Mapping[str, Mapping[str, tuple[Frame, ...]]] = _HELD["frames"]
"""Split to ``titles`` (first lines) and ``bodies`` (everything after)."""
CELLS: Words = _HELD["cells"]
DOSES: Sequence[str] = _HELD["doses"]
CHEMICAL_ROOTS: Words = _HELD["chemical_roots"]
CHEMICAL_ENDINGS: Sequence[str] = _HELD["chemical_endings"]
GENE_ROOTS: Words = _HELD["gene_roots"]
GENE_FAMILIES: Words = _HELD["gene_families"]
