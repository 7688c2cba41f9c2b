"""Sentence frames and phrase patterns of the training split; no other split has any of them.

``{1}`` is a noun phrase with its mentions, ``{1d}`` a simple disorder, ``{1s}`` a symptom; upper-case names are drawn from the
word lists without being mentions by themselves.
"""

from __future__ import annotations

PHRASES = {
    "postposed": [
        "[a|{COMPLAINT}] in the [a|{SITE}]",
        "[a|{COMPLAINT}] of the [a|{SITE}]",
        "[a|{COMPLAINT}] at the [a|{SITE}]",
        "[a|{COMPLAINT}] along the [a|{SITE}]",
    ],
    "list": [
        "[a,b|{COMPLAINT}] in the [a|{SITE}] and [b|{SITE}]",
        "[a,b,c|{COMPLAINT}] in the [a|{SITE}], [b|{SITE}] and [c|{SITE}]",
        "[a,b|{COMPLAINT}] of the [a|{SITE}] and the [b|{SITE}]",
    ],
    "shared": [
        "[a|[=left|left]] and [b|[=right|right]] [a,b|{PADJ} {FINDING}]",
        "[a|[=right|right]] and [b|[=left|left]] [a,b|{PADJ} {FINDING}]",
        "[a|{ADJ0}] and [b|{ADJ0}] [a,b|{FINDING}]",
    ],
    "three": [
        "[a,b|{COMPLAINT}] in the [a|[=left|left]] and [b|[=right|right]] [a,b|{LIMB}]",
        "[a,b|{COMPLAINT}] of the [a|[=right|right]] and [b|[=left|left]] [a,b|{LIMB}]",
    ],
    "tail": ["[a|{COMPLAINT}] and [b|{COMPLAINT}] of the [a,b|{SITE}]"],
}

FRAMES = {
    "chief": ["{1s} and {2}.", "{1}.", "Transfer for {1d}."],
    "opening": [
        "This is a {AGE}-year-old {SEX} with a history of {1d}, {2d} and {3d} who was brought in with {4}.",
        "The patient is a {AGE} year old {SEX} with {1d} on {DRUG}, now admitted with {2}.",
    ],
    "hpi": [
        "{He} first noticed {1} about {N} days before admission.",
        "{He} was seen by Dr. {DR} in the {SERVICE}, where {1} was found.",
        "[1,2,3!NI=yes|Denies] {1s}, {2s} or {3s}.",
        "On arrival there was [1!NI=yes|no] {1}.",
        "{His} {1d} has been [1!CC=worsened|getting worse] since {his} {PROCEDURE}.",
        "In the emergency room {he} was given {DRUG} and a {TEST} of the {SITE} was ordered.",
        "{He} takes {DRUG} at home for {1d}.",
        "{He} underwent {PROCEDURE} in {YEAR} without difficulty.",
        "The {SERVICE} was consulted, and {1} was thought to be [1!UI=yes|possible].",
        "{He} then developed {1}, followed by {2}.",
        "Of note, {he} was admitted last year for {1d} complicated by {2d}.",
        "{His} primary doctor was worried about {1} and sent {him} for {ADJ} {TEST}.",
    ],
    "pmh": [
        "{1d}",
        "{1d} with {2d}",
        "{1d}, on {DRUG}",
        "History of {1}",
        "Status post {PROCEDURE} in {YEAR}",
        "{1d} and {2d}",
        "[1!CC=resolved|Resolved] {1d}",
        "Prior {1d} treated with {DRUG}",
    ],
    "family": [
        "[1!SC=family_member|{RELATIVE}] with {1d}.",
        "{His} [1,2!SC=family_member|{RELATIVE}] had {1d} and died of {2d}.",
        "There is [1!NI=yes|no] family history of {1d}.",
        "The organ [1!SC=donor_other|donor] had {1d}.",
    ],
    "social": [
        "{He} works as {JOB} and lives alone.",
        "{He} has never used tobacco and is {JOB}.",
        "{His} [1!SC=other|roommate] was recently treated for {1d}.",
    ],
    "normal": [
        "The {SITE} was {HEALTHY}.",
        "{SITE}: {HEALTHY}, with full range of motion.",
        "Examination of the {SITE} was benign.",
        "The {SITE} and the {SITE} were {HEALTHY}.",
        "Vital signs were stable and pulses were full.",
    ],
    "finding": [
        "The [x|{SITE}] was {ADVERB} [x|{PREDICATE}].",
        "[x|{SITE}] is [x|{PREDICATE}].",
        "The [x|{SITE}] appeared [x|{PREDICATE}], and the {SITE} was {HEALTHY}.",
        "The [x|{SITE}] was [x!NI=yes|not] [x|{PREDICATE}].",
        "The [x|[=left|left]] and [y|[=right|right]] [x,y|{LIMBS}] were [x,y|{PREDICATE}].",
        "The [x|{SITE}] and [y|{SITE}] were [x,y|{PREDICATE}].",
        "The [x,y|{TUMOR}] was [y|{GRADE}] on biopsy.",
    ],
    "exam": [
        "There was {1} on palpation.",
        "[1,2!NI=yes|No] {1} or {2}.",
        "Notable for {1}.",
        "Exam showed {1} without [2!NI=yes|any] {2}.",
    ],
    "imaging": [
        "{TEST} of the {SITE} showed {1} and {2d}.",
        "{TEST} [1!NI=yes|did not show] {1}.",
        "There is [1!NI=yes|no evidence of] {1}.",
        "[1!UI=yes|Cannot exclude] {1}.",
        "Findings were [1!UI=yes|suspicious for] {1}.",
        "The {ADJ} {TEST} was read as normal.",
        "Again seen is {1}, [1!CC=improved|improved] from the prior {TEST}.",
        "Repeat {TEST} was [1!UI=yes|concerning for] {1} near the line.",
    ],
    "labs": ["{LAB} {N}.{N}, {LAB} {N}{N}, {LAB} {N}.{N}.", "{LAB} was {N}.{N} and {LAB} was {N}{N} on discharge."],
    "course": [
        "{He} was treated with {DRUG} for {1}.",
        "{1} was managed with {DRUG} and [1!CC=improved|improved] over {N} days.",
        "The {SERVICE} was followed and {DRUG} was continued.",
        "{He} was placed on {SERVICE} and seen by the {SERVICE}.",
        "On hospital day {N} {he} had {1} and {2}.",
        "{PROCEDURE} was performed by Dr. {DR} for {1}.",
        "{He} [1,2!NI=yes|never developed] {1} or {2}.",
        "Work-up was [1!NI=yes|negative for] {1}.",
        "{His} {1} was [1!UI=yes|likely] due to {2d}.",
        "Nursing reviewed the {SERVICE} with {him}.",
        "A leaflet on the [1!GC=true|risks of] {1d} was handed out.",
        "{DRUG} was held given {1}.",
        "The {ADJ} {TEST} and {ADJ} pressures were reviewed, and {1} was [1!NI=yes|ruled out].",
        "{His} {LAB} remained stable and the {SITE} was prepped for {PROCEDURE}.",
    ],
    "instructions": [
        "Call your doctor [1,2!CO=true|if] you have {1} or {2}.",
        "Return to the hospital [1!CO=true|should] {1} occur.",
        "Please keep your appointment in the {SERVICE} with Dr. {DR}.",
        "Take {DRUG} as needed [1!CO=true|for] {1s}.",
        "You were treated for {1d}.",
    ],
    "diagnosis": ["{1d}", "{1}", "{1d} secondary to {2d}"],
}
