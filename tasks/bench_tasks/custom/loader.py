"""Reads the corpus that a task's file describes: one reader a format, and the checks that all of them share."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.api.data import SPLITS, Corpus, Document
from bench.errors import DataError, DataWarning
from bench_tasks.common import brat, iob
from bench_tasks.common.classes import judgements
from bench_tasks.common.files import decode, read_bytes
from bench_tasks.common.jsonl import read as read_records
from bench_tasks.common.repeats import repeated_sentences
from bench_tasks.common.synthetic import is_synthetic
from bench_tasks.custom import records
from bench_tasks.custom.settings import TaskFile
from bench_tasks.semeval2015_t14 import pipe

LAYOUTS: Mapping[str, str] = {
    "brat": "FOLDER/{train,dev,test}/DOC.txt with DOC.ann beside it; empty where a document has no mention",
    "iob": "FOLDER/train.tsv, devel.tsv (or dev.tsv) and test.tsv: token, tab, IOB2 tag; a blank line after a sentence",
    "pipe": "FOLDER/{train,dev,test}/DOC.text with DOC.pipe beside it (19 or 22 columns)",
    "jsonl": "FOLDER/{train,dev,test}.jsonl, one JSON object a line",
}


@dataclass
class _Reading:
    """One pass over a corpus.

    Args:
        spec: what the task's file says.
        folder: of the corpus.
        digest: of every byte that was read.
        passed: lines that are not read, by their first character.
    """

    spec: TaskFile
    folder: Path
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    passed: Counter[str] = field(default_factory=Counter)

    def bytes(self, path: Path, split: str) -> bytes:
        """The bytes of a file, which the corpus's hash takes in."""
        data = read_bytes(path)
        self.digest.update(f"{split}/{path.name}\0{len(data)}\0".encode())
        self.digest.update(data)
        return data

    def home(self, split: str) -> Path:
        """The folder or file of a split.

        Raises:
            DataError: it is not there, or two of the names that it may have are.
        """
        names = self.spec.splits[split]
        found = [self.folder / name for name in names if (self.folder / name).exists()]
        if len(found) == 1:
            return found[0]
        if found:
            raise DataError(f"{self.folder} has {' and '.join(names)}; wanted one for the {split} split.")
        wanted = f"Name it under [splits] in {self.spec.path}, or bring the corpus into the layout {LAYOUTS[self.spec.format]}."
        raise DataError(f"There is no {' or '.join(names)} in {self.folder} for the {split} split.", wanted)


def load(spec: TaskFile, folder: Path) -> Corpus:
    """Reads and checks a corpus.

    Args:
        spec: what the task's file says.
        folder: of the corpus; that of the file, or another one that was given.

    Raises:
        DataError: naming file, line or document, what stood there and what was wanted; no text is quoted.
    """
    if not folder.is_dir():
        raise DataError(f"{spec.path}: there is no folder {folder}.", "Correct 'folder', or name another one with --data.")
    reading = _Reading(spec, folder)
    homes = {split: reading.home(split) for split in SPLITS}
    splits = {
        split: tuple(_only(spec.kind, d) for d in _READERS[spec.format](reading, homes[split], split)) for split in SPLITS
    }
    for split, documents in splits.items():
        if not documents:
            raise DataError(f"{homes[split]} holds no document; wanted annotated ones.", f"Wanted {LAYOUTS[spec.format]}.")
        if not any(labels_of(spec.kind, document) for document in documents):
            raise DataError(
                f"{homes[split]} holds no {_GOLD[spec.kind]} at all; wanted annotated documents.",
                "Training, early stopping and scoring each need gold.",
            )
    _check_labels(spec, homes, splits)
    if spec.kind == "classification":
        classes = spec.labels or trained(spec.kind, splits["train"])
        splits = {s: tuple(replace(d, judgements=judgements(classes, d.judgements[0].name)) for d in splits[s]) for s in SPLITS}
    if reading.passed:
        lines = ", ".join(f"{name} {count}" for name, count in sorted(reading.passed.items()))
        warnings.warn(
            f"{spec.name}: {sum(reading.passed.values())} lines "
            f"of .ann files were not read, by their first character: {lines}.",
            DataWarning,
            stacklevel=2,
        )
    return Corpus(splits, is_synthetic(folder), reading.digest.hexdigest(), repeated_sentences(splits))


_GOLD = {"mentions": "mention", "relations": "relation", "classification": "class", "ranking": "relevant passage"}


