"""BigBIO's schema ``kb``: a document of passages with entities, discontiguous ones too, and relations, as a row of a data set.

Source: Fries et al. 2022, BigBIO, arXiv:2206.15076, https://github.com/bigscience-workshop/biomedical. A made-up row:

    {"document_id": "d1", "passages": [{"text": ["no fever"], "offsets": [[0, 8]]}],
     "entities": [{"id": "T1", "type": "Symptom", "text": ["fever"], "offsets": [[3, 8]], "normalized": [{"db_id": "C1"}]}],
     "relations": [{"type": "causes", "arg1_id": "T1", "arg2_id": "T2"}]}

Offsets are characters of the passages joined at their own offsets, by single blanks where these leave a gap. The first
normalisation is the concept. Events and coreferences are not read.
"""

from __future__ import annotations

from typing import Any

from bench.api.data import Document, Fragment
from bench.kit.jsonl import Record
from bench.kit.reading import Marks, Source, first_concept, placed


def document(record: Record, source: Source) -> Document:
    """The document of a row; faults of entities and relations go to the source.

    Raises:
        Fault: the row itself is not of the schema.
    """
    names = [record.values.get(field) for field in ("document_id", "id")]
    field = next((f for f, n in zip(("document_id", "id"), names, strict=True) if isinstance(n, str) and n.strip()), "id")
    name = record.identifier(field)
    passages = []
    for passage in _objects(record, "passages"):
        offsets, pieces = _offsets(passage), _strings(passage.values.get("text"))
        if [end - start for start, end in offsets] != [len(piece) for piece in pieces]:
            raise record.error("a passage is not as long as its offsets say; wanted characters of its text.")
        passages += [(start, piece) for (start, _), piece in zip(offsets, pieces, strict=True)]
    marks = Marks(placed(passages, record.where, gap=" "), source)
    if source.kind == "text":
        return marks.document(name)
    for number, entity in enumerate(_objects(record, "entities"), 1):
        concepts = [o.values.get("db_id") for o in _objects(entity, "normalized")] if entity.values.get("normalized") else []
        concept = first_concept(concepts)
        words = " ".join(_strings(entity.values.get("text")))
        marks.mention(
            f"{record.where}, entity {number}",
            entity.identifier("id"),
            _offsets(entity),
            entity.values.get("type"),
            concept,
            words,
        )
    if source.kind == "relations":
        for number, relation in enumerate(_objects(record, "relations"), 1):
            ends = relation.identifier("arg1_id"), relation.identifier("arg2_id")
            marks.relation(f"{record.where}, relation {number}", relation.values.get("type"), ends)
    return marks.document(name)


def _objects(record: Record, name: str) -> list[Record]:
    """The objects in a column: a list of them, or, as the package datasets stores some, lists by field."""
    value = record.values.get(name)
    if isinstance(value, dict) and all(isinstance(column, list) for column in value.values()):
        rows = [dict(zip(value, row, strict=False)) for row in zip(*value.values(), strict=False)]
        record = Record(record.path, record.line, {name: rows}, record.item)
    return record.objects(name)


def _offsets(record: Record) -> list[Fragment]:
    spans = record.items("offsets")
    if not all(isinstance(span, list) and len(span) == 2 and all(type(end) is int for end in span) for span in spans):
        raise record.error("an item of 'offsets' is no [start, end] of whole numbers.")
    return [(start, end) for start, end in spans]


def _strings(value: Any) -> list[str]:
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]
