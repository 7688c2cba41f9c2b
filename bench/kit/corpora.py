"""Corpora of JSON Lines: one file, or a folder with one file a split."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.api.data import SPLITS, Corpus, Document
from bench.errors import DataError
from bench.kit.faults import Faults
from bench.kit.files import read_bytes
from bench.kit.jsonl import Record, read
from bench.kit.repeats import repeated_texts
from bench.kit.synthetic import is_synthetic

FILES: Mapping[str, str] = {split: f"{split}.jsonl" for split in SPLITS}


def load(
    folder: Path,
    document: Callable[[Record], Document],
    layout: str,
    faults: Faults | None = None,
    files: Mapping[str, str] = FILES,
) -> Corpus:
    """Reads and checks a corpus of one file a split; texts that are in two splits are reported as leaks.

    `document` makes the document of a line, and raises what `Record` raises. `layout` describes the folder in one line, for
    errors. `faults` collects faults; without it every fault is an error. `files` maps a split to its file's name.

    Raises:
        DataError: naming file and line, what is there and what was wanted.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", f"Wanted {layout}.")
    faults = faults or Faults(tolerable=False)
    digest = hashlib.sha256()
    splits = {split: documents(folder / files[split], digest, document, faults) for split in SPLITS}
    faults.check(folder)
    return Corpus(splits, is_synthetic(folder), digest.hexdigest(), repeated_texts(splits), faults.left_out)


def documents(
    path: Path, digest: hashlib._Hash, document: Callable[[Record], Document], faults: Faults
) -> tuple[Document, ...]:
    """Reads the documents of a file, in order, and adds its name and bytes to `digest`; faulty ones are left out.

    Raises:
        DataError: the file cannot be read or is empty.
    """
    content = read_bytes(path)
    digest.update(f"{path.name}\0{len(content)}\0".encode())
    digest.update(content)
    by_id: dict[str, Document] = {}
    for record in read(path, content, faults):
        with faults.apart():
            parsed = document(record)
            if parsed.id in by_id:
                raise record.error(f"document {parsed.id!r} occurs twice; wanted it once.", kind="repeated-id")
            by_id[parsed.id] = parsed
    return tuple(by_id.values())
