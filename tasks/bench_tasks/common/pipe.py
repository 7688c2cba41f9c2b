"""The `.pipe` format: one line a mention, columns divided by ``|``.

Source: SemEval-2015 Task 14, https://alt.qcri.org/semeval2015/task14/. One real line (19 columns, all slots at default):

    11897010.text|175-194,213-221|MONDO_0006025|no|null|patient|null|no|null|unmarked|null|unmarked|null|false|null|false|null|null|null

Offsets are characters of the `.text` file, ends exclusive. Errors name file, line, column and lengths, and quote no column: a
cue, or any column of a shifted line, may be text of the corpus.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.api.data import Document, Fragment, Mention, apart
from bench.errors import DataError
from bench.kit.documents import write_each
from bench.kit.faults import MALFORMED, Fault, Faults
from bench.kit.files import read_text
from bench.wording import some
from bench_tasks.common.pipe_folder import document_name

CUI_LESS = "CUI-less"
NO_CUE = "null"
COLUMNS = (19, 22)
LABEL = "Disorder"

Use = Literal["all", "concepts", "spans"]
"""The columns that are read: all, span and concept, or the span alone."""


@dataclass(frozen=True)
class Slot:
    """A slot of the format.

    Args:
        name: two letters, as in the organisers' header.
        column: index of its value; its cue is in the next column.
        values: allowed values, the default first.
        weights: in Task 2, of the default as gold value and of any other.
    """

    name: str
    column: int
    values: tuple[str, ...]
    weights: tuple[float, float]

    @property
    def default(self) -> str:
        """The default value, which most mentions have."""
        return self.values[0]

    def weight(self, value: str) -> float:
        """Weight of a gold value in Task 2."""
        return self.weights[value != self.default]


SLOTS = (
    Slot("NI", 3, ("no", "yes"), (0.21, 0.79)),
    Slot("SC", 5, ("patient", "family_member", "other", "donor_other"), (0.05, 0.95)),
    Slot("UI", 7, ("no", "yes"), (0.07, 0.93)),
    Slot("CC", 9, ("unmarked", "increased", "improved", "worsened", "resolved", "decreased", "changed"), (0.05, 0.95)),
    Slot("SV", 11, ("unmarked", "slight", "moderate", "severe"), (0.08, 0.95)),
    Slot("CO", 13, ("false", "true"), (0.06, 0.94)),
    Slot("GC", 15, ("false", "true"), (0.05, 0.95)),
)
BODY_LOCATION = Slot("BL", 17, ("null",), (0.51, 0.49))
CONCEPT_WEIGHT = 1.0

_SPAN = re.compile(r"([0-9]{1,12})-([0-9]{1,12})")
_CONCEPT = re.compile(r"[A-Za-z][\w:.-]*")


def span_string(fragments: Sequence[Fragment]) -> str:
    """Fragments as the Spans column writes them, e.g. ``10-20,30-35``."""
    return ",".join(f"{start}-{end}" for start, end in fragments)


def slot_value(raw: str) -> str:
    """A slot value in normalised spelling: lower case, and ``donor_other`` for ``doner_other`` in the files."""
    value = raw.strip().lower()
    return "donor_other" if value == "doner_other" else value


def parse_spans(column: str) -> tuple[Fragment, ...] | None:
    """Fragments of a Spans column in file order; None where it is not ``a-b[,c-d…]``."""
    spans = [_SPAN.fullmatch(piece.strip()) for piece in column.split(",")]
    return tuple((int(m[1]), int(m[2])) for m in spans if m) if all(spans) else None


def lines_of(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and columns of every line that is not blank; CRLF and a byte-order mark are allowed.

    Raises:
        DataError: the file cannot be read, or is not UTF-8.
    """
    yield from split_lines(read_text(path).removeprefix("\ufeff"))


def split_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and columns of every line of a `.pipe` file's text that is not blank."""
    # Not `splitlines`: it would also break at form feeds and other characters that a column may hold.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.rstrip("\r").split("|")


def read_mentions(
    text: str, path: Path, name: str, length: int, faults: Faults | None = None, use: Use = "all"
) -> tuple[Mention, ...]:
    """Strictly reads the annotations of one document of a corpus.

    Lines with equal span strings are one mention: body locations accumulate, later values replace earlier ones, as in the
    official scorer.

    Args:
        text: of the `.pipe` file.
        path: of the `.pipe` file, for errors.
        name: of the document that its lines must belong to.
        length: of the document, in characters.
        faults: collects faults; without it the first one is raised.
        use: the columns that are read; others are not checked.

    Raises:
        DataError: naming file, line, what is there and what was wanted.
    """
    by_spans: dict[tuple[Fragment, ...], Mention] = {}
    for number, columns in split_lines(text.removeprefix("\ufeff")):
        try:
            where = f"{path}, line {number}"
            written = _spans_of(columns, where, name, length)
            fragments = apart(written)
            original = written if written != fragments else None
            if use == "spans":
                by_spans[fragments] = Mention(fragments, LABEL, written=original)
                continue
            concept = _concept(columns, where)
            if use == "concepts":
                by_spans[fragments] = Mention(fragments, LABEL, concept, written=original)
                continue
            before = by_spans[written].slots if written in by_spans else {}
            by_spans[written] = Mention(fragments, LABEL, concept, _checked_slots(columns, where, before), written=original)
        except Fault as fault:
            if faults is None:
                raise
            faults.add(fault)
    return tuple(by_spans.values())


