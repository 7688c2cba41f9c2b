"""Folders of documents, a text and its annotations in files of one name, as the tasks of `.pipe` files lay them out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.api.data import Document, Mention
from bench.errors import DataError
from bench_tasks.common.files import decode, read_bytes

_SUFFIX = re.compile(r"\.(text|txt|pipe)$", re.IGNORECASE)


def document_name(column: str) -> str:
    """Name of a document from the first column of a line, which may have the text file's suffix."""
    return _SUFFIX.sub("", column.strip())


def names_of(folder: Path, layout: str) -> list[str]:
    """Names of the documents of one split, sorted; every text has its annotations and the other way round.

    Args:
        folder: of the split.
        layout: of the corpus, for the error.

    Raises:
        DataError: the folder is missing or empty, a file lacks its other half, or names differ in case only.
    """
    if not folder.is_dir():
        raise DataError(f"There is no split folder {folder}.", f"Wanted {layout}.")
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


def read_document(
    folder: Path, name: str, digest: hashlib._Hash, mentions: Callable[[str, Path, str, int], tuple[Mention, ...]]
) -> Document:
    """Reads a document.

    Args:
        folder: of its split.
        name: of both its files, without suffix.
        digest: is fed with names and bytes.
        mentions: reads annotations from the text of a `.pipe` file, its path, the document's name and its length in characters.

    Raises:
        DataError: a file cannot be read or is not UTF-8, and what `mentions` raises.
    """
    text_path, pipe_path = folder / f"{name}.text", folder / f"{name}.pipe"
    raw_text, raw_pipe = read_bytes(text_path), read_bytes(pipe_path)
    for path, data in ((text_path, raw_text), (pipe_path, raw_pipe)):
        digest.update(f"{folder.name}/{path.name}\0{len(data)}\0".encode())
        digest.update(data)
    text = decode(raw_text, text_path)
    return Document(name, text, mentions(decode(raw_pipe, pipe_path), pipe_path, name, len(text)))


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
        raise DataError(f"{path} holds no .pipe file.", "Give the folder in which they lie, such as one split.")
    return files


def write_each(folder: Path, documents: Sequence[Document], suffix: str, content: Callable[[Document], str]) -> None:
    """Writes one file a document.

    Args:
        folder: made where it is missing.
        documents: their names become the files'.
        suffix: of the files.
        content: of a document's file.

    Raises:
        DataError: a document's name cannot be a file name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for document in documents:
        if not document.id or document.id != Path(document.id).name:
            raise DataError(f"Document name {document.id!r} cannot be a file name.")
        (folder / f"{document.id}{suffix}").write_bytes(content(document).encode("utf-8"))
