"""Data sets of Hugging Face: saved to disk (``save_to_disk``) or in Parquet, read with pyarrow alone, so that no code of a data
set runs and nothing is downloaded.

Source: https://huggingface.co/docs/datasets; BigBIO: Fries et al. 2022, arXiv:2206.15076, its schema ``kb``. Made-up rows:

    {"tokens": ["no", "fever"], "ner_tags": [0, 1]}          the names of tags are those of the ClassLabel, or the tags are strings
    {"text": "no fever", "label": 1}                                                                        for classification
    {"id": "0", "document_id": "d1", "passages": [{"text": ["no fever"], "offsets": [[0, 8]]}], "entities":
        [{"id": "T1", "type": "Symptom", "text": ["fever"], "offsets": [[3, 8]], "normalized": [{"db_id": "C1"}]}], "relations":
        [{"type": "causes", "arg1_id": "T1", "arg2_id": "T2"}]}                                                       BigBIO's kb

Tokens are joined by single spaces; tags are of any scheme that `bench.kit.iob` reads. Rows of tokens and of texts are named by
split and number, BigBIO's documents by ``document_id``. Errors name file and row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.data import Document, Fragment, Judgement
from bench.errors import DataError, MissingError
from bench.kit import iob
from bench.kit.faults import MALFORMED, Fault
from bench.kit.jsonl import whole
from bench.kit.reading import Found, Marks, Source, named_label, placed

if TYPE_CHECKING:
    import pyarrow

SUFFIXES = (".arrow", ".parquet")
STATE = "state.json"
"""File of a saved data set that names its data files."""
TOKENS = ("tokens", "words")
TAGS = ("ner_tags", "tags", "ner", "labels")
TEXTS = ("text", "sentence")
CLASSES = ("label", "labels")
"""Names of columns, in the order in which they are looked for."""
_ROWS = 256


def read(path: Path, source: Source) -> Iterator[Found]:
    """The documents of a saved split, of an ``.arrow`` or ``.parquet`` file, or of all below a folder or of a pattern.

    Raises:
        DataError: naming file and row, what is there and what was wanted.
        MissingError: pyarrow is not installed.
    """
    number = 0
    tags: list[tuple[int, iob.Tagged]] = []
    for file in _files(path, source):
        for _ in source.blocks(file):
            pass
        schema, rows = _rows(file)
        columns = _columns(schema.names, file, source)
        names = _class_names(schema, columns[-1])
        for row in rows:
            number += 1
            where = f"{file}, row {number}"
            with source.faults.apart():
                if columns[0] == "passages":
                    yield Found(_bigbio(row, where, source), file)
                elif columns[0] in TEXTS:
                    yield Found(_classified(row, columns, names, where, f"{source.split}-{number:06d}", source), file)
                else:
                    tags.append((number, _tagged(row, columns, names, where)))


def _files(path: Path, source: Source) -> list[Path]:
    """The data files; of a saved data set those that it names, since others beside them are caches."""
    if not (path / STATE).is_file():
        return source.files(path, SUFFIXES)
    state = whole(path / STATE, source.bytes(path / STATE))
    listed = state.get("_data_files") if isinstance(state, dict) else None
    names = [item.get("filename") for item in listed or () if isinstance(item, dict)] if isinstance(listed, list) else []
    if not names or not all(isinstance(name, str) and name == Path(name).name and (path / name).is_file() for name in names):
        raise DataError(f"{path / STATE} does not name the data files beside it.", "Save the data set again with save_to_disk.")
    return [path / name for name in names]
