"""Sentence frames and phrase patterns of the development split; no other split has any of them."""

from __future__ import annotations

PHRASES = {
    "postposed": [
        "[a|{COMPLAINT}] about the [a|{SITE}]",
        "[a|{COMPLAINT}] inside the [a|{SITE}]",
        "[a|{COMPLAINT}] on the [a|{SITE}]",
    ],
    "list": [
        "[a,b|{COMPLAINT}] on the [a|{SITE}] and [b|{SITE}]",
        "[a,b,c|{COMPLAINT}] about the [a|{SITE}], [b|{SITE}] and [c|{SITE}]",
    ],
    "shared": [
        "[a|[=left|left]] plus [b|[=right|right]] [a,b|{PADJ} {FINDING}]",
        "[a|{ADJ0}] plus [b|{ADJ0}] [a,b|{FINDING}]",
    ],
    "three": ["[a,b|{COMPLAINT}] about the [a|[=left|left]] and [b|[=right|right]] [a,b|{LIMB}]"],
    "tail": ["[a|{COMPLAINT}] and [b|{COMPLAINT}] about the [a,b|{SITE}]"],
}

FRAMES = {
    "chief": ["{1s}, {2}.", "Evaluation of {1}."],
    "opening": [
        "{AGE} y/o {SEX} known to have {1d} and {2d}, who came to the clinic because of {3}.",
        "{SEX}, {AGE} y/o, with {1d} and new {2}.",
    ],
    "hpi": [
        "{He} states that {1} began {N} days ago.",
        "{He} [1,2!NI=yes|does not report] {1s} or {2s}.",
        "After {his} {PROCEDURE} {he} complained of {1}.",
        "Dr. {DR} of the {SERVICE} suggested {DRUG} for {1d}.",
        "An outside {TEST} was [1!UI=yes|questionable for] {1}.",
        "{He} was sent home on {DRUG} after {PROCEDURE}.",
        "{His} {1d} has [1!CC=increased|increased] over the past week.",
    ],
    "pmh": ["Known {1d}", "{1d} since {YEAR}", "{1d} / {2d}", "{PROCEDURE} {YEAR}", "Remote {1d}"],
    "family": [
        "[1!SC=family_member|{RELATIVE}] known for {1d}.",
        "[1!NI=yes|Negative] family history for {1d}.",
        "The kidney [1!SC=donor_other|donor] was known for {1d}.",
    ],
    "social": ["Employed as {JOB}.", "A [1!SC=other|coworker] has {1d}; {he} is {JOB}."],
    "normal": [
        "{SITE} {HEALTHY} on inspection.",
        "Palpation of the {SITE} was well tolerated.",
        "The {SITE} looked {HEALTHY}.",
    ],
    "finding": [
        "The [x|{SITE}] looked {ADVERB} [x|{PREDICATE}].",
        "On inspection the [x|{SITE}] was [x|{PREDICATE}].",
        "{His} [x|[=left|left]] and [y|[=right|right]] [x,y|{LIMBS}] looked [x,y|{PREDICATE}].",
        "The [x|{SITE}] did [x!NI=yes|not] look [x|{PREDICATE}].",
        "Biopsy proved the [x,y|{TUMOR}] [y|{GRADE}].",
    ],
    "exam": ["Positive for {1}.", "[1!NI=yes|Absent] {1}.", "Remarkable only for {1} and {2}."],
    "imaging": [
        "{TEST}: {1}.",
        "{TEST} of the {SITE} was [1!NI=yes|without] {1}.",
        "[1!UI=yes|Question of] {1} on {TEST}.",
        "The {TEST} demonstrated {1}, [1!CC=decreased|smaller] than before.",
        "{ADJ} {TEST} was not done.",
    ],
    "labs": ["{LAB}-{N}{N} {LAB}-{N}.{N} {LAB}-{N}{N}.", "Admission {LAB} {N}.{N}, then {N}.{N}."],
    "course": [
        "{DRUG} was begun for {1}.",
        "{He} received {DRUG} because of {1} and {2d}.",
        "{1} [1!CC=resolved|subsided] with {DRUG}.",
        "The {SERVICE} saw the patient daily.",
        "Cultures were [1!NI=yes|not suggestive of] {1d}.",
        "{PROCEDURE} went well.",
        "{He} was enrolled in the {SERVICE}.",
        "{1} was [1!UI=yes|presumed] after {TEST}.",
        "{He} was counselled on the [1!GC=true|dangers of] {1d}.",
    ],
    "instructions": [
        "Phone us [1,2!CO=true|if] {1} or {2} comes on.",
        "You may use {DRUG} [1!CO=true|in case of] {1s}.",
        "Follow up with the {SERVICE} in {N} weeks.",
    ],
    "diagnosis": ["{1d} and {2}", "{1d}"],
}
