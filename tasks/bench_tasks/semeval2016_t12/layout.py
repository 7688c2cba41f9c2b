"""Finds the files of a corpus or of predictions: a text ``DOC`` and beside it an annotation file ``DOC.*.xml``.

A document has a folder of its own, as in Anafora (``DOC/DOC``, ``DOC/DOC.Temporal-Relation.gold.completed.xml``), or shares
one with others. If several annotation files belong to one document, that of the schema ``Temporal-Relation`` is used, which
holds the entities too.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from bench.errors import DataError
from bench.wording import some

SCHEMA = "temporal-relation"


def annotation_files(path: Path) -> dict[str, Path]:
    """Document name to annotation file; for one file, the name is ``""``.

    Raises:
        DataError: there is none, a document has several, or two documents have one name.
    """
    if path.is_file():
        return {"": path}
    if not path.is_dir():
        raise DataError(f"There is no file or folder {path}.", "Check the path.")
    files_of: dict[str, list[Path]] = {}
    for folder, names in _folders(path):
        texts = [_name(name) for name in names if not name.endswith(".xml")]
        for name in names:
            if name.endswith(".xml"):
                files_of.setdefault(_owner(name, texts, folder), []).append(folder / name)
    if not files_of:
        raise DataError(f"{path} holds no .xml file.", "Wanted DOC.*.xml, in a folder for each document or all in one.")
    return {name: _chosen(name, files) for name, files in sorted(files_of.items())}


def texts_of(path: Path) -> dict[str, Path]:
    """Document name to text file, below a split's folder.

    Raises:
        DataError: the folder is missing, or two documents have one name.
    """
    if not path.is_dir():
        raise DataError(f"There is no split folder {path}.", "Wanted FOLDER/{train,dev,test}.")
    texts: dict[str, Path] = {}
    for folder, names in _folders(path):
        for name in names:
            if not name.endswith(".xml") and texts.setdefault(_name(name), folder / name) != folder / name:
                raise DataError(f"{path} has two texts of document {_name(name)!r}; wanted names to be unique.")
    return dict(sorted(texts.items()))


def _folders(path: Path) -> list[tuple[Path, list[str]]]:
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and not file.name.startswith(".")]
    folders: dict[Path, list[str]] = {}
    for file in files:
        folders.setdefault(file.parent, []).append(file.name)
    return list(folders.items())


def _name(text: str) -> str:
    return text.removesuffix(".txt")


def _owner(file: str, texts: Collection[str], folder: Path) -> str:
    """The document of an annotation file: by a text beside it, else by its folder, else by the first part of its name."""
    owners = [name for name in (*texts, folder.name) if file.startswith(f"{name}.")]
    return max(owners, key=len) if owners else file.split(".")[0]


def _chosen(name: str, files: list[Path]) -> Path:
    best = files if len(files) == 1 else [file for file in files if f".{SCHEMA}." in file.name.lower()]
    if len(best) != 1:
        shown = ", ".join(file.name for file in files[:3])
        raise DataError(
            f"Document {name!r} has {some(len(files), 'annotation file')} ({shown}); wanted one, or one of Temporal-Relation."
        )
    return best[0]
