"""Reads ``train.tsv``, ``dev.tsv`` and ``test.tsv``: pairs of sentences, of which the second is the first one's passage."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.api.data import SPLITS, Corpus, Document, Judgement, Passage
from bench.errors import DataError
from bench.kit import tables
from bench.kit.faults import Faults
from bench.kit.files import read_bytes
from bench.kit.jsonl import Record
from bench.kit.repeats import repeated_texts
from bench.kit.synthetic import is_synthetic
from bench_tasks.biosses.task import LAYOUT

HIGHEST = 4.0
COLUMNS = ("index", "sentence1", "sentence2", "score")
SCORED = ("index", "score")
SECOND = "sentence2"
"""Name of the passage, and of the judgement of it."""


def load(folder: Path, faults: Faults | None = None) -> Corpus:
    """Reads and checks a corpus; see `CorpusTask.load`."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", f"Wanted {LAYOUT}.")
    faults = faults or Faults(tolerable=False)
    digest = hashlib.sha256()
    splits: dict[str, tuple[Document, ...]] = {}
    for split in SPLITS:
        path = folder / f"{split}.tsv"
        content = read_bytes(path)
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
        documents: dict[str, Document] = {}
        for record in tables.read(path, COLUMNS, content, faults):
            with faults.apart():
                document = _pair(record, f"{split}-{record.identifier('index')}")
                if document.id in documents:
                    raise record.error("an earlier row has the same 'index'; wanted each once.", kind="repeated-id")
                documents[document.id] = document
        splits[split] = tuple(documents.values())
    faults.check(folder)
    for split, pairs in splits.items():
        if len({document.judgements[0].score for document in pairs}) < 2:
            raise DataError(f"{folder / split}.tsv holds no two scores that differ; a correlation needs some.")
    return Corpus(splits, is_synthetic(folder), digest.hexdigest(), repeated_texts(splits), faults.left_out)


def read_annotations(path: Path) -> Mapping[str, Document]:
    """Pair to its score, from one file or every ``.tsv`` file of a folder, whose names then begin those of the pairs.

    Raises:
        DataError: a file or a row cannot be read, or a pair occurs twice.
    """
    files = sorted(path.glob("*.tsv")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path} holds no .tsv file.", "Name one, or a folder of them.")
    documents: dict[str, Document] = {}
    for file in files:
        for record in tables.read(file, SCORED):
            name = record.identifier("index")
            name = f"{file.stem}-{name}" if len(files) > 1 else name
            if name in documents:
                raise record.error(f"pair {name!r} occurs twice; wanted it once.")
            documents[name] = Document(name, "", judgements=(Judgement(SECOND, _score(record, math.inf), True),))
    return documents


def write(folder: Path, documents: Sequence[Document]) -> None:
    """Writes scores; see `Biosses.write`."""
    rows: dict[str, list[tuple[str, str]]] = {}
    for document in documents:
        if not document.judgements:
            raise DataError(f"Document {document.id!r} has no score; wanted one to write.")
        split, dash, index = document.id.partition("-")
        file, name = (split, index) if dash and split in SPLITS else ("scores", document.id)
        rows.setdefault(file, []).append((name, repr(document.judgements[0].score)))
    for file, scores in rows.items():
        tables.write(folder / f"{file}.tsv", SCORED, scores)


def _pair(record: Record, name: str) -> Document:
    first, second = (record.text(column).strip() for column in ("sentence1", "sentence2"))
    start = len(first) + 1
    return Document(
        name,
        f"{first}\n{second}",
        judgements=(Judgement(SECOND, _score(record, HIGHEST), True),),
        passages=(Passage(SECOND, (start, start + len(second))),),
    )


def _score(record: Record, highest: float) -> float:
    """The score of a row; a system's own may lie outside of the scale."""
    try:
        score = float(record.text("score"))
    except ValueError:
        raise record.error("column 'score' is no number.") from None
    if not (math.isfinite(score) and (highest == math.inf or 0 <= score <= highest)):
        raise record.error(f"column 'score' is no number from 0 to {HIGHEST:g}.")
    return score
