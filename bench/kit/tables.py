"""Tab-separated tables with a header, as `csv` writes them: quotes around a field that holds a quote, which is then doubled."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path

from bench.errors import DataError
from bench.kit.faults import MALFORMED, Fault, Faults
from bench.kit.files import decode, read_bytes
from bench.kit.jsonl import Record
from bench.wording import some


def read(path: Path, columns: Sequence[str], content: bytes | None = None, faults: Faults | None = None) -> list[Record]:
    """The rows of a table as records of strings; columns are found by the header's names, further ones are passed over.

    `content` is the file's bytes, if the caller has read them already. `faults` collects rows of another width, and rows that a
    stray quote makes one; without it the first one is raised.

    Raises:
        DataError: the file cannot be read, is not UTF-8, has a quote that does not end, or lacks one of the `columns`.
    """
    text = decode((read_bytes(path) if content is None else content).removeprefix(b"\xef\xbb\xbf"), path)
    rows = csv.reader(StringIO(text, newline=""), delimiter="\t", strict=True)
    records: list[Record] = []
    header: list[str] | None = None
    line = 1
    try:
        for row in rows:
            line, first = rows.line_num + 1, line
            if header is None:
                header = row
                if missing := [name for name in columns if header.count(name) != 1]:
                    raise DataError(
                        f"{path}:1: the header has no column {missing[0]!r}; wanted {', '.join(columns)}, tabs between."
                    )
                continue
            swallowed = any("\t" in cell and "\n" in cell for cell in row)
            if len(row) == len(header) and not swallowed:
                records.append(Record(path, first, dict(zip(header, row, strict=True))))
                continue
            found = "a quote that begins a column ends in a later row" if swallowed else some(len(row), "column")
            fault = Fault(MALFORMED, f"{path}:{first}: {found}; wanted {some(len(header), 'column')}, as in the header.")
            if faults is None:
                raise fault
            faults.add(fault)
    except csv.Error as error:
        raise DataError(f"{path}:{line}: {error}; wanted tab-separated columns, quotes doubled within quotes.") from None
    if header is None:
        raise DataError(f"{path} is empty; wanted a header: {', '.join(columns)}, tabs between.")
    return records


def write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Writes a table that `read` reads; the folder is made if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
