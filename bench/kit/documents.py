"""Folders of documents: a text and its annotations in files of one name, such as ``DOC.txt`` and ``DOC.ann``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath

from bench.api.data import Document
from bench.errors import DataError, DataWarning
from bench.kit.faults import Fault, Faults


def names_below(folder: Path, suffix: str) -> list[str]:
    """Names of the files of a suffix in a folder and below it, without it: paths from the folder, ``/`` between their parts."""
    paths = (path.relative_to(folder) for path in folder.rglob(f"*{suffix}"))
    return sorted(
        path.as_posix().removesuffix(suffix) for path in paths if not any(part.startswith(".") for part in path.parts)
    )


def names_of(folder: Path, layout: str, faults: Faults, suffixes: tuple[str, str], below: bool = False) -> list[str]:
    """Names of the documents of one split, sorted; every text has its annotations and the other way round.

    Args:
        folder: of the split.
        layout: of the corpus, for the error.
        faults: takes files without their other half.
        suffixes: of texts and of annotations.
        below: whether documents may lie in sub-folders, and are named by their path then.

    Raises:
        DataError: the folder is missing or empty, has sub-folders with documents where they may not be, or has names that
            differ in case only.
    """
    if not folder.is_dir():
        raise DataError(f"There is no split folder {folder}.", f"Wanted {layout}.")
    plain, annotated = suffixes
    texts, notes = (set(names_below(folder, suffix)) for suffix in suffixes)
    if not texts and not notes:
        raise DataError(f"{folder} holds no document; wanted a {plain} and a {annotated} file for each.", f"Wanted {layout}.")
    if not below:
        refuse_below(folder, (f"{name}{annotated}" for name in notes))
    for have, lack, missing in ((annotated, plain, notes - texts), (plain, annotated, texts - notes)):
        for name in sorted(missing):
            hint = f"A document without mentions has an empty {annotated} file." if lack == annotated else None
            with faults.apart():
                path = folder / f"{name}{have}"
                raise Fault("missing-file", f"{path} has no {Path(name).name}{lack} beside it.", hint)
    if len({name.casefold() for name in texts}) != len(texts):
        raise DataError(f"{folder} has documents whose names differ in case only; wanted names that every system tells apart.")
    return sorted(texts & notes)


def refuse_below(folder: Path, names: Iterable[str]) -> None:
    """Refuses files in sub-folders, for formats in which a document is named by a line of its file and not by its path.

    Raises:
        DataError: naming the first.
    """
    inside = sorted(name for name in names if "/" in name)
    if inside:
        raise DataError(
            f"{folder / inside[0]} lies in a sub-folder ({len(inside)} such here), which this format is not read from.",
            f"Move the files to {folder} itself.",
        )


def strangers(gold: Collection[str], pred: Collection[str], gold_path: Path, pred_path: Path) -> str | None:
    """What is said of predictions that have no document in common with gold: all score as if nothing were found.

    None where they have one, and where nothing at all is predicted.

    Args:
        gold: names of documents.
        pred: the same.
        gold_path: of the files.
        pred_path: the same.
    """
    if not gold or not pred or not set(gold).isdisjoint(pred):
        return None
    return (
        f"{pred_path} and {gold_path} have no document in common: {min(pred)!r} stands in the first, {min(gold)!r} in the "
        "second; wanted the same names."
    )


def refuse_strangers(gold: Collection[str], pred: Collection[str], gold_path: Path, pred_path: Path) -> None:
    """Refuses such predictions where documents are named by their files; arguments as in `strangers`.

    Raises:
        DataError: naming a document of either side.
    """
    if message := strangers(gold, pred, gold_path, pred_path):
        raise DataError(message)


def tell_strangers(gold: Collection[str], pred: Collection[str], gold_path: Path, pred_path: Path) -> None:
    """Tells of such predictions where documents are named by lines, so that one without a mention has no name; arguments as in
    `strangers`.
    """
    if message := strangers(gold, pred, gold_path, pred_path):
        warnings.warn(message, DataWarning, stacklevel=3)


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
        place = PurePosixPath(document.id)
        if not place.name or place.is_absolute() or document.id != str(place) or ".." in place.parts:
            raise DataError(f"Document name {document.id!r} cannot be a file name.")
        path = folder / f"{document.id}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(document).encode("utf-8"))
