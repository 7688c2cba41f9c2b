"""Annotations without text as IOB2, a line a character, for scoring: see `bench.kit.iob`."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from bench.api.data import Document, Key
from bench.errors import DataError
from bench.kit.iob import DOCSTART, MASK, NAMED
from bench.kit.tagging import OUTSIDE, TAG
from bench.wording import some


def write(folder: Path, documents: Iterable[Document]) -> None:
    """Writes annotations without text, one file for each split that begins document names, and one for other documents.

    Raises:
        DataError: a document's name or a label cannot be written in the format.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        files: dict[str, IO[bytes]] = {}
        for document in documents:
            stem = document.id.rpartition("-")[0]
            stem = stem if stem in ("train", "dev", "test") else "documents"
            if not NAMED.fullmatch(document.id):
                raise DataError(f"Document name {document.id!r} cannot be in an IOB file; wanted letters, digits and '._:-'.")
            lines = ["\t".join((MASK, *row)) for row in zip(*_layers(document), strict=True)]
            if stem not in files:
                files[stem] = stack.enter_context((folder / f"{stem}.tsv").open("wb"))
            files[stem].write("\n".join([f"{DOCSTART} ({document.id})", *lines, "", ""]).encode("utf-8"))


def _layers(document: Document) -> list[list[str]]:
    """Columns of tags, a row a character; the first column holds contiguous mentions, as many as do not overlap."""
    mentions: list[Key] = sorted({mention.key for mention in document.mentions})
    length = max((fragments[-1][1] for fragments, _ in mentions), default=1)
    columns = [[OUTSIDE] * length]
    free = [0]
    for fragments, label in mentions:
        if not TAG.fullmatch(f"B-{label}"):
            raise DataError(
                f"A label of document {document.id!r} ({some(len(label), 'character')}) cannot be written as a tag."
            )
        begin, end = fragments[0][0], fragments[-1][1]
        usable = range(1 if len(fragments) > 1 else 0, len(columns))
        at = next((i for i in usable if free[i] <= begin), len(columns))
        if at == len(columns):
            columns.append([OUTSIDE] * length)
            free.append(0)
        for number, (low, high) in enumerate(fragments):
            columns[at][low:high] = [f"{'F' if number else 'B'}-{label}"] + [f"I-{label}"] * (high - low - 1)
        free[at] = end
    return columns
