"""Reads ``all.jsonl``, of which train, dev and test are drawn here, or ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl``."""

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
"""Of the stratified draw of train, dev and test: this suite's own, not the official folds."""


def load(folder: Path, faults: Faults | None = None) -> Corpus:
    """Reads and checks a corpus; see `CorpusTask.load`."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", f"Wanted {LAYOUT}.")
    faults = faults or Faults(tolerable=False)
    digest = hashlib.sha256()
    whole, parts = folder / "all.jsonl", [folder / f"{split}.jsonl" for split in SPLITS]
    if whole.exists():
        odd = next((path for path in parts if path.exists()), None)
        if odd is not None:
            raise DataError(f"{folder} holds {whole.name} and {odd.name}; wanted one or the other.", f"Wanted {LAYOUT}.")
        everything = documents(whole, digest, _document, faults)
        faults.check(folder)
        drawn = stratified_split(everything, SHARES, chosen_class, lambda document: document.text, SEED)
        splits = {split: tuple(part) for split, part in zip(SPLITS, drawn, strict=True)}
    else:
        splits = {split: documents(path, digest, _document, faults) for split, path in zip(SPLITS, parts, strict=True)}
    faults.check(folder)
    for split, held in splits.items():
        if not held:
            raise DataError(f"{whole} holds too few documents to draw {split} from; wanted 20 or more.")
    classes = [{chosen_class(document) for document in held} for held in splits.values()]
    if len(classes[0]) < 2 or any(own - classes[0] for own in classes[1:]):
        raise DataError(f"The training part of {folder} lacks a class that the others have; wanted every class in it.")
    return Corpus(splits, is_synthetic(folder), digest.hexdigest(), repeated_texts(splits), faults.left_out)


def label(record: Record) -> tuple[str, str]:
    """Name and class of a line.

    Raises:
        DataError: there is none.
    """
    return record.identifier("pubid"), record.one_of("final_decision", CLASSES)


def _document(record: Record) -> Document:
    name, chosen = label(record)
    contexts = record.object("context").texts("contexts")
    if not contexts:
        raise record.error("field 'contexts' is an empty list; wanted the abstract's sections.")
    # The long answer is the abstract's conclusion, which gives the decision away: it is no part of the text.
    text = record.text("question").strip() + "\n\n" + "\n".join(context.strip() for context in contexts)
    return Document(name, text, judgements=judgements(CLASSES, chosen))
