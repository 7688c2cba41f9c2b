"""Sentence frames and phrase patterns of the test split; no other split has any of them."""

from __future__ import annotations

PHRASES = {
    "postposed": [
        "[a|{COMPLAINT}] over the [a|{SITE}]",
        "[a|{COMPLAINT}] around the [a|{SITE}]",
        "[a|{COMPLAINT}] in {his} [a|{SITE}]",
        "[a|{COMPLAINT}] within the [a|{SITE}]",
    ],
    "list": [
        "[a,b|{COMPLAINT}] over the [a|{SITE}] and [b|{SITE}]",
        "[a,b,c|{COMPLAINT}] around the [a|{SITE}], [b|{SITE}] and [c|{SITE}]",
        "[a,b|{COMPLAINT}] in {his} [a|{SITE}] and {his} [b|{SITE}]",
    ],
    "shared": [
        "[a|[=right|right]] or [b|[=left|left]] [a,b|{PADJ} {FINDING}]",
        "both [a|[=left|left]] and [b|[=right|right]] [a,b|{PADJ} {FINDING}]",
        "[a|[=left|left]] as well as [b|[=right|right]] [a,b|{PADJ} {FINDING}]",
        "both [a|{ADJ0}] and [b|{ADJ0}] [a,b|{FINDING}]",
    ],
    "three": [
        "[a,b|{COMPLAINT}] over the [a|[=left|left]] and [b|[=right|right]] [a,b|{LIMB}]",
        "[a,b|{COMPLAINT}] in {his} [a|[=right|right]] and [b|[=left|left]] [a,b|{LIMB}]",
    ],
    "tail": ["[a|{COMPLAINT}] and [b|{COMPLAINT}] over the [a,b|{SITE}]"],
}

FRAMES = {
    "chief": ["{1}, {2s}.", "{1s}; {2d}."],
    "opening": [
        "{MR} {DR} is a {SEX}, {AGE} years of age, whose past history includes {1d} and {2d}, presenting now for {3}.",
        "Referred from rehab: {AGE}-year-old {SEX} who carries the diagnosis of {1d} and came for {2}.",
    ],
    "hpi": [
        "For the past {N} weeks {he} has experienced {1} along with {2s}.",
        "{He} reported [1,2,3!NI=yes|neither] {1s}, {2s} nor {3s}.",
        "According to {his} family, {1} came on suddenly after dinner.",
        "At the outside hospital, {TEST} of the {SITE} raised the [1!UI=yes|possibility of] {1}.",
        "{He} had been referred to the {SERVICE} by Dr. {DR}.",
        "Despite {DRUG}, the {1d} [1!CC=worsened|progressed].",
        "{His} last {PROCEDURE} took place in {YEAR}, and {DRUG} was stopped then.",
        "{He} is followed in the {SERVICE} because of {1d} and {2d}.",
    ],
    "pmh": [
        "{1d}, longstanding",
        "{1d} diagnosed in {YEAR}",
        "{1d}; {2d}",
        "S/p {PROCEDURE}, {YEAR}",
        "{1} requiring {DRUG}",
        "{1d}, now [1!CC=resolved|gone]",
    ],
    "family": [
        "[1!SC=family_member|{RELATIVE}] suffered from {1d}.",
        "One [1!SC=family_member|{RELATIVE}] has {1d}, another relative is well.",
        "[1!NI=yes|Nobody] in the family has {1d}.",
        "The cornea [1!SC=donor_other|donor] suffered from {1d}.",
    ],
    "social": [
        "Formerly {JOB}, now living with a daughter.",
        "Married, {JOB}.",
        "A [1!SC=other|neighbor] came down with {1d}.",
    ],
    "normal": [
        "{SITE}, {HEALTHY}.",
        "Inspection found the {SITE} {HEALTHY}.",
        "The {SITE} was examined twice and was {HEALTHY}.",
        "Both the {SITE} and the {SITE} felt {HEALTHY}.",
    ],
    "finding": [
        "To touch the [x|{SITE}] felt {ADVERB} [x|{PREDICATE}].",
        "The [x|{SITE}] had become [x|{PREDICATE}].",
        "Today the [x|{SITE}] seemed [x!NI=yes|no longer] [x|{PREDICATE}].",
        "{His} [x|[=left|left]] and [y|[=right|right]] [x,y|{LIMBS}] seemed [x,y|{PREDICATE}].",
        "Both the [x|{SITE}] and [y|{SITE}] seemed [x,y|{PREDICATE}].",
        "Under the microscope the [x,y|{TUMOR}] seemed [y|{GRADE}].",
    ],
    "exam": ["Significant for {1}.", "[1,2!NI=yes|Without] {1} or {2}.", "One sees {1} as well as {2}."],
    "imaging": [
        "{TEST} revealed {1}.",
        "On {TEST} the radiologist described {1} and {2}.",
        "{ADJ} {TEST} [1!NI=yes|excluded] {1}.",
        "Appearances [1!UI=yes|suggest] {1}.",
        "Interval [1!CC=increased|increase] of {1}.",
        "{TEST} of the {SITE} was technically adequate.",
        "[1!UI=yes|Perhaps] {1}, though the {SITE} was partly hidden.",
    ],
    "labs": ["Chemistry: {LAB} {N}{N}, {LAB} {N}.{N}.", "{LAB} peaked at {N}{N}; {LAB} fell to {N}.{N}."],
    "course": [
        "For {1} the team chose {DRUG}.",
        "{1} responded to {DRUG} and [1!CC=improved|abated].",
        "Because of {1} and {2d}, {PROCEDURE} was postponed.",
        "Per {SERVICE}, {DRUG} was switched to {DRUG}.",
        "The {SERVICE} and the {SERVICE} left recommendations.",
        "{He} experienced {1} during the night.",
        "{He} remained [1,2!NI=yes|free of] {1} and {2}.",
        "{1} was [1!UI=yes|suspected] but a {TEST} was declined.",
        "{He} watched a film about the [1!GC=true|prevention of] {1d}.",
        "Dr. {DR} carried out {PROCEDURE} of the {SITE}.",
        "{His} {ADJ} function and {LAB} were checked each morning.",
    ],
    "instructions": [
        "Seek help at once [1,2!CO=true|whenever] {1} or {2} arises.",
        "{DRUG} may be repeated [1!CO=true|in the event of] {1s}.",
        "Your visit to the {SERVICE} is on Monday.",
        "During this stay you were found to have {1d}.",
    ],
    "diagnosis": ["{1d} with {2}", "{1d} / {2d}", "{1}"],
}
