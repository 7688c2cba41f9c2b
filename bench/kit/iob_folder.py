"""Folders of IOB2 files: a corpus, one file a split, and files that are scored against each other."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.api.data import SPLITS, Corpus, Document
from bench.api.task import Scores
from bench.errors import DataError, DataWarning
from bench.kit import mentions
from bench.kit.documents import names_below, of_gold, refuse_below
from bench.kit.faults import Fault, Faults
from bench.kit.files import decode, read_bytes
from bench.kit.formats import LAYOUTS
from bench.kit.iob import DOCSTART, Entry, Tally, parse, read
from bench.kit.repeats import repeated_sentences
from bench.kit.synthetic import is_synthetic
from bench.wording import some

FILES: Mapping[str, tuple[str, ...]] = {"train": ("train.tsv",), "dev": ("devel.tsv", "dev.tsv"), "test": ("test.tsv",)}


def load(folder: Path, labels: Collection[str] = (), faults: Faults | None = None) -> Corpus:
    """Reads and checks a corpus: one file a split, named as in `FILES`.

    `labels` are those of the corpus; where empty, those of its training split.

    Raises:
        DataError: naming file, line, what is there and what was wanted.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", f"Wanted {LAYOUTS['iob']}.")
    faults = faults or Faults(tolerable=False)
    digest = hashlib.sha256()
    entries: dict[str, list[Entry]] = {}
    whole = False
    for split in SPLITS:
        path = _file(folder, split)
        data = read_bytes(path)
        digest.update(f"{split}\0{len(data)}\0".encode())
        digest.update(data)
        text = decode(data, path)
        whole = whole or DOCSTART in text
        entries[split] = list(parse(text, path, split, faults=faults))
        trained = {m.label for entry in entries["train"] for m in entry.document.mentions}
        entries[split] = _known(entries[split], path, labels, trained, faults)
    faults.check(folder)
    for split, split_entries in entries.items():
        if not any(entry.document.mentions for entry in split_entries):
            raise DataError(
                f"{_file(folder, split)} holds no mention at all; wanted annotated sentences.",
                "Training, early stopping and scoring need gold.",
            )
    splits = {split: tuple(entry.document for entry in split_entries) for split, split_entries in entries.items()}
    named = any(entry.named for split_entries in entries.values() for entry in split_entries)
    leaks = repeated_sentences(splits, words=1, share=0.0) if named else repeated_sentences(splits)
    unit = "documents" if whole else "sentences"
    return Corpus(splits, is_synthetic(folder), digest.hexdigest(), leaks, faults.left_out, unit=unit)


def _file(folder: Path, split: str) -> Path:
    present = [folder / name for name in FILES[split] if (folder / name).is_file()]
    if len(present) == 1:
        return present[0]
    if present:
        raise DataError(f"{folder} has {' and '.join(path.name for path in present)}; wanted one file of the {split} split.")
    raise DataError(f"There is no {' or '.join(FILES[split])} in {folder}.", f"Wanted {LAYOUTS['iob']}.")


def _known(
    entries: Sequence[Entry], path: Path, declared: Collection[str], trained: Collection[str], faults: Faults
) -> list[Entry]:
    """The documents without mentions of unknown labels."""
    # Errors do not name labels of a file: where columns are shifted they are words of the text.
    hint = f"Wanted {' or '.join(declared)}." if declared else "Labels of all splits must be those of train."
    known = declared or trained
    if not known:  # a corpus without any mention; `load` says so
        return list(entries)
    checked = []
    for entry in entries:
        strange = [mention for mention in entry.document.mentions if mention.label not in known]
        for mention in strange:
            faults.add(
                Fault(
                    "unknown-label",
                    f"{path}, line {entry.line}: a mention in the document that starts here has a label "
                    f"({some(len(mention.label), 'character')}) that is none of this corpus.",
                    hint,
                )
            )
        mentions = tuple(mention for mention in entry.document.mentions if mention.label in known)
        checked.append(replace(entry, document=replace(entry.document, mentions=mentions)) if strange else entry)
    return checked


def score_files(gold: Path, pred: Path, labels: Iterable[str] = ()) -> Scores:
    """Scores of mentions in two ``.tsv`` files or two folders of them: ``strict``, ``discontiguous`` and ``by_type``.

    `labels` are types that have a row even where nothing carries them.

    Raises:
        DataError: a path or a line that cannot be read.
    """
    return mentions.score(*scored(gold, pred), labels)


def scored(gold: Path, pred: Path, faults: Faults | None = None) -> tuple[list[Document], list[Document]]:
    """Gold and predicted documents of two files, or of two folders with files of the same names.

    Documents are matched by name where the predictions name them; a gold document without a match has no prediction. Else they
    are matched by position, and both sides must have the same number of documents and the same tokens. `faults` collects faults
    of gold; predictions for documents that it leaves out are left out too.

    Raises:
        DataError: naming file and line; also for predictions of a document that is not in gold.
    """
    gold_documents: list[Document] = []
    pred_documents: list[Document] = []
    for gold_file, pred_file, split in _pairs(gold, pred):
        right = read(gold_file, split, layers=True, faults=faults)
        if faults is not None:
            faults.check(gold_file)
        tally = Tally()
        left = read(pred_file, split, layers=True, tally=tally)
        _warn_of_orphans(tally, pred_file)
        if faults is not None and faults.left_out:
            left = _kept(right, left, gold_file, pred_file)
        for document, mine in _matched(right, left, gold_file, pred_file):
            # Files of one folder may number their documents alike.
            place = f"{len(gold_documents)}"
            gold_documents.append(Document(place, "", document.mentions))
            pred_documents.append(Document(place, "", mine.mentions))
    return gold_documents, pred_documents


