"""Cache of terminologies: a file of names is read once into a private folder of columns, named by the file's hash."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from bench import user_cache
from bench.errors import DataError, DataWarning
from bench.linking.columns import Columns
from bench.linking.readers import Selection, form_of, read
from bench.linking.table import Name, NameTable, write
from bench.modeling.files import sha256_file, written_whole
from bench.wording import some

VERSION = 1
"""Version of keys and columns; raise it when the cached content changes."""
FACTS = "facts.json"


@dataclass(frozen=True)
class Terminology:
    """A file of names that has been read: its names, the number of their concepts, and the SHA-256 of its content.

    For UMLS the hash is of the selection as well. Files that depend on the columns are kept in the same cache folder.
    """

    path: Path
    sha256: str
    table: NameTable
    concepts: int
    folder: Path


def content_hash(path: Path, selection: Selection) -> str:
    """SHA-256 of a file of names and, for a file of UMLS, of the selection.

    Raises:
        DataError: it cannot be read, is empty or of no known form.
    """
    form = form_of(path)
    content = sha256_file(path)
    if form != "rrf":
        return content
    return sha256(json.dumps([content, selection.language, sorted(selection.sources)]).encode()).hexdigest()


def open_terminology(path: Path, selection: Selection, root: Path | None = None) -> Terminology:
    """The names of a file, from the cache below `root` (the user's own where None) if it was read before.

    Raises:
        DataError: file and line, what is there and what was wanted; or there is no name in it.
        StorageError: the cache cannot be written.
    """
    key = content_hash(path, selection)
    root = root or user_cache.folder("concepts")
    folder = root / f"{key[:32]}-{VERSION}"
    if not (folder / FACTS).is_file():
        with written_whole(folder) as aside:
            root.chmod(0o700)
            aside.chmod(0o700)
            facts = _write(path, selection, aside)
            (aside / FACTS).write_text(json.dumps(facts), encoding="utf-8")
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    if facts["repeated"]:
        warnings.warn(
            f"{path}, line {facts['line']}: the concept has this name already; {some(facts['repeated'], 'such line')}, without "
            "effect.",
            DataWarning,
            stacklevel=2,
        )
    return Terminology(path, key, NameTable(Columns(folder)), facts["concepts"], folder)


def _write(path: Path, selection: Selection, folder: Path) -> Mapping[str, Any]:
    form = form_of(path)
    columns = Columns(folder)
    table = write(_each_once(read(path, selection)) if form != "tsv" else read(path, selection), columns)
    if not len(table):
        rows = f" of the language {selection.language or 'any'} and the sources {', '.join(selection.sources) or 'any'}"
        raise DataError(
            f"{path} holds no name of a concept{rows if form == 'rrf' else ''}; wanted at least one.",
            "Check concept_language and concept_sources." if form == "rrf" else None,
        )
    repeated, line = table.repeated() if form == "tsv" else (0, 0)
    return {"concepts": table.concepts, "repeated": repeated, "line": line}


def _each_once(names: Iterable[Name]) -> Iterator[Name]:
    """Drops repeated names of a concept; the file must list a concept's names together. UMLS repeats a name for each source."""
    concept, seen = "", set[str]()
    for name in names:
        if name.concept != concept:
            concept, seen = name.concept, set()
        if name.text not in seen:
            seen.add(name.text)
            yield name
