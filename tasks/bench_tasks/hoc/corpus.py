"""Reads ``train.tsv``, ``dev.tsv`` and ``test.tsv``: the sentences of abstracts, of which each abstract is one document."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.api.data import SPLITS, Corpus, Document
from bench.errors import DataError
from bench.kit import tables
from bench.kit.faults import Faults
from bench.kit.files import read_bytes
from bench.kit.jsonl import Record
from bench.kit.labels import chosen_classes, judgements
from bench.kit.repeats import repeated_texts
from bench.kit.synthetic import is_synthetic
from bench_tasks.hoc.task import CLASSES, LAYOUT

COLUMNS = ("labels", "sentence", "index")
_LABELS = re.compile(",".join(f"{number}_([01])" for number in range(len(CLASSES))))


def load(folder: Path) -> Corpus:
    """Reads and checks a corpus; see `CorpusTask.load`."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", f"Wanted {LAYOUT}.")
    digest = hashlib.sha256()
    faults = Faults(tolerable=False)
    splits: dict[str, tuple[Document, ...]] = {}
    for split in SPLITS:
        path = folder / f"{split}.tsv"
        content = read_bytes(path)
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
        splits[split] = tuple(_abstracts(tables.read(path, COLUMNS, content, faults), faults).values())
    faults.check(folder)
    for split, documents in splits.items():
        if not any(map(chosen_classes, documents)):
            raise DataError(f"{folder / split}.tsv holds no abstract with a hallmark; wanted annotated ones.")
    return Corpus(splits, is_synthetic(folder), digest.hexdigest(), repeated_texts(splits))


def read_annotations(path: Path) -> Mapping[str, Document]:
    """Abstract to its hallmarks, from one file or every ``.tsv`` file of a folder, for scoring; sentences may be empty.

    Raises:
        DataError: as in `load`; also if an abstract is in two files.
    """
    files = sorted(path.glob("*.tsv")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path} holds no .tsv file.", "Name one, or a folder of them.")
    documents: dict[str, Document] = {}
    for file in files:
        faults = Faults(tolerable=False)
        abstracts = _abstracts(tables.read(file, COLUMNS, faults=faults), faults, bare=True)
        faults.check(file)
        if twice := abstracts.keys() & documents.keys():
            raise DataError(f"{file} has an abstract {min(twice)!r} that an earlier file has; wanted each in one file.")
        documents |= abstracts
    return documents


def as_labels(document: Document) -> str:
    """The hallmarks of a document as the label column has them."""
    chosen = chosen_classes(document)
    return ",".join(f"{number}_{int(name in chosen)}" for number, name in enumerate(CLASSES))


def _abstracts(records: Sequence[Record], faults: Faults, bare: bool = False) -> dict[str, Document]:
    sentences: dict[str, dict[str, str]] = {}
    chosen: dict[str, set[str]] = {}
    for record in records:
        with faults.apart():
            labels = _LABELS.fullmatch(record.text("labels").strip())
            if labels is None:
                raise record.error("column 'labels' is no list of ten labels; wanted 0_0,1_1,… up to 9_, each with 0 or 1.")
            name, mark, number = record.identifier("index").rpartition("_")
            if not (name and mark and number):
                raise record.error("column 'index' is no name of a sentence; wanted ABSTRACT_sN, such as 1001_s0.")
            abstract = sentences.setdefault(name, {})
            if number in abstract:
                raise record.error("an earlier row has the same 'index'; wanted each sentence once.", kind="repeated-id")
            abstract[number] = record.text("sentence", empty=bare).strip()
            chosen.setdefault(name, set()).update(c for c, yes in zip(CLASSES, labels.groups(), strict=True) if yes == "1")
    return {
        name: Document(name, "\n".join(texts.values()), judgements=judgements(CLASSES, chosen[name]))
        for name, texts in sentences.items()
        if name in chosen
    }
