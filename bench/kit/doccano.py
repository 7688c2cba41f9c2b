"""Doccano's exports: spans, relations between them, or one class a text.

Source: https://doccano.github.io/doccano/, formats JSONL and JSON. Made-up lines of the three kinds:

    {"id": 1, "text": "no fever", "label": [[3, 8, "Symptom"]]}
    {"id": 1, "text": "no fever", "entities": [{"id": 7, "label": "Symptom", "start_offset": 3, "end_offset": 8}],
     "relations": [{"id": 1, "from_id": 7, "to_id": 9, "type": "causes"}]}
    {"id": 1, "text": "no fever", "label": ["healthy"]}

Older versions write ``labels`` for ``label``, and ``data`` for ``text``. Offsets are characters of the text, ends exclusive.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.api.data import Document, Judgement
from bench.kit.jsonl import LINES, Record, items, kind
from bench.kit.reading import Located, Marks, Source, named_label
from bench.wording import some

SUFFIXES = (*LINES, ".json")


def read(path: Path, source: Source) -> Iterator[Located]:
    """The documents of a file: ``.jsonl``, one a line, or ``.json``, a list of them.

    Raises:
        DataError: naming file and line or example, what is there and what was wanted.
    """
    for file in source.files(path, SUFFIXES):
        for record in items(file, source.content(file), "example", source.faults):
            with source.faults.apart():
                yield Located(_document(record, source, file), file, 0 if record.item else record.line)


def _document(record: Record, source: Source, path: Path) -> Document:
    name = record.identifier("id") if "id" in record.values else f"{path.stem}-{record.line}"
    text = record.text("text" if "text" in record.values or "data" not in record.values else "data", empty=True)
    if source.kind == "text":
        return Document(name, text)
    field = next((f for f in ("entities", "label", "labels") if f in record.values), "label")
    if source.kind == "classification":
        return Document(name, text, judgements=(Judgement(class_of(record, field), 1.0, True),))
    marks = Marks(text, source)
    for number, item in enumerate(record.items(field), 1):
        where = f"{record.where}, span {number}"
        if isinstance(item, dict):
            span = Record(record.path, record.line, item, record.item)
            ends, label = (span.integer("start_offset"), span.integer("end_offset")), span.values.get("label")
            marks.mention(where, span.identifier("id"), [ends], label)
        elif isinstance(item, list) and len(item) == 3 and type(item[0]) is type(item[1]) is int:
            marks.mention(where, "", [(item[0], item[1])], item[2])
        else:
            raise record.error(f"span {number} of {field!r} is {kind(item)}; wanted [start, end, label].")
    for number, relation in enumerate(record.objects("relations") if "relations" in record.values else [], 1):
        ends_of = (relation.identifier("from_id"), relation.identifier("to_id"))
        marks.relation(f"{record.where}, relation {number}", relation.values.get("type"), ends_of)
    return marks.document(name)


def class_of(record: Record, field: str) -> str:
    """The one class in a field: a string, or a list of one string.

    Raises:
        Fault: there is none, or there are several.
    """
    value = record.values.get(field)
    classes = value if isinstance(value, list) else [value]
    if len(classes) != 1:
        raise record.error(f"field {field!r} holds {some(len(classes), 'class')}; wanted one.")
    return named_label(record.where, str(classes[0]) if type(classes[0]) is int else classes[0])