def labels_of(kind: str, document: Document) -> tuple[str, ...]:
    """The labels of what a task predicts in a document; of a ranking the ids of its relevant passages."""
    if kind == "mentions":
        return tuple(mention.label for mention in document.mentions)
    if kind == "relations":
        return tuple(relation.label for relation in document.relations)
    return tuple(judgement.name for judgement in document.judgements if judgement.chosen)


def trained(kind: str, documents: tuple[Document, ...]) -> tuple[str, ...]:
    """The labels of training documents, sorted."""
    return tuple(sorted({label for document in documents for label in labels_of(kind, document)}))


def _only(kind: str, document: Document) -> Document:
    """A document with what its task is about: a corpus may hold more."""
    if kind == "mentions":
        return replace(document, relations=())
    if kind == "relations" and any(relation.source == relation.target for relation in document.relations):
        raise DataError(f"Document {document.id!r} has a relation that joins a mention with itself; wanted two mentions.")
    return document


def _check_labels(spec: TaskFile, homes: Mapping[str, Path], splits: Mapping[str, tuple[Document, ...]]) -> None:
    """Refuses labels that the task's file does not list or, where it lists none, that no training document has."""
    if spec.kind == "ranking":
        return
    known = spec.labels or trained(spec.kind, splits["train"])
    # Labels of a file are not quoted: in a shifted line they may be words of the text.
    hint = (
        f"'labels' of {spec.path} lists {', '.join(spec.labels)}."
        if spec.labels
        else "All splits must use the labels of train."
    )
    for split, documents in splits.items():
        for document in documents:
            strange = set(labels_of(spec.kind, document)) - set(known)
            if strange:
                raise DataError(
                    f"{homes[split]}: document {document.id!r} has {len(strange)} labels of {_GOLD[spec.kind]} that this "
                    "corpus does not have.",
                    hint,
                )
    if spec.kind == "classification" and len(trained(spec.kind, splits["train"])) < 2:
        raise DataError(f"{homes['train']} holds one class alone; wanted at least two.")


def _brat(reading: _Reading, home: Path, split: str) -> Iterator[Document]:
    for name, text, path in _pairs(reading, home, split, ".txt", ".ann"):
        found = brat.parse(decode(reading.bytes(path, split), path), path, text)
        reading.passed += found.passed
        yield Document(name, text, found.mentions, found.relations)


def _pipe(reading: _Reading, home: Path, split: str) -> Iterator[Document]:
    for name, text, path in _pairs(reading, home, split, ".text", ".pipe"):
        found = pipe.read_mentions(decode(reading.bytes(path, split), path), path, name, len(text))
        # Slots are the business of the task that this format comes from.
        yield Document(name, text, tuple(replace(mention, slots={}) for mention in found))


def _pairs(reading: _Reading, home: Path, split: str, plain: str, annotated: str) -> Iterator[tuple[str, str, Path]]:
    """Name, text and annotation file of each document of a folder, by name."""
    if not home.is_dir():
        raise DataError(f"{home} is no folder; wanted {LAYOUTS[reading.spec.format]}.")
    files = [path for path in home.iterdir() if not path.name.startswith(".")]
    texts, notes = ({path.stem for path in files if path.suffix == suffix} for suffix in (plain, annotated))
    for have, lack, missing in ((annotated, plain, notes - texts), (plain, annotated, texts - notes)):
        if missing:
            name = min(missing)
            raise DataError(f"{home / (name + have)} has no {name}{lack} beside it ({len(missing)} such here).")
    if len({name.casefold() for name in texts}) != len(texts):
        raise DataError(f"{home} has documents whose names differ in case only; wanted names that no file system confuses.")
    for name in sorted(texts):
        path = home / f"{name}{plain}"
        yield name, decode(reading.bytes(path, split), path), home / f"{name}{annotated}"


def _iob(reading: _Reading, home: Path, split: str) -> Iterator[Document]:
    for entry in iob.parse(decode(reading.bytes(home, split), home).removeprefix("\ufeff"), home, split):
        yield entry.document


def _jsonl(reading: _Reading, home: Path, split: str) -> Iterator[Document]:
    yield from records.documents(read_records(home, reading.bytes(home, split)), reading.spec.kind)


_READERS: Mapping[str, Callable[[_Reading, Path, str], Iterator[Document]]] = {
    "brat": _brat, "iob": _iob, "pipe": _pipe, "jsonl": _jsonl,
}  # fmt: skip
