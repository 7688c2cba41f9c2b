"""Words and sentence frames of the synthetic abstracts, read from ``wording.json``.

A frame has slots in braces: ``C1`` a chemical, ``G1`` a gene, ``V1`` a verb, and ``cell``, ``dose``. It is followed by its
relations: (chemical, gene, verb) relates the two by the verb's class; other pairs are negatives. No two splits share a frame;
chemical and gene roots are shared or belong to one split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.kit.synthetic import read_words

Frame = tuple[str, tuple[tuple[str, str, str], ...]]
Words = Mapping[str, Sequence[str]]
"""Split, or ``shared``, to words."""

_LISTS: Mapping[str, Any] = read_words(Path(__file__).with_name("wording.json"))

VERBS: Mapping[str, Words] = _LISTS["verbs"]
"""Split to class to verbs; verbs of the class ``""`` make no relation."""
WEIGHTS: Sequence[tuple[str, int]] = _LISTS["weights"]
"""How often each class is drawn, about as in the corpus."""
FRAMES: Mapping[str, Mapping[str, tuple[Frame, ...]]] = _LISTS["frames"]
"""Split to ``titles`` (first lines) and ``bodies`` (everything after)."""
CELLS: Words = _LISTS["cells"]
DOSES: Sequence[str] = _LISTS["doses"]
CHEMICAL_ROOTS: Words = _LISTS["chemical_roots"]
CHEMICAL_ENDINGS: Sequence[str] = _LISTS["chemical_endings"]
GENE_ROOTS: Words = _LISTS["gene_roots"]
GENE_FAMILIES: Words = _LISTS["gene_families"]
