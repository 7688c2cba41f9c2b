"""Builds a discharge summary from sentences and keeps the offsets of mentions and cues."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.api.data import Fragment
from bench_tasks.semeval2015_t14.synthesis import words
from bench_tasks.semeval2015_t14.synthesis.markup import Marked, Sentence
from bench_tasks.semeval2015_t14.synthesis.phrases import Phrases

WORDS = (165, 365)
"""Range of the intended length of a note, in words."""

HEADERS = {
    "train": (
        "Chief Complaint",
        "History of Present Illness",
        "Past Medical History",
        "Family History",
        "Social History",
        "Physical Exam",
        "Pertinent Results",
        "Brief Hospital Course",
        "Discharge Medications",
        "Discharge Diagnosis",
        "Discharge Instructions",
    ),
    "dev": ("CC", "HPI", "PMH", "FHx", "SHx", "PE", "Results", "Course", "Medications at Discharge", "Diagnoses", "Followup"),
    "test": (
        "REASON FOR ADMISSION",
        "PRESENT ILLNESS",
        "PAST HISTORY",
        "FAMILY HX",
        "SOCIAL HX",
        "EXAMINATION",
        "STUDIES AND LABS",
        "HOSPITAL COURSE BY PROBLEM",
        "DISCHARGE DRUGS",
        "FINAL DIAGNOSES",
        "INSTRUCTIONS TO PATIENT",
    ),
}
WRAP = 76


@dataclass(frozen=True)
class Note:
    """The text of a note, and its mentions with offsets in it."""

    text: str
    mentions: tuple[Marked, ...]


class _Page:
    """A note that is being written; offsets of mentions are moved with their sentence."""

    def __init__(self) -> None:
        self.text = ""
        self.mentions: list[Marked] = []

    def line(self, text: str = "") -> None:
        self.text += f"{text}\n"

    def item(self, mark: str, sentence: Sentence) -> None:
        self.text += mark
        self._add(sentence)
        self.text += "\n"

    def prose(self, sentences: list[Sentence]) -> None:
        """Adds a paragraph and wraps its lines; blanks become line breaks, so that offsets stay the same."""
        start = len(self.text)
        for sentence in sentences:
            self._add(sentence)
            self.text += " "
        body = list(self.text[start:].rstrip())
        begin = 0
        while len(body) - begin > WRAP:
            at = max(index for index in range(begin, begin + WRAP + 1) if body[index] == " ")
            body[at] = "\n"
            begin = at + 1
        self.text = f"{self.text[:start]}{''.join(body)}\n"

    def _add(self, sentence: Sentence) -> None:
        by = len(self.text)

        def moved(span: Fragment) -> Fragment:
            return span[0] + by, span[1] + by

        for m in sentence.mentions:
            slots = {slot: (value, moved(span)) for slot, (value, span) in m.slots.items()}
            places = tuple((lexeme, moved(span)) for lexeme, span in m.places)
            self.mentions.append(Marked(tuple(moved(f) for f in m.fragments), m.lexemes, slots, places))
        self.text += sentence.text


def write_note(seed: int, split: str, number: int) -> Note:
    """A discharge summary of 150 to 400 words, the note of this number in a split."""
    phrases, page = Phrases(seed, split, number), _Page()
    target = phrases.number(*WORDS)
    cc, hpi, pmh, family, social, exam, results, course, drugs, diagnosis, instructions = HEADERS[split]
    year, month, day = phrases.number(2101, 2190), phrases.number(1, 12), phrases.number(1, 20)
    page.line(
        f"Admission Date:  [**{year}-{month}-{day}**]     Discharge Date:  [**{year}-{month}-{day + phrases.number(2, 8)}**]"
    )
    page.line(f"Service: {phrases.choose(('MEDICINE', 'SURGERY', 'CARDIOLOGY', 'NEUROLOGY'))}")
    page.line(f"Attending: Dr. {phrases.choose(words.SURNAMES['shared'] + words.SURNAMES[split])}")
    share = target / 100
    extra = _spread(phrases, round(share * 3.4))
    _section(page, cc, [phrases.sentence("chief")])
    _section(page, hpi, [phrases.sentence("opening"), *(phrases.sentence("hpi") for _ in range(1 + next(extra)))])
    page.line(f"\n{pmh}:")
    for number in range(1, 3 + next(extra)):
        page.item(f"{number}. ", phrases.sentence("pmh"))
    if phrases.chance(0.6):
        _section(page, family, [phrases.sentence("family")])
    if phrases.chance(0.5):
        _section(page, social, [phrases.sentence("social")])
    page.line(f"\n{exam}:")
    kinds = ["normal", "exam", *(phrases.choose(("normal", "exam", "normal")) for _ in range(next(extra)))]
    kinds += ["finding"] * (phrases.chance(0.7) + phrases.chance(0.3))
    page.prose([phrases.sentence(kind) for kind in kinds])
    _section(page, results, [phrases.sentence("labs"), *(phrases.sentence("imaging") for _ in range(1 + next(extra) // 2))])
    _section(page, course, [phrases.sentence("course") for _ in range(2 + next(extra))])
    page.line(f"\n{drugs}:")
    for number in range(1, phrases.number(3, 5)):
        dose = f" {phrases.number(1, 9) * 10} mg {phrases.choose(('PO daily', 'PO BID', 'IV q8h', 'PO qhs'))}"
        page.item(f"{number}. ", phrases.fill("{DRUG}" + dose))
    page.line(f"\n{diagnosis}:")
    for _ in range(phrases.number(1, 2)):
        page.item("- ", phrases.sentence("diagnosis"))
    _section(page, instructions, [phrases.sentence("instructions") for _ in range(phrases.number(1, 2))])
    return Note(page.text, tuple(sorted(page.mentions, key=lambda m: m.fragments)))


def _section(page: _Page, header: str, sentences: list[Sentence]) -> None:
    page.line(f"\n{header}:")
    page.prose(sentences)


def _spread(phrases: Phrases, sentences: int) -> Iterator[int]:
    """Numbers of further sentences for five sections, `sentences` in all."""
    hands = [0] * 5
    for _ in range(sentences):
        hands[phrases.choose((0, 0, 1, 2, 3, 4, 4, 4))] += 1
    return iter(hands)