def predicted(path: Path, gold: Sequence[Document], split: str = "test") -> list[Document]:
    """A system's documents under the ids of gold: by name where the file names them, else by position.

    Args:
        path: a file, or a folder with the file of the split.
        gold: with text, whose tokens the file must have.
        split: of gold.

    Raises:
        DataError: a line cannot be read, or a document is not that of gold.
    """
    file = _file(path, split) if path.is_dir() else path
    tally = Tally()
    entries = read(file, split, layers=True, tally=tally)
    _warn_of_orphans(tally, file)
    if not any(entry.named for entry in entries):
        if len(entries) != len(gold):
            raise DataError(
                f"{file} has {some(len(entries), 'document')} and the split has {len(gold)}; wanted the same, in order."
            )
        entries = [
            replace(entry, document=replace(entry.document, id=document.id))
            for entry, document in zip(entries, gold, strict=True)
        ]
    texts = {document.id: document.text for document in gold}
    for entry in entries:
        if not entry.masked and texts.get(entry.document.id, entry.document.text) != entry.document.text:
            raise DataError(
                f"{file}, document at line {entry.line}: its tokens are not those of the corpus.",
                "Offsets would not mean the same; write the tags beside the corpus's own tokens.",
            )
    return of_gold((entry.document for entry in entries), gold, file)


def _warn_of_orphans(tally: Tally, path: Path) -> None:
    if tally.orphans:
        warnings.warn(
            f"{path}: {some(tally.orphans, 'tag')} of no mention, the first in line {tally.line}; skipped, as "
            "seqeval does in strict mode.",
            DataWarning,
            stacklevel=2,
        )


def _pairs(gold: Path, pred: Path) -> Iterator[tuple[Path, Path, str]]:
    for path in (gold, pred):
        if not path.exists():
            raise DataError(f"There is no file or folder {path}.")
    if gold.is_dir() != pred.is_dir():
        raise DataError(f"{gold} and {pred} are a folder and a file; wanted two files or two folders.")
    if not gold.is_dir():
        yield gold, pred, _split(gold)
        return
    ours, theirs = _files(gold), _files(pred)
    for folder in (gold, pred):
        refuse_below(folder, (f"{name}.tsv" for name in names_below(folder, ".tsv")))
    if not ours:
        raise DataError(f"{gold} holds no .tsv file.", "Give a folder of IOB2 files, or one such file.")
    if ours.keys() != theirs.keys():
        name = min(ours.keys() ^ theirs.keys())
        have, lack = (gold, pred) if name in ours else (pred, gold)
        raise DataError(f"{have} has a file for {name!r} and {lack} has none.", "Give single files to score one split.")
    for split, path in ours.items():
        yield path, theirs[split], split


def _files(folder: Path) -> dict[str, Path]:
    by_split: dict[str, Path] = {}
    for path in sorted(folder.glob("*.tsv")):
        other = by_split.setdefault(_split(path), path)
        if other != path:
            raise DataError(f"{folder} has {other.name} and {path.name}; wanted one file a split.")
    return by_split


def _split(path: Path) -> str:
    return "dev" if path.stem == "devel" else path.stem


def _kept(gold: Sequence[Entry], pred: Sequence[Entry], gold_path: Path, pred_path: Path) -> list[Entry]:
    """The predictions for documents of gold that were not left out."""
    if any(entry.named for entry in gold) != any(entry.named for entry in pred):
        raise DataError(
            f"{gold_path} and {pred_path} do not both name their documents; wanted that where some of gold are left out.",
            f"Begin each document of both with a line '{DOCSTART} (name)', or take faulty ones out of both.",
        )
    names = {entry.document.id for entry in gold}
    return [entry for entry in pred if entry.document.id in names]


def _matched(
    gold: Sequence[Entry], pred: Sequence[Entry], gold_path: Path, pred_path: Path
) -> Iterator[tuple[Document, Document]]:
    by_place = not any(entry.named for entry in pred)
    if by_place and len(gold) != len(pred):
        raise DataError(
            f"{pred_path} has {some(len(pred), 'document')} and {gold_path} has {len(gold)}; wanted the same, in the same "
            "order."
        )
    names = [str(i) if by_place else entry.document.id for i, entry in enumerate(gold)]
    predicted = {str(i) if by_place else entry.document.id: entry for i, entry in enumerate(pred)}
    unknown = predicted.keys() - set(names)
    if unknown:
        entry = predicted[min(unknown)]
        raise DataError(f"{pred_path}, line {entry.line}: document {entry.document.id!r} is not in {gold_path}.")
    for name, entry in zip(names, gold, strict=True):
        mine = predicted.get(name)
        if mine and not mine.masked and not entry.masked and mine.document.text != entry.document.text:
            raise DataError(
                f"{pred_path}, document at line {mine.line}: its tokens are not those at line {entry.line} of {gold_path}.",
                "Offsets would not mean the same; write the tags beside the gold file's own tokens.",
            )
        yield entry.document, mine.document if mine else Document(name, "")
