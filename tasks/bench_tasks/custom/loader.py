"""Reads the corpus that a task's file describes: one reader a format, and common checks."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.api.data import SPLITS, Corpus, Document
from bench.api.spool import spooled
from bench.errors import DataError, DataWarning
from bench.kit import brat, iob, records
from bench.kit.classes import judgements
from bench.kit.documents import names_of
from bench.kit.faults import Fault, Faults
from bench.kit.files import decode, read_bytes
from bench.kit.formats import LAYOUTS, READERS
from bench.kit.jsonl import read as read_records
from bench.kit.reading import Source, What
from bench.kit.reading import documents as documents_in
from bench.kit.repeats import repeated_sentences
from bench.kit.roles import CONF, Roles, declared_in
from bench.kit.synthetic import is_synthetic
from bench_tasks.common import pipe
from bench_tasks.custom.settings import TaskFile


@dataclass(frozen=True)
class Place:
    """The place of a document's annotations, for errors.

    Args:
        path: of their file.
        lines: label, or ``""`` for all labels, to the line of its first annotation; may be empty.
    """

    path: Path
    lines: Mapping[str, int]

    def of(self, label: str) -> str:
        """File and, if known, line of the first annotation with a label."""
        line = self.lines.get(label, self.lines.get(""))
        return f"{self.path}, line {line}" if line else f"{self.path}"


@dataclass
class _Reading:
    """One pass over a corpus.

    Args:
        spec: content of the task's file.
        folder: of the corpus.
        faults: collects faults.
        roles: which argument of a brat relation is its source.
        digest: hash of every byte that was read.
        passed: number of skipped lines, by their first character, or of skipped annotations, by what they are.
        places: (split, document) to the place of its annotations.
        whole: whether a file of tags is divided into documents, and not into sentences alone.
    """

    spec: TaskFile
    folder: Path
    faults: Faults
    roles: Roles
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    passed: Counter[str] = field(default_factory=Counter)
    places: dict[tuple[str, str], Place] = field(default_factory=dict)
    whole: bool = False

    def bytes(self, path: Path, split: str, home: Path | None = None) -> bytes:
        """Reads a file and adds its bytes, and its path below `home`, to the corpus's hash."""
        data = read_bytes(path)
        name = path.relative_to(home).as_posix() if home is not None else path.name
        self.digest.update(f"{split}/{name}\0{len(data)}\0".encode())
        self.digest.update(data)
        return data


def load(spec: TaskFile, folder: Path, faults: Faults) -> Corpus:
    """Reads and checks a corpus.

    Args:
        spec: content of the task's file.
        folder: of the corpus; that of the file, or another one.
        faults: collects faulty lines; they are reported together.

    Raises:
        DataError: naming file, line or document, what is there and what was wanted; no text is quoted.
    """
    if not folder.is_dir():
        raise DataError(f"{spec.path}: there is no folder {folder}.", "Correct 'folder', or name another one with --data.")
    homes = {split: _home(spec, folder, split) for split in SPLITS}
    related = spec.kind == "relations" and spec.format == "brat"
    declared, conf = declared_in([*homes.values(), folder]) if related else ({}, "")
    reading = _Reading(spec, folder, faults, Roles({**declared, **spec.roles}))
    splits: dict[str, Sequence[Document]] = {}
    for split in SPLITS:
        splits[split] = spooled(_READERS[spec.format](reading, homes[split], split))
    splits = _known(reading, splits)
    faults.check(folder)
    if reading.roles.used - spec.roles.keys():
        reading.digest.update(f"{CONF}\0{conf}".encode())  # it changed relations, so it is part of the corpus
    for split, documents in splits.items():
        if not documents:
            raise DataError(f"{homes[split]} holds no document; wanted annotated ones.", f"Wanted {LAYOUTS[spec.format]}.")
        if not any(labels_of(spec.kind, document) for document in documents):
            raise DataError(
                f"{homes[split]} holds no {_GOLD[spec.kind]} at all; wanted annotated documents.",
                "Training, early stopping and scoring each need gold.",
            )
    if spec.kind == "classification":
        classes = spec.labels or trained(spec.kind, splits["train"])
        if len(trained(spec.kind, splits["train"])) < 2:
            raise DataError(f"{homes['train']} holds one class alone; wanted at least two.")
        splits = {
            s: spooled(replace(d, judgements=judgements(classes, d.judgements[0].name)) for d in splits[s]) for s in SPLITS
        }
    for message in (_passed(reading.passed, spec.format), reading.roles.notice()):
        if message:
            warnings.warn(f"{spec.name}: {message}", DataWarning, stacklevel=2)
    return Corpus(
        splits,
        is_synthetic(folder),
        reading.digest.hexdigest(),
        repeated_sentences(splits),
        left_out=dict(+faults.left_out),
        adjusted={"swapped": reading.roles.swapped} if reading.roles.swapped else {},
        unit=spec.unit or ("documents" if reading.whole else "sentences"),
    )


