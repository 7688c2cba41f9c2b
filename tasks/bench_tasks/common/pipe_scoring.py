"""Annotations for scoring, by span string, from files or from documents in memory.

This reader is lenient where that of corpora is strict: three columns suffice, everything is lower-cased, a later line of the
same document and span string replaces the values of an earlier one, and body locations accumulate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bench.api.data import Document, Fragment
from bench.errors import DataError
from bench.wording import some
from bench_tasks.common.pipe import (
    BODY_LOCATION,
    CUI_LESS,
    SLOTS,
    lines_of,
    parse_spans,
    slot_value,
    span_string,
)
from bench_tasks.common.pipe_folder import document_name, pipe_files

_DEFAULTS = tuple(slot.default for slot in SLOTS)
_NOWHERE = frozenset((BODY_LOCATION.default,))


@dataclass(frozen=True)
class Annotation:
    """One mention for scoring, all lower case.

    Args:
        fragments: in the order of the span string.
        discontiguous: whether there are several; with text, several with more than white space between them.
        concept: CUI or ``cui-less``.
        slots: values of `SLOTS`, in that order.
        places: body locations, or ``null`` alone.
    """

    fragments: tuple[Fragment, ...]
    discontiguous: bool
    concept: str
    slots: tuple[str, ...] = _DEFAULTS
    places: frozenset[str] = _NOWHERE


Annotations = Mapping[str, Annotation]
"""Span string to annotation, of one document."""


def of_document(document: Document) -> dict[str, Annotation]:
    """Annotations of a document in memory; the same as those of its file."""
    annotations: dict[str, Annotation] = {}
    for mention in document.mentions:
        slots = tuple(slot_value(mention.slots.get(slot.name, (slot.default,))[-1]) for slot in SLOTS)
        places = (place.strip().lower() for place in mention.slots.get("BL", ()))
        concept = (mention.concept or CUI_LESS).strip().lower()
        written = mention.as_written
        annotation = Annotation(written, mention.discontiguous, concept, slots, frozenset(places))
        _add(annotations, span_string(written), annotation)
    return annotations


def read(path: Path) -> dict[str, dict[str, Annotation]]:
    """Reads annotations by document and span string: one file, or every ``*.pipe*`` file of a folder.

    Raises:
        DataError: there is no such file, or a line cannot be read; no line is skipped.
    """
    documents: dict[str, dict[str, Annotation]] = {}
    for file in pipe_files(path):
        for number, columns in lines_of(file):
            where = f"{file}, line {number}"
            if len(columns) < 3:
                raise DataError(f"{where}: {some(len(columns), 'column')}; wanted at least three: document, spans and CUI.")
            key = columns[1].strip().lower()
            fragments = parse_spans(key)
            if fragments is None:
                raise DataError(f"{where}: column 2 ({some(len(key), 'character')}) is no span; wanted 'a-b' or 'a-b,c-d,…'.")
            slots = tuple(slot_value(_column(columns, slot.column)) or slot.default for slot in SLOTS)
            concept = columns[2].strip().lower()
            annotations = documents.setdefault(document_name(columns[0]).lower(), {})
            places = frozenset((_column(columns, BODY_LOCATION.column).strip().lower(),))
            _add(annotations, key, Annotation(fragments, len(fragments) > 1, concept, slots, places))
    return documents


def _column(columns: list[str], index: int) -> str:
    return columns[index] if index < len(columns) else ""


def _add(annotations: dict[str, Annotation], key: str, annotation: Annotation) -> None:
    """Adds an annotation; if it replaces one, it keeps the body locations of that one."""
    named = {place for place in annotation.places if place and place != BODY_LOCATION.default}
    if key in annotations:
        named |= annotations[key].places - _NOWHERE
    annotations[key] = replace(annotation, places=frozenset(named) or _NOWHERE)
