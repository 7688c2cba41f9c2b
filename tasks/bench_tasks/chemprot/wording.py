"""Words and sentence frames of the synthetic abstracts.

A frame holds names in braces: ``C1`` a chemical, ``G1`` a gene, ``V1`` a verb, and ``cell``, ``dose``. Behind it stand its
relations: (chemical, gene, verb) says that the verb's class relates the two; pairs that no relation names are negatives. No
frame, and no chemical or gene root that is a split's own, occurs in another split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Frame = tuple[str, tuple[tuple[str, str, str], ...]]

VERBS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "shared": {
        "CPR:3": ("activated", "induced", "increased the expression of", "upregulated"),
        "CPR:4": ("inhibited", "blocked", "suppressed", "reduced the activity of"),
        "CPR:5": ("acted as an agonist of", "was a full agonist at"),
        "CPR:6": ("antagonized", "acted as an antagonist of"),
        "CPR:9": ("was metabolized by", "was a substrate of", "was transported by"),
        "": ("did not change", "had no effect on", "was not related to"),
    },
    "train": {
        "CPR:3": ("stimulated", "enhanced the transcription of"),
        "CPR:4": ("decreased the levels of", "prevented the induction of"),
        "CPR:5": ("showed partial agonism at",),
        "CPR:6": ("was a competitive antagonist at",),
        "CPR:9": ("was hydroxylated by",),
        "": ("failed to alter",),
    },
    "dev": {
        "CPR:3": ("elevated the levels of",),
        "CPR:4": ("attenuated the activity of",),
        "CPR:5": ("behaved as an agonist at",),
        "CPR:6": ("showed antagonism at",),
        "CPR:9": ("was cleaved by",),
        "": ("left untouched",),
    },
    "test": {
        "CPR:3": ("augmented the activity of", "raised the expression of"),
        "CPR:4": ("diminished the expression of", "potently inactivated"),
        "CPR:5": ("proved to be an agonist of",),
        "CPR:6": ("was an antagonist at",),
        "CPR:9": ("was oxidized by",),
        "": ("did not modify",),
    },
}
"""Split to class to verbs; the class ``""`` relates nothing."""

WEIGHTS: Sequence[tuple[str, int]] = (("CPR:4", 9), ("CPR:3", 4), ("CPR:9", 3), ("CPR:6", 2), ("CPR:5", 2), ("", 5))
"""How often each class is drawn, about as in the corpus."""


@dataclass(frozen=True)
class Frames:
    """The sentences of one split.

    Args:
        titles: first lines.
        bodies: everything after.
    """

    titles: tuple[Frame, ...]
    bodies: tuple[Frame, ...]


FRAMES: Mapping[str, Frames] = {
    "train": Frames(
        titles=(
            ("Effects of {C1} on {G1} in {cell} cells.", ()),
            ("{C1} and its relation to {G1} and {G2}.", ()),
        ),
        bodies=(
            ("We found that {C1} {V1} {G1} in {cell} cells.", (("C1", "G1", "V1"),)),
            ("{C1} {V1} {G1}, whereas {C2} {V2} {G2}.", (("C1", "G1", "V1"), ("C2", "G2", "V2"))),
            ("In {cell} cells, {C1} and {C2} {V1} {G1}.", (("C1", "G1", "V1"), ("C2", "G1", "V1"))),
            ("{C1} {V1} both {G1} and {G2} at {dose}.", (("C1", "G1", "V1"), ("C1", "G2", "V1"))),
            ("{C1}, but not {C2}, {V1} {G1} after two hours.", (("C1", "G1", "V1"),)),
            ("Binding of {C1} to {G1} was determined by a radioligand assay.", ()),
            ("Expression of {G1} was compared after treatment with {C1} or with {C2}.", ()),
            ("At {dose}, {C1} {V1} {G1} in the presence of {C2}.", (("C1", "G1", "V1"),)),
            ("{G1} and {G2} were purified before {C1} was added.", ()),
        ),
    ),
    "dev": Frames(
        titles=(("A study of {C1} in {cell} cells that express {G1}.", ()),),
        bodies=(
            ("Our results show that {C1} {V1} {G1} at {dose}.", (("C1", "G1", "V1"),)),
            ("Whereas {C1} {V1} {G1}, {C2} {V2} {G2} instead.", (("C1", "G1", "V1"), ("C2", "G2", "V2"))),
            ("Unlike {C2}, {C1} {V1} {G1} in {cell} cells.", (("C1", "G1", "V1"),)),
            ("Both {C1} and {C2} {V1} {G1} under these conditions.", (("C1", "G1", "V1"), ("C2", "G1", "V1"))),
            ("Cells that lack {G1} were incubated with {C1} for one day.", ()),
            ("The amounts of {C1} and of {G1} were measured together.", ()),
        ),
    ),
    "test": Frames(
        titles=(
            ("Interaction of {C1} with {G1}: a report.", ()),
            ("What {C1} does in {cell} cells with {G1}.", ()),
        ),
        bodies=(
            ("It was observed that {C1} {V1} {G1} when given at {dose}.", (("C1", "G1", "V1"),)),
            ("While {C2} {V2} {G2}, {C1} {V1} {G1}.", (("C1", "G1", "V1"), ("C2", "G2", "V2"))),
            ("Strikingly, {C1} {V1} {G1} as well as {G2}.", (("C1", "G1", "V1"), ("C1", "G2", "V1"))),
            ("{C1} as well as {C2} {V1} {G1} in cultured {cell} cells.", (("C1", "G1", "V1"), ("C2", "G1", "V1"))),
            ("In contrast to {C2}, which was inert, {C1} {V1} {G1}.", (("C1", "G1", "V1"),)),
            ("Tissue slices were stained for {G1} and exposed to {C1}.", ()),
            ("No assay of {G1} and {G2} was carried out with {C1}.", ()),
        ),
    ),
}

CELLS: Mapping[str, Sequence[str]] = {
    "train": ("liver", "kidney", "neuronal"),
    "dev": ("muscle", "epithelial"),
    "test": ("retinal", "cardiac", "spleen"),
}
DOSES = ("5 microM", "20 nM", "0.3 mg/kg", "10 microM", "150 nM")

CHEMICAL_ROOTS: Mapping[str, Sequence[str]] = {
    "shared": ("velor", "tamid", "proxan", "carbel", "nirol", "dexam", "folin", "butyr"),
    "train": ("hexol", "morvan", "quinel", "sulfar", "zerid", "lamox", "gliper", "octav"),
    "dev": ("bromel", "kestan", "ritov"),
    "test": ("yohal", "pirex", "wendol", "ulmar", "fenat"),
}
CHEMICAL_ENDINGS = ("ine", "ol", "amide", "azole", "one", "ic acid", "ate", "idine")

GENE_ROOTS: Mapping[str, Sequence[str]] = {
    "shared": ("PRK", "CYPX", "ADRO", "TLN", "HTRQ"),
    "train": ("MAPZ", "GRIX", "OPRV", "STAQ", "BCLY"),
    "dev": ("NFKX", "JUNV"),
    "test": ("EGFQ", "KCNZ", "SLCW", "ABCY"),
}
GENE_FAMILIES: Mapping[str, Sequence[str]] = {
    "shared": ("caspase", "tubulin", "adrenoceptor"),
    "train": ("opioid receptor", "histone deacetylase", "cyclooxygenase"),
    "dev": ("sodium channel", "esterase"),
    "test": ("muscarinic receptor", "phosphodiesterase", "aromatase"),
}