def _home(spec: TaskFile, folder: Path, split: str) -> Path:
    """The folder or file of a split.

    Raises:
        DataError: it is missing, or exists under two of its possible names.
    """
    names = spec.splits[split]
    present = [folder / name for name in names if _there(folder, name)]
    if len(present) == 1:
        return present[0]
    if present:
        raise DataError(f"{folder} has {' and '.join(names)}; wanted one for the {split} split.")
    hint = f"Name it under [splits] in {spec.path}, or bring the corpus into the layout {LAYOUTS[spec.format]}."
    raise DataError(f"There is no {' or '.join(names)} in {folder} for the {split} split.", hint)


def _there(folder: Path, name: str) -> bool:
    return any(folder.glob(name)) if "*" in name else (folder / name).exists()


def _passed(passed: Counter[str], form: str) -> str | None:
    passed = +passed
    if not passed:
        return None
    brat_lines = "lines of .ann files were not read, by their first character"
    what = brat_lines if form == "brat" else "annotations were not read, by what they are"
    lines = ", ".join(f"{name} {count}" for name, count in sorted(passed.items()))
    return f"{sum(passed.values())} {what}: {lines}."


_GOLD = {"mentions": "mention", "relations": "relation", "classification": "class", "ranking": "relevant passage"}


def labels_of(kind: str, document: Document) -> tuple[str, ...]:
    """The labels of a document, of the kind that the task predicts; for rankings the ids of relevant passages."""
    if kind == "mentions":
        return tuple(mention.label for mention in document.mentions)
    if kind == "relations":
        return tuple(relation.label for relation in document.relations)
    return tuple(judgement.name for judgement in document.judgements if judgement.chosen)


def trained(kind: str, documents: Sequence[Document]) -> tuple[str, ...]:
    """The sorted labels of training documents: the labels of a task whose file lists none."""
    return tuple(sorted({label for document in documents for label in labels_of(kind, document)}))


def _known(reading: _Reading, splits: Mapping[str, Sequence[Document]]) -> dict[str, Sequence[Document]]:
    """The documents without unknown labels: the file does not list them or, if it lists none, training does not have them.

    Only labels that the kind of task predicts are checked.
    """
    spec = reading.spec
    if spec.kind == "ranking":
        return dict(splits)
    known = set(spec.labels or trained(spec.kind, splits["train"]))
    if not known:  # a corpus without annotations; `load` says so
        return dict(splits)
    # Errors do not quote labels of a file: where columns are shifted they are words of the text.
    hint = (
        f"'labels' of {spec.path} lists {', '.join(spec.labels)}."
        if spec.labels
        else "All splits must use the labels of train."
    )

    def known_of(split: str) -> Iterator[Document]:
        for document in splits[split]:
            strange = [label for label in labels_of(spec.kind, document) if label not in known]
            for label in strange:
                where = reading.places[split, document.id].of(label)
                reading.faults.add(
                    Fault(
                        "unknown-label",
                        f"{where}: document {document.id!r} has a label of a {_GOLD[spec.kind]} that the corpus does not have.",
                        hint,
                    )
                )
            if not strange:
                yield document
            elif spec.kind != "classification":
                yield replace(
                    document,
                    mentions=tuple(m for m in document.mentions if spec.kind != "mentions" or m.label in known),
                    relations=tuple(r for r in document.relations if r.label in known),
                )

    return {split: spooled(known_of(split)) for split in splits}


