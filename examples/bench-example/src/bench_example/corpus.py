"""Reads and writes the format: a document a line, as JSON.

``{"id": "n1", "text": "Start warfarin 5 mg.", "mentions": [[[[6, 14]], "Drug", "RX11289"], [[[15, 19]], "Dose", null]]}``
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.api.data import Corpus, Document, Fragment, Mention, in_order
from bench.kit import corpora
from bench.kit.faults import Faults
from bench.kit.jsonl import Record, read

LAYOUT = "FOLDER/{train,dev,test}.jsonl, a line a document: id, text, mentions [[[start, end], ...], label, concept or null]"


def load(folder: Path, faults: Faults) -> Corpus:
    """Reads and checks a corpus.

    Raises:
        DataError: naming the file and the line.
    """
    return corpora.load(folder, partial(document, texts=True), LAYOUT, faults)


def read_annotations(path: Path) -> list[Document]:
    """The documents of one file, with or without text, for scoring.

    Raises:
        DataError: naming the file and the line.
    """
    return [document(record, texts=False) for record in read(path)]


def document(record: Record, texts: bool) -> Document:
    """The document of a line. Errors name the place and the fault, never what stands there: it may be text of a patient.

    Args:
        record: the line.
        texts: whether it must have a text; predictions have none.

    Raises:
        DataError: naming the file and the line.
    """
    text = record.text("text") if texts or "text" in record.values else ""
    mentions = [_mention(record, item, number, text) for number, item in enumerate(record.items("mentions"), 1)]
    return Document(record.identifier("id"), text, in_order(mentions))


def _mention(record: Record, item: Any, number: int, text: str) -> Mention:
    match item:
        case [[*spans], str(label), None | str() as concept] if spans and all(map(_is_span, spans)):
            pass
        case _:
            raise record.error(f"mention {number} is not [[[start, end], ...], label, concept or null].")
    fragments: tuple[Fragment, ...] = tuple((start, end) for start, end in spans)
    offsets = [offset for fragment in fragments for offset in fragment]
    if offsets != sorted(offsets) or any(start >= end for start, end in fragments):
        raise record.error(f"mention {number} has fragments that do not ascend.", kind="empty-span")
    if text and offsets[-1] > len(text):
        raise record.error(f"mention {number} ends behind the text of {len(text)} characters.", kind="outside-text")
    return Mention(fragments, label, concept)


def _is_span(item: Any) -> bool:
    return isinstance(item, list) and len(item) == 2 and all(type(offset) is int and offset >= 0 for offset in item)


def write(path: Path, documents: Sequence[Document]) -> None:
    """Writes documents; the text is left out where it is empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(_row(d))}\n" for d in documents), encoding="utf-8")


def _row(document: Document) -> dict[str, Any]:
    mentions = [[[list(f) for f in m.fragments], m.label, m.concept] for m in document.mentions]
    return {"id": document.id, **({"text": document.text} if document.text else {}), "mentions": mentions}
