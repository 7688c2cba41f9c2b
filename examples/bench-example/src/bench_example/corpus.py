"""Reads and writes the format: a document a line, as JSON.

``{"id": "n1", "text": "Start warfarin 5 mg.", "mentions": [[[[6, 14]], "Drug", "RX11289"], [[[15, 19]], "Dose", null]]}``
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.api.data import SPLITS, Corpus, Document, Mention, in_order
from bench.errors import DataError

MARKER = "SYNTHETIC"
LAYOUT = "FOLDER/{train,dev,test}.jsonl, a line a document: id, text, mentions [[[start, end], ...], label, concept or null]"


def load(folder: Path) -> Corpus:
    """Reads and checks a corpus.

    Raises:
        DataError: naming the file and the line.
    """
    digest = hashlib.sha256()
    splits: dict[str, tuple[Document, ...]] = {}
    home: dict[str, str] = {}
    for split in SPLITS:
        path = folder / f"{split}.jsonl"
        splits[split] = read(path, text=True)
        digest.update(split.encode() + b"\0" + path.read_bytes())
        for document in splits[split]:
            if home.setdefault(document.id, split) != split:
                raise DataError(f"Document {document.id!r} stands in {home[document.id]} and in {split} of {folder}.")
    return Corpus(splits, synthetic=(folder / MARKER).exists(), sha256=digest.hexdigest())


def read(path: Path, text: bool) -> tuple[Document, ...]:
    """The documents of one file.

    Args:
        path: a ``.jsonl`` file.
        text: whether every line must have its text; predictions have none.

    Raises:
        DataError: naming the file and the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DataError(f"There is no file {path}.", f"Wanted {LAYOUT}.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (byte {error.start}).") from None
    found: dict[str, Document] = {}
    for number, line in enumerate(lines, 1):
        document = _document(line, f"{path}:{number}", text)
        if document.id in found:
            raise DataError(f"{path}:{number} repeats the id of an earlier line; wanted each document once.")
        found[document.id] = document
    if not found:
        raise DataError(f"{path} is empty; wanted a document a line.")
    return tuple(found.values())


def write(path: Path, documents: Sequence[Document]) -> None:
    """Writes documents; the text is left out where it is empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(_row(d))}\n" for d in documents), encoding="utf-8")


def _row(document: Document) -> dict[str, Any]:
    mentions = [[[list(f) for f in m.fragments], m.label, m.concept] for m in document.mentions]
    return {"id": document.id, **({"text": document.text} if document.text else {}), "mentions": mentions}


def _document(line: str, where: str, wants_text: bool) -> Document:
    # What stands on the line may be text of a patient: errors name the place and the fault, never the content.
    try:
        row = json.loads(line)
        name, content = row["id"], row.get("text", "")
        if not isinstance(name, str) or not isinstance(content, str) or (wants_text and not content):
            raise DataError(f"{where} wants an id and a text, both strings.")
        mentions = []
        for fragments, label, concept in row["mentions"]:
            spans = tuple((int(start), int(end)) for start, end in fragments)
            flat = [offset for span in spans for offset in span]
            if not flat or flat != sorted(flat) or any(a >= b for a, b in spans) or flat[0] < 0:
                raise DataError(f"{where} has a mention whose fragments {spans} do not ascend.")
            if content and flat[-1] > len(content):
                raise DataError(f"{where} has a mention that ends at {flat[-1]}, behind the text's {len(content)} characters.")
            if not isinstance(label, str) or not (concept is None or isinstance(concept, str)):
                raise DataError(f"{where} has a mention whose label or concept is no string.")
            mentions.append(Mention(spans, label, concept))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{where} is no document ({type(error).__name__}).", f"Wanted {LAYOUT}.") from None
    return Document(name, content, in_order(mentions))