def _brat(reading: _Reading, home: Path, split: str) -> Iterator[Document]:
    for name, text, path in _pairs(reading, home, split, (".txt", ".ann"), below=True):
        with reading.faults.apart():
            annotations = brat.parse(
                decode(reading.bytes(path, split, home), path),
                path,
                text,
                related=reading.spec.kind == "relations",
                roles=reading.roles,
                faults=reading.faults,
            )
            reading.passed += annotations.passed
            reading.places[split, name] = Place(path, annotations.lines)
            yield Document(name, text, annotations.mentions, annotations.relations)


def _pipe(reading: _Reading, home: Path, split: str) -> Iterator[Document]:
    for name, text, path in _pairs(reading, home, split, (".text", ".pipe")):
        with reading.faults.apart():
            content = decode(reading.bytes(path, split, home), path)
            # Slots are not read, and concepts only where the task's file names a terminology.
            use: pipe.Use = "spans" if reading.spec.concepts is None else "concepts"
            mentions = pipe.read_mentions(content, path, name, len(text), reading.faults, use)
            reading.places[split, name] = Place(path, {})
            yield Document(name, text, mentions)


def _pairs(
    reading: _Reading, home: Path, split: str, suffixes: tuple[str, str], below: bool = False
) -> Iterator[tuple[str, str, Path]]:
    """Name, text and annotation file of each document of a folder, by name."""
    if not home.is_dir():
        raise DataError(f"{home} is no folder; wanted {LAYOUTS[reading.spec.format]}.")
    plain, annotated = suffixes
    for name in names_of(home, LAYOUTS[reading.spec.format], reading.faults, suffixes, below):
        path = home / f"{name}{plain}"
        with reading.faults.apart():
            yield name, decode(reading.bytes(path, split, home), path), home / f"{name}{annotated}"


def _iob(reading: _Reading, home: Path, split: str) -> Iterator[Document]:
    text = decode(reading.bytes(home, split), home)
    reading.whole = reading.whole or iob.DOCSTART in text
    for entry in iob.parse(text, home, split, faults=reading.faults):
        reading.places[split, entry.document.id] = Place(home, {"": entry.line})
        yield entry.document


def _jsonl(reading: _Reading, home: Path, split: str) -> Iterator[Document]:
    read = read_records(home, reading.bytes(home, split), reading.faults)
    lines: dict[str, int] = {}
    for record in read:
        if isinstance(record.values.get("id"), (str, int)):
            lines.setdefault(str(record.values["id"]), record.line)
    for document in records.documents(read, reading.spec.kind, faults=reading.faults):
        reading.places[split, document.id] = Place(home, {"": lines.get(document.id, 0)})
        yield document


def _of_kit(reading: _Reading, home: Path, split: str) -> Iterator[Document]:
    """Any of the formats that have a reader in `READERS`."""
    kind: What = WHAT[reading.spec.kind]
    source = Source(kind, split, reading.faults, reading.roles, reading.digest, reading.passed)
    for located in documents_in(reading.spec.format, home, source):
        reading.places[split, located.document.id] = Place(located.path, {"": located.line} if located.line else {})
        yield located.document


WHAT: Mapping[str, What] = {"mentions": "mentions", "relations": "relations", "classification": "classification"}
"""Kind of task to what is read for it."""

_READERS: Mapping[str, Callable[[_Reading, Path, str], Iterator[Document]]] = {
    "brat": _brat, "iob": _iob, "pipe": _pipe, "jsonl": _jsonl, **dict.fromkeys(READERS, _of_kit),
}  # fmt: skip