def _concept(columns: Sequence[str], where: str) -> str:
    concept = columns[2].strip()
    if not _CONCEPT.fullmatch(concept):
        raise Fault(
            "unknown-value",
            f"{where}: column 3 holds no concept ({some(len(concept), 'character')}); wanted a CUI or '{CUI_LESS}'.",
        )
    return CUI_LESS if concept.lower() == CUI_LESS.lower() else concept


def _spans_of(columns: list[str], where: str, name: str, length: int) -> tuple[Fragment, ...]:
    """The fragments of a line in file order; checks its number of columns and its document."""
    if len(columns) - 1 in COLUMNS and columns[-1].strip() == "":
        columns.pop()
    if len(columns) not in COLUMNS:
        raise Fault(MALFORMED, f"{where}: {some(len(columns), 'column')}; wanted 19 (older release: 22), a last '|' or none.")
    if name not in (columns[0].strip(), document_name(columns[0])):
        raise Fault("other-document", f"{where}: column 1 names another document; wanted {name!r}, as the file is named.")
    fragments = parse_spans(columns[1])
    if fragments is None:
        raise Fault(
            MALFORMED, f"{where}: column 2 ({some(len(columns[1]), 'character')}) is no span; wanted 'a-b' or 'a-b,c-d,…'."
        )
    for start, end in fragments:
        if end <= start:
            raise Fault(
                "empty-span", f"{where}: span {start}-{end} ends before or where it starts; wanted an end after its start."
            )
        if end > length:
            raise Fault(
                "outside-text", f"{where}: span {start}-{end} lies outside the text, which has {some(length, 'character')}."
            )
    return fragments


def _checked_slots(columns: Sequence[str], where: str, before: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    slots: dict[str, tuple[str, ...]] = {}
    for slot in SLOTS:
        value = slot_value(columns[slot.column])
        if value not in slot.values:
            known = ", ".join(slot.values)
            raise Fault(
                "unknown-value",
                f"{where}: column {slot.column + 1} ({slot.name}) holds no known value; wanted one of {known}.",
            )
        if value != slot.default:
            slots[slot.name] = (value,)
    location = columns[BODY_LOCATION.column].strip()
    if not _CONCEPT.fullmatch(location):
        raise Fault(
            "unknown-value", f"{where}: column {BODY_LOCATION.column + 1} (BL) holds no known value; wanted 'null' or a CUI."
        )
    places = before.get("BL", ())
    if location.lower() != NO_CUE and location not in places:
        places = (*places, location)
    if places:
        slots["BL"] = places
    return slots


def write_mentions(document: Document, cues: Mapping[tuple[tuple[Fragment, ...], str], str] | None = None) -> str:
    """The annotations of one document as the text of a `.pipe` file, 19 columns, one line a mention and body location.

    Args:
        document: with its mentions in the order to write.
        cues: (fragments of a mention, slot name or, for ``BL``, CUI of the location) to offsets of the cue; else ``null``.

    Raises:
        DataError: a name, concept or slot value cannot be written in a column.
    """
    lines: list[str] = []
    for mention in document.mentions:
        fixed = [f"{document.id}.text", span_string(mention.as_written), mention.concept or CUI_LESS]
        for slot in SLOTS:
            value = mention.slots.get(slot.name, (slot.default,))[-1]
            fixed += [value, (cues or {}).get((mention.fragments, slot.name), NO_CUE)]
        for place in mention.slots.get("BL") or (NO_CUE,):
            line = "|".join([*fixed, place, (cues or {}).get((mention.fragments, place), NO_CUE)])
            if line.count("|") != COLUMNS[0] - 1 or "\n" in line or "\r" in line:
                raise DataError(
                    f"A name or value of document {document.id!r} holds '|' or a line break: it cannot be a column."
                )
            lines.append(f"{line}\n")
    return "".join(lines)


def write_folder(folder: Path, documents: Sequence[Document]) -> None:
    """Writes one `.pipe` file a document; raises what `write_each` and `write_mentions` raise."""
    write_each(folder, documents, ".pipe", write_mentions)
