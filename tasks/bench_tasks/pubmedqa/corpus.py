"""Reads ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl``, or ``all.jsonl``, which is split here."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bench.api.data import SPLITS, Corpus, Document
from bench.errors import DataError
from bench.kit.classes import chosen_class, judgements, stratified_split
from bench.kit.corpora import documents
from bench.kit.faults import Faults
from bench.kit.jsonl import Record
from bench.kit.repeats import repeated_texts
from bench.kit.synthetic import is_synthetic
from bench_tasks.pubmedqa.task import CLASSES, LAYOUT

SHARES = (0.45, 0.05, 0.5)
SEED = "pubmedqa/split/1"
"""Seed of the stratified split into train, dev and test; these are not the official folds."""


def load(folder: Path, faults: Faults | None = None) -> Corpus:
    """Reads and checks a corpus; see `CorpusTask.load`."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", f"Wanted {LAYOUT}.")
    faults = faults or Faults(tolerable=False)
    digest = hashlib.sha256()
    pool, parts = folder / "all.jsonl", [folder / f"{split}.jsonl" for split in SPLITS]
    if pool.exists():
        odd = next((path for path in parts if path.exists()), None)
        if odd is not None:
            raise DataError(f"{folder} holds {pool.name} and {odd.name}; wanted one or the other.", f"Wanted {LAYOUT}.")
        everything = documents(pool, digest, _document, faults)
        faults.check(folder)
        drawn = stratified_split(everything, SHARES, chosen_class, lambda document: document.text, SEED)
        splits = {split: tuple(part) for split, part in zip(SPLITS, drawn, strict=True)}
    else:
        splits = {split: documents(path, digest, _document, faults) for split, path in zip(SPLITS, parts, strict=True)}
    faults.check(folder)
    for split, documents_of in splits.items():
        if not documents_of:
            raise DataError(f"{pool} holds too few documents to draw {split} from; wanted 20 or more.")
    classes = [{chosen_class(document) for document in documents_of} for documents_of in splits.values()]
    if len(classes[0]) < 2 or any(present - classes[0] for present in classes[1:]):
        raise DataError(f"The training part of {folder} lacks a class that the others have; wanted every class in it.")
    return Corpus(splits, is_synthetic(folder), digest.hexdigest(), repeated_texts(splits), faults.left_out)


def label(record: Record) -> tuple[str, str]:
    """Name and class of a line.

    Raises:
        DataError: one of them is missing or unknown.
    """
    return record.identifier("pubid"), record.one_of("final_decision", CLASSES)


def _document(record: Record) -> Document:
    name, chosen = label(record)
    contexts = record.object("context").texts("contexts")
    if not contexts:
        raise record.error("field 'contexts' is an empty list; wanted the abstract's sections.")
    # The long answer is the abstract's conclusion, which contains the decision: it is left out.
    text = record.text("question").strip() + "\n\n" + "\n".join(context.strip() for context in contexts)
    return Document(name, text, judgements=judgements(CLASSES, chosen))
