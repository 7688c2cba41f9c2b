"""Reads gold and predicted files of a task from a file, and writes predictions, in the task's format.

The formats of `bench.kit.formats.READERS` hold texts with their annotations. Predictions have no text: they are written as JSON
Lines, and both sides may be in either.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.api.data import Document, Mention, apart
from bench.data.spans import tidied_document
from bench.errors import DataError, DataWarning
from bench.kit import brat, iob_folder, iob_write, records
from bench.kit.classes import check_same_documents, judgements
from bench.kit.documents import refuse_disjoint
from bench.kit.faults import Faults
from bench.kit.files import read_text
from bench.kit.formats import READERS
from bench.kit.jsonl import LINES, stream
from bench.kit.reading import Source
from bench.kit.reading import documents as documents_in
from bench.kit.roles import Roles, declared_in
from bench.wording import some
from bench_tasks.common import pipe, pipe_scoring
from bench_tasks.custom.loader import WHAT
from bench_tasks.custom.settings import TaskFile

Pair = tuple[list[Document], list[Document]]
"""Gold and predicted documents, without text."""


def write(spec: TaskFile, folder: Path, documents: Sequence[Document]) -> None:
    """Writes annotations without text.

    Raises:
        DataError: a document's name or a label cannot be written in the format.
    """
    if spec.format == "jsonl" or spec.format in READERS:
        records.write(folder, documents, spec.kind)
    else:
        writers: Mapping[str, Callable[[Path, Sequence[Document]], None]] = {
            "brat": brat.write, "iob": iob_write.write, "pipe": pipe.write_folder,
        }  # fmt: skip
        writers[spec.format](folder, documents)


def pairs(spec: TaskFile, gold: Path, pred: Path, faults: Faults) -> Pair:
    """Reads gold and predicted files, or folders of them.

    In brat and pipe a document may be missing on one side: it then has no predictions, or all its predictions are wrong. In
    JSON Lines and IOB both sides must have the same documents. Where texts lie beside gold, white space in the mentions of both
    sides is treated as in a run.

    Args:
        spec: content of the task's file.
        gold: file or folder.
        pred: file or folder.
        faults: collects faults of gold; a faulty prediction is always an error.

    Raises:
        DataError: a path or a line cannot be read, or the two sides do not fit.
    """
    if spec.format == "iob":
        return iob_folder.scored(gold, pred, faults)
    if spec.format == "jsonl" or spec.format in READERS:
        reference, predicted = _lines(spec, gold, pred, faults)
    else:
        reference, predicted = _documents(spec, gold, pred, faults)
    return [tidied_document(document) for document in reference], [
        tidied_document(replace(mine, text=document.text)) for mine, document in zip(predicted, reference, strict=True)
    ]


def _documents(spec: TaskFile, gold: Path, pred: Path, faults: Faults) -> Pair:
    if spec.format == "brat":
        related = spec.kind == "relations"
        homes = [gold if gold.is_dir() else gold.parent, gold.absolute().parent]
        roles = Roles({**(declared_in(homes)[0] if related else {}), **spec.roles})  # roles of gold hold for predictions too
        reference = brat.read(gold, related=related, roles=roles, faults=faults)
        faults.check(gold)
        predicted = brat.read(pred, related=related, roles=roles)
        if message := roles.notice():
            warnings.warn(message, DataWarning, stacklevel=2)
    else:
        reference, predicted = _read_pipe(gold, faults), _read_pipe(pred)
        faults.check(gold)
    if spec.format == "brat" and gold.is_file() and pred.is_file():  # whatever their names
        reference, predicted = ({"": document} for document in (*reference.values(), *predicted.values()))
    refuse_disjoint(reference, predicted, gold, pred, warn=spec.format != "brat")
    names = sorted({*reference, *predicted})
    return [_named(name, reference.get(name)) for name in names], [_named(name, predicted.get(name)) for name in names]


def _named(name: str, document: Document | None) -> Document:
    return replace(document, id=name) if document else Document(name, "")


def _read_pipe(path: Path, faults: Faults | None = None) -> dict[str, Document]:
    """Document name to mentions. Where faults are tolerated and texts lie beside gold, it is read as in a run."""
    texts = {} if path.is_file() else {file.stem.lower(): file for file in path.glob("*.text")}
    if texts and faults is not None and faults.tolerated:
        return {name: _checked(file, faults) for name, file in texts.items() if file.with_suffix(".pipe").is_file()}
    return {
        name: Document(
            name,
            read_text(texts[name]) if name in texts else "",
            tuple(Mention(apart(a.fragments), pipe.LABEL) for a in annotations.values()),
        )
        for name, annotations in pipe_scoring.read(path).items()
    }


def _checked(text_path: Path, faults: Faults) -> Document:
    text, path = read_text(text_path), text_path.with_suffix(".pipe")
    return Document("", text, pipe.read_mentions(read_text(path), path, path.stem, len(text), faults, "spans"))


def _lines(spec: TaskFile, gold: Path, pred: Path, faults: Faults) -> Pair:
    roles = Roles(spec.roles)
    reference = _annotated(spec, gold, roles, faults)
    faults.check(gold)
    predicted = _annotated(spec, pred, roles)
    # Predictions for lines of gold that were left out are allowed.
    compared = {name: document for name, document in predicted.items() if name in reference} if faults.left_out else predicted
    check_same_documents(gold, pred, reference, compared)
    if spec.kind == "ranking":
        for name, document in reference.items():
            if {j.name for j in document.judgements} != {j.name for j in predicted[name].judgements}:
                raise DataError(f"{pred}: query {name!r} has other passages than in {gold}; wanted a score for each of them.")
    if spec.kind == "classification":
        seen = {d.judgements[0].name for side in (reference, predicted) for d in side.values()}
        if spec.labels and seen - set(spec.labels):
            odd = len(seen - set(spec.labels))
            raise DataError(f"{gold} and {pred} hold {some(odd, 'class')} not listed.", f"Wanted {', '.join(spec.labels)}.")
        names_of = spec.labels or tuple(sorted(seen))
        reference, predicted = ({n: _chosen(d, names_of) for n, d in side.items()} for side in (reference, predicted))
    return list(reference.values()), [predicted[name] for name in reference]


def _annotated(spec: TaskFile, path: Path, roles: Roles, faults: Faults | None = None) -> dict[str, Document]:
    """Documents of a file or a folder, in the task's own format or as JSON Lines; faults of gold alone are collected."""
    if spec.format not in READERS or _is_lines(path):
        return records.read_annotations(path, spec.kind, scored=faults is None, faults=faults)
    source = Source(WHAT[spec.kind], faults=faults or Faults(tolerable=False), roles=roles)
    by_name = {located.document.id: located.document for located in documents_in(spec.format, path, source)}
    source.faults.check(path)
    return by_name


def _is_lines(path: Path) -> bool:
    """Whether a file, or the one that `records.write` makes in a folder, is JSON Lines of `bench.kit.records`."""
    file = path / records.FILE if path.is_dir() else path
    if file.suffix.lower() not in LINES or not file.is_file():
        return False
    first = next(iter(stream(file)))
    return "mentions" in first.values or isinstance(first.values.get("label"), (str, int))


def _chosen(document: Document, names: Sequence[str]) -> Document:
    return Document(document.id, document.text, judgements=judgements(names, document.judgements[0].name))
