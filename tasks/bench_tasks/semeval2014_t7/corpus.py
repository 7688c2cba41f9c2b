"""Reads the folder layout: ``train``, ``dev`` and ``test``, each with a ``DOC.text`` and a ``DOC.pipe`` per document."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bench.api.data import SPLITS, Corpus, Document
from bench.errors import DataError
from bench_tasks.common.facts import T7_LAYOUT
from bench_tasks.common.files import decode, read_bytes
from bench_tasks.common.synthetic import is_synthetic
from bench_tasks.semeval2014_t7.pipe import read_mentions


def load(folder: Path) -> Corpus:
    """Reads and checks a corpus.

    Raises:
        DataError: naming file, line, what stood there and what was wanted.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", f"Wanted {T7_LAYOUT}.")
    names = {split: _names(folder / split) for split in SPLITS}
    digest = hashlib.sha256()
    splits: dict[str, tuple[Document, ...]] = {}
    for split in SPLITS:
        splits[split] = tuple(_document(folder / split, name, digest) for name in names[split])
        if not any(document.mentions for document in splits[split]):
            raise DataError(
                f"{folder / split} holds no mention at all; wanted annotated documents.",
                "Training, early stopping and scoring each need gold.",
            )
    return Corpus(splits, synthetic=is_synthetic(folder), sha256=digest.hexdigest())


def _names(folder: Path) -> list[str]:
    """Names of the documents of one split, sorted; every text has its annotations and the other way round."""
    if not folder.is_dir():
        raise DataError(f"There is no split folder {folder}.", f"Wanted {T7_LAYOUT}.")
    files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    texts, pipes = ({path.stem for path in files if path.suffix == suffix} for suffix in (".text", ".pipe"))
    if not texts and not pipes:
        raise DataError(f"Split {folder} is empty; wanted a .text and a .pipe file for each document.")
    for have, lack, missing in ((".pipe", ".text", pipes - texts), (".text", ".pipe", texts - pipes)):
        if missing:
            name = min(missing)
            hint = "A document without mentions has an empty .pipe file." if lack == ".pipe" else None
            raise DataError(f"{folder / (name + have)} has no {name}{lack} beside it ({len(missing)} such here).", hint)
    if len({name.casefold() for name in texts}) != len(texts):
        raise DataError(f"{folder} has documents whose names differ in case only; wanted names that every system tells apart.")
    return sorted(texts)


def _document(folder: Path, name: str, digest: hashlib._Hash) -> Document:
    text_path, pipe_path = folder / f"{name}.text", folder / f"{name}.pipe"
    raw_text, raw_pipe = read_bytes(text_path), read_bytes(pipe_path)
    for path, data in ((text_path, raw_text), (pipe_path, raw_pipe)):
        digest.update(f"{folder.name}/{path.name}\0{len(data)}\0".encode())
        digest.update(data)
    text = decode(raw_text, text_path)
    return Document(name, text, read_mentions(decode(raw_pipe, pipe_path), pipe_path, name, len(text)))
