"""Reads the official folder layout: ``train``, ``dev`` and ``test``, each with a ``DOC.text`` and a ``DOC.pipe`` per document.

Every file is read once and nothing is kept but the documents, so that time and memory grow linearly with the corpus.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from bench.api.data import SPLITS, Corpus, Document
from bench.errors import DataError
from bench_tasks.semeval2015_t14.pipe import decode, read_bytes, read_mentions

MARKER = "SYNTHETIC"
"""A file of this name beside the splits says that the corpus was generated."""

LAYOUT = "FOLDER/{train,dev,test}/DOC.text with DOC.pipe beside it (19 or 22 columns; empty where a document has no mention)"


def load(folder: Path) -> Corpus:
    """Reads and checks a corpus.

    Raises:
        DataError: naming file, line, what stood there and what was wanted.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", f"Wanted {LAYOUT}.")
    digest = hashlib.sha256()
    splits: dict[str, tuple[Document, ...]] = {}
    for split in SPLITS:
        names = _names(folder / split)
        splits[split] = tuple(_document(folder / split, name, digest) for name in names)
        if not any(document.mentions for document in splits[split]):
            raise DataError(
                f"{folder / split} holds no mention at all; wanted annotated documents.",
                "Training, early stopping and scoring each need gold; the official test gold is a release of its own.",
            )
    return Corpus(splits, synthetic=(folder / MARKER).exists(), sha256=digest.hexdigest())


def _names(folder: Path) -> list[str]:
    """Names of the documents of one split, sorted; every text has its annotations and the other way round."""
    if not folder.is_dir():
        raise DataError(f"There is no split folder {folder}.", f"Wanted {LAYOUT}.")
    files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    texts = {path.stem for path in files if path.suffix == ".text"}
    pipes = {path.stem for path in files if path.suffix == ".pipe"}
    if not texts and not pipes:
        raise DataError(f"Split {folder} is empty; wanted a .text and a .pipe file for each document.")
    for have, lack, missing in ((".pipe", ".text", pipes - texts), (".text", ".pipe", texts - pipes)):
        if missing:
            name = min(missing)
            hint = "A document without mentions has an empty .pipe file." if lack == ".pipe" else None
            raise DataError(f"{folder / (name + have)} has no {name}{lack} beside it ({len(missing)} such here).", hint)
    if len({name.casefold() for name in texts}) != len(texts):
        raise DataError(f"{folder} has documents whose names differ in case only; the scorer could not tell them apart.")
    return sorted(texts)


def _document(folder: Path, name: str, digest: hashlib._Hash) -> Document:
    text_path, pipe_path = folder / f"{name}.text", folder / f"{name}.pipe"
    raw_text, raw_pipe = read_bytes(text_path), read_bytes(pipe_path)
    for path, data in ((text_path, raw_text), (pipe_path, raw_pipe)):
        digest.update(f"{folder.name}/{path.name}\0{len(data)}\0".encode())
        digest.update(data)
    text = decode(raw_text, text_path)
    return Document(name, text, read_mentions(decode(raw_pipe, pipe_path), pipe_path, name, len(text)))
