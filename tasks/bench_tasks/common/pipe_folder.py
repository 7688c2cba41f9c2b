"""Corpora of ``DOC.text`` with ``DOC.pipe`` beside it, the layout of the SemEval tasks on clinical notes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.api.data import SPLITS, Corpus, Document, Mention
from bench.api.spool import spooled
from bench.errors import DataError
from bench.kit.documents import names_below, names_of, of_gold, refuse_below
from bench.kit.faults import Fault, Faults
from bench.kit.files import decode, read_bytes, read_text
from bench.kit.synthetic import is_synthetic

SUFFIXES = (".text", ".pipe")
_SUFFIX = re.compile(r"\.(text|txt|pipe)$", re.IGNORECASE)

ReadMentions = Callable[[str, Path, str, int, Faults], tuple[Mention, ...]]


def document_name(column: str) -> str:
    """Name of a document from the first column of a line, which may have the suffix of the text file."""
    return _SUFFIX.sub("", column.strip())


def load_corpus(folder: Path, layout: str, mentions: ReadMentions, faults: Faults | None, hint: str) -> Corpus:
    """Reads and checks a corpus: ``train``, ``dev`` and ``test``, each with a ``DOC.text`` and a ``DOC.pipe`` per document.

    Every file is read once and only documents are kept, so that time and memory grow linearly with the corpus.

    Args:
        folder: of the corpus.
        layout: describes the folder in one line, for errors.
        mentions: as in `read_document`.
        faults: collects faults; without it every fault is an error.
        hint: of the error for a split without a mention.

    Raises:
        DataError: naming file, line or document, what is there and what was wanted.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", f"Wanted {layout}.")
    faults = faults or Faults(tolerable=False)
    digest = hashlib.sha256()
    splits: dict[str, Sequence[Document]] = {}
    for split in SPLITS:
        names = names_of(folder / split, layout, faults, SUFFIXES)
        read = (read_document(folder / split, name, digest, mentions, faults) for name in names)
        splits[split] = spooled(document for document in read if document is not None)
    faults.check(folder)
    for split in SPLITS:
        if not any(document.mentions for document in splits[split]):
            raise DataError(f"{folder / split} holds no mention at all; wanted annotated documents.", hint)
    return Corpus(splits, is_synthetic(folder), digest.hexdigest(), left_out=faults.left_out)


def read_document(
    folder: Path,
    name: str,
    digest: hashlib._Hash,
    mentions: ReadMentions,
    faults: Faults,
) -> Document | None:
    """Reads a document; None where a fault makes it unreadable.

    Args:
        folder: of its split.
        name: of both its files, without suffix.
        digest: hash of the corpus; names and bytes of the files are added to it.
        mentions: reads the annotations: content of a `.pipe` file, its path, the document's name, its length in characters.
        faults: collects faults.

    Raises:
        DataError: a file cannot be read.
    """
    text_path, pipe_path = folder / f"{name}.text", folder / f"{name}.pipe"
    raw_text, raw_pipe = read_bytes(text_path), read_bytes(pipe_path)
    for path, data in ((text_path, raw_text), (pipe_path, raw_pipe)):
        digest.update(f"{folder.name}/{path.name}\0{len(data)}\0".encode())
        digest.update(data)
    try:
        text = decode(raw_text, text_path)
        return Document(name, text, mentions(decode(raw_pipe, pipe_path), pipe_path, name, len(text), faults))
    except Fault as fault:
        faults.add(fault)
        return None


def predicted(
    path: Path, gold: Sequence[Document], divider: str, mentions: Callable[[str, Path, str, int], Any]
) -> list[Document]:
    """A system's documents, from a file or every `.pipe` file of a folder; the first column names the document.

    Args:
        path: file or folder.
        gold: the documents, with text.
        divider: of columns.
        mentions: reads the lines of one document: their text, the file, the document's name, its length in characters.

    Raises:
        DataError: a line cannot be read, or is of a document that is none of gold.
    """
    lines: dict[tuple[str, Path], list[str]] = {}
    for file in pipe_files(path):
        for number, line in enumerate(read_text(file).removeprefix("\ufeff").split("\n"), 1):
            if line.strip():
                own = lines.setdefault((document_name(line.split(divider, 1)[0]), file), [])
                own += [""] * (number - 1 - len(own)) + [line]  # so that errors name the line of the file
    lengths = {document.id: len(document.text) for document in gold}
    of_gold((Document(name, "") for name, _ in lines), gold, path)
    return [Document(name, "", mentions("\n".join(found), file, name, lengths[name])) for (name, file), found in lines.items()]


def pipe_files(path: Path) -> list[Path]:
    """The file itself, or every ``*.pipe*`` file of a folder, by name.

    Raises:
        DataError: there is none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"There is no file or folder {path}.")
    files = sorted(file for file in path.iterdir() if ".pipe" in file.name and not file.name.startswith(".") and file.is_file())
    if not files:
        raise DataError(f"{path} holds no .pipe file.", "Give the folder that holds them, such as one split.")
    refuse_below(path, (f"{name}.pipe" for name in names_below(path, ".pipe")))
    return files
