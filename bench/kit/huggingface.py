"""Data sets of Hugging Face: saved to disk (``save_to_disk``) or in Parquet, read with pyarrow alone, so that no code of a data
set runs and nothing is downloaded.

Source: https://huggingface.co/docs/datasets. Made-up rows:

    {"tokens": ["no", "fever"], "ner_tags": [0, 1]}          names of tags are those of the ClassLabel, or the tags are strings
    {"text": "no fever", "label": 1}                         for classification
    {"document_id": "d1", "passages": […], "entities": […], "relations": […]}      see `bench.kit.bigbio`

Tokens are joined by single spaces; their tags may be of any scheme (`bench.kit.tagging`). Rows of tokens and of texts are named
by split and number, BigBIO's documents by ``document_id``. Errors name file and row, and quote no text.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from bench.api.data import Document, Judgement, Mention
from bench.errors import DataError, DataWarning, MissingError
from bench.kit import bigbio
from bench.kit.jsonl import Record, kind, whole
from bench.kit.reading import Located, Source, named_label
from bench.kit.tagging import IOB2, OUTSIDE, Tag, parsed, runs, scheme_of
from bench.wording import some

SUFFIXES = (".arrow", ".parquet")
STATE = "state.json"
"""File of a saved split that names its data files."""
TOKENS = ("tokens", "words")
TAGS = ("ner_tags", "tags", "ner", "labels")
TEXTS = ("text", "sentence")
CLASSES = ("label", "labels")
"""Names of columns, in the order in which they are looked for."""
_ROWS = 256


@dataclass(frozen=True)
class _Table:
    """A data file.

    Args:
        path: of the file.
        columns: their names.
        classes: of columns whose numbers have names, these names.
    """

    path: Path
    columns: tuple[str, ...]
    classes: Mapping[str, Sequence[str]]

    def first(self, names: Sequence[str]) -> str | None:
        """The first of some names that is a column."""
        return next((name for name in names if name in self.columns), None)

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Its rows, one at a time; of some columns, or of all."""
        with _opened(self.path) as (_, batches):
            for batch in batches(columns):
                yield from batch.to_pylist()


def read(path: Path, source: Source) -> Iterator[Located]:
    """The documents of a saved split, of an ``.arrow`` or ``.parquet`` file, or of all below a folder or of a pattern.

    Raises:
        DataError: naming file and row, what is there and what was wanted.
        MissingError: pyarrow is not installed.
    """
    files = _files(path, source)
    for file in files:
        for _ in source.blocks(file):
            pass
    tables = [_table(file) for file in files]
    columns = set(tables[0].columns)
    if columns >= {"passages", "entities"} and source.kind != "classification":
        yield from _rows(tables, source, lambda record, table, name: bigbio.document(record, source))
    elif source.kind in ("classification", "text") and columns & set(TEXTS):
        yield from _rows(tables, source, lambda record, table, name: _text(record, table, name, source))
    elif source.kind in ("mentions", "text") and columns & set(TOKENS):
        yield from _tagged(tables, source)
    else:
        raise DataError(
            f"{files[0]} has the columns {', '.join(tables[0].columns[:20])}; wanted {_WANTED[source.kind]}.",
            "Rename its columns to these.",
        )


_WANTED: Mapping[str, str] = {
    "mentions": f"{TOKENS[0]} with {TAGS[0]}, or BigBIO's passages and entities",
    "relations": "BigBIO's passages, entities and relations",
    "classification": f"{TEXTS[0]} and {CLASSES[0]}",
    "text": f"{TEXTS[0]}, {TOKENS[0]}, or BigBIO's passages",
}


