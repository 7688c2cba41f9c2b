"""Folders of ``DOC.text`` with ``DOC.pipe`` beside it, as the SemEval tasks on clinical notes lay them out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from bench.api.data import Document, Mention
from bench.errors import DataError
from bench.kit.documents import names_below, refuse_below
from bench.kit.faults import Faults
from bench.kit.files import decode, read_bytes

SUFFIXES = (".text", ".pipe")
_SUFFIX = re.compile(r"\.(text|txt|pipe)$", re.IGNORECASE)


def document_name(column: str) -> str:
    """Name of a document from the first column of a line, which may have the text file's suffix."""
    return _SUFFIX.sub("", column.strip())


def read_document(
    folder: Path,
    name: str,
    digest: hashlib._Hash,
    mentions: Callable[[str, Path, str, int, Faults], tuple[Mention, ...]],
    faults: Faults,
) -> Document | None:
    """Reads a document; None where it is at fault as a whole.

    Args:
        folder: of its split.
        name: of both its files, without suffix.
        digest: is fed with names and bytes.
        mentions: reads annotations from the text of a `.pipe` file, its path, the document's name and its length in characters.
        faults: takes what is wrong.

    Raises:
        DataError: a file cannot be read.
    """
    text_path, pipe_path = folder / f"{name}.text", folder / f"{name}.pipe"
    raw_text, raw_pipe = read_bytes(text_path), read_bytes(pipe_path)
    for path, data in ((text_path, raw_text), (pipe_path, raw_pipe)):
        digest.update(f"{folder.name}/{path.name}\0{len(data)}\0".encode())
        digest.update(data)
    with faults.apart():
        text = decode(raw_text, text_path)
        return Document(name, text, mentions(decode(raw_pipe, pipe_path), pipe_path, name, len(text), faults))
    return None


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
    refuse_below(path, (f"{name}.pipe" for name in names_below(path, ".pipe")))
    return files
