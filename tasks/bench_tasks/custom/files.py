"""Files that are scored against each other, and written, in the format of a task."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.api.data import Document, Mention, apart
from bench.data.spans import tidied_document
from bench.errors import DataError, DataWarning
from bench.kit import brat, iob_folder, iob_write, records
from bench.kit.classes import judgements
from bench.kit.documents import refuse_disjoint, warn_disjoint
from bench.kit.faults import Faults
from bench.kit.files import read_text
from bench.kit.roles import Roles, declared_in
from bench_tasks.common import pipe, pipe_scoring
from bench_tasks.custom.settings import TaskFile

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
        {"brat": brat.write, "iob": iob_write.write, "pipe": pipe.write_folder}[spec.format](folder, documents)


def pairs(spec: TaskFile, gold: Path, pred: Path, faults: Faults) -> Pair:
    """Reads gold and predicted files, or folders of them.

    In brat and pipe a document that the predictions lack has none, and one that gold lacks has no gold: what is predicted there
    is wrong. In JSON Lines and IOB both sides have to tell of the same documents. Where gold has its texts beside it, white
    space in the mentions of both sides is treated as in a run.

    Args:
        spec: what the task's file says.
        gold: file or folder.
        pred: the same.
        faults: takes what is wrong with gold's lines; a prediction at fault is never left out.

    Raises:
        DataError: a path or a line that cannot be read, or sides that do not fit.
    """
    if spec.format == "iob":
        return iob_folder.scored(gold, pred, faults)
    if spec.format == "jsonl":
        wanted, given = _lines(spec, gold, pred, faults)
    else:
        wanted, given = _documents(spec, gold, pred, faults)
    return [tidied_document(document) for document in wanted], [
        tidied_document(replace(mine, text=document.text)) for mine, document in zip(given, wanted, strict=True)
    ]


def _documents(spec: TaskFile, gold: Path, pred: Path, faults: Faults) -> Pair:
    if spec.format == "brat":
        related = spec.kind == "relations"
        homes = [gold if gold.is_dir() else gold.parent, gold.absolute().parent]
        roles = Roles({**(declared_in(homes)[0] if related else {}), **spec.roles})  # gold decides, for predictions too
        wanted = brat.read(gold, related=related, roles=roles, faults=faults)
        faults.check(gold)
        given = brat.read(pred, related=related, roles=roles)
        if message := roles.notice():
            warnings.warn(message, DataWarning, stacklevel=2)
    else:
        wanted, given = _read_pipe(gold, faults), _read_pipe(pred)
        faults.check(gold)
    if spec.format == "brat" and gold.is_file() and pred.is_file():  # whatever their names
        wanted, given = ({"": document} for document in (*wanted.values(), *given.values()))
    (refuse_disjoint if spec.format == "brat" else warn_disjoint)(wanted, given, gold, pred)
    names = sorted({*wanted, *given})
    return [_named(name, wanted.get(name)) for name in names], [_named(name, given.get(name)) for name in names]


def _named(name: str, document: Document | None) -> Document:
    return replace(document, id=name) if document else Document(name, "")


def _read_pipe(path: Path, faults: Faults | None = None) -> dict[str, Document]:
    """Mentions by document. Where lines of some kind are to be left out, gold that has its texts is read as a run reads it."""
    texts = {} if path.is_file() else {file.stem.lower(): file for file in path.glob("*.text")}
    if texts and faults is not None and faults.tolerated:
        return {name: _checked(file, faults) for name, file in texts.items() if file.with_suffix(".pipe").is_file()}
    return {
        name: Document(
            name,
            read_text(texts[name]) if name in texts else "",
            tuple(Mention(apart(a.fragments), pipe.LABEL) for a in found.values()),
        )
        for name, found in pipe_scoring.read(path).items()
    }


def _checked(text_path: Path, faults: Faults) -> Document:
    text, path = read_text(text_path), text_path.with_suffix(".pipe")
    return Document("", text, pipe.read_mentions(read_text(path), path, path.stem, len(text), faults, "spans"))


def _lines(spec: TaskFile, gold: Path, pred: Path, faults: Faults) -> Pair:
    wanted = records.read_annotations(gold, spec.kind, faults=faults)
    faults.check(gold)
    given = records.read_annotations(pred, spec.kind, scored=True)
    for have, lack, names in ((gold, pred, wanted.keys() - given.keys()), (pred, gold, given.keys() - wanted.keys())):
        if names and not (have is pred and faults.left_out):  # predictions for a line of gold that was left out
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
    return Document(document.id, document.text, judgements=judgements(names, document.judgements[0].name))
