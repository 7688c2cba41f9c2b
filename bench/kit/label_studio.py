"""Label Studio's exports: spans, relations between them, or one choice a text.

Source: https://labelstud.io/guide/export, formats JSON and JSON-MIN, as one list or one task a line. A made-up task of each:

    {"id": 1, "data": {"text": "no fever"}, "annotations": [{"was_cancelled": false, "result": [
        {"id": "a", "type": "labels", "value": {"start": 3, "end": 8, "text": "fever", "labels": ["Symptom"]}},
        {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right", "labels": ["causes"]}]}]}
    {"id": 1, "text": "no fever", "label": [{"start": 3, "end": 8, "text": "fever", "labels": ["Symptom"]}]}

A task with several annotations that were not cancelled needs one that is marked as ground truth. Offsets are those of a
browser, which counts characters beyond U+FFFF (emoji) as two, unless the file's words show that it did not; ends are exclusive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

from bench.api.data import Document, Fragment, Judgement
from bench.kit.doccano import SUFFIXES
from bench.kit.jsonl import Record, items
from bench.kit.reading import Located, Marks, Source, named_label
from bench.wording import some

_OWN = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time")
"""Fields of JSON-MIN that are neither text nor annotations."""


def read(path: Path, source: Source) -> Iterator[Located]:
    """The documents of a file: ``.json``, a list of tasks, or ``.jsonl``, one a line.

    Raises:
        DataError: naming file and line or task, what is there and what was wanted.
    """
    for file in source.files(path, SUFFIXES):
        for record in items(file, source.content(file), "task", source.faults):
            with source.faults.apart():
                yield Located(_document(record, source), file, 0 if record.item else record.line)


def _document(record: Record, source: Source) -> Document:
    name = record.identifier("id")
    short = "data" not in record.values
    text = _text(record if short else record.object("data"))
    if source.kind == "text":
        return Document(name, text)
    results = _short(record) if short else _results(record)
    if source.kind == "classification":
        choices = [choice for result in results if result.values.get("type") == "choices" for choice in _choices(result)]
        if len(choices) != 1:
            raise record.error(f"the annotation holds {some(len(choices), 'choice')}; wanted one.")
        return Document(name, text, judgements=(Judgement(named_label(record.where, choices[0]), 1.0, True),))
    marks, units = Marks(text, source), _units(text)
    for number, result in enumerate(results, 1):
        where = f"{record.where}, result {number}"
        if result.values.get("type") in ("labels", "hypertextlabels"):
            value = result.object("value")
            words = value.values.get("text")
            given = words.replace("\\n", " ") if isinstance(words, str) else ""
            span = _characters(text, units, (value.integer("start"), value.integer("end")), given)
            for place, label in enumerate(value.texts("labels")):
                # One region with two labels is two mentions; a relation of it is one of the first.
                marks.mention(where, "" if place else str(result.values.get("id", "")), [span], label, None, given)
    for number, result in enumerate(results, 1):
        if result.values.get("type") != "relation":
            continue
        ends = result.identifier("from_id"), result.identifier("to_id")
        types = result.values.get("labels")
        kind = types[0] if isinstance(types, list) and len(types) == 1 else None
        ends = ends[::-1] if result.values.get("direction") == "left" else ends
        marks.relation(f"{record.where}, result {number}", kind, ends)
    return marks.document(name)


def _text(data: Record) -> str:
    """The text of a task: the field ``text``, else the only field that is a string."""
    if "text" in data.values:
        return data.text("text", empty=True)
    names = [name for name, value in data.values.items() if isinstance(value, str) and name not in _OWN]
    if len(names) != 1:
        raise data.error(f"there is no field 'text', and {some(len(names), 'other field')} of text; wanted one.")
    return data.text(names[0], empty=True)


def _results(record: Record) -> list[Record]:
    """The results of the annotation that counts."""
    annotations = [a for a in record.objects("annotations") if a.values.get("was_cancelled") is not True]
    if len(annotations) > 1:
        annotations = [a for a in annotations if a.values.get("ground_truth") is True]
    if len(annotations) != 1:
        given = len(record.items("annotations"))
        raise record.error(
            f"of {some(given, 'annotation')} {len(annotations)} count; wanted one that was not cancelled, or is marked as "
            "ground truth."
        )
    return annotations[0].objects("result")


def _short(record: Record) -> list[Record]:
    """The results of a task of JSON-MIN, brought into the form of JSON."""
    results: list[dict[str, Any]] = []
    for field, value in record.values.items():
        if field in (*_OWN, "text"):
            continue
        if isinstance(value, list) and all(isinstance(item, dict) for item in value):
            results += [{"type": "labels", "value": item} if "labels" in item else {"type": "other"} for item in value]
        elif isinstance(value, str) or (isinstance(value, dict) and "choices" in value):
            results.append({"type": "choices", "value": value if isinstance(value, dict) else {"choices": [value]}})
    return [Record(record.path, record.line, result, record.item) for result in results]


def _choices(result: Record) -> list[str]:
    return result.object("value").texts("choices")


def _units(text: str) -> dict[int, int]:
    """Position in UTF-16 code units, as browsers count, to position in characters; empty where the two are the same."""
    if text.isascii() or max(text, default="") <= "\uffff":
        return {}
    ends = accumulate((1 + (character > "\uffff") for character in text), initial=0)
    return {units: place for place, units in enumerate(ends)}


def _characters(text: str, units: Mapping[int, int], span: Fragment, words: str) -> Fragment:
    """A span in characters. It is given in code units unless the words of the file show that it is not."""
    if not units:
        return span
    start, end = span
    # An end behind the text stays behind it, and a place within a character is before the text: both are faults then.
    counted = units.get(start, -1), units.get(end, -1 if end < next(reversed(units)) else end)
    return span if words and text[slice(*counted)] != words == text[start:end] else counted
