"""Texts that a model is to read, from the files in which people have them; one document at a time, however many there are.

- ``DOC.txt`` or ``DOC.text``, named ``DOC``; with ``DOC.ann`` beside it (brat) where mentions are wanted
- a folder of such files, also in sub-folders, each named by its path there
- JSON Lines, ``.jsonl`` or ``.ndjson``: ``{"id": "d1", "text": "…"}``; without an id ``FILE-LINE``. Mentions and passages as in
  `bench.kit.records`, the relevance of passages left out
- PubTator (`bench.kit.pubtator`), known by its first line
- BioC (``.xml``, ``.json``), exports of doccano and Label Studio (``.json``), and data sets of Hugging Face (``.parquet``,
  ``.arrow``, a folder that ``save_to_disk`` made), as their readers name documents; of a folder these and JSON Lines where
  it has no text file
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from bench.api.data import Document
from bench.errors import DataError, UsageError
from bench.kit import brat, huggingface, pubtator, records
from bench.kit.documents import names_below
from bench.kit.faults import Fault
from bench.kit.files import read_bytes, read_text
from bench.kit.jsonl import LINES, Record, stream, whole
from bench.kit.reading import Source
from bench.kit.reading import documents as documents_in

Given = Literal["mentions", "passages"]
"""What a task is given beside the text: the mentions that it relates, or the passages that it ranks."""

TEXTS = (".txt", ".text")
CORPORA = (".xml", ".json", ".parquet", ".arrow")
"""What other files than texts and JSON Lines end in that can be read."""


def read(path: Path, given: Given | None = None) -> Iterator[Document]:
    """The documents of a file or a folder, as `located` gives them, without their files."""
    return (document for _, document in located(path, given))


def located(path: Path, given: Given | None = None) -> Iterator[tuple[Path, Document]]:
    """The documents of a file or a folder, each with its file, in the order of their names, or of the file.

    What the task is given beside the text is read as well, and has to be there.

    Raises:
        DataError: there is no such file, a folder holds none, or a file is not what it claims to be.
        UsageError: files of another kind, or files that cannot hold what the task is given.
    """
    if not path.is_dir() or (path / huggingface.STATE).is_file():
        yield from ((path, document) for document in _documents(path, path.stem, given))
        return
    suffixes = next((some for some in (TEXTS, LINES + CORPORA) if any(names_below(path, suffix) for suffix in some)), None)
    if suffixes is None:
        wanted = " or ".join((", ".join(TEXTS + LINES + CORPORA[:-1]), CORPORA[-1]))
        raise DataError(f"Folder {path} holds no {wanted} file, nor does a folder in it.", "Name another folder.")
    files = sorted((name, suffix) for suffix in suffixes for name in names_below(path, suffix))
    for name, suffix in files:
        file = path / f"{name}{suffix}"
        yield from ((file, document) for document in _documents(file, name, given))


def _documents(path: Path, name: str, given: Given | None) -> Iterator[Document]:
    if path.is_dir() or path.suffix.lower() in CORPORA:
        _refuse_without_passages(path, given)
        yield from _corpus(path, given)
    elif path.suffix.lower() in LINES:
        yield from (_line(record, given) for record in stream(path))
    elif pubtator.is_pubtator(path):
        _refuse_without_passages(path, given)
        yield from pubtator.read(path, annotated=given is not None)
    elif path.suffix.lower() in TEXTS:
        _refuse_without_passages(path, given)
        yield _text(path, name, given)
    else:
        raise UsageError(
            f"{path} ends in none of {', '.join(TEXTS + LINES + CORPORA)}, and does not begin as PubTator does.",
            "Rename it, or convert it.",
        )


def _corpus(path: Path, given: Given | None) -> Iterator[Document]:
    source = Source("text" if given is None else "mentions", path.stem)
    form, empty = _form(path), True
    for located in documents_in(form, path, source):
        source.faults.check(path)
        yield located.document
        empty = False
    source.faults.check(path)
    if empty:
        raise DataError(f"{path}, read as {form}, holds no document; wanted one at least.")


def _form(path: Path) -> str:
    """The format of a file that is no text, or of a saved data set."""
    if path.suffix.lower() == ".xml":
        return "bioc"
    if path.suffix.lower() != ".json":
        return "huggingface"
    first = _first(path)
    if isinstance(first, dict) and not first.keys().isdisjoint(("passages", "documents", "PubTator3")):
        return "bioc"
    return "label-studio" if isinstance(first, dict) and isinstance(first.get("data"), dict) else "doccano"


def _first(path: Path) -> Any:
    """The first value of a JSON file: of a list, or of lines, as doccano's reader takes them; else the file's own value."""
    content = read_bytes(path)
    try:
        values = whole(path, content)
    except Fault as fault:
        try:
            return next(stream(path)).values
        except Fault:
            raise fault from None
    return values[0] if isinstance(values, list) and values else values


def _text(path: Path, name: str, given: Given | None) -> Document:
    text, beside = read_text(path), path.with_suffix(".ann")
    if given is None:
        return Document(name, text)
    if not beside.is_file():
        raise UsageError(
            f"{path} has no {beside.name} beside it, and the task relates mentions that are given to it.",
            "Give brat folders (.txt with .ann), PubTator, or JSON Lines with 'mentions'.",
        )
    return Document(name, text, brat.parse(read_text(beside), beside, text, related=False).mentions)


def _line(record: Record, given: Given | None) -> Document:
    record = Record(record.path, record.line, {"id": f"{record.path.stem}-{record.line}", **record.values})
    if given is None:
        return Document(record.identifier("id"), record.text("text", empty=True))
    if given == "passages":
        for passage in record.objects("passages"):
            passage.values.setdefault("relevant", False)
    (document,) = records.documents([record], "ranking" if given == "passages" else "mentions")
    return document


def _refuse_without_passages(path: Path, given: Given | None) -> None:
    if given == "passages":
        raise UsageError(
            f"{path} has no passages, and the task ranks passages for a query.",
            'Give JSON Lines: {"id": …, "query": …, "passages": [{"id": …, "text": …}, …]}.',
        )
