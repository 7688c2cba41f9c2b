"""Files that are scored against each other, and written, in the format of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.api.data import Document, Mention
from bench.errors import DataError
from bench_tasks.common import brat, iob, iob_folder
from bench_tasks.common.classes import judgements
from bench_tasks.custom import records
from bench_tasks.custom.settings import TaskFile
from bench_tasks.semeval2015_t14 import pipe, reading

Pair = tuple[list[Document], list[Document]]
"""Gold and predicted documents, without text."""


def write(spec: TaskFile, folder: Path, documents: Sequence[Document]) -> None:
    """Writes annotations without text.

    Raises:
        DataError: a document's name, or a label, cannot stand in the format.
    """
    if spec.format == "jsonl":
        records.write(folder, documents, spec.kind)
    else:
        {"brat": brat.write, "iob": iob.write, "pipe": pipe.write_folder}[spec.format](folder, documents)


def pairs(spec: TaskFile, gold: Path, pred: Path) -> Pair:
    """Reads gold and predicted files, or folders of them.

    In brat and pipe a document that the predictions lack has none, and one that gold lacks has no gold: what is predicted there
    is wrong. In JSON Lines and IOB both sides have to tell of the same documents.

    Raises:
        DataError: a path or a line that cannot be read, or sides that do not fit.
    """
    if spec.format == "iob":
        return iob_folder.scored(gold, pred)
    if spec.format == "jsonl":
        return _lines(spec, gold, pred)
    read = brat.read if spec.format == "brat" else _read_pipe
    wanted, given = read(gold), read(pred)
    if spec.format == "brat" and gold.is_file() and pred.is_file():  # whatever their names
        wanted, given = ({"": document} for document in (*wanted.values(), *given.values()))
    names = sorted({*wanted, *given})
    return tuple([_named(name, side.get(name)) for name in names] for side in (wanted, given))  # type: ignore[return-value]


def _named(name: str, document: Document | None) -> Document:
    return Document(name, "", document.mentions, document.relations) if document else Document(name, "")


def _read_pipe(path: Path) -> Mapping[str, Document]:
    return {
        name: Document(name, "", tuple(Mention(tuple(sorted(a.fragments)), pipe.LABEL) for a in found.values()))
        for name, found in reading.read(path).items()
    }


def _lines(spec: TaskFile, gold: Path, pred: Path) -> Pair:
    wanted = records.read_annotations(gold, spec.kind)
    given = records.read_annotations(pred, spec.kind, scored=True)
    for have, lack, names in ((gold, pred, wanted.keys() - given.keys()), (pred, gold, given.keys() - wanted.keys())):
        if names:
            raise DataError(f"{lack} lacks document {min(names)!r} of {have} ({len(names)} such); wanted the same in both.")
    if spec.kind == "ranking":
        for name, document in wanted.items():
            if {j.name for j in document.judgements} != {j.name for j in given[name].judgements}:
                raise DataError(f"{pred}: query {name!r} has other passages than in {gold}; wanted a score for each of them.")
    if spec.kind == "classification":
        seen = {d.judgements[0].name for side in (wanted, given) for d in side.values()}
        if spec.labels and seen - set(spec.labels):
            odd = len(seen - set(spec.labels))
            raise DataError(f"{gold} and {pred} hold {odd} classes that are not listed.", f"Wanted {', '.join(spec.labels)}.")
        names_of = spec.labels or tuple(sorted(seen))
        wanted, given = ({n: _chosen(d, names_of) for n, d in side.items()} for side in (wanted, given))
    return list(wanted.values()), [given[name] for name in wanted]


def _chosen(document: Document, names: Sequence[str]) -> Document:
    return Document(document.id, "", judgements=judgements(names, document.judgements[0].name))