def _files(path: Path, source: Source) -> list[Path]:
    """The data files; of a saved split those that it names, since others beside them are caches."""
    if not (path / STATE).is_file():
        return source.files(path, SUFFIXES)
    state = whole(path / STATE, source.content(path / STATE))
    listed = state.get("_data_files") if isinstance(state, dict) else None
    names = [item.get("filename") if isinstance(item, dict) else None for item in listed] if isinstance(listed, list) else []
    files = [path / name for name in names if isinstance(name, str) and name == Path(name).name]
    if not names or len(files) != len(names) or not all(file.is_file() for file in files):
        raise DataError(f"{path / STATE} does not name the data files beside it.", "Save the data set again by save_to_disk.")
    return files


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Callable[[Sequence[str] | None], Iterator[Any]]]]:
    """The schema of a file, and a function that gives its record batches, of all columns or of some."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingError(f"{path} needs the package pyarrow.", "pip install 'bench-suite[train]'") from None
    try:
        if path.suffix.lower() == ".parquet":
            with parquet.ParquetFile(path) as file:
                yield file.schema_arrow, lambda columns: file.iter_batches(_ROWS, columns=columns)
        else:
            with pyarrow.memory_map(str(path)) as mapped:
                stream = pyarrow.ipc.open_stream(mapped)
                yield stream.schema, lambda columns: _pieces(stream, columns)
    except UnicodeDecodeError:
        raise DataError(f"{path} has a column of strings with bytes that are not UTF-8, which is what was wanted.") from None
    except (pyarrow.ArrowException, OSError) as error:
        kind = "Parquet" if path.suffix.lower() == ".parquet" else "an Arrow stream"
        raise DataError(f"{path} cannot be read as {kind} ({type(error).__name__}).", "Save it again.") from None


def _pieces(stream: Iterable[Any], columns: Sequence[str] | None) -> Iterator[Any]:
    for batch in stream:
        chosen = batch if columns is None else batch.select(columns)
        for start in range(0, chosen.num_rows, _ROWS):
            yield chosen.slice(start, _ROWS)


def _table(path: Path) -> _Table:
    with _opened(path) as (schema, _):
        metadata = (schema.metadata or {}).get(b"huggingface", b"{}")
        columns = tuple(schema.names)
    try:
        features = json.loads(metadata)["info"]["features"]
        classes = {name: names for name in columns if (names := _class_names(features.get(name)))}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        classes = {}  # written by another package than datasets
    return _Table(path, columns, classes)


def _class_names(feature: Any) -> Sequence[str]:
    """The names of a ClassLabel, or of a list of them; empty where it is none."""
    while isinstance(feature, dict) and "feature" in feature:
        feature = feature["feature"]
    feature = feature[0] if isinstance(feature, list) and len(feature) == 1 else feature
    names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()


def _rows(tables: Sequence[_Table], source: Source, document: Callable[[Record, _Table, str], Document]) -> Iterator[Located]:
    """A document for each row; `document` gets the row as a record, its table, and a name made of split and number.

    Documents without text, of which some data sets have a few, are counted and left out.
    """
    number = 0
    for table in tables:
        for place, row in enumerate(table.rows(), 1):
            number += 1
            with source.faults.apart():
                record = Record(table.path, place, row, "row")
                made = document(record, table, f"{source.split}-{number:06d}")
                if made.text or source.kind == "text":
                    yield Located(made, table.path)
                else:
                    source.passed["row without text"] += 1


def _text(record: Record, table: _Table, name: str, source: Source) -> Document:
    """A text with its class."""
    text = record.text(table.first(TEXTS) or TEXTS[0], empty=True)
    if source.kind == "text":
        return Document(name, text)
    column = table.first(CLASSES)
    value = record.values.get(column) if column else None
    chosen = value if isinstance(value, list) else [value]
    if column is None or len(chosen) != 1 or chosen[0] is None:
        count = 0 if column is None else len([c for c in chosen if c is not None])
        raise record.error(f"the row has {some(count, 'class')}; wanted one, in a column {' or '.join(CLASSES)}.")
    (label,) = _named(chosen, table.classes.get(column, ()), record, column, numbers=True)
    return Document(name, text, judgements=(Judgement(named_label(record.where, label), 1.0, True),))


def _tagged(tables: Sequence[_Table], source: Source) -> Iterator[Located]:
    """Tokens with tags. The tags are read once before, since a scheme shows in all of them together."""
    column = tables[0].first(TAGS)
    if column is None and source.kind != "text":
        raise DataError(f"{tables[0].path} has no column {' or '.join(TAGS)}.", "Rename its column of tags to one of these.")
    names = tables[0].classes.get(column or "", ())
    tags: dict[str, Tag] = {}
    scheme = scheme_of(_listed(row[column], names) for table in tables for row in table.rows([column])) if column else IOB2
    if scheme.said and source.kind != "text":
        warnings.warn(f"{tables[0].path}: its tags are {scheme.name}, read as IOB2: {scheme.said}.", DataWarning, stacklevel=2)

    def document(record: Record, table: _Table, name: str) -> Document:
        tokens = record.items(table.first(TOKENS) or TOKENS[0])
        words = [record.checked_text(token, f"token {n}") for n, token in enumerate(tokens)]
        at = next((n for n, word in enumerate(words) if word.split() != [word]), None)
        if at is not None:
            raise record.error(f"token {at} is empty or has white space in it; wanted one word.")
        text = " ".join(words)
        if source.kind == "text":
            return Document(name, text)
        given = _named(record.items(column or TAGS[0]), table.classes.get(column or "", ()), record, column or TAGS[0])
        if len(given) != len(words):
            raise record.error(f"the row has {some(len(words), 'token')} and {some(len(given), 'tag')}; wanted as many.")
        for place, tag in enumerate(given):
            role = tags.get(tag) or parsed(tag)
            if role is None or role[0] == "F":
                raise record.error(f"tag {place} ({some(len(tag), 'character')}) is none; wanted O, B-Label or I-Label.")
            tags[tag] = role
        starts = list(accumulate((len(word) + 1 for word in words), initial=0))

        def refuse(place: int, what: str) -> None:
            raise record.error(f"tag {place}: {what}.", kind="orphan-tag")

        return Document(
            name,
            text,
            tuple(
                Mention(tuple((starts[first], starts[behind] - 1) for first, behind in parts), label)
                for parts, label in runs(given, tags, scheme, refuse)
            ),
        )

    yield from _rows(tables, source, document)


def _listed(values: Any, names: Sequence[str]) -> list[str]:
    """Tags of a row for a look at their scheme; what is no tag becomes O."""
    tags = [
        names[value] if type(value) is int and 0 <= value < len(names) else value
        for value in (values if isinstance(values, list) else ())
    ]
    return [tag if isinstance(tag, str) else OUTSIDE for tag in tags]


def _named(values: Sequence[Any], names: Sequence[str], record: Record, column: str, numbers: bool = False) -> list[str]:
    """Strings as they are, and numbers by their names; with `numbers`, one without a name is its own."""
    named = []
    for value in values:
        if isinstance(value, str):
            named.append(value)
        elif type(value) is int and 0 <= value < len(names):
            named.append(names[value])
        elif type(value) in (int, bool) and not names and numbers:
            named.append(str(value))
        elif type(value) is int:
            hint = "Save the data set with a ClassLabel as the feature of this column, or with strings in it."
            raise record.error(
                f"column {column!r} holds numbers; the file has {some(len(names), 'name')} of classes for them.", hint
            )
        else:
            raise record.error(f"column {column!r} holds {kind(value)}; wanted strings, or numbers of classes.")
    return named
