"""Words and sentence frames of the synthetic notes.

In a frame, ``[e1 finding OVERLAP]`` is an EVENT drawn from a list, with its relation to the document's time and, after
a slash, its polarity; ``[e1 =underwent BEFORE]`` is an EVENT of that very word; ``[t1 past]`` a TIMEX3 of a kind. Behind the
frame stand its containers, ``t1>e1``. No split shares a frame with another, and half of each list is a split's own.

The guideline is fixed: a time contains what happens in its clause; a procedure contains what is found in it; a finding that is
denied or only planned is an event too; a time that a frame leaves alone contains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Frame = tuple[str, tuple[str, ...]]

FRAMES: Mapping[str, Sequence[Frame]] = {
    "train": (
        ("On [t1 date], the patient [e1 =underwent BEFORE] [e2 procedure BEFORE].", ("t1>e1", "t1>e2")),
        ("[e1 procedure BEFORE] on [t1 date] [e2 =showed BEFORE] [e3 finding BEFORE].", ("t1>e1", "e1>e3")),
        ("He [e1 =reports OVERLAP] [e2 finding BEFORE/OVERLAP] [t1 span].", ("t1>e2",)),
        ("She [e1 =denies OVERLAP] [e2 finding OVERLAP/NEG] and [e3 finding OVERLAP/NEG].", ()),
        ("We will [e1 =start AFTER] [e2 drug AFTER] [t1 future].", ("t1>e1", "t1>e2")),
        ("He [e1 =takes OVERLAP] [e2 drug OVERLAP] [t1 set] for [e3 finding OVERLAP].", ("t1>e2",)),
        ("[t1 past] there was [e1 finding BEFORE] after [e2 procedure BEFORE].", ("t1>e1", "t1>e2")),
        ("The [e1 finding OVERLAP] is unchanged; [e2 drug OVERLAP] was [e3 =continued OVERLAP].", ()),
        ("During [e1 procedure BEFORE], [e2 finding BEFORE] was [e3 =noted BEFORE].", ("e1>e2", "e1>e3")),
        ("The next [e1 =visit AFTER] is [t1 future].", ("t1>e1",)),
    ),
    "dev": (
        ("The patient [e1 =had BEFORE] [e2 procedure BEFORE] on [t1 date].", ("t1>e1", "t1>e2")),
        ("There has been [e1 finding BEFORE/OVERLAP] [t1 span].", ("t1>e1",)),
        ("No [e1 finding OVERLAP/NEG] was [e2 =found BEFORE] in [e3 procedure BEFORE] of [t1 date].", ("t1>e3", "e3>e1")),
        ("[e1 drug AFTER] will be [e2 =given AFTER] [t1 future].", ("t1>e1", "t1>e2")),
        ("She [e1 =uses OVERLAP] [e2 drug OVERLAP] [t1 set].", ("t1>e2",)),
        ("[e1 finding OVERLAP] and [e2 finding OVERLAP] are [e3 =stable OVERLAP].", ()),
    ),
    "test": (
        ("[t1 past] the patient [e1 =came BEFORE] for [e2 procedure BEFORE].", ("t1>e1", "t1>e2")),
        ("[e1 procedure BEFORE] of [t1 date] [e2 =revealed BEFORE] [e3 finding BEFORE].", ("t1>e1", "e1>e3")),
        ("He has [e1 =had BEFORE/OVERLAP] [e2 finding BEFORE/OVERLAP] [t1 span].", ("t1>e2",)),
        ("There is no [e1 finding OVERLAP/NEG] and no [e2 finding OVERLAP/NEG] today.", ()),
        ("[t1 future] she will [e1 =undergo AFTER] [e2 procedure AFTER].", ("t1>e1", "t1>e2")),
        ("For [e1 finding OVERLAP] he [e2 =receives OVERLAP] [e3 drug OVERLAP] [t1 set].", ("t1>e3",)),
        ("In the course of [e1 procedure BEFORE] there was [e2 finding BEFORE].", ("e1>e2",)),
    ),
}

WORDS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "shared": {
        "procedure": ("colonoscopy", "right hemicolectomy", "biopsy", "CT scan", "resection"),
        "finding": ("nausea", "abdominal pain", "bleeding", "fatigue", "mass", "anemia"),
        "drug": ("chemotherapy", "capecitabine", "radiation"),
    },
    "train": {
        "procedure": (
            "laparotomy",
            "endoscopic ultrasound",
            "sigmoidoscopy",
            "ileostomy",
            "MRI of the pelvis",
            "port placement",
        ),
        "finding": ("vomiting", "diarrhea", "polyp", "liver lesion", "weight loss", "obstruction", "fever", "neuropathy"),
        "drug": ("oxaliplatin", "leucovorin", "warfarin", "metformin"),
    },
    "dev": {
        "procedure": ("cystoscopy", "stent placement", "PET scan"),
        "finding": ("constipation", "ascites", "dysuria", "nodule"),
        "drug": ("bevacizumab", "lisinopril"),
    },
    "test": {
        "procedure": ("polypectomy", "bone scan", "thoracentesis", "lymph node dissection"),
        "finding": ("jaundice", "rectal ulcer", "dyspnea", "thrombosis", "night sweats", "fistula"),
        "drug": ("irinotecan", "cetuximab", "heparin"),
    },
}
HEADINGS: Mapping[str, Sequence[str]] = {
    "train": ("HISTORY OF PRESENT ILLNESS", "IMPRESSION AND PLAN"),
    "dev": ("INTERVAL HISTORY", "ASSESSMENT"),
    "test": ("CHIEF COMPLAINT", "RECOMMENDATIONS"),
}

MONTHS: Mapping[str, Sequence[str]] = {
    "train": ("January", "March", "April", "June", "August", "November"),
    "dev": ("February", "July", "October"),
    "test": ("May", "September", "December"),
}
UNITS = ("days", "weeks", "months")
TIMES: Mapping[str, Mapping[str, tuple[str, Sequence[str]]]] = {
    "train": {
        "past": ("DATE", ("{n} {unit} ago", "Last {weekday}")),
        "span": ("DURATION", ("for {n} {unit}", "over the past {n} {unit}")),
        "future": ("DATE", ("in {n} {unit}", "next {weekday}")),
        "set": ("SET", ("twice a day", "every {n} {unit}")),
    },
    "dev": {
        "past": ("DATE", ("{n} {unit} previously",)),
        "span": ("DURATION", ("for the last {n} {unit}", "for {n} {unit}")),
        "future": ("DATE", ("in {n} {unit}", "on {weekday}")),
        "set": ("SET", ("once a day", "every {n} {unit}")),
    },
    "test": {
        "past": ("DATE", ("{n} {unit} earlier", "Last {weekday}")),
        "span": ("DURATION", ("for nearly {n} {unit}", "for {n} {unit}")),
        "future": ("DATE", ("within {n} {unit}", "next {weekday}")),
        "set": ("SET", ("three times daily", "every {n} {unit}")),
    },
}
"""Split to kind of time to its class and patterns."""
WEEKDAYS: Mapping[str, Sequence[str]] = {"train": ("Monday", "Thursday"), "dev": ("Tuesday",), "test": ("Friday", "Wednesday")}
"""For the weekday of a time."""
