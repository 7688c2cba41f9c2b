"""Finds the files of a corpus or of predictions: a text ``DOC`` and beside it an annotation file ``DOC.*.xml``.

A document has a folder of its own, as Anafora keeps them (``DOC/DOC``, ``DOC/DOC.Temporal-Relation.gold.completed.xml``), or
shares one with others. Where several annotation files belong to one document, that of the schema ``Temporal-Relation``
counts, which holds the entities too.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from bench.errors import DataError

SCHEMA = "temporal-relation"


def annotation_files(path: Path) -> dict[str, Path]:
    """Annotation file of every document, by the document's name; for one file, under the name ``""``.

    Raises:
        DataError: there is none, a document has several, or two documents have one name.
    """
    if path.is_file():
        return {"": path}
    if not path.is_dir():
        raise DataError(f"There is no file or folder {path}.", "Check the path.")
    found: dict[str, list[Path]] = {}
    for folder, names in _folders(path):
        texts = [_name(name) for name in names if not name.endswith(".xml")]
        for name in names:
            if name.endswith(".xml"):
                found.setdefault(_owner(name, texts, folder), []).append(folder / name)
    if not found:
        raise DataError(f"{path} holds no .xml file.", "Wanted DOC.*.xml, in a folder for each document or all in one.")
    return {name: _chosen(name, files) for name, files in sorted(found.items())}


def texts_of(path: Path) -> dict[str, Path]:
    """Text of every document below a split's folder, by the document's name.

    Raises:
        DataError: the folder is missing, or two documents have one name.
    """
    if not path.is_dir():
        raise DataError(f"There is no split folder {path}.", "Wanted FOLDER/{train,dev,test}.")
    found: dict[str, Path] = {}
    for folder, names in _folders(path):
        for name in names:
            if not name.endswith(".xml") and found.setdefault(_name(name), folder / name) != folder / name:
                raise DataError(f"{path} has two texts of document {_name(name)!r}; wanted names to be unique.")
    return dict(sorted(found.items()))


def _folders(path: Path) -> list[tuple[Path, list[str]]]:
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and not file.name.startswith(".")]
    folders: dict[Path, list[str]] = {}
    for file in files:
        folders.setdefault(file.parent, []).append(file.name)
    return list(folders.items())


def _name(text: str) -> str:
    return text.removesuffix(".txt")


def _owner(file: str, texts: Collection[str], folder: Path) -> str:
    """The document that an annotation file belongs to: a text beside it, else its folder, else its own first part."""
    beside = [name for name in (*texts, folder.name) if file.startswith(f"{name}.")]
    return max(beside, key=len) if beside else file.split(".")[0]


def _chosen(name: str, files: list[Path]) -> Path:
    best = files if len(files) == 1 else [file for file in files if f".{SCHEMA}." in file.name.lower()]
    if len(best) != 1:
        shown = ", ".join(file.name for file in files[:3])
        raise DataError(
            f"Document {name!r} has {len(files)} annotation files ({shown}); wanted one, or one of Temporal-Relation."
        )
    return best[0]
