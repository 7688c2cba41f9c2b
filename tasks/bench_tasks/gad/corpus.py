"""Reads ``train.jsonl``, ``test.jsonl`` and, if it exists, ``dev.jsonl``; otherwise dev is a random tenth of train."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bench.api.data import Corpus, Document
from bench.errors import DataError
from bench.kit.classes import chosen_class, judgements, stratified_split
from bench.kit.corpora import documents
from bench.kit.faults import Faults
from bench.kit.jsonl import Record
from bench.kit.repeats import repeated_texts
from bench.kit.synthetic import is_synthetic
from bench_tasks.gad.task import CLASSES, LAYOUT

DEV_SHARE = 0.1
DEV_SEED = "gad/dev/1"
"""Seed of the tenth of train that is used as dev; it is no official split."""
PUBLISHED_REPEATS = frozenset(
    (
        "19645d88ba1b11836ceffad1c5c6c8b4b07d55de7ac242fa7795933a25403254",
        "32b9fef9c7de871ea4c8e4f80c1626e3bc1345f248c32232e0e51a09f2fd44c3",
        "6a0dd89433311f8f18d38586157a52309c9325d77363e05bcb03554eb4421e31",
        "940507018e1f4b0215b99afc3ce9c2157171b6c4091700c4fa6fe6ce9058af42",
        "f061ee413b4b3c9bde5cb3adaa025fadae9b061c475e0b6245c65be7c3abcb10",
    )
)
"""SHA-256 of the five texts that are in train and in test (8 test lines) of the published corpus."""


def load(folder: Path, faults: Faults | None = None) -> Corpus:
    """Reads and checks a corpus; see `CorpusTask.load`."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", f"Wanted {LAYOUT}.")
    faults = faults or Faults(tolerable=False)
    digest = hashlib.sha256()
    train = documents(folder / "train.jsonl", digest, _document, faults)
    if (folder / "dev.jsonl").exists():
        dev = documents(folder / "dev.jsonl", digest, _document, faults)
    else:
        faults.check(folder)
        train, dev = (
            tuple(part)
            for part in stratified_split(
                train, (1 - DEV_SHARE, DEV_SHARE), chosen_class, lambda document: document.text, DEV_SEED
            )
        )
    splits = {"train": train, "dev": dev, "test": documents(folder / "test.jsonl", digest, _document, faults)}
    faults.check(folder)
    for split, documents_of in splits.items():
        lacks = set(CLASSES) - {chosen_class(document) for document in documents_of}
        if lacks:
            raise DataError(f"{split} of {folder} holds no document of class {min(lacks)!r}; wanted both classes.")
    leaks = repeated_texts(splits, PUBLISHED_REPEATS)
    return Corpus(splits, is_synthetic(folder), digest.hexdigest(), leaks, faults.left_out)


def label(record: Record) -> tuple[str, str]:
    """Name and class of a line.

    Raises:
        DataError: the line does not hold exactly one class.
    """
    labels = record.texts("labels")
    if len(labels) != 1 or labels[0] not in CLASSES:
        raise record.error('field \'labels\' is not one class; wanted ["0"] or ["1"].')
    return record.identifier("id"), labels[0]


def _document(record: Record) -> Document:
    name, chosen = label(record)
    # Ids of the published files each count from 0; the file's name makes them unique.
    return Document(f"{record.path.stem}-{name}", record.text("text"), judgements=judgements(CLASSES, chosen))
