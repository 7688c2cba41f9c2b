"""Folders of documents: a text file and an annotation file of the same name, such as ``DOC.txt`` and ``DOC.ann``."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from bench.api.data import Document
from bench.data.spans import tidied
from bench.errors import DataError, DataWarning
from bench.kit.faults import Fault, Faults


def names_below(folder: Path, suffix: str) -> list[str]:
    """Paths of the files with a suffix in a folder and its sub-folders, without the suffix, relative, ``/`` between parts."""
    paths = (path.relative_to(folder) for path in folder.rglob(f"*{suffix}"))
    return sorted(
        path.as_posix().removesuffix(suffix) for path in paths if not any(part.startswith(".") for part in path.parts)
    )


def names_of(folder: Path, layout: str, faults: Faults, suffixes: tuple[str, str], below: bool = False) -> list[str]:
    """Sorted names of the documents of one split that have both a text and an annotation file, by their `suffixes`.

    Files that lack their counterpart are added to `faults`. With `below`, documents may lie in sub-folders; their relative path
    is then their name. `layout` is that of the corpus, for errors.

    Raises:
        DataError: the folder is missing or empty, has documents in sub-folders where `below` is false, or has names that
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
    """Refuses files in sub-folders, for formats where a line of the file names the document and not the path.

    The names are paths relative to the folder, as `names_below` gives them.

    Raises:
        DataError: naming the first such file.
    """
    inside = sorted(name for name in names if "/" in name)
    if inside:
        raise DataError(
            f"{folder / inside[0]} lies in a sub-folder ({len(inside)} such here), which this format is not read from.",
            f"Move the files to {folder} itself.",
        )


def refuse_disjoint(gold: Collection[str], pred: Collection[str], gold_path: Path, pred_path: Path, warn: bool = False) -> None:
    """Refuses predictions that share no document name with gold, so that every score is 0; an empty side is allowed.

    `warn` makes it a warning, for formats where lines name documents: there a document without mentions has no name.

    Raises:
        DataError: naming a document of either side.
    """
    if not gold or not pred or not set(gold).isdisjoint(pred):
        return
    message = (
        f"{pred_path} and {gold_path} have no document in common: {min(pred)!r} is in the first, {min(gold)!r} in the "
        "second; wanted the same names."
    )
    if not warn:
        raise DataError(message)
    warnings.warn(message, DataWarning, stacklevel=3)


def of_gold(found: Iterable[Document], gold: Sequence[Document], path: Path) -> list[Document]:
    """A system's documents, which must be among those of gold and come once each, with white space in spans as gold has it.

    Raises:
        DataError: naming a document that is not, or comes twice.
    """
    texts, listed = {document.id: document.text for document in gold}, list(found)
    strange = [place for place, document in enumerate(listed, 1) if document.id not in texts]
    if strange:  # their names are not quoted: in a file of another format they are its text
        raise DataError(
            f"{path} has predictions for what is no document of the split ({len(strange)} such, the first as its document "
            f"{strange[0]}); wanted names such as {min(texts)!r}.",
        )
    twice = [name for name, count in Counter(document.id for document in listed).items() if count > 1]
    if twice:
        raise DataError(f"{path} has predictions for {twice[0]!r} twice ({len(twice)} such); wanted them once.")
    return [
        replace(
            document,
            mentions=tuple(tidied(document.mentions, texts[document.id])),
            relations=tuple(tidied(document.relations, texts[document.id])),
        )
        for document in listed
    ]


def write_each(folder: Path, documents: Sequence[Document], suffix: str, content: Callable[[Document], str]) -> None:
    """Writes one file a document: its name with the suffix, such as ``.ann``, and what `content` gives. The folder is made.

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
